"""`bundle`, with a flake of its own and builders that need nothing but a shell."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.build.support import need_namespaces

from .conftest import Run

FLAKE = """
{
  outputs = { self }: let
    make = name: text: derivation {
      inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo ${text} > $out" ];
    };
  in {
    packages.x86_64-linux.default = make "thing" "plain";
    apps.x86_64-linux.default = { type = "app"; program = "${make "thing" "plain"}/bin/x"; };
    bundlers.x86_64-linux = {
      default = thing: make "bundle" (thing.type or "none");
      broken = thing: 1;
      elsewhere = thing: make "bundle" "x" // { outputName = "none"; };
    };
  };
}
"""


@pytest.fixture
def flake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if os.uname().machine != "x86_64":
        pytest.skip("the flake of this test is for x86_64-linux")
    folder = tmp_path / "flake"
    folder.mkdir()
    (folder / "flake.nix").write_text(FLAKE)
    (folder / "p.nix").write_text('{ x ? 1 }: { type = "function-${toString x}"; }')
    monkeypatch.chdir(folder)
    return folder


def read(run: Run, tmp_path: Path, link: Path) -> str:
    return (tmp_path / "root" / os.readlink(link).lstrip("/")).read_text()


def test_bundles(run: Run, tmp_path: Path, flake: Path) -> None:
    need_namespaces()
    assert run("frazil", "bundle", "--bundler", ".").status == 0
    assert read(run, tmp_path, flake / "bundle") == "app\n"
    assert run("frazil", "bundle", "--bundler", ".", ".#packages.x86_64-linux.default", "-o", "other").status == 0
    assert read(run, tmp_path, flake / "other") == "derivation\n"
    assert run("frazil", "bundle", "--bundler", ".#default", "-f", "p.nix", "-o", "called").status == 0
    assert read(run, tmp_path, flake / "called") == "function-1\n"
    assert not (flake / "flake.lock").exists()
    done = run("frazil", "bundle", "--bundler", ".#elsewhere")
    assert done.status == 1 and "does not have a built output 'none'" in done.err


def test_bundlers_that_are_none(run: Run, flake: Path) -> None:
    done = run("frazil", "bundle", "--bundler", ".#broken")
    assert done.status == 1 and "does not produce a derivation" in done.err
    done = run("frazil", "bundle", "--bundler", ".#absent")
    assert done.status == 1 and "does not provide attribute 'bundlers.x86_64-linux.absent'" in done.err
