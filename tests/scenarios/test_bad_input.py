"""What goes wrong for people: each a clear message, the right exit status, and a whole store."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.scenarios.conftest import World, make_flake

SIMPLE = """
{
  outputs = { self }: {
    packages.x86_64-linux.default = derivation {
      name = "greeting"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo hello > $out" ];
    };
    packages.x86_64-linux.broken = derivation {
      name = "broken"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo one; echo two >&2; exit 7" ];
    };
    number = 1 + "x";
  };
}
"""

SLEEPER = """
derivation { name = "sleeper-@NAME@"; system = builtins.currentSystem; builder = "/bin/sh";
  args = [ "-c" "echo begun; i=0; while [ $i -lt @COUNT@ ]; do i=$((i+1)); done; echo done > $out" ]; }
"""


def sleeper(name: str, count: int = 300000) -> str:
    return SLEEPER.replace("@NAME@", name).replace("@COUNT@", str(count))


def test_a_syntax_error_shows_place_and_line(world: World) -> None:
    (world.folder / "bad.nix").write_text("{\n  a = 1\n  b = 2;\n}\n")
    done = world.run("nix-instantiate", "--eval", "bad.nix")
    assert done.status == 1
    assert "bad.nix:3:5" in done.error
    assert "syntax error" in done.error
    assert "b = 2;" in done.error


def test_a_missing_attribute_suggests_another(world: World) -> None:
    done = world.frazil("eval", "--expr", "{ version = 1; }.versoin")
    assert done.status == 1
    assert "attribute 'versoin' missing" in done.error
    assert "Did you mean version?" in done.error


def test_a_wrong_type_names_both(world: World) -> None:
    folder = make_flake(world.folder / "f", SIMPLE)
    done = world.frazil("eval", ".#number", cwd=folder)
    assert done.status == 1
    assert "cannot add a string to an integer" in done.error
    assert "flake.nix:10" in done.error


def test_an_attribute_path_that_is_not_there(world: World) -> None:
    folder = make_flake(world.folder / "f", SIMPLE)
    done = world.frazil("build", ".#gone", cwd=folder)
    assert done.status == 1
    assert "does not provide attribute 'packages.x86_64-linux.gone', 'legacyPackages.x86_64-linux.gone' or 'gone'" in (
        done.error
    )


def test_a_builder_that_fails_shows_its_log(world: World) -> None:
    folder = make_flake(world.folder / "f", SIMPLE)
    done = world.frazil("build", ".#broken", cwd=folder)
    assert done.status == 1
    assert "exit code 7" in done.error
    assert "> two" in done.error
    assert not os.path.lexists(folder / "result")
    expression = "(import ./flake.nix).outputs { self = null; }"
    done = world.run("nix-build", "-E", expression, "-A", "packages.x86_64-linux.broken", cwd=folder)
    assert done.status == 100
    world.whole()


def test_a_wrong_hash_shows_both(world: World) -> None:
    expression = """derivation { name = "fixed"; system = builtins.currentSystem; builder = "/bin/sh";
      args = [ "-c" "echo hello > $out" ]; outputHashAlgo = "sha256"; outputHashMode = "flat";
      outputHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="; }"""
    done = world.run("nix-build", "--no-out-link", "-E", expression)
    assert done.status == 102
    assert "specified: sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" in done.error
    assert "got:    sha256-WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM=" in done.error
    assert world.frazil("build", "--no-link", "--impure", "--expr", expression).status == 102
    assert world.run("nix", "build", "--no-link", "--impure", "--expr", expression).status == 1
    world.whole()


@pytest.mark.parametrize("arguments", [["build", "--no-such-flag"], ["no-such-command"], ["eval", "--expr"]])
def test_unknown_words_of_the_command_line(world: World, arguments: list[str]) -> None:
    done = world.frazil(*arguments)
    assert done.status == 1
    assert done.error.startswith("error: ")
    assert "hint:" in done.error or "--help" in done.error


def test_an_untracked_file_is_named(world: World) -> None:
    folder = make_flake(world.folder / "f", "{ outputs = { self }: { x = import ./other.nix; }; }")
    (folder / "other.nix").write_text("1")
    done = world.frazil("eval", ".#x", cwd=folder)
    assert done.status == 1
    assert "other.nix" in done.error
    assert "not tracked by Git" in done.error
    assert "add" in done.error


def test_a_folder_without_a_flake(world: World) -> None:
    folder = world.folder / "empty"
    folder.mkdir()
    done = world.frazil("build", cwd=folder)
    assert done.status == 1
    assert "flake.nix" in done.error


def test_a_flake_outside_git_works(world: World) -> None:
    folder = world.folder / "plain"
    folder.mkdir()
    (folder / "flake.nix").write_text(SIMPLE)
    assert Path(world.ok("build", "--print-out-paths", cwd=folder).strip()).name.endswith("-greeting")


def test_a_missing_input_is_named(world: World) -> None:
    folder = make_flake(
        world.folder / "f", '{ inputs.other.url = "path:/no/such/folder"; outputs = { self, other }: { x = 1; }; }'
    )
    done = world.frazil("eval", ".#x", cwd=folder)
    assert done.status == 1
    assert "/no/such/folder" in done.error


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 99}', '{"version": 7, "root": "root", "nodes": {}}', "\0"]
)
def test_a_corrupt_lock_file_is_refused_and_left_alone(world: World, text: str) -> None:
    folder = make_flake(world.folder / "f", SIMPLE, flake__lock=text)
    done = world.frazil("build", cwd=folder)
    assert done.status == 1
    assert "flake.lock" in done.error or "lock file" in done.error
    assert (folder / "flake.lock").read_text() == text


def test_a_corrupt_database_is_said(world: World) -> None:
    folder = make_flake(world.folder / "f", SIMPLE)
    world.ok("build", cwd=folder)
    database = world.root / "nix/var/nix/db/db.sqlite"
    for leftover in database.parent.glob("db.sqlite-*"):
        leftover.unlink()
    database.write_bytes(b"this is no database" * 1000)
    done = world.frazil("build", cwd=folder)
    assert done.status == 1
    assert "database" in done.error
    assert "hint:" in done.error


def test_a_full_disk_is_said_and_the_store_stays_whole(world: World) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    small = world.folder / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", small], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("cannot mount a small file system here")
    try:
        full = World(world.folder, world.programs, {**world.environment, "NIX_REMOTE": f"local?root={small}/root"})
        assert full.ok("eval", "--raw", "--expr", 'builtins.toFile "small" "x"').startswith("/nix/store/")
        (world.folder / "large").write_bytes(os.urandom(12 << 20))
        done = full.frazil("store", "add", str(world.folder / "large"))
        assert done.status == 1
        assert "No space left on device" in done.error
        full.whole()
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)


def test_two_at_once_build_one_thing_once(world: World) -> None:
    command = ["nix-build", "--no-out-link", "-E", sleeper("shared")]
    processes = [world.start(*command) for _ in range(2)]
    results = [(*process.communicate(timeout=120), process.returncode) for process in processes]
    assert [status for _, _, status in results] == [0, 0], results
    assert results[0][0] == results[1][0]
    assert sum(error.count("begun") for _, error, _ in results) == 1
    world.whole()


@pytest.mark.parametrize("delay", [0.05, 0.15, 0.25, 0.4, 0.6])
def test_killed_at_any_instant(world: World, delay: float) -> None:
    process = world.start("nix-build", "--no-out-link", "-E", sleeper("killed", 30000))
    time.sleep(delay)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    world.whole()
    done = world.run("nix-build", "--no-out-link", "-E", sleeper("killed", 30000))
    assert done.status == 0, done.error
    world.whole()


def test_an_interrupt_ends_builders_and_says_so(world: World) -> None:
    process = world.start("nix-build", "--no-out-link", "-E", sleeper("interrupted", 100000000))
    time.sleep(1.5)
    os.kill(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode in (1, 130)
    assert "interrupted" in error
    world.whole()


def test_an_interrupt_ends_an_evaluation_and_says_so(world: World) -> None:
    expression = "builtins.foldl' (a: b: builtins.length (map (x: x) [ b ])) 0 (builtins.genList (i: i) 5000000)"
    process = world.start("nix-instantiate", "--eval", "-E", f"builtins.genList (n: {expression}) 1000", "--strict")
    time.sleep(1)
    os.kill(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error == "error: interrupted by the user\n"
