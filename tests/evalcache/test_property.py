"""Whatever happens to a tree, a remembered answer is what a fresh evaluation gives."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import World, set_up

DEFAULT = """
{ flavour ? "plain", path ? ./data }:
let
  drv = name: more: derivation ({ inherit name; system = "x"; builder = "/b"; } // more);
  data = builtins.readDir path;
in {
  imported = drv "imported" (import ./a.nix);
  chained = drv "chained" { text = (import ./b.nix).text; };
  contents = builtins.readFile ./data/one;
  names = builtins.attrNames data;
  kinds = data;
  exists = builtins.pathExists ./data/two;
  folder = builtins.pathExists (toString ./data/two + "/");
  linked = builtins.readFile ./link;
  type = builtins.readFileType ./link;
  env = builtins.getEnv "FLAVOUR";
  source = drv "source" { src = ./data; };
  file = drv "file" { src = ./data/one; };
  filtered = drv "filtered" {
    src = builtins.path { path = ./data; name = "data"; filter = p: t: baseNameOf p != "two"; };
  };
  place = builtins.hashString "sha256" (toString ./.);
  given = drv "given" { inherit flavour; };
  nested = { inner = drv "inner" { text = builtins.readFile ./data/sub/deep; }; };
  position = (builtins.unsafeGetAttrPos "type" { type = 1; }).line;
  searched = builtins.readFile <thing/one>;
  read = drv "read" { text = builtins.readFile "${./data}/one"; };
  hash = builtins.hashFile "sha256" ./data/one;
  dynamic = import (if builtins.pathExists ./data/two then ./a.nix else ./b.nix);
}
"""
ATTRIBUTES = [
    *("imported", "chained", "contents", "names", "kinds", "exists", "folder", "linked", "type", "env", "source"),
    *("file", "filtered", "place", "given", "nested.inner", "position", "searched", "read", "hash", "dynamic"),
]
FILES = ["a.nix", "b.nix", "data/one", "data/two", "data/sub/deep", "data/sub/three", "data/sub", "link", "README"]
TEXTS = ['{ text = "1"; }', '{ text = "2"; }', "import ./a.nix", "one", ""]


def write(path: Path, text: str) -> None:
    remove(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def link(path: Path, target: str) -> None:
    remove(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def flip_mode(path: Path) -> None:
    if path.is_file():
        path.chmod(path.stat().st_mode ^ 0o100)


def touch(path: Path) -> None:
    if path.exists():
        os.utime(path)


def rewrite_in_place(path: Path, text: str) -> None:
    """Same inode, and often the same size and (to the clock's grain) time."""
    if path.is_file():
        with open(path, "r+") as file:
            file.write(text)
            file.truncate()


file_names = st.sampled_from(FILES)
texts = st.sampled_from(TEXTS)
changes: st.SearchStrategy[Callable[[Path], None]] = st.one_of(
    st.builds(lambda name, text: lambda root: write(root / name, text), file_names, texts),
    st.builds(lambda name, text: lambda root: rewrite_in_place(root / name, text), file_names, texts),
    st.builds(lambda name: lambda root: remove(root / name), file_names),
    st.builds(
        lambda name, target: lambda root: link(root / name, target),
        file_names,
        st.sampled_from(["data/one", "a.nix", "nowhere", "../a.nix", "data", "link"]),
    ),
    st.builds(lambda name: lambda root: flip_mode(root / name), file_names),
    st.builds(lambda name: lambda root: touch(root / name), file_names),
    st.builds(lambda name: lambda root: (root / name).mkdir(parents=True, exist_ok=True), st.just("data/new")),
    st.builds(lambda value: lambda root: os.environ.__setitem__("FLAVOUR", value), st.sampled_from(["", "x", "y"])),
    st.builds(
        lambda value: lambda root: os.environ.__setitem__("NIX_PATH", value),
        st.sampled_from(["thing=data", "thing=other", "data", "other:thing=data"]),
    ),
    st.builds(lambda text: lambda root: write(root / "other/one", text), texts),
)
questions = st.tuples(
    st.sampled_from(ATTRIBUTES),
    st.sampled_from([(), ("--argstr", "flavour", "sweet"), ("--arg", "path", "./data/sub")]),
    st.booleans(),
)
steps = st.lists(st.tuples(st.lists(changes, max_size=2), st.lists(questions, min_size=1, max_size=3)), max_size=6)


def begin(root: Path) -> None:
    write(root / "default.nix", DEFAULT)
    write(root / "a.nix", '{ text = "a"; }')
    write(root / "b.nix", "import ./a.nix")
    write(root / "data/one", "one")
    write(root / "data/sub/deep", "deep")
    write(root / "other/one", "other")
    link(root / "link", "data/one")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_answers_are_those_of_a_fresh_evaluation(world: World, steps: list[object]) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        set_up(folder, patch.setenv)
        patch.setenv("FLAVOUR", "x")
        patch.setenv("NIX_PATH", "thing=data")
        root = folder / "tree"
        root.mkdir()
        patch.chdir(root)
        begin(root)
        for happening, asked in steps:  # type: ignore[misc, attr-defined]
            for change in happening:
                try:
                    change(root)
                except OSError:
                    pass
            for attribute, arguments, evaluate in asked:
                compare(world, attribute, arguments, evaluate=evaluate)


def compare(world: World, attribute: str, arguments: tuple[str, ...], *, evaluate: bool) -> None:
    words = ["nix-instantiate", ".", "-A", attribute, *arguments, "--no-gc-warning"]
    if evaluate:
        words += ["--eval", "--strict", "--json"]
    remembered = world.run(*words)
    fresh = world.run(*words, "--option", "eval-cache", "false")
    assert (remembered.status, remembered.out) == (fresh.status, fresh.out), (attribute, remembered, fresh)
    again = world.run(*words)
    assert (again.status, again.out) == (fresh.status, fresh.out), (attribute, again, fresh)
    assert "Traceback" not in again.err
    assert again.evaluated == (fresh.status != 0), (attribute, again)
