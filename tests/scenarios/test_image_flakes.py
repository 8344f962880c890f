"""Flakes as people publish them: a Go program, a web server dated by its commit, an application with and without its
debugger. Built by somebody without any rights, loaded and run by Podman."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.image.test_commands import engine  # noqa: F401
from tests.scenarios.conftest import NOBODY, World, git, make_flake, make_user_world
from tests.scenarios.test_guestbook import OVERRIDE, need_a_mirror

GO = """{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.05";
  outputs = { self, nixpkgs }:
    let pkgs = nixpkgs.legacyPackages.x86_64-linux; in {
      packages.x86_64-linux = rec {
        default = pkgs.buildGoModule {
          pname = "myapp";
          version = "0.1.0";
          src = ./.;
          vendorHash = null;
          meta.license = pkgs.lib.licenses.mit;
        };
        container = pkgs.dockerTools.buildImage {
          name = "myapp";
          copyToRoot = pkgs.buildEnv {
            name = "image-root";
            paths = [ default ];
            pathsToLink = [ "/bin" ];
          };
          config.Cmd = [ "${default}/bin/myapp" ];
        };
      };
    };
}
"""
PROGRAM = """package main

func main() { println("Hello from Go") }
"""
WEB = """{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.05";
  outputs = { self, nixpkgs }:
    let
      pkgs = nixpkgs.legacyPackages.x86_64-linux;
      web = pkgs.stdenvNoCC.mkDerivation {
        pname = "web-server";
        version = builtins.substring 0 14 self.lastModifiedDate;
        src = ./.;
        buildInputs = [ pkgs.bash ];
        installPhase = "install -D server $out/bin/web-server";
      };
    in {
      packages.x86_64-linux.docker = pkgs.dockerTools.buildLayeredImage {
        name = web.pname;
        tag = web.version;
        contents = [ web ];
        config = { Cmd = [ "/bin/web-server" ]; WorkingDir = "/"; };
      };
    };
}
"""
SHOP = """{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.05";
  outputs = { self, nixpkgs }:
    let
      pkgs = nixpkgs.legacyPackages.x86_64-linux;
      shop = { debug ? false }: pkgs.python3Packages.buildPythonApplication {
        pname = "shop";
        version = "1.0";
        pyproject = true;
        src = ./.;
        build-system = [ pkgs.python3Packages.setuptools ];
        dependencies = pkgs.lib.optionals debug [ pkgs.python3Packages.pudb ];
        meta.license = pkgs.lib.licenses.bsd3;
      };
      image = package: pkgs.dockerTools.buildLayeredImage {
        name = "shop";
        tag = "1.0";
        contents = [ package ];
        config.Cmd = [ "/bin/shop" ];
      };
    in {
      packages.x86_64-linux = rec {
        default = shop { };
        production = image default;
        development = image (shop { debug = true; });
      };
    };
}
"""
PYPROJECT = """[project]
name = "shop"
version = "1.0"
scripts.shop = "shop:main"
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[tool.setuptools]
py-modules = ["shop"]
"""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    need_a_mirror()
    world = make_user_world()
    yield world
    shutil.rmtree(world.folder.parent)


def frazil(world: World, folder: Path, *arguments: str) -> str:
    """However long it takes to fetch and unpack what the package needs."""
    done = world.run("frazil", *arguments, cwd=folder, limit=1800)
    assert done.status == 0, done.error
    return done.out


def answer(engine: str, image: str) -> str:  # noqa: F811
    limits = ["--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"]
    done = subprocess.run([*engine.split(), "run", "--rm", *limits, image], capture_output=True, text=True)
    if done.returncode and ("permitted" in done.stderr or "denied" in done.stderr):
        pytest.skip(f"Podman cannot run containers here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_go_program(world: World, engine: str) -> None:  # noqa: F811
    files = {"main__go": PROGRAM, "go__mod": "module example.org/myapp\n\ngo 1.22\n"}
    folder = make_flake(world.folder / "go", GO, user=NOBODY, **files)
    frazil(world, folder, "build", *OVERRIDE, ".#container")
    with open(folder / "result", "rb") as archive:  # podman load < result
        loaded = subprocess.check_output([*engine.split(), "load", "-q"], stdin=archive, text=True)
    assert "Hello from Go" in answer(engine, loaded.rpartition(": ")[2].strip())
    found = json.loads(frazil(world, folder, "image", "sbom", *OVERRIDE, ".#container"))
    licences = {package["name"]: package["licenseDeclared"] for package in found["packages"]}
    assert licences["myapp"] == "MIT"
    assert "go" not in licences  # what it was built with is not in it
    assert licences.get("glibc", "LGPL-2.1-or-later") == "LGPL-2.1-or-later"


def commit_line(folder: Path, text: str, date: str) -> None:
    (folder / "server").write_text(f"#!/usr/bin/env bash\necho {text}\n")
    os.environ["GIT_COMMITTER_DATE"] = date
    try:
        git(folder, "add", "server", user=NOBODY)
        git(folder, "commit", "--quiet", "--message", text, "--date", date, user=NOBODY)
    finally:
        del os.environ["GIT_COMMITTER_DATE"]


def test_a_web_server_dated_by_its_commit(world: World, engine: str) -> None:  # noqa: F811
    folder = make_flake(world.folder / "web", WEB, user=NOBODY, server="#!/usr/bin/env bash\necho one\n")
    frazil(world, folder, "image", "build", *OVERRIDE, ".#docker", "--to", "docker-archive:one.tar")
    commit_line(folder, "two", "2040-01-02T03:04:05Z")
    frazil(world, folder, "image", "build", *OVERRIDE, ".#docker", "--to", "docker-archive:two.tar")
    # Who may use Podman here is another user, who is given the archives.
    root = World(world.folder, world.programs, {**world.environment, "HOME": str(world.folder / "root-home")})
    root.environment["NIX_REMOTE"] = f"local?root={world.folder}/root-store"
    first = root.frazil("image", "load", str(folder / "one.tar"), "--engine", engine)
    second = root.frazil("image", "load", str(folder / "two.tar"), "--engine", engine)
    assert first.status == second.status == 0, first.error + second.error
    count = first.error.split(" of ")[1].split()[0]
    assert f"2 of {count} layers sent" in second.error, second.error
    names = subprocess.check_output([*engine.split(), "images", "--format", "{{.Repository}}:{{.Tag}}"], text=True)
    assert sorted(line.rpartition(":")[2] for line in names.split())[1] != ""
    assert answer(engine, second.out.strip().removeprefix("sha256:")) == "two\n"


def test_production_without_the_debugger(world: World) -> None:
    files = {"pyproject__toml": PYPROJECT, "shop__py": 'def main():\n    print("open")\n'}
    folder = make_flake(world.folder / "shop", SHOP, user=NOBODY, **files)
    names = {}
    for variant in ("production", "development"):
        text = frazil(world, folder, "image", "sbom", *OVERRIDE, f".#{variant}", "--format", "cyclonedx")
        names[variant] = {part["name"]: part.get("licenses") for part in json.loads(text)["components"]}
    assert "python3-pudb" in names["development"] and "python3-pudb" not in names["production"]
    assert names["production"].keys() < names["development"].keys()
    assert names["production"]["shop"] == [{"expression": "BSD-3-Clause"}]
    shown = frazil(world, folder, "image", "diff", *OVERRIDE, ".#production", ".#development")
    assert "python3-pudb: ∅ → " in shown
