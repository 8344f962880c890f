"""An ordinary user on a machine where `/nix` is not theirs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.scenarios.conftest import NOBODY, World, make_flake

PROGRAM = """
{
  outputs = { self }:
    let
      make = name: text: derivation {
        inherit name text;
        system = "x86_64-linux"; builder = "/bin/sh"; passAsFile = [ "text" ];
        args = [ "-c" "while IFS= read -r line; do echo \\"$line\\"; done < $textPath > $out" ];
      };
      message = make "message" "hello from the store\\n";
    in {
      packages.x86_64-linux = { default = message; inherit message; };
      outside = builtins.readFile message;
    };
}
"""


@pytest.fixture
def user(user_world: World) -> Iterator[World]:
    yield user_world
    shutil.rmtree(user_world.folder.parent)


def test_build_read_and_collect(user: World) -> None:
    if os.access("/nix/store", os.W_OK) and os.stat("/nix/store").st_mode & 0o002:
        pytest.skip("everybody may write /nix/store here")
    folder = make_flake(user.folder / "f", PROGRAM, user=NOBODY)
    done = user.frazil("build", "--print-out-paths", cwd=folder)
    if "namespaces" in done.error and done.status:
        pytest.skip("no user namespaces on this machine")
    assert done.status == 0, done.error
    logical = done.out.strip()
    assert logical.startswith("/nix/store/")
    assert not os.path.exists(logical)
    # The link leads to the file, although nothing is at the store's logical place.
    assert (folder / "result").read_text() == "hello from the store\n"
    assert user.ok("eval", "--raw", ".#outside", cwd=folder) == "hello from the store\n"
    data = user.folder / "home/.local/share/frazil/root"
    assert (data / logical.lstrip("/")).is_file()

    user.ok("store", "gc", cwd=folder)
    assert (data / logical.lstrip("/")).exists()
    (folder / "result").unlink()
    user.ok("store", "gc", cwd=folder)
    assert not (data / logical.lstrip("/")).exists()
    user.whole()


def test_nothing_is_written_outside_home_and_project(user: World) -> None:
    folder = make_flake(user.folder / "f", PROGRAM, user=NOBODY)
    done = user.frazil("build", cwd=folder)
    if "namespaces" in done.error and done.status:
        pytest.skip("no user namespaces on this machine")
    assert done.status == 0, done.error
    assert {p.name for p in folder.iterdir()} == {".git", "flake.nix", "result"}
    assert list(Path(user.folder, "tmp").iterdir()) == []
