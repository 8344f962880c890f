"""Whatever happens to a flake's work tree, index, lock file, inputs and environment, a remembered answer is what a
fresh evaluation gives."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import World, set_up
from .test_flakes import git
from .test_property import flip_mode, link, remove, rewrite_in_place, touch, write
from .test_random_trees import age, make_fifo, swap

FLAKE = """
{
  inputs.dep.url = "path:@outside@/dep";
  inputs.plain = { url = "path:./sub"; flake = false; };
  inputs.nest.url = "path:./nest";
  inputs.nest.inputs.dep.follows = "dep";
  outputs = { self, dep, plain, nest }: let
    drv = name: more: derivation ({ inherit name; system = "x86_64-linux"; builder = "/b"; } // more);
    v = rec {
      a = import ./a.nix;
      through = import "${self}/a.nix";
      plus = import (self + "/a.nix");
      out = builtins.readFile "${self.outPath}/data/one";
      listed = builtins.readDir "${self}/data";
      exists = builtins.pathExists "${self}/data/two";
      whole = "${self}";
      before = let p = "${self}/a.nix"; in [ (import p) p ];
      after = let p = self + "/a.nix"; in [ p (import p) ];
      folder = [ (import "${./sub}/x.nix") ];
      copied = "${./data}";
      dep1 = import "${dep}/x.nix";
      dep2 = dep.x;
      dep3 = dep.narHash or dep.outPath;
      dep4 = builtins.readFile "${plain}/x.nix";
      rev = self.rev or self.dirtyRev or "none";
      time = self.lastModified;
      modules = self.submodules or false;
      env = builtins.getEnv "FLAVOUR";
      link = builtins.readFile ./link;
      kind = if builtins.pathExists ./data/two then builtins.readFileType ./data/two else "none";
      names = builtins.attrNames (builtins.readDir ./.);
      module = if builtins.pathExists ./mod/m then builtins.readFile ./mod/m else "none";
      searched = builtins.readFile <thing/one>;
      lock = builtins.pathExists ./flake.lock;
      hash = builtins.hashFile "sha256" ./a.nix;
      filtered = builtins.path { path = ./.; name = "x"; filter = p: t: baseNameOf p != "README"; };
      tried = (builtins.tryEval (import ./a.nix)).value;
      built = import (derivation {
        name = "built"; system = "x86_64-linux"; builder = "/bin/sh";
        args = [ "-c" "echo '${builtins.toJSON (builtins.readFile ./a.nix)}' > $out" ];
      });
      nested = [ nest.y nest.dep ];
      nestedPath = "${nest}/nest/x.nix";
      subfolder = builtins.readDir "${self}/sub";
      made = builtins.readFile (builtins.toFile "made" (builtins.readFile ./data/one));
      tree = (builtins.fetchTree { type = "path"; path = toString ./data; }).narHash;
      system = builtins.currentSystem or "pure";
      places = map toString [ ./. self ./data/../sub ];
    };
  in {
    inherit v;
    packages.x86_64-linux = builtins.mapAttrs (name: value: drv name { text = builtins.toJSON value; }) v;
  };
}
"""
NAMES = [
    line.split(" = ")[0].strip() for line in FLAKE.split("rec {")[1].split("};\n  in")[0].splitlines() if " = " in line
]
FILES = ["a.nix", "data/one", "data/two", "sub/x.nix", "README", "link", "flake.lock", ".gitattributes", ".gitignore"]
PLACES = [*FILES, "data", "sub", "mod/m", "new/file", "new", "nest/x.nix", "nest/flake.nix"]
CONFIGURATION = "flake-registry =\nsubstituters =\n"
TEXTS = ['"one"', '"two"', "./data", "import ./data/one", "not (a program", "* text eol=lf", "a.nix", '"\\r\\n"']

names = st.sampled_from(PLACES)
texts = st.sampled_from(TEXTS)


def keep_times(path: Path, text: str) -> None:
    """Other contents of the same size, with the same time of modification."""
    if path.is_file():
        status = path.stat()
        data = (text.encode() * (1 + status.st_size))[: status.st_size]
        path.write_bytes(data)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def commands(root: Path, *words: str) -> None:
    try:
        git(root, *words)
    except subprocess.CalledProcessError:
        pass


def add_submodule(root: Path) -> None:
    commands(root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(root.parent / "module"), "mod")


def edit_lock(root: Path, old: str, new: str) -> None:
    path = root / "flake.lock"
    if path.is_file():
        path.write_text(path.read_text().replace(old, new))


def collect_garbage() -> None:
    from frazil.cli.program import run

    run(["nix-collect-garbage"])


edits: st.SearchStrategy[Callable[[Path], None]] = st.one_of(
    st.builds(lambda name, text: lambda root: write(root / name, text), names, texts),
    st.builds(lambda name, text: lambda root: rewrite_in_place(root / name, text), names, texts),
    st.builds(lambda name, text: lambda root: keep_times(root / name, text), names, texts),
    st.builds(lambda name: lambda root: remove(root / name), names),
    st.builds(
        lambda name, target: lambda root: link(root / name, target),
        names,
        st.sampled_from(["data/one", "a.nix", "nowhere", "../outside", "data", "link", "/etc/hostname"]),
    ),
    st.builds(lambda name: lambda root: flip_mode(root / name), names),
    st.builds(lambda name: lambda root: touch(root / name), names),
    st.builds(lambda name, step: lambda root: age(root / name, step), names, st.sampled_from([-7, 7, -100_000])),
    st.builds(lambda one, two: lambda root: swap(root, one, two), names, names),
    st.builds(lambda name: lambda root: (root / name).mkdir(parents=True, exist_ok=True), names),
    st.builds(lambda: lambda root: make_fifo(root / "data/pipe")),
)
in_git: st.SearchStrategy[Callable[[Path], None]] = st.one_of(
    st.just(lambda root: commands(root, "add", "-A")),
    st.just(lambda root: commands(root, "commit", "-qam", "all", "--allow-empty")),
    st.builds(lambda name: lambda root: commands(root, "add", name), names),
    st.builds(lambda name: lambda root: commands(root, "add", "--intent-to-add", name), names),
    st.builds(lambda name: lambda root: commands(root, "rm", "-rq", "--cached", name), names),
    st.builds(lambda one, two: lambda root: commands(root, "mv", one, two), names, names),
    st.builds(
        lambda flag, name: lambda root: commands(root, "update-index", flag, name),
        st.sampled_from(["--assume-unchanged", "--skip-worktree", "--no-assume-unchanged", "--chmod=+x"]),
        names,
    ),
    st.just(lambda root: commands(root, "checkout", "-qb", "other")),
    st.just(lambda root: commands(root, "checkout", "-qf", "main")),
    st.just(lambda root: commands(root, "reset", "-q", "--hard")),
    st.just(lambda root: commands(root, "stash", "-q")),
    st.just(lambda root: commands(root, "stash", "pop", "-q")),
    st.just(lambda root: commands(root, "pack-refs", "--all")),
    st.just(add_submodule),
)
around: st.SearchStrategy[Callable[[Path], None]] = st.one_of(
    st.builds(lambda text: lambda root: write(root.parent / "dep/x.nix", text), texts),
    st.builds(lambda text: lambda root: write(root.parent / "module/m", text), texts),
    st.just(lambda root: remove(root / "flake.lock")),
    st.just(lambda root: edit_lock(root, "sha256-", "sha256-0")),
    st.just(lambda root: edit_lock(root, '"path": "', '"path":  "')),
    st.builds(
        lambda name, value: lambda root: os.environ.__setitem__(name, value),
        st.sampled_from(["FLAVOUR"]),
        st.sampled_from(["", "x", "y"]),
    ),
    st.builds(
        lambda value: lambda root: os.environ.__setitem__("NIX_PATH", f"thing={value.replace('@', str(root))}"),
        st.sampled_from(["@/data", "@/sub", "@/../dep", ""]),
    ),
    st.just(lambda root: collect_garbage()),
    st.builds(
        lambda setting: lambda root: os.environ.__setitem__("NIX_CONFIG", CONFIGURATION + setting),
        st.sampled_from(
            [
                *("", "allow-import-from-derivation = false", "pure-eval = false", "restrict-eval = true"),
                *("eval-system = aarch64-linux", "accept-flake-config = true", "warn-dirty = false"),
            ]
        ),
    ),
)
asked = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from(["eval", "eval", "build", "show"]),
    st.sampled_from([(), (), ("--impure",), ("--no-write-lock-file",), ("--no-update-lock-file",)]),
    st.sampled_from(["", "", "", "?submodules=1"]),
)
rounds = st.lists(
    st.tuples(st.lists(st.one_of(edits, edits, in_git, around), max_size=3), asked), min_size=1, max_size=6
)


def begin(root: Path, *, versioned: bool) -> None:
    root.mkdir()
    write(root / "flake.nix", FLAKE.replace("@outside@", str(root.parent)))
    write(root / "a.nix", '"a"')
    write(root / "data/one", '"one"')
    write(root / "sub/x.nix", '"x"')
    write(root / "README", "read me")
    write(root / "nest/flake.nix", "{ outputs = { self, dep }: { y = import ./x.nix; dep = dep.x; }; }")
    write(root / "nest/x.nix", '"nested"')
    link(root / "link", "data/one")
    write(root.parent / "dep/flake.nix", "{ outputs = _: { x = import ./x.nix; }; }")
    write(root.parent / "dep/x.nix", '"dep"')
    write(root.parent / "outside", '"outside"')
    write(root.parent / "module/m", "module")
    git(root.parent / "module", "init", "-q", "-b", "main")
    git(root.parent / "module", "add", "-A")
    git(root.parent / "module", "commit", "-qm", "m")
    if versioned:
        git(root, "init", "-q", "-b", "main")
        git(root, "add", "-A")
        git(root, "commit", "-qm", "all")


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(rounds=rounds, versioned=st.sampled_from([True, True, False]))
def test_answers_are_those_of_a_fresh_evaluation(world: World, rounds: list[object], versioned: bool) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        set_up(folder, patch.setenv)
        patch.setenv("FLAVOUR", "x")
        patch.setenv("NIX_CONFIG", CONFIGURATION)
        root = folder / "tree"
        begin(root, versioned=versioned)
        patch.setenv("NIX_PATH", f"thing={root}/data")
        patch.chdir(root)
        for happening, wanted in rounds:  # type: ignore[misc, attr-defined]
            for change in happening:
                try:
                    change(root)
                except (OSError, UnicodeDecodeError, shutil.Error):
                    pass
            compare(world, *wanted)


def compare(world: World, name: str, command: str, flags: tuple[str, ...], query: str) -> None:
    words = ["frazil", "--extra-experimental-features", "nix-command flakes"]
    words += {
        "eval": ["eval", f".{query}#v.{name}", "--json"],
        "build": ["build", f".{query}#{name}", "--dry-run", "--json"],
        "show": ["flake", "show", f".{query}", "--json"],
    }[command]
    world.run(*words, *flags, "--no-eval-cache")  # a lock file that is written now changes the tree
    first = world.run(*words, *flags)
    fresh = world.run(*words, *flags, "--no-eval-cache")
    again = world.run(*words, *flags)
    assert (first.status, first.out) == (fresh.status, fresh.out) == (again.status, again.out), (
        (words, flags),
        (first, fresh, again),
    )
    for result in (first, again):
        assert "Traceback" not in result.err and "frazil bug" not in result.err, result
