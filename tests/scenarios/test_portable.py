"""`portableService` as public flakes call it: the same bytes for two users, units checked, texts filled in."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from tests.scenarios.conftest import NOBODY, World, make_flake
from tests.scenarios.test_guestbook import OVERRIDE, need_a_mirror

FLAKE = r"""{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.05";
  outputs = { self, nixpkgs }:
    let
      overlay = final: prev: rec {
        greet = final.writeShellScriptBin "greet" "exec ${final.hello}/bin/hello";
        greet-service = final.substituteAll { name = "greet.service"; src = ./greet.service.in; inherit greet; };
        # A store object cannot have such a name.
        greet-worker = final.replaceVars ./greet.service.in { inherit greet; } // { name = "greet-worker@.service"; };
      };
      pkgs = import nixpkgs { system = "x86_64-linux"; overlays = [ overlay ]; };
      service = more: pkgs.portableService ({
        pname = "greet";
        version = "1.0";
        units = [ pkgs.greet-service pkgs.greet-worker ];
        description = "Says \"hello\" for $1";
        homepage = "https://example.org";
        symlinks = [ { object = "${pkgs.hello}/share"; symlink = "/usr/share/greet"; } ];
        contents = [ pkgs.jq ];
      } // more);
      unit = name: pkgs.writeText name "[Service]";
    in {
      packages.x86_64-linux.default = service { };
      wrong = {
        name = service { units = [ (unit "hello.service") ]; };
        kind = service { units = [ (unit "greet.mount") ]; };
        word = service { units = [ (unit "greeting.service") ]; };
        none = service { units = [ ]; };
        twice = service { units = [ (unit "greet.service") (unit "greet.service") ]; };
        version = service { version = "1/2"; };
        pname = service { pname = "-greet"; };
        lines = service { description = "two\nlines"; };
      };
      broken = {
        folder = service { units = [ (pkgs.runCommand "greet.service" { } "mkdir $out") ]; };
        symlink = service { symlinks = [ { object = "/x"; symlink = "/etc/os-release"; } ]; };
        options = service { squash-compression = "nonsense"; };
      };
    };
}
"""
PATIENCE = 900
"""Seconds, for all that an empty store lacks: on a machine that does much else, too."""
UNIT = """[Service]
ExecStart=@greet@/bin/greet
StateDirectory=greet greet/inner:alias \\
  %p-%N
LogsDirectory=/absolute ../outside %i
"""
FILES = {"greet__service__in": UNIT}
EXPECTED_ERRORS = {
    "name": "Unit names must be prefixed with the service name: 'hello.service'",
    "kind": "Unit names must be prefixed with the service name: 'greet.mount'",
    "word": "should be 'greet.service', 'greet-SOMETHING.service' or 'greet@.service'",
    "none": "portableService 'greet' has no units",
    "twice": "two units of the name 'greet.service'",
    "version": "'1/2' cannot be a version",
    "pname": "'-greet' cannot be the name of a service",
    "lines": "PORTABLE_PRETTY_NAME is more than one line",
}


def digest(world: World, folder: Path) -> str:
    done = world.run("frazil", "portable", "build", *OVERRIDE, ".", "--to", str(folder), cwd=folder, limit=PATIENCE)
    assert done.status == 0, done.error
    file = done.out.strip()
    assert os.path.basename(file) == "greet_1.0.raw"
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def check_contents(world: World, folder: Path) -> None:
    shown = json.loads(world.ok("portable", "inspect", "--json", "greet_1.0.raw", cwd=folder))
    assert shown["osRelease"] == {
        "PORTABLE_ID": "greet",
        "PORTABLE_PRETTY_NAME": 'Says "hello" for $1',
        "HOME_URL": "https://example.org",
        "ID": "nixos",
        "PRETTY_NAME": "NixOS",
        "BUILD_ID": "rolling",
    }
    assert [unit["name"] for unit in shown["units"]] == ["greet-worker@.service", "greet.service"]
    greet = next(held["path"] for held in shown["closure"] if held["path"].endswith("-greet"))
    assert f"ExecStart={greet}/bin/greet\n" in shown["units"][1]["text"]
    names = {held["path"].partition("-")[2].partition("-")[0] for held in shown["closure"]}
    assert names >= {"hello", "jq", "glibc", "bash"}
    assert not names & {"root", "coreutils", "squashfs"}, "what it was built with, or the scaffold itself"
    assert shown["missing"] == []
    check_folders(folder)


def check_folders(folder: Path) -> None:
    from frazil.portable.squashfs import Squashfs

    with Squashfs(str(folder / "greet_1.0.raw")) as image:
        state = image.find("/var/lib")
        assert state is not None
        found = {path.decode() for path, _ in image.walk(state)}
        assert found == {"greet", "greet/inner", "alias", "greet-greet", "greet-worker@-greet-worker@"}
        assert image.find("/var/log/absolute") is None and image.find("/var/outside") is None
        assert all(image.find(f"/{name}") for name in ("dev", "proc", "sys", "run", "tmp", "var/tmp", "var/cache"))
        link = image.find("/usr/share")
        assert link is not None
        assert [(name, node.kind) for name, node in image.children(link)] == [(b"greet", "symlink")]
        # The link's end is in the image: it is part of the closure.
        assert image.find("/usr/share/greet/info") is not None or image.find("/usr/share/greet") is not None


def check_errors(world: World, folder: Path) -> None:
    for name, message in EXPECTED_ERRORS.items():
        done = world.frazil("eval", *OVERRIDE, f".#wrong.{name}.drvPath", cwd=folder)
        assert done.status == 1 and message in done.error, done.error
    for name, message in {
        "folder": "the unit 'greet.service' is not a file",
        "symlink": "two things want the place /etc/os-release in the portable service 'greet'",
        "options": "nonsense",
    }.items():
        done = world.frazil("build", "--no-link", *OVERRIDE, f".#broken.{name}", cwd=folder)
        assert done.status == 1 and message in done.error, done.error


def test_a_service_of_a_flake(world: World, user_world: World) -> None:
    """As root in one store, and as an ordinary user in another."""
    need_a_mirror()
    try:
        ours = make_flake(world.folder / "project", FLAKE, **FILES)
        first = digest(world, ours)
        check_contents(world, ours)
        check_errors(world, ours)
        theirs = make_flake(user_world.folder / "project", FLAKE, user=NOBODY, **FILES)
        assert digest(user_world, theirs) == first
    finally:
        shutil.rmtree(user_world.folder.parent)


@pytest.mark.parametrize("name", ["substitute", "substituteAll", "replaceVars", "replaceVarsWith"])
def test_texts_have_the_names_they_are_given(name: str) -> None:
    """Evaluated with the set's own functions: a name given and one taken from the source."""
    import frazil
    from frazil.instantiate.builtins import BUILTINS
    from frazil.lang.effects import FileSystemEffects
    from frazil.lang.evaluator import Evaluator, run_with_deep_stack

    trivial = Path(frazil.__file__).parent / "packages"
    calls = {
        "substitute": 'substitute { name = "a.service"; src = /x/b.in; }',
        "substituteAll": 'substituteAll { name = "a.service"; src = /x/b.in; }',
        "replaceVars": 'replaceVarsWith { name = "a.service"; src = /x/b.in; replacements = { }; }',
        "replaceVarsWith": 'replaceVarsWith { name = "a.service"; src = /x; replacements.a = 1; dir = "d"; }',
    }
    text = f"""
      let
        lib = import {trivial}/lib;
        stdenv = {{ mkDerivation = args: args; shell = "/bin/sh"; }};
        set = import {trivial}/build-support/trivial.nix {{
          inherit lib stdenv;
          config = {{ }};
          stdenvNoCC = stdenv;
          runtimeShell = "/bin/sh";
          bash = null;
          pkgs = {{ }};
        }};
      in (with set; {calls[name]}).name
    """
    evaluator = Evaluator(FileSystemEffects(), extra_builtins=BUILTINS)
    assert run_with_deep_stack(lambda: evaluator.force(evaluator.eval_string(text, "/", "test"))) == "a.service"
