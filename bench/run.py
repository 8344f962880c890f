"""Times frazil beside C++ Nix in one run and prints ratios (below 1: frazil is faster or smaller).

    python bench/run.py [--runs 5] [--only NAME] [--lib NIXPKGS_LIB] [--tree NIXPKGS_TREE --attributes bash,curl]
                        [--modules HOME_MANAGER] [--scratch FOLDER]

The two take turns (A B A B …) after one warm-up each, so that a drifting machine hits both; medians are printed.
Wall and CPU time are in milliseconds, peak memory (of the largest process) in MiB. `--lib` is a checkout of nixpkgs'
`lib` (module-system workloads need it), `--tree` one of nixpkgs itself or a slice, whose `--attributes` (names, or
`@FILE` with one a line) are instantiated three times over: read-only, with a store that holds everything already, and
with an empty one, where all is written and registered. Evaluation caches are off. Without C++ Nix only frazil's figures
are printed. `--modules` is a checkout of home-manager: all its options and a small configuration (needs `--lib`, too).
`--scratch` is where the stores are made: on a memory file system the disk does not count.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import module_system

FRAZIL = Path(os.environ.get("FRAZIL") or Path(sys.executable).with_name("frazil"))

EXPRESSIONS = {
    "start": "1",
    "recursion": "let fib = n: if n < 2 then n else fib (n - 1) + fib (n - 2); in fib 24",
    "fold": "builtins.foldl' (a: b: a + b * 2) 0 (builtins.genList (x: x) 400000)",
    "attributes": """
        builtins.length (builtins.attrNames (builtins.foldl' (acc: n: acc // { "k${toString n}" = n; }) { }
          (builtins.genList (x: x) 1500)))""",
    "records": """
        let step = s: builtins.seq s.x (builtins.seq s.y { x = s.x + s.y; y = s.y + 1; inherit (s) tag; });
        in (builtins.foldl' (s: _: step s) { x = 0; y = 0; tag = "t"; } (builtins.genList (x: x) 150000)).x""",
    "sort": "builtins.length (builtins.sort (a: b: a < b) (builtins.genList (x: (x * 7919) - (x * x)) 60000))",
    "strings": """
        builtins.stringLength (builtins.concatStringsSep ","
          (map (n: "${toString n}-${builtins.substring 0 3 (toString (n * 17))}") (builtins.genList (x: x) 120000)))""",
    "regex": """
        builtins.length (builtins.filter (x: builtins.match "([a-z]+)-([0-9]+)(\\\\.[0-9]+)*" x != null)
          (map (n: "package-${toString n}.1.2") (builtins.genList (x: x) 15000)))""",
    "laziness": """
        let xs = builtins.genList (x: { v = x; w = throw "never"; }) 120000;
        in builtins.foldl' (a: s: a + s.v) 0 (builtins.filter (s: s.v > 10) xs)""",
}

# The same with more to do, where start-up no longer counts: the number in the text and what it becomes.
LARGE = {
    "recursion": ("24", "29"),
    "fold": ("400000", "4000000"),
    "attributes": ("1500", "6000"),
    "records": ("150000", "1500000"),
    "sort": ("60000", "600000"),
    "strings": ("120000", "1200000"),
    "regex": ("15000", "150000"),
    "laziness": ("120000", "1200000"),
}

MODULES = """
let
  lib = import {lib};
  module = n: {{ lib, ... }}: {{
    options."m${{toString n}}" = builtins.listToAttrs (builtins.genList (i: {{
      name = "o${{toString i}}"; value = lib.mkOption {{ type = lib.types.int; default = i; }};
    }}) 10);
    config."m${{toString n}}" = {{ o0 = lib.mkDefault 7; o1 = lib.mkIf (n > 3) n; o2 = lib.mkForce (n + 1); }};
  }};
  result = lib.evalModules {{ modules = builtins.genList module {count}; }};
in builtins.foldl' (a: m: a + m.o0 + m.o1 + m.o2) 0 (builtins.attrValues result.config)
"""


@dataclass(frozen=True, slots=True)
class Figure:
    wall: float  # milliseconds
    cpu: float  # milliseconds
    memory: float  # MiB


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    frazil: list[str]
    nix: list[str] | None
    fresh_store: bool = False
    """A new store for each turn, taken away afterwards."""
    measured_only: str | None = None
    """An option that the warm-up, which fills the store, goes without."""
    before: Callable[[int], None] | None = None
    """What happens ahead of each turn."""


def measure(command: list[str], environment: dict[str, str]) -> Figure:
    started = time.monotonic()
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawnp(command[0], command, environment, file_actions=quiet)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - started
    if status:
        raise SystemExit(f"failed with {os.waitstatus_to_exitcode(status)}: {' '.join(command)}")
    return Figure(wall * 1e3, (usage.ru_utime + usage.ru_stime) * 1e3, usage.ru_maxrss / 1024)


def median(figures: list[Figure]) -> Figure:
    return Figure(
        statistics.median(f.wall for f in figures),
        statistics.median(f.cpu for f in figures),
        statistics.median(f.memory for f in figures),
    )


def workloads(options: argparse.Namespace, folder: Path) -> Iterator[Workload]:
    expressions = dict(EXPRESSIONS)
    for name, (number, larger) in LARGE.items():
        assert number in EXPRESSIONS[name]
        expressions[f"{name}+"] = EXPRESSIONS[name].replace(number, larger)
    if options.lib:
        for count in (300, 1000, 3000):
            expressions[f"modules-{count}"] = MODULES.format(lib=Path(options.lib).resolve(), count=count)
    files = {}
    for name, text in expressions.items():
        files[name] = folder / f"{name}.nix"
        files[name].write_text(text)
    if options.lib and options.modules:
        lib, checkout = Path(options.lib).resolve(), Path(options.modules).resolve()
        files["home-manager"] = module_system.write_evaluation(folder, checkout, lib)
    for name, file in files.items():
        nix = [options.nix, "--eval", "--strict", str(file)] if options.nix else None
        yield Workload(name, [str(FRAZIL), "eval", "--impure", "--file", str(file)], nix)
    if options.tree:
        link = folder / "nix-instantiate"
        link.symlink_to(FRAZIL)
        arguments = tree_arguments(Path(options.tree).resolve(), attribute_names(options.attributes), folder)
        frazil, nix = [str(link), *arguments], [options.nix, *arguments] if options.nix else None
        # C++ Nix evaluates a package set read-only only where the store holds its derivations already.
        option = "--readonly-mode"
        yield Workload("tree-read-only", [*frazil, option], [*nix, option] if nix else None, measured_only=option)
        yield Workload("tree-warm", frazil, nix)
        yield Workload("tree-empty", frazil, nix, fresh_store=True)
        yield from remembered(options, folder, link)


def remembered(options: argparse.Namespace, folder: Path, link: Path) -> Iterator[Workload]:
    """With frazil's evaluation cache: nothing changed; a package changed that is not asked for; and one that is, on
    which few others rest, as a rule: the first by name."""
    names = attribute_names(options.attributes)
    tree = folder / "tree"
    shutil.copytree(Path(options.tree).resolve(), tree, symlinks=True)
    arguments = tree_arguments(tree, names, folder)
    cached = [str(link), *arguments, "--option", "eval-cache", "true"]
    nix = [options.nix, *arguments] if options.nix else None
    yield Workload("tree-cached", cached, nix)
    files = [path for path in sorted(tree.glob("pkgs/by-name/*/*/*.nix")) if path.name in PACKAGE_FILES]
    others = [path for path in files if path.parent.name not in names]
    if others:
        text = others[-1].read_text()
        yield Workload(
            "tree-edited", cached, nix, before=lambda turn: others[-1].write_text(f"{text}\n# edited {turn}\n")
        )
    own = [path for path in files if path.parent.name in names]
    if own:
        read = own[0].read_text()
        yield Workload(
            "tree-edited-one", cached, nix, before=lambda turn: own[0].write_text(f"{read}\n# edited {turn}\n")
        )


PACKAGE_FILES = ("default.nix", "package.nix")
"""What a folder of `pkgs/by-name` holds: nixpkgs calls it one way, slices of it the other."""


def tree_arguments(tree: Path, names: list[str], folder: Path) -> list[str]:
    """Of several `-A`, each evaluates the tree anew: more than one name goes into an expression."""
    if len(names) == 1:
        return [str(tree), "-A", names[0]]
    file = folder / "packages.nix"
    quoted = " ".join(f'"{name}"' for name in names)
    file.write_text(f"let tree = import {tree} {{ }}; in map (name: tree.${{name}}) [ {quoted} ]")
    return [str(file)]


def attribute_names(text: str) -> list[str]:
    return Path(text[1:]).read_text().split() if text.startswith("@") else text.split(",")


def environment(store: Path) -> dict[str, str]:
    settings = "substituters =\nbuild-users-group =\neval-cache = false"
    cache = store.parent / "cache"
    return {
        **os.environ,
        "NIX_REMOTE": f"local?root={store}",
        "NIX_CONFIG": settings,
        "XDG_CACHE_HOME": str(cache),
    }


def take_turn(workload: Workload, command: list[str], folder: Path, side: int, turn: int) -> Figure:
    """Each side has a store of its own."""
    if workload.before is not None and side == 0:
        workload.before(turn)
    store = folder / (f"{workload.name}-{side}-{turn}" if workload.fresh_store else f"root-{side}")
    if turn == 0 and workload.measured_only:
        command = [word for word in command if word != workload.measured_only]
    figure = measure(command, environment(store))
    if workload.fresh_store:
        remove(store)
    return figure


def remove(store: Path) -> None:
    """Folders of a store are read-only."""
    for parent, _, _ in os.walk(store):
        os.chmod(parent, 0o700)
    shutil.rmtree(store)


def run(options: argparse.Namespace) -> list[tuple[str, Figure, Figure | None]]:
    rows = []
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        folder = Path(name)
        for workload in workloads(options, folder):
            if options.only and workload.name not in options.only:
                continue
            sides = [side for side in (workload.frazil, workload.nix) if side]
            taken: list[list[Figure]] = [[] for _ in sides]
            for turn in range(options.runs + 1):
                for side, command in enumerate(sides):
                    figure = take_turn(workload, command, folder, side, turn)
                    if turn:
                        taken[side].append(figure)
            ours, theirs = median(taken[0]), median(taken[1]) if len(taken) > 1 else None
            print_row(workload.name, ours, theirs)
            rows.append((workload.name, ours, theirs))
    return rows


def print_row(name: str, ours: Figure, theirs: Figure | None) -> None:
    text = f"{name:<14}{ours.wall:9.0f}{ours.cpu:9.0f}{ours.memory:8.0f}"
    if theirs:
        text += f"{theirs.wall:11.0f}{theirs.cpu:9.0f}{theirs.memory:8.0f}"
        text += f"{ours.wall / theirs.wall:10.2f}{ours.cpu / theirs.cpu:7.2f}{ours.memory / theirs.memory:8.2f}"
    print(text, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", action="append")
    parser.add_argument("--lib")
    parser.add_argument("--modules")
    parser.add_argument("--tree")
    parser.add_argument("--attributes", default="bash")
    parser.add_argument("--scratch")
    parser.add_argument("--nix", default=shutil.which("nix-instantiate") or "", help="C++ Nix's nix-instantiate")
    options = parser.parse_args()
    columns = (
        f"{'wall ms':>9}{'cpu ms':>9}{'MiB':>8}{'wall ms':>11}{'cpu ms':>9}{'MiB':>8}{'wall':>10}{'cpu':>7}{'MiB':>8}"
    )
    print(f"{'':<14}{'frazil':>26}{'C++ Nix':>28}{'ratio':>25}\n{'':<14}{columns}")
    compared = [(name, ours, theirs) for name, ours, theirs in run(options) if theirs]
    print_mean("loops", [(ours, theirs) for name, ours, theirs in compared if name.rstrip("+") in LARGE])
    print_mean("loops that take long", [(ours, theirs) for name, ours, theirs in compared if name.endswith("+")])
    print_mean("all", [(ours, theirs) for _, ours, theirs in compared])
    return 0


def print_mean(what: str, compared: list[tuple[Figure, Figure]]) -> None:
    if compared:
        wall = statistics.geometric_mean([ours.wall / theirs.wall for ours, theirs in compared])
        memory = statistics.geometric_mean([ours.memory / theirs.memory for ours, theirs in compared])
        print(f"geometric mean of ratios, {what}: wall {wall:.2f}, memory {memory:.2f}")


if __name__ == "__main__":
    sys.exit(main())
