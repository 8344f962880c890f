"""Random expressions over random trees that change at random: a remembered answer is what a fresh evaluation gives.

Expressions are put together from all that reads the world (files, folders, links, existence, kinds, hashes, copies
whole and filtered, copies that are imported from, the environment, trees that are fetched, derivations that are built
to be read) and all that tells where something is. What is asked is one value, or several derivations at once, which
share what they read.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frazil.cli import remembered

from .conftest import World, set_up
from .test_property import flip_mode, link, remove, rewrite_in_place, touch, write

TEXTS = [
    '"one"',
    '"two"',
    "./a",
    "./b",
    "toString ./a",
    "import ./a",
    "builtins.readFile ./b",
    "baseNameOf ./.",
    '"${./a}"',
    "builtins.readDir ./.",
    "builtins.attrNames (builtins.readDir ./.)",
    "./. == /. + toString ./.",
    "not a (program",
]
FILES = ["a", "b", "d/a", "d/b", "d/e/a", "pack/a", "pack/b", "pack/e/a", "twin/a", "l"]
FOLDERS = ["d", "d/e", "pack", "twin"]
NAMES = [*FILES, *FOLDERS, "d/l"]
TARGETS = ["a", "b", "d", "d/a", "../a", "nowhere", "l", "pack", "."]

paths = st.sampled_from([*[f"./{name}" for name in NAMES], "./.", "./d/../a", "outside", "./missing/a"]).map(
    lambda name: "(/. + OUTSIDE)" if name == "outside" else name
)
files = st.sampled_from([f"./{name}" for name in FILES])
folders = st.sampled_from(["./d", "./pack", "./twin", "./pack/e", "./.", "./d/e"])
inner = st.sampled_from(["/a", "/a", "/a", "/a", "/b", "/e/a", "/l"])
readers = st.sampled_from(["import {}", "import {}", "builtins.readFile {}", 'builtins.hashFile "sha256" {}'])
lookers = st.sampled_from(
    ["builtins.pathExists {}", "(if builtins.pathExists {0} then builtins.readFileType {0} else 0)"]
)
simple = st.one_of(
    st.builds(lambda reader, path: reader.format(path), readers, files),
    st.builds(lambda looker, path: looker.format(path), lookers, paths),
    st.builds(lambda folder: f"builtins.readDir {folder}", folders),
    st.builds(lambda folder: f'builtins.readDir "${{{folder}}}"', folders),
    st.builds(lambda reader, folder, name: reader.format(f'"${{{folder}}}{name}"'), readers, folders, inner),
    st.builds(lambda looker, folder, name: looker.format(f'"${{{folder}}}{name}"'), lookers, folders, inner),
    st.builds(lambda folder, name: f'let p = "${{{folder}}}{name}"; in [ (import p) p ]', folders, inner),
    st.builds(lambda folder, name: f'let p = "${{{folder}}}{name}"; in [ p (import p) ]', folders, inner),
    st.builds(lambda path: f'"${{{path}}}"', st.one_of(files, folders)),
    st.builds(lambda path: f"toString {path}", paths),
    st.builds(lambda path: f'builtins.pathExists (toString {path} + "/")', paths),
    st.builds(lambda path: f"baseNameOf {path}", paths),
    st.builds(lambda folder: f'baseNameOf (import "${{{folder}}}/a")', folders),
    st.builds(lambda left, right: f"{left} == {right}", paths, paths),
    st.builds(lambda folder, path: f'(import "${{{folder}}}/a") == {path}', folders, paths),
    st.builds(lambda left, right: f'"${{{left}}}" == "${{{right}}}"', folders, folders),
    st.builds(
        lambda folder, word: (
            f'builtins.path {{ path = {folder}; name = "x"; filter = p: t: baseNameOf p != "{word}"; }}'
        ),
        folders,
        st.sampled_from("abe"),
    ),
    st.builds(lambda folder: f'builtins.filterSource (p: t: t != "symlink") {folder}', folders),
    st.builds(lambda path: f'builtins.path {{ path = {path}; name = "x"; recursive = false; }}', files),
    st.builds(lambda name: f'builtins.getEnv "{name}"', st.sampled_from(["FLAVOUR", "COLOUR"])),
    st.builds(lambda path: f"builtins.readFile <thing/{path}>", st.sampled_from(["a", "b"])),
    st.builds(lambda path: f'(builtins.fetchTree {{ type = "path"; path = toString {path}; }}).narHash', folders),
    st.builds(lambda path: f'(builtins.fetchTree ("path:" + toString {path})).outPath', folders),
    st.builds(lambda path: f'builtins.readFile (builtins.toFile "t" (builtins.readFile {path}))', files),
    st.builds(lambda path: f'builtins.readFile (built "{path[2:]}" (builtins.readFile {path}))', files),
    st.just('(builtins.unsafeGetAttrPos "x" (import ./pos.nix)).file'),
)
expressions = st.one_of(
    simple,
    st.builds(lambda one, two: f"[ ({one}) ({two}) ]", simple, simple),
    st.builds(lambda one, two: f"builtins.seq ({one}) ({two})", simple, simple),
    st.builds(lambda one, two, path: f"if builtins.pathExists {path} then ({one}) else ({two})", simple, simple, paths),
    st.builds(lambda one: f"(builtins.tryEval ({one})).value", simple),
)

HEAD = """
let
  OUTSIDE = "@outside@";
  built = name: text: derivation {
    name = builtins.replaceStrings [ "/" "." "(" ")" "+" " " ] [ "-" "-" "-" "-" "-" "-" ] "r${name}";
    system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo ${text} > $out" ];
  };
  drv = name: value: derivation { inherit name; system = "x"; builder = "/b"; text = builtins.toJSON value; };
  shared = @shared@;
  me = {
"""


def program(shared: str, values: list[str], outside: Path) -> str:
    head = HEAD.replace("@shared@", shared).replace("@outside@", str(outside))
    rows = [f'    v{i} = {value};\n    d{i} = drv "d{i}" [ me.v{i} ];\n' for i, value in enumerate(values)]
    rows.append('    s0 = drv "s0" shared;\n    s1 = drv "s1" [ shared "more" ];\n')
    return head + "".join(rows) + "  };\nin me\n"


def make_fifo(path: Path) -> None:
    remove(path)
    os.mkfifo(path)


def swap(root: Path, one: str, two: str) -> None:
    os.rename(root / one, root / "swapped")
    os.rename(root / two, root / one)
    os.rename(root / "swapped", root / two)


def age(path: Path, seconds: int) -> None:
    """The clock goes backward, or forward."""
    status = path.lstat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + seconds * 10**9), follow_symlinks=False)


names = st.sampled_from(NAMES)
texts = st.sampled_from(TEXTS)
changes: st.SearchStrategy[Callable[[Path], None]] = st.one_of(
    st.builds(lambda name, text: lambda root: write(root / name, text), names, texts),
    st.builds(lambda name, text: lambda root: write(root / name, text), names, texts),
    st.builds(lambda name, text: lambda root: rewrite_in_place(root / name, text), names, texts),
    st.builds(lambda name, text: lambda root: write(root.parent / "outside", text), names, texts),
    st.builds(lambda name: lambda root: remove(root / name), names),
    st.builds(lambda name: lambda root: (root / name).mkdir(parents=True, exist_ok=True), names),
    st.builds(lambda name, target: lambda root: link(root / name, target), names, st.sampled_from(TARGETS)),
    st.builds(lambda name: lambda root: flip_mode(root / name), names),
    st.builds(lambda name: lambda root: touch(root / name), names),
    st.builds(lambda name, step: lambda root: age(root / name, step), names, st.sampled_from([-7, 7, -100_000])),
    st.builds(lambda one, two: lambda root: swap(root, one, two), names, names),
    st.builds(lambda: lambda root: make_fifo(root / "pack/pipe")),
    st.builds(lambda: lambda root: remove(root / "pack/pipe")),
    st.builds(
        lambda name, value: lambda root: os.environ.__setitem__(name, value),
        st.sampled_from(["FLAVOUR", "COLOUR"]),
        st.sampled_from(["", "x", "y"]),
    ),
    st.builds(
        lambda value: lambda root: os.environ.__setitem__("NIX_PATH", value),
        st.sampled_from(["thing=.", "thing=d", ""]),
    ),
)
asked = st.one_of(
    st.lists(st.sampled_from(["d0", "d1", "d2", "s0", "s1"]), min_size=1, max_size=4, unique=True),
    st.sampled_from(["v0", "v1", "v2"]).map(lambda name: [name]),
    st.lists(st.sampled_from(["d0", "d1", "d2", "s0", "s1"]), min_size=2, max_size=6).map(lambda names: ["", *names]),
)
rounds = st.lists(st.tuples(st.lists(changes, max_size=2), asked), min_size=1, max_size=6)


def begin(root: Path, text: str) -> None:
    root.mkdir()
    write(root / "default.nix", text)
    write(root / "pos.nix", "{ x = 1; }")
    for name in ("a", "b", "d/a", "d/b", "d/e/a", "pack/a", "pack/b", "pack/e/a"):
        write(root / name, f'"{name}"')
    write(root / "twin/a", '"pack/a"')
    write(root.parent / "outside", '"outside"')
    link(root / "l", "d/a")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shared=expressions, values=st.lists(expressions, min_size=3, max_size=3), rounds=rounds, are_many=st.booleans())
def test_answers_are_those_of_a_fresh_evaluation(
    world: World,
    shared: str,
    values: list[str],
    rounds: list[tuple[list[Callable[[Path], None]], list[str]]],
    are_many: bool,
) -> None:
    """`are_many`: two answers are as many as make a sample of what all rest on."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        set_up(folder, patch.setenv)
        if are_many:
            patch.setattr(remembered, "MANY", 2)
            patch.setattr(remembered, "SAMPLES", (1, 2, 4))
        patch.setenv("FLAVOUR", "x")
        patch.setenv("COLOUR", "")
        patch.setenv("NIX_PATH", "thing=.")
        root = folder / "tree"
        begin(root, program(shared, values, folder / "outside"))
        patch.chdir(root)
        for happening, wanted in rounds:
            for change in happening:
                try:
                    change(root)
                except OSError:
                    pass
            compare(world, wanted)


def show(names: list[str]) -> str:
    return " ".join(f'"{name}"' for name in names)


def compare(world: World, wanted: list[str]) -> None:
    words = ["nix-instantiate", "--no-gc-warning", "--extra-experimental-features", "fetch-tree flakes"]
    if wanted[0]:
        words += [".", *[word for name in wanted for word in ("-A", name)]]
    else:
        words += ["-E", f"let tree = import ./.; in map (name: tree.${{name}}) [ {show(wanted[1:])} ]"]
    if wanted[0].startswith("v"):
        words += ["--eval", "--strict", "--json", "--read-write-mode"]
    first = world.run(*words)
    fresh = world.run(*words, "--option", "eval-cache", "false")
    assert (first.status, first.out) == (fresh.status, fresh.out), (wanted, first, fresh)
    again = world.run(*words)
    assert (again.status, again.out) == (fresh.status, fresh.out), (wanted, again, fresh)
    assert "Traceback" not in again.err and "frazil bug" not in again.err
