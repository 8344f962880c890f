"""Answers about flakes: an edit concerns what reads the file; the tree as a whole counts where it is looked at."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import World, set_up
from .test_property import begin, changes

FLAKE = """
{
  outputs = { self }: let
    drv = name: more: derivation ({ inherit name; system = "x"; builder = "/b"; } // more);
  in {
    plain = drv "plain" { text = (import ./a.nix).text; };
    named = drv "named" { src = ./data/one; };
    folder = drv "folder" { src = ./data; };
    whole = drv "whole" { src = self; };
    time = drv "time" { t = toString self.lastModified; };
    hash = drv "hash" { t = builtins.hashString "sha256" "${./.}"; };
    text = drv "text" { t = builtins.substring 0 20 (toString ./a.nix); };
    length = drv "length" { t = toString (builtins.stringLength self.narHash); };
    revision = drv "revision" { t = self.rev or self.dirtyRev or "none"; };
    base = drv "base" { t = baseNameOf ./.; };
    position = drv "position" { t = (builtins.unsafeGetAttrPos "a" { a = 1; }).file; };
    here = drv "here" { t = __curPos.file; };
    less = drv "less" { t = if ./a.nix < /nix/store/m then "a" else "b"; };
    names = drv "names" { t = builtins.attrNames (builtins.readDir ./data); };
    exists = drv "exists" { t = builtins.pathExists ./data/two; };
    linked = drv "linked" { t = builtins.readFile ./link; };
    json = drv "json" { t = builtins.toJSON { p = ./data/one; }; };
    filtered = drv "filtered" {
      src = builtins.path { path = ./data; name = "d"; filter = p: t: baseNameOf p != "two"; };
    };
    through = drv "through" { t = (import "${self}/a.nix").text; };
    plus = drv "plus" { t = [ (import (self + "/a.nix")).text (builtins.readFile (self + "/data/one")) ]; };
    below = drv "below" {
      t = builtins.attrNames (builtins.readDir "${self}/data") ++ [ (builtins.pathExists (self + "/data/two")) ];
    };
    inputSelf = drv "inputSelf" { t = (import "${self.inputs.self or self}/a.nix").text; };
    both = drv "both" { t = let p = "${self}/a.nix"; in [ (import p).text p ]; };
    bothPlus = drv "bothPlus" { t = let p = self + "/a.nix"; in [ p (import p).text ]; };
    member = drv "member" { t = self + "/a.nix"; };
    inputs = drv "inputs" { t = builtins.attrNames self.inputs; };
    apps.x86_64-linux.app = { type = "app"; program = "${self.plain}/bin/x"; };
  };
}
"""
ATTRIBUTES = (
    *("plain", "named", "folder", "whole", "time", "hash", "text", "length", "revision", "base", "position", "here"),
    *("less", "names", "exists", "linked", "json", "filtered", "inputs"),
    *("through", "plus", "below", "inputSelf", "both", "bothPlus", "member"),
)


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


def new_flake(root: Path, *, versioned: bool) -> None:
    begin(root)
    (root / "flake.nix").write_text(FLAKE)
    (root / "README").write_text("read me")
    if versioned:
        git(root, "init", "-q", "-b", "main")
        git(root, "add", "-A")


def dry_run(world: World, attribute: str, *more: str) -> tuple[int, str, bool, str]:
    words = ("frazil", "--extra-experimental-features", "nix-command flakes", "build", f".#{attribute}", "--dry-run")
    found = world.run(*words, "--json", *more)
    return found.status, found.out, found.evaluated, found.err


@pytest.fixture(params=[True, False], ids=["git", "path"])
def versioned(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def answered(world: World, attribute: str, calls: list[str]) -> bool:
    """Whether nothing of the flake's outputs was evaluated."""
    calls.clear()
    status, _, _, err = dry_run(world, attribute)
    assert status == 0, err
    return not calls


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One element for each time that a flake's `outputs` was called."""
    from frazil.flake import call

    made: list[str] = []
    original = call.call_flake

    def counting(trees: object, locked: object) -> object:
        made.append("x")
        return original(trees, locked)  # type: ignore[arg-type]

    monkeypatch.setattr(call, "call_flake", counting)
    return made


def test_an_edit_concerns_what_reads_the_file(world: World, versioned: bool, calls: list[str]) -> None:
    new_flake(world.folder, versioned=versioned)
    for attribute in ATTRIBUTES:
        dry_run(world, attribute)
        assert answered(world, attribute, calls), attribute
    (world.folder / "README").write_text("edited")
    free = {"plain", "named", "folder", "names", "exists", "linked", "json", "inputs", "revision"}
    free |= {"through", "plus", "below", "inputSelf"}
    for attribute in ATTRIBUTES:
        assert answered(world, attribute, calls) == (attribute in free), attribute
    (world.folder / "a.nix").write_text('{ text = "other"; }')
    assert not answered(world, "plain", calls)
    assert answered(world, "named", calls)


def test_a_commit_concerns_what_looks_at_the_revision(world: World, calls: list[str]) -> None:
    new_flake(world.folder, versioned=True)
    dry_run(world, "revision")
    git(world.folder, "commit", "-q", "-m", "x", "--date", "2001-01-01T00:00:00Z")
    assert not answered(world, "revision", calls), "there is a revision now"
    for attribute in ("plain", "revision", "time"):
        dry_run(world, attribute)
    git(world.folder, "commit", "-q", "--allow-empty", "-m", "y")
    assert answered(world, "plain", calls)
    assert not answered(world, "revision", calls)
    assert not answered(world, "time", calls)


def test_values_of_flakes(world: World, versioned: bool, calls: list[str]) -> None:
    new_flake(world.folder, versioned=versioned)
    words = ("frazil", "--extra-experimental-features", "nix-command flakes", "eval", "--raw", ".#plain.text")
    first = world.run(*words)
    calls.clear()
    again = world.run(*words)
    assert first.out == again.out == "a" and not calls
    (world.folder / "a.nix").write_text('{ text = "b"; }')
    assert world.run(*words).out == "b"
    printed = (*words[:4], ".#plain.drvPath")
    assert world.run(*printed).out == world.run(*printed, "--option", "eval-cache", "false").out


def test_what_the_environment_says_under_impure(world: World, calls: list[str]) -> None:
    new_flake(world.folder, versioned=False)
    (world.folder / "flake.nix").write_text('{ outputs = _: { who = builtins.getEnv "WHO"; }; }')
    words = ("frazil", "--extra-experimental-features", "nix-command flakes", "eval", "--raw", "--impure", ".#who")
    os.environ["WHO"] = "me"
    try:
        assert world.run(*words).out == "me"
        calls.clear()
        assert world.run(*words).out == "me" and not calls
        os.environ["WHO"] = "you"
        assert world.run(*words).out == "you"
    finally:
        del os.environ["WHO"]


steps = st.lists(st.tuples(st.lists(changes, max_size=2), st.sampled_from(ATTRIBUTES)), max_size=6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, tracked=st.booleans(), staged=st.booleans())
def test_answers_are_those_of_a_fresh_evaluation(
    world: World, steps: list[object], tracked: bool, staged: bool
) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        set_up(folder, patch.setenv)
        patch.setenv("NIX_PATH", "")
        root = folder / "tree"
        root.mkdir()
        patch.chdir(root)
        new_flake(root, versioned=tracked)
        for happening, attribute in steps:  # type: ignore[misc, attr-defined]
            for change in happening:
                try:
                    change(root)
                except OSError:
                    pass
            if tracked and staged:
                git(root, "add", "-A")
            remembered = dry_run(world, attribute)
            fresh = dry_run(world, attribute, "--option", "eval-cache", "false")
            again = dry_run(world, attribute)
            assert remembered[:2] == fresh[:2] == again[:2], (attribute, remembered, fresh, again)
            assert "Traceback" not in again[3]
