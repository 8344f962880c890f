"""Several answers of one evaluation: each rests on what it read itself, and on nothing else."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from frazil.evalcache.partition import partition

from .conftest import World, set_up
from .test_property import begin, changes, write

SHARED = """
let
  drv = name: more: derivation ({ inherit name; system = "x"; builder = "/b"; } // more);
  shared = import ./a.nix;
  listing = builtins.readDir ./data;
  pair = { x = import ./b.nix; y = shared; };
  lazy = map (name: if builtins.pathExists (./data + "/${name}") then name else "none") [ "one" "two" "new" ];
  tried = builtins.tryEval (assert builtins.pathExists ./data/two; "there");
  item = v: i: { name = "k${toString i}"; value = if i == 3 then v else i; };
  large = v: builtins.listToAttrs (builtins.genList (item v) 12);
  left = large shared;
  right = large pair.x;
  call = f: f { inherit shared pair; };
in {
  a = drv "a" { text = shared.text or "none"; };
  b = drv "b" { text = pair.x.text or "none"; };
  c = drv "c" { text = builtins.concatStringsSep "," (builtins.attrNames listing); };
  d = drv "d" { inherit lazy; };
  e = drv "e" { text = tried.value; ok = tried.success; };
  f = call ({ shared, ... }: drv "f" { text = shared.text or "none"; });
  g = call ({ pair, ... }: with pair; drv "g" { text = y.text or "none"; src = ./data/one; });
  h = drv "h" { text = builtins.head lazy; env = builtins.getEnv "FLAVOUR"; };
  i = drv "i" { text = "constant"; };
  j = drv "j" { src = ./data; other = listing.one or "gone"; };
  k = drv "k" { found = builtins.readFile <thing/one>; };
  l = drv "l" { again = builtins.readFile <thing/one>; text = shared.text or ""; };
  m = drv "m" { src = ./data; };
  n = builtins.trace "n is looked at" (drv "n" { text = shared.text or ""; });
  o = drv "o" { same = left == right; };
  p = drv "p" { again = left == right; text = "p"; };
  same = drv "a" { text = shared.text or "none"; };
  set = { recurseForDerivations = true; p = drv "p" { text = pair.x.text or ""; }; q = drv "q" { }; s = "no"; };
  list = [
    (drv "r" { inherit listing; k = builtins.attrValues listing; })
    (drv "s" { text = builtins.readFile ./link; })
  ];
}
"""
NAMES = [*"abcdefghijklmnop", "same", "set.p", "set", "list", "list.1", "", "set.q"]

asked = st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True)
rounds = st.lists(st.tuples(st.lists(changes, max_size=2), asked), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=rounds, program=st.sampled_from(["nix-instantiate", "frazil"]))
@example(rounds=[([], ["o"]), ([], ["n", "o"])], program="nix-instantiate")
@example(rounds=[([], ["o"]), ([], ["n", "o"])], program="frazil")
def test_several_answers_are_those_of_a_fresh_evaluation(world: World, rounds: list[object], program: str) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        set_up(folder, patch.setenv)
        patch.setenv("FLAVOUR", "x")
        patch.setenv("NIX_PATH", "thing=data")
        root = folder / "tree"
        root.mkdir()
        patch.chdir(root)
        begin(root)
        write(root / "default.nix", SHARED)
        for happening, names in rounds:  # type: ignore[misc, attr-defined]
            for change in happening:
                try:
                    change(root)
                except OSError:
                    pass
            compare(world, program, names)


def compare(world: World, program: str, names: list[str]) -> None:
    if program == "frazil":
        features = ["--extra-experimental-features", "nix-command"]
        words = ["frazil", "path-info", "--derivation", "-f", ".", *[n for n in names if n], *features]
    else:
        words = ["nix-instantiate", ".", "--no-gc-warning", *[word for name in names for word in ("-A", name)]]
    remembered = world.run(*words)
    fresh = world.run(*words, "--option", "eval-cache", "false")
    assert (remembered.status, remembered.out) == (fresh.status, fresh.out), (names, remembered, fresh)
    again = world.run(*words)
    assert (again.status, again.out) == (fresh.status, fresh.out), (names, again, fresh)
    assert again.evaluated == (fresh.status != 0), (names, again)


SEVERAL = """
let d = name: more: derivation ({ inherit name; system = "x"; builder = "/b"; } // more); in
{
  one = d "one" { text = import ./one.nix; };
  two = d "two" { text = import ./two.nix + import ./both.nix; };
  three = d "three" { text = import ./both.nix; };
  four = d "four" { text = toString ./one.nix; };
  now = d "now" { text = toString (builtins.currentTime * 0); };
}
"""


def several(world: World) -> None:
    world.write("default.nix", SEVERAL)
    for name in ("one", "two", "both"):
        world.write(f"{name}.nix", f'"{name}"')


@pytest.mark.parametrize("asked", [("-A", "one", "-A", "two", "-A", "three"), ()], ids=["attributes", "set"])
def test_an_edit_concerns_who_read_the_file(world: World, asked: tuple[str, ...]) -> None:
    several(world)
    if not asked:
        world.write("default.nix", SEVERAL.replace("now =", '"1" =').replace("four =", '"2" ='))
    world.run("nix-instantiate", *asked)
    seen = watch_reads(world, asked, lambda: world.write("one.nix", '"changed"'))
    assert "one.nix" in seen and not {"two.nix", "both.nix"} & seen
    seen = watch_reads(world, asked, lambda: world.write("both.nix", '"changed"'))
    assert {"two.nix", "both.nix"} <= seen and "one.nix" not in seen
    assert watch_reads(world, asked, lambda: None) == set()


def watch_reads(world: World, asked: tuple[str, ...], change: Callable[[], object]) -> set[str]:
    """The files that an evaluation reads after a change."""
    from frazil.instantiate.effects import StoreEffects

    change()
    seen: set[str] = set()
    read = StoreEffects.read_file

    def watched(self: StoreEffects, path: str) -> bytes:
        seen.add(os.path.basename(path))
        return read(self, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StoreEffects, "read_file", watched)
        result = world.run("nix-instantiate", *asked)
    fresh = world.run("nix-instantiate", *asked, "--no-eval-cache")
    assert (result.status, result.out) == (fresh.status, fresh.out)
    return seen


def test_what_one_answer_forbids_is_kept_of_the_others(world: World) -> None:
    several(world)
    world.run("nix-instantiate", "-A", "one", "-A", "now", "-A", "four")
    assert not world.run("nix-instantiate", "-A", "one").evaluated
    assert not world.run("nix-instantiate", "-A", "four").evaluated
    assert world.run("nix-instantiate", "-A", "now").evaluated
    world.write("two.nix", "broken (")
    assert not world.run("nix-instantiate", "-A", "one").evaluated


def test_messages_belong_to_who_caused_them(world: World) -> None:
    d = 'derivation { name = "x"; system = "x"; builder = "/b"; }'
    world.write("default.nix", f'{{ loud = builtins.trace "heard" ({d}); still = {d}; }}')
    assert "heard" in world.run("nix-instantiate", "-A", "loud", "-A", "still").err
    again = world.run("nix-instantiate", "-A", "still")
    assert not again.evaluated and "heard" not in again.err
    again = world.run("nix-instantiate", "-A", "loud")
    assert not again.evaluated and again.err.count("heard") == 1


def test_one_value_in_two_places_counts_once(world: World) -> None:
    d = 'derivation { name = "x" + import ./n.nix; system = "x"; builder = "/b"; }'
    world.write("n.nix", '"1"')
    world.write("default.nix", f"let d = {d}; in [ d d ({d}) ]")
    for text in ('"1"', '"2"'):
        world.write("n.nix", text)
        first = world.run("nix-instantiate", "--no-gc-warning")
        fresh = world.run("nix-instantiate", "--no-gc-warning", "--no-eval-cache")
        again = world.run("nix-instantiate", "--no-gc-warning")
        assert first.out == fresh.out == again.out and not again.evaluated


@given(st.lists(st.integers(0, 1 << 40), max_size=8))
def test_partitions(sets: list[int]) -> None:
    parts, made_of = partition(sets)
    numbers = [number for part in parts for number in part]
    assert len(set(numbers)) == len(numbers) and all(part == sorted(part) != [] for part in parts)
    for bits, indices in zip(sets, made_of, strict=True):
        assert sum(1 << number for index in indices for number in parts[index]) == bits
    users = [frozenset(i for i, indices in enumerate(made_of) if part in indices) for part in range(len(parts))]
    assert len(set(users)) == len(users)  # as few parts as there can be


IMPORTED_COPIES = """
let
  d = name: more: derivation ({ inherit name; system = "x"; builder = "/b"; } // more);
  groups = map (name: import "${./by-name + "/${name}"}/group.nix" d) [ "one" "two" ];
  all = builtins.foldl' (sum: group: group // sum) { } groups;
in all // { shown = d "shown" { text = "${./by-name/one}/group.nix"; }; }
"""


def test_an_edit_in_a_folder_that_is_imported_from_its_copy(world: World) -> None:
    world.write("default.nix", IMPORTED_COPIES)
    for name in ("one", "two"):
        own = f'{name} = d "{name}" {{ text = import ./{name}.nix; src = ./patch; }};'
        text = f'd: {{ {own} {name}-more = d "more" {{ }}; }}'
        world.write(f"by-name/{name}/group.nix", text)
        world.write(f"by-name/{name}/{name}.nix", f'"{name}"')
        world.write(f"by-name/{name}/patch", name)
    names = ["one", "one-more", "two", "two-more", "shown"]
    asked = tuple(word for name in names for word in ("-A", name))
    world.run("nix-instantiate", *asked)
    seen = watch_reads(world, asked, lambda: world.write("by-name/one/one.nix", '"changed"'))
    assert "one.nix" in seen and "two.nix" not in seen
    assert watch_reads(world, asked, lambda: None) == set()
    for name, evaluated in (("one", True), ("one-more", False), ("two", False), ("shown", True)):
        world.write("by-name/one/patch", f"for {name}")
        result = world.run("nix-instantiate", "-A", name)
        assert result.evaluated == evaluated, name
        assert result.out == world.run("nix-instantiate", "-A", name, "--no-eval-cache").out
    world.write("by-name/two/unused", "")
    assert not world.run("nix-instantiate", "-A", "two").evaluated
    os.mkfifo(world.folder / "by-name/two/pipe")
    broken = world.run("nix-instantiate", "-A", "one")
    assert broken.status == 1 and broken.err == world.run("nix-instantiate", "-A", "one", "--no-eval-cache").err


def test_where_a_copy_is_counts_for_who_looks(world: World) -> None:
    world.write("pack/here.nix", "./.")
    world.write("pack/file.nix", "{ x = 1; }")
    looking = {
        "text": 'toString (import "${./pack}/here.nix")',
        "name": 'baseNameOf (import "${./pack}/here.nix")',
        "position": '(builtins.unsafeGetAttrPos "x" (import "${./pack}/file.nix")).file',
        "equal": '(import "${./pack}/here.nix") == (/. + builtins.substring 1 100 (import ./known.nix))',
        "printed": 'import "${./pack}/here.nix"',
        "traced": 'builtins.trace (import "${./pack}/here.nix") 1',
        "asked-again": 'let p = "${./pack}/file.nix"; in builtins.seq (import p) p',
        "unread": '(import "${./pack}/file.nix").x',
    }
    rows = "".join(f"{name} = {text}; " for name, text in looking.items())
    world.write("default.nix", f"{{ {rows} }}")
    world.write("known.nix", '""')
    shown = world.run("nix-instantiate", "--eval", "-A", "text").out.strip()
    world.write("known.nix", shown)
    for turn in range(2):
        for name in looking:
            words = ["nix-instantiate", "--eval", "-A", name]
            result = world.run(*words)
            fresh = world.run(*words, "--no-eval-cache")
            assert (result.out, result.err) == (fresh.out, fresh.err), name
            assert result.evaluated == (name != ("unread" if turn else "text")), name
            assert not world.run(*words).evaluated, name
        world.write("pack/more", "")


def facts_of_the_list(world: World) -> str:
    """What the answer rests on that says how long the list is."""
    from frazil.evalcache.database import Database, default_path, split_ids

    database = Database(default_path(str(world.folder.parent / "home/.cache/frazil")))
    rows = [row for row in database.every() if b'"length"' in row.answer]
    groups = [database.group(name) for row in rows for name in split_ids(row.groups)]
    database.close()
    assert groups
    return b"\n".join([group for group in groups if group is not None]).decode()


def test_what_the_first_of_many_have_in_common(world: World) -> None:
    """Its facts count for all, marked or not; those of the rest are still told apart."""
    world.write(
        "common.nix", 'name: text: derivation { name = "p" + name; system = "x"; builder = "/b"; inherit text; }'
    )
    world.write("late.nix", '"late"')
    for number in range(70):
        world.write(f"texts/t{number}.nix", f'"{number}"')
    own = 'import (./texts + "/t${name}.nix") + (if n > 66 then import ./late.nix else "")'
    world.write("default.nix", f"builtins.genList (n: let name = toString n; in import ./common.nix name ({own})) 70")
    for name, text, read in (
        ("texts/t3.nix", '"other"', {"t3.nix"}),
        ("texts/t69.nix", '"other"', {"t69.nix", "late.nix"}),
        ("late.nix", '"later"', {f"t{number}.nix" for number in (67, 68, 69)} | {"late.nix"}),
    ):
        world.run("nix-instantiate", ".", "--no-gc-warning")
        seen = watch_reads(world, (".", "--no-gc-warning"), lambda name=name, text=text: world.write(name, text))
        assert {shown for shown in seen if shown.startswith(("t", "late"))} == read
        fresh = world.run("nix-instantiate", ".", "--no-gc-warning", "--no-eval-cache")
        assert world.run("nix-instantiate", ".", "--no-gc-warning") == fresh._replace(evaluated=False)
    world.write(
        "common.nix", 'name: text: derivation { name = "q" + name; system = "x"; builder = "/b"; inherit text; }'
    )
    changed = world.run("nix-instantiate", ".", "--no-gc-warning")
    assert changed.evaluated and changed.out.count("-q") == 70
