"""`flake show`, `flake check` and `search`: said again from memory, and never when it would be something else."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frazil.flake import workers

from .conftest import Result, World, set_up
from .test_flakes import git
from .test_property import begin, changes

FLAKE = """
{
  outputs = { self }: let
    drv = name: more: derivation ({ inherit name; system = "x86_64-linux"; builder = "/b"; } // more);
    loud = builtins.trace "loud" ((import ./b.nix).text or "none");
    each = f: builtins.listToAttrs (map (s: { name = s; value = f s; }) [ "x86_64-linux" "aarch64-linux" ]);
  in {
    packages = each (s: {
      a = drv "a-${(import ./a.nix).text or "none"}" { } // { meta.description = builtins.readFile ./data/one; };
      b = builtins.trace "b ${s}" (drv "b" { }) // (if builtins.pathExists ./data/two then { meta = { }; } else { });
      d = drv "d-${loud}" { };
      e = drv "e" { } // { meta.description = loud; };
      here = drv "here" { text = "${self}"; } // { meta.description = "${./data}"; };
      file = drv "file" { text = import "${./data}/four.nix"; };
    });
    legacyPackages = each (s: {
      ok = drv "ok-${builtins.readFile ./data/one}" { };
      bad = throw "never";
      inner = { recurseForDerivations = true; one = drv "inner-${(import ./a.nix).text or "none"}" { }; };
    });
    hydraJobs = { j = drv "j-${(import ./b.nix).text or "none"}" { }; set.k = drv "k" { t = ./data; }; };
    apps = each (s: { r = { type = "app"; program = "/x"; meta.description = (import ./a.nix).text or "none"; }; });
    checks = each (s: { c = drv "c" { text = (import ./b.nix).text or "none"; }; });
    templates = if builtins.pathExists ./data/sub/three then { t = { path = ./data; description = "d"; }; } else { };
    odd = builtins.attrNames (builtins.readDir ./data);
  };
}
"""
FEATURES = ("--extra-experimental-features", "nix-command flakes")
COMMANDS = [
    ("flake", "show"),
    ("flake", "show", "--legacy"),
    ("flake", "check", "--no-build"),
    ("search", ".#legacyPackages", "o"),
    ("flake", "show", "--all-systems"),
    ("flake", "show", "--json"),
    ("flake", "check", "--no-build", "--all-systems"),
    ("search", ".", "^"),
    ("search", ".", "one", "--json"),
]


def new_flake(root: Path) -> None:
    begin(root)
    (root / "flake.nix").write_text(FLAKE)
    (root / "data/four.nix").write_text('"four"')
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")


def words_of(command: tuple[str, ...]) -> list[str]:
    return ["frazil", *command, *([] if command[0] == "search" else ["."]), *FEATURES]


steps = st.lists(
    st.tuples(
        st.lists(changes, max_size=2), st.booleans(), st.lists(st.sampled_from(COMMANDS), min_size=1, max_size=2)
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, count=st.sampled_from([0, 2]))
def test_reports_are_those_of_a_fresh_evaluation(world: World, steps: list[object], count: int) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "worker_count", lambda groups: count if groups > 1 else 0)
        folder = Path(name)
        set_up(folder, patch.setenv)
        patch.setenv("FLAVOUR", "x")
        patch.setenv("NIX_PATH", "thing=data")
        root = folder / "tree"
        root.mkdir()
        patch.chdir(root)
        new_flake(root)
        for happening, add, commands in steps:  # type: ignore[misc, attr-defined]
            for change in happening:
                try:
                    change(root)
                except OSError:
                    pass
            if add:
                git(root, "add", "-A")
            for command in commands:
                compare(world, command)


def compare(world: World, command: tuple[str, ...]) -> None:
    words = words_of(command)
    remembered = world.run(*words)
    fresh = world.run(*words, "--no-eval-cache")
    again = world.run(*words)
    assert said(remembered) == said(fresh) == said(again), command


def said(result: Result) -> tuple[int, str, list[str]]:
    return result.status, result.out, sorted(result.err.splitlines())


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("count", [0, 2])
def test_reports_are_remembered(
    world: World, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], count: int
) -> None:
    monkeypatch.setattr(workers, "worker_count", lambda groups: count if groups > 1 else 0)
    new_flake(world.folder)
    git(world.folder, "commit", "-q", "-m", "all")
    settle(world)
    first = world.run(*words_of(command))
    assert first.status == 0, first.err
    again = world.run(*words_of(command))
    assert said(again) == said(first) and not again.evaluated
    world.write("README", "something else")
    git(world.folder, "add", "-A")
    assert world.run(*words_of(command)).status == 0
    world.write("data/one", "changed: one")
    changed = world.run(*words_of(command))
    assert said(changed) == said(world.run(*words_of(command), "--no-eval-cache"))


def settle(world: World) -> None:
    """As if nothing had been changed for a while."""
    import time

    time.sleep(0.1)
    assert os.listdir(world.folder)


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_edit_concerns_the_attributes_that_read_the_file(
    world: World, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], count: int
) -> None:
    """What is not said again from memory, but attribute by attribute, also where several processes evaluate."""
    monkeypatch.setattr(workers, "worker_count", lambda groups: count if groups > 1 else 0)
    outputs = """
      packages.x86_64-linux = builtins.mapAttrs (name: _: drv (import (./. + "/${name}.nix"))) { one = 1; two = 2; };
      packages.aarch64-linux = builtins.mapAttrs (name: _: drv (import (./. + "/${name}.nix"))) { one = 1; two = 2; };
      legacyPackages = self.packages; hydraJobs = self.packages.x86_64-linux;
    """
    new_flake(world.folder)
    drv = 'drv = name: derivation { inherit name; system = "x86_64-linux"; builder = "/b"; }'
    world.write("flake.nix", f"{{ outputs = {{ self }}: let {drv}; in {{ {outputs} }}; }}")
    for name in ("one", "two"):
        world.write(f"{name}.nix", f'"{name}-o"')
    git(world.folder, "add", "-A")
    assert world.run(*words_of(command)).status == 0
    world.write("two.nix", '"changed-o"')
    settle(world)
    from frazil.instantiate.effects import StoreEffects

    log = world.folder.parent / "read"
    read = StoreEffects.read_file

    def note(self: StoreEffects, path: str) -> bytes:
        with open(log, "a") as file:
            file.write(os.path.basename(path) + "\n")
        data: bytes = read(self, path)
        return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StoreEffects, "read_file", note)
        changed = world.run(*words_of(command))
    seen = set(log.read_text().split())
    assert changed.evaluated and "two.nix" in seen and "one.nix" not in seen
    fresh = world.run(*words_of(command), "--no-eval-cache")
    assert said(changed) == said(fresh)
    again = world.run(*words_of(command))
    assert said(again) == said(fresh) and not again.evaluated
    world.write("two.nix", '"again-o"')
    assert "two' again: the file './two.nix' has other contents" in world.run(*words_of(command), "-v").err
    world.write("one.nix", '"one-changed-o"')  # the whole rests on what was not evaluated, too
    assert said(world.run(*words_of(command))) == said(world.run(*words_of(command), "--no-eval-cache"))
    world.write("one.nix", "broken (")
    assert said(world.run(*words_of(command))) == said(world.run(*words_of(command), "--no-eval-cache"))


WHY = ("frazil", "eval-cache", "why-miss")


@pytest.mark.parametrize("command", [words for words in COMMANDS if "search" not in words], ids=" ".join)
def test_why_a_report_is_made_again(world: World, command: tuple[str, ...]) -> None:
    new_flake(world.folder)
    assert "nothing was remembered" in world.run(*WHY, ".", *FEATURES).out
    assert world.run(*words_of(command)).status == 0
    name = f"`{command[0]} {command[1]}`"
    known = world.run(*WHY, ".", *FEATURES)
    assert known.status == 0 and f"{name}" in known.out and "remembered" in known.out, known
    world.write("b.nix", '{ text = "changed"; }')
    changed = world.run(*WHY, ".", *FEATURES)
    assert changed.status == 1 and f"{name}" in changed.out and "the file './b.nix' has other contents" in changed.out
    if "check" in command:
        assert f"{name} --no-build" in changed.out
    world.write("flake.nix", FLAKE.replace("one", "uno"))
    git(world.folder, "commit", "-qam", "clean")
    assert "`self` had other attributes" in world.run(*WHY, ".", *FEATURES).out


def test_why_a_search_or_a_part_is_evaluated_again(world: World) -> None:
    new_flake(world.folder)
    assert world.run(*words_of(("search", ".#legacyPackages", "o"))).status == 0
    assert world.run(*words_of(("flake", "show"))).status == 0
    assert "`search` 'o' of 'legacyPackages': remembered" in world.run(*WHY, ".#legacyPackages", *FEATURES).out
    world.write("a.nix", '{ text = "changed"; }')
    assert "./a.nix" in world.run(*WHY, ".#legacyPackages", *FEATURES).out
    asked = world.run(*WHY, ".#packages.x86_64-linux.a", *FEATURES)
    assert "`flake show` of 'packages.x86_64-linux.a': has to be evaluated" in asked.out and "./a.nix" in asked.out
    assert "packages.x86_64-linux.file" not in world.run(*WHY, ".", *FEATURES).out
