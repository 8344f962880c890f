"""Locking graphs of local flakes."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Run

Make = Callable[[str, str], Path]
LEAF = "{ outputs = _: { v = 1; }; }"

pytestmark = pytest.mark.filterwarnings("default")


def nodes(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "flake.lock").read_text())["nodes"]
    return found


def test_a_flake_without_inputs_has_no_lock_file(run: Run, make: Make) -> None:
    folder = make("leaf", LEAF)
    run("flake", "lock", cwd=folder)
    assert not (folder / "flake.lock").exists()


def test_inputs_are_locked_with_their_inputs(run: Run, make: Make) -> None:
    make("leaf", LEAF)
    make("mid", "{ inputs.leaf.url = 'path:ROOT/leaf'; OUTPUTS }".replace("'", '"'))
    top = make("top", '{ inputs.mid.url = "path:ROOT/mid"; inputs.leaf.url = "path:ROOT/leaf"; OUTPUTS }')
    said = run("flake", "lock", cwd=top).err
    assert "creating lock file" in said
    assert "• Added input 'mid/leaf':" in said
    found = nodes(top)
    assert sorted(found) == ["leaf", "leaf_2", "mid", "root"]
    assert found["mid"]["inputs"] == {"leaf": "leaf_2"}
    assert set(found["leaf"]["locked"]) == {"lastModified", "narHash", "path", "type"}
    before = (top / "flake.lock").read_bytes()
    assert run("flake", "lock", cwd=top).err == ""
    assert (top / "flake.lock").read_bytes() == before


def test_follows_and_overrides_of_inputs(run: Run, make: Make) -> None:
    make("leaf", LEAF)
    make("other", LEAF)
    make("mid", '{ inputs.leaf.url = "path:ROOT/leaf"; OUTPUTS }')
    top = make(
        "top",
        '{ inputs = { a.url = "path:ROOT/mid"; a.inputs.leaf.follows = "b/leaf"; b.url = "path:ROOT/mid"; '
        'b.inputs.leaf.url = "path:ROOT/other"; c.follows = "a"; }; OUTPUTS }',
    )
    run("flake", "lock", cwd=top)
    found = nodes(top)
    assert found["a"]["inputs"] == {"leaf": ["b", "leaf"]}
    assert found["root"]["inputs"]["c"] == ["a"]
    assert found["leaf"]["original"]["path"].endswith("/other")


def test_relative_inputs_have_a_parent_and_no_hash(run: Run, make: Make) -> None:
    top = make("top", '{ inputs.sub.url = ./sub; inputs.plain = { url = "path:./plain"; flake = false; }; OUTPUTS }')
    make("top/sub", '{ inputs.deep.url = "./deep"; OUTPUTS }')
    make("top/sub/deep", LEAF)
    (top / "plain").mkdir()
    run("flake", "lock", cwd=top)
    found = nodes(top)
    assert found["sub"]["locked"] == {"path": "sub", "type": "path"}
    assert found["sub"]["parent"] == []
    assert found["deep"]["parent"] == ["sub"]
    assert found["plain"]["flake"] is False
    assert run("eval", ".#inputs", cwd=top, status=1).err  # nothing is called `inputs` among the outputs


def test_a_relative_input_stays_in_its_tree(run: Run, make: Make) -> None:
    make("leaf", LEAF)
    top = make("top", '{ inputs.leaf.url = "path:../leaf"; OUTPUTS }')
    assert "is forbidden in pure evaluation mode" in run("flake", "lock", cwd=top, status=1).err


def test_a_folder_stays_in_its_tree(run: Run, make: Make) -> None:
    make("leaf", LEAF)
    top = make("top", "{ outputs = _: { v = 7; }; }")
    assert run("eval", f"path:{top}?dir=../../../..%2fleaf#v", cwd=top, status=1).err
    assert run("eval", f"path:{top}?dir=../..#v", cwd=top).out.strip() == "7"


def test_updates_touch_only_what_is_named(run: Run, make: Make) -> None:
    make("a", LEAF)
    make("b", LEAF)
    top = make("top", '{ inputs.a.url = "path:ROOT/a"; inputs.b.url = "path:ROOT/b"; OUTPUTS }')
    run("flake", "lock", cwd=top)
    before = nodes(top)
    make("a", LEAF + "# changed")
    make("b", LEAF + "# changed")
    assert "Updated input 'a'" in run("flake", "update", "a", cwd=top).err
    after = nodes(top)
    assert after["b"] == before["b"]
    assert after["a"] != before["a"]
    assert "Updated input 'b'" in run("flake", "update", cwd=top).err
    assert "does not match any input" in run("flake", "update", "zzz", cwd=top).err


def test_removed_inputs_leave_the_lock_file(run: Run, make: Make) -> None:
    make("a", LEAF)
    top = make("top", '{ inputs.a.url = "path:ROOT/a"; inputs.b.url = "path:ROOT/a"; OUTPUTS }')
    run("flake", "lock", cwd=top)
    make("top", '{ inputs.a.url = "path:ROOT/a"; OUTPUTS }')
    assert "• Removed input 'b'" in run("flake", "lock", cwd=top).err
    assert sorted(nodes(top)) == ["a", "root"]


def test_an_override_by_flag_is_not_written(run: Run, make: Make) -> None:
    make("a", "{ outputs = _: { v = 1; }; }")
    other = make("other", "{ outputs = _: { v = 2; }; }")
    top = make("top", '{ inputs.a.url = "path:ROOT/a"; outputs = { a, ... }: { v = a.v; }; }')
    run("flake", "lock", cwd=top)
    before = (top / "flake.lock").read_bytes()
    result = run("eval", ".#v", "--override-input", "a", f"path:{other}", cwd=top)
    assert result.out.strip() == "2"
    assert "not writing modified lock file" in result.err
    assert (top / "flake.lock").read_bytes() == before
    assert run("eval", ".#v", cwd=top).out.strip() == "1"
    unknown = run("eval", ".#v", "--override-input", "zzz", f"path:{other}", cwd=top).err
    assert "does not match any input" in unknown


def test_inputs_replaced_by_a_setting(run: Run, make: Make) -> None:
    make("a", "{ outputs = _: { v = 1; }; }")
    other = make("other", "{ outputs = _: { v = 2; }; }")
    top = make("top", '{ inputs.a.url = "path:ROOT/a"; outputs = { a, ... }: { v = a.v; }; }')
    option = ("--option", "frazil-input-overrides", f"a=path:{other} unused=path:{other}")
    assert run("eval", ".#v", *option, cwd=top).out.strip() == "2"
    assert not (top / "flake.lock").exists()


def test_lock_files_elsewhere(run: Run, make: Make, tmp_path: Path) -> None:
    make("a", LEAF)
    top = make("top", '{ inputs.a.url = "path:ROOT/a"; OUTPUTS }')
    place = tmp_path / "other.lock"
    run("flake", "lock", "--output-lock-file", str(place), cwd=top)
    assert not (top / "flake.lock").exists()
    assert sorted(json.loads(place.read_text())["nodes"]) == ["a", "root"]
    run("flake", "metadata", "--reference-lock-file", str(place), "--no-update-lock-file", cwd=top)
    assert "requires lock file changes" in run("flake", "metadata", "--no-update-lock-file", cwd=top, status=1).err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{ inputs.a.url = "path:ROOT/top"; OUTPUTS }', "path:"),
        ('{ inputs.a.follows = "b"; inputs.b.follows = "a"; OUTPUTS }', "follow cycle detected"),
        ('{ inputs.a.follows = "zzz"; OUTPUTS }', "follows a non-existent input 'zzz'"),
        ('{ inputs.a.url = "path:ROOT/nothing"; OUTPUTS }', "does not exist"),
        ('{ inputs.a.url = "nosuch"; OUTPUTS }', "cannot find flake 'flake:nosuch'"),
        ('{ inputs.a.type = "nosuch"; OUTPUTS }', "unsupported input"),
    ],
)
def test_what_cannot_be_locked(run: Run, make: Make, text: str, message: str) -> None:
    top = make("top", text)
    assert message in run("flake", "lock", cwd=top, status=1).err
    assert not (top / "flake.lock").exists()


def test_a_corrupt_lock_file_is_shown_with_its_place(run: Run, make: Make) -> None:
    make("a", LEAF)
    top = make("top", '{ inputs.a.url = "path:ROOT/a"; OUTPUTS }')
    (top / "flake.lock").write_text('{\n  "nodes": oops\n}')
    said = run("flake", "lock", cwd=top, status=1).err
    assert "at flake.lock:2:12" in said.replace(f"{top}/", "")
    assert "hint:" in said


def test_shared_nodes_cannot_blow_up(run: Run, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two edges from each node to the next describe 2^n paths in n nodes."""
    from frazil.flake import locking

    monkeypatch.setattr(locking, "MAX_INPUTS", 500)
    top = make("top", '{ inputs.x.url = "path:/x"; OUTPUTS }')
    pinned = {"type": "path", "path": "/x", "narHash": "sha256-" + "A" * 43 + "="}
    original = {"type": "path", "path": "/x"}
    table: dict[str, Any] = {"root": {"inputs": {"x": "n0"}}}
    for i in range(40):
        inputs = {"a": f"n{i + 1}", "b": f"n{i + 1}"} if i < 39 else {}
        table[f"n{i}"] = {"inputs": inputs, "locked": pinned, "original": original}
    (top / "flake.lock").write_text(json.dumps({"nodes": table, "root": "root", "version": 7}))
    assert "more than 500 inputs" in run("flake", "lock", cwd=top, status=1).err


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@needs_git
def test_a_new_lock_file_is_made_known_to_git(run: Run, make: Make) -> None:
    make("a", LEAF)
    top = make("top", '{ inputs.a.url = "path:ROOT/a"; OUTPUTS }')
    git(top, "init", "-q")
    git(top, "add", ".")
    run("flake", "lock", cwd=top)
    assert "flake.lock" in git(top, "ls-files")
    assert git(top, "diff", "--name-only").split() == ["flake.lock"]


@needs_git
def test_an_untracked_flake_is_named(run: Run, make: Make) -> None:
    top = make("top", LEAF)
    git(top, "init", "-q")
    said = run("flake", "metadata", cwd=top, status=1).err
    assert f"Path 'flake.nix' in the repository \"{top}\" is not tracked by Git." in said
    assert f'git -C "{top}" add "flake.nix"' in said


@needs_git
def test_an_untracked_import_is_named(run: Run, make: Make) -> None:
    top = make("top", "{ outputs = _: { v = import ./v.nix; w = import ./w.nix; }; }")
    git(top, "init", "-q")
    git(top, "add", ".")
    (top / "v.nix").write_text("1")
    said = run("eval", ".#v", cwd=top, status=1).err
    assert "Path 'v.nix' in the repository" in said
    assert "git add" in said
    assert "Path 'w.nix' does not exist in Git repository" in run("eval", ".#w", cwd=top, status=1).err
    git(top, "add", "v.nix")
    assert run("eval", ".#v", cwd=top).out.strip() == "1"


@needs_git
def test_self_knows_its_revision(run: Run, make: Make) -> None:
    top = make(
        "top",
        "{ outputs = { self }: { clean = self.rev or null; dirty = self.dirtyRev or null; n = self.revCount; }; }",
    )
    git(top, "init", "-q")
    git(top, "add", ".")
    git(top, "commit", "-qm", "x")
    revision = git(top, "rev-parse", "HEAD").strip()
    assert run("eval", "--raw", ".#clean", cwd=top).out == revision
    assert run("eval", ".#n", cwd=top).out.strip() == "1"
    (top / "flake.nix").write_text((top / "flake.nix").read_text() + "\n")
    assert run("eval", ".#clean", cwd=top).out.strip() == "null"
    assert run("eval", "--raw", ".#dirty", cwd=top).out == f"{revision}-dirty"


def test_an_input_that_changed_since_is_read_as_it_was_locked(run: Run, make: Make) -> None:
    """Also where its `flake.nix` is needed again: the tree is in the store."""
    leaf, other = make("leaf", LEAF), make("other", LEAF)
    (other / "data").write_text("x")
    mid = make("mid", '{ inputs.leaf.url = "path:ROOT/leaf"; OUTPUTS }')
    follows = '{ inputs = { other.url = "path:ROOT/other"; mid.url = "path:ROOT/mid"; '
    top = make("top", follows + 'mid.inputs.leaf.follows = "other"; }; OUTPUTS }')
    run("flake", "lock", cwd=top)
    locked = nodes(top)["mid"]["locked"]
    (mid / "data").write_text("changed")
    make("top", follows + "}; OUTPUTS }")
    run("flake", "lock", cwd=top)
    found = nodes(top)
    assert found["mid"]["locked"] == locked
    assert found["leaf"]["original"]["path"] == str(leaf)


def test_registries_do_not_replace_what_has_a_url(run: Run, make: Make, tmp_path: Path) -> None:
    leaf, other = make("leaf", LEAF), make("other", LEAF)
    entry = {"from": {"type": "path", "path": str(leaf)}, "to": {"type": "path", "path": str(other)}}
    registry = tmp_path / "registry.json"
    registry.write_text(json.dumps({"version": 2, "flakes": [entry]}))
    top = make("top", '{ inputs.leaf.url = "path:ROOT/leaf"; OUTPUTS }')
    run("flake", "lock", "--option", "flake-registry", str(registry), cwd=top)
    assert nodes(top)["leaf"]["locked"]["path"] == str(leaf)
    replaced = f"{leaf}={other}"
    run("flake", "update", "--option", "input-overrides", replaced, cwd=top)
    assert nodes(top)["leaf"]["locked"]["path"] == str(other)


def test_names_without_registries(run: Run, make: Make) -> None:
    top = make("top", '{ inputs.leaf.url = "leaf"; OUTPUTS }')
    said = run("flake", "lock", "--no-registries", cwd=top, status=1).err
    assert "is an indirect flake reference, but registry lookups are not allowed" in said


def test_relative_inputs_that_are_locked_anew_are_listed(run: Run, make: Make) -> None:
    leaf = make("leaf", LEAF)
    make("top/sub", LEAF)
    top = make("top", '{ inputs.sub.url = "path:./sub"; inputs.leaf.url = "path:ROOT/leaf"; OUTPUTS }')
    run("flake", "lock", cwd=top)
    (leaf / "data").write_text("x")
    assert "• Updated input 'sub':\n    'path:./sub'\n  → 'path:./sub'\n" in run("flake", "update", cwd=top).err


def test_a_lock_file_that_leads_in_circles(run: Run, make: Make) -> None:
    make("leaf", LEAF)
    top = make("top", '{ inputs.a.url = "path:ROOT/leaf"; OUTPUTS }')
    run("flake", "lock", cwd=top)
    content = json.loads((top / "flake.lock").read_text())
    content["nodes"]["a"]["inputs"] = {"b": "a"}
    (top / "flake.lock").write_text(json.dumps(content))
    assert "nested more than 200 deep" in run("flake", "lock", cwd=top, status=1).err
