"""Times store and builder beside C++ Nix, and prints ratios (below 1: frazil is faster, or smaller).

    python bench/store.py [--runs 3] [--only NAME …] [--scale 1.0] [--scratch FOLDER] [--nix FOLDER]

Each program works in a store of its own, in turns; medians of wall time, minima of CPU time, peaks of memory are
printed. `--scale 0.1` makes everything a tenth as large. `--nix` is where C++ Nix's programs are. `--scratch` is where
the stores are made: on a memory file system the disk does not count, but 5 GB of memory are needed for the whole.
Substitution, a daemon's answers and the start of a sandbox have programs of their own (`substitution.py`,
`daemon.py`, `sandbox.py`).
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

BASE32 = "0123456789abcdfghijklmnpqrsvwxyz"
_CALLED_AS = "import sys; sys.argv[0] = {!r}; from frazil.cli import main; sys.exit(main())"
_MEASURE = """
import os, sys, time
start = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, 1, 0)])
_, status, used = os.wait4(pid, 0)
print(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""
"""A process is told to have used as much memory as the one had that started it: so a small one starts it."""
_CHAIN = """
let
  link = n: derivation {{
    name = "link-${{toString n}}"; system = builtins.currentSystem; builder = "/bin/sh"; salt = "{salt}";
    args = [ "-c" "echo ${{toString n}} $before > $out" ]; before = if n == 0 then "" else link (n - 1);
  }};
  one = n: derivation {{
    name = "one-${{toString n}}"; system = builtins.currentSystem; builder = "/bin/sh"; salt = "{salt}";
    args = [ "-c" "echo ${{toString n}} > $out" ];
  }};
in {{ chain = link {count}; parallel = builtins.genList one {count}; }}
"""


@dataclass(frozen=True, slots=True)
class Figure:
    wall: float
    cpu: float
    memory: float
    """MiB, of the largest process."""


class Program:
    """frazil, or C++ Nix, with a store of its own."""

    def __init__(self, name: str, folder: Path, binaries: Path | None) -> None:
        self.name, self.folder, self.binaries = name, folder / name, binaries
        self.store = self.folder / "store"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("NIX_")}
        self.environment |= {
            "HOME": str(self.folder / "home"),
            "NIX_STORE_DIR": str(self.store),
            "NIX_STATE_DIR": str(self.folder / "state"),
            "NIX_LOG_DIR": str(self.folder / "log"),
            "NIX_CONF_DIR": str(self.folder / "none"),
            "NIX_CONFIG": "sandbox = false\nsubstituters =\nbuild-users-group =\nexperimental-features = nix-command\n"
            "eval-cache = false",
        }
        (self.folder / "home").mkdir(parents=True)

    def words(self, command: list[str]) -> list[str]:
        if self.binaries is None:
            return [sys.executable, "-c", _CALLED_AS.format(command[0]), *command[1:]]
        return [str(self.binaries / command[0]), *command[1:]]

    def run(self, command: list[str], config: str = "", text: str = "") -> Figure:
        environment = {**self.environment, "NIX_CONFIG": self.environment["NIX_CONFIG"] + "\n" + config}
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as given:
            given.write(text.encode())
            given.seek(0)
            words = [sys.executable, "-S", "-c", _MEASURE, *self.words(command)]
            process = subprocess.run(
                words, env=environment, stdin=given, stdout=subprocess.PIPE, stderr=said, check=False
            )
            if process.returncode:
                said.seek(0)
                raise SystemExit(f"{self.name}: {command[:6]} failed: {said.read()[-2000:].decode(errors='replace')}")
        return Figure(*map(float, process.stdout.split()))

    def wipe(self) -> None:
        for place in (self.store, self.folder / "state", self.folder / "log"):
            if place.exists():
                subprocess.run(["chmod", "-R", "u+w", str(place)], check=True)
                shutil.rmtree(place)


Job = Callable[[Program], Figure]


class Jobs:
    """What is timed: for each name a function that makes ready and gives the jobs to time, by title."""

    def __init__(self, folder: Path, scale: float) -> None:
        self.folder, self.scale = folder, scale
        self.random = random.Random(1)
        self.salt = 0

    def count(self, number: int) -> int:
        return max(2, int(number * self.scale))

    def builds(self) -> Iterator[tuple[str, Job]]:
        count = self.count(200)

        def build(what: str, config: str) -> Job:
            def job(program: Program) -> Figure:
                self.salt += 1
                program.wipe()
                expression = _CHAIN.format(salt=self.salt, count=count)
                return program.run(["nix-build", "--no-out-link", "-j2", "-E", expression, "-A", what], config)

            return job

        yield f"{count} builds in a chain", build("chain", "")
        yield f"{count} builds in parallel", build("parallel", "")
        # A program that needs nothing but /bin/sh: what is left is what the sandbox costs.
        sandbox = "sandbox = true\nsandbox-fallback = false"
        if shutil.which("busybox"):
            sandbox += f"\nsandbox-paths = /bin/sh={shutil.which('busybox')}"
        yield f"{count} in a chain, sandboxed", build("chain", sandbox)

    def trees(self) -> Iterator[tuple[str, Job]]:
        large, small = self.folder / "large-tree", self.folder / "small-tree"
        block = self.random.randbytes(1 << 20)
        for number in range(self.count(1024)):
            place = large / f"{number % 16}"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"file-{number}").write_bytes(number.to_bytes(8, "little") + block[8:])
        for number in range(self.count(100_000)):
            place = small / f"{number % 320}"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"file-{number}").write_bytes(block[number : number + number % 1000])
        for tree, title in ((large, "1 GB tree"), (small, "100,000 small files")):
            yield f"hash a {title}", lambda program, tree=tree: program.run(["nix-hash", "--type", "sha256", str(tree)])
            yield f"dump a {title}", lambda program, tree=tree: program.run(["nix-store", "--dump", str(tree)])
        shutil.rmtree(large)
        shutil.rmtree(small)

    def paths(self) -> Iterator[tuple[str, Job]]:
        count = self.count(10_000)
        sources = self.folder / "s"
        sources.mkdir()
        names = [str(sources / f"f{number}") for number in range(count)]
        for number, name in enumerate(names):
            Path(name).write_text(f"contents {number}\n")
        added: dict[str, list[str]] = {}

        def add(program: Program) -> Figure:
            program.wipe()
            figure = program.run(["nix-store", "--add", *names])
            added[program.name] = sorted(str(path) for path in program.store.iterdir() if "-f" in path.name)
            assert len(added[program.name]) == count
            return figure

        def query(*words: str) -> Job:
            return lambda program: program.run([*words, *added[program.name]])

        yield f"add {count} paths", add
        yield f"references of {count} paths", query("nix-store", "-q", "--references")
        yield f"hashes of {count} paths", query("nix-store", "-q", "--hash")
        yield f"path-info of {count} paths", query("nix", "path-info", "-s")
        yield f"path-info --all, {count} paths", lambda program: program.run(["nix", "path-info", "--all"])
        yield f"path-info --all -S, {count} paths", lambda program: program.run(["nix", "path-info", "--all", "-S"])
        yield f"is {count} paths valid", query("nix-store", "--check-validity")
        shutil.rmtree(sources)

    def garbage(self) -> Iterator[tuple[str, Job]]:
        count = self.count(50_000)
        names = ["".join(self.random.choices(BASE32, k=32)) + f"-dead-{number}" for number in range(count)]

        def collect(program: Program) -> Figure:
            self.fill(program, names)
            figure = program.run(["nix-store", "--gc"])
            assert not any(path.name.endswith("-dead-1") for path in program.store.iterdir())
            return figure

        def dead(program: Program) -> Figure:
            self.fill(program, names)
            return program.run(["nix-store", "--gc", "--print-dead"])

        yield f"name {count} dead paths", dead
        yield f"collect {count} dead paths", collect
        yield (
            f"path-info --all, {count} paths",
            lambda program: (
                program.run(["nix", "path-info", "--all"]) if self.fill(program, names) else Figure(0, 0, 0)
            ),
        )

    @staticmethod
    def fill(program: Program, names: list[str]) -> bool:
        """Registers small files, each referring to two before it."""
        program.wipe()
        program.store.mkdir(parents=True)
        lines = []
        for number, name in enumerate(names):
            (program.store / name).write_text(name)
            references = sorted({names[number // 2], names[number // 3]} - {name})
            lines += [f"{program.store}/{name}", "0" * 64, "8", "", str(len(references))]
            lines += [f"{program.store}/{reference}" for reference in references]
        program.run(["nix-store", "--load-db"], text="\n".join(lines) + "\n")
        return True

    def streams(self) -> Iterator[tuple[str, Job]]:
        big = self.folder / "four"
        size = int((4 << 30) * self.scale)
        with big.open("wb") as file:
            file.truncate(size)  # takes no room
        gigabytes = f"{size / (1 << 30):.1f} GB"
        yield f"dump a file of {gigabytes}", lambda program: program.run(["nix-store", "--dump", str(big)])
        yield (
            f"hash a file of {gigabytes}",
            lambda program: program.run(["nix-hash", "--type", "sha256", "--flat", str(big)]),
        )
        paths: dict[str, str] = {}

        def add(program: Program) -> Figure:
            program.wipe()
            figure = program.run(["nix-store", "--add", str(big)])
            paths[program.name] = next(str(p) for p in program.store.iterdir() if p.name.endswith("-four"))
            return figure

        def copy(program: Program) -> Figure:
            shutil.rmtree(program.folder / "cache", ignore_errors=True)
            where = f"file://{program.folder}/cache?compression=zstd"
            return program.run(["nix", "copy", "--no-check-sigs", "--to", where, paths[program.name]])

        def substitute(program: Program) -> Figure:
            program.wipe()
            realise = ["nix-store", "-r", "--option", "substituters", f"file://{program.folder}/cache"]
            figure = program.run([*realise, "--option", "require-sigs", "false", paths[program.name]])
            program.wipe()
            return figure

        yield f"add a file of {gigabytes}", add
        yield "copy it to a cache (zstd)", copy
        yield "substitute it", substitute
        big.unlink()


KINDS = ("builds", "trees", "paths", "garbage", "streams")


def measure(jobs: Jobs, kind: str, programs: list[Program], runs: int) -> None:
    for title, job in getattr(jobs, kind)():
        found: dict[str, list[Figure]] = {}
        for _ in range(runs):
            for program in programs:
                found.setdefault(program.name, []).append(job(program))
        shown = {
            name: Figure(
                statistics.median(one.wall for one in figures),
                min(one.cpu for one in figures),
                max(one.memory for one in figures),
            )
            for name, figures in found.items()
        }
        line = f"{title:34}" + "".join(
            f"{one.wall * 1000:9.0f} {one.cpu * 1000:7.0f} {one.memory:6.0f}" for one in shown.values()
        )
        if len(shown) == 2:
            ours, theirs = shown.values()
            line += f"{ours.wall / theirs.wall:9.2f} {ours.cpu / theirs.cpu:6.2f} {ours.memory / theirs.memory:6.2f}"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", action="append", choices=KINDS)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--scratch", type=Path)
    found = shutil.which("nix-store")
    parser.add_argument("--nix", type=Path, default=Path(found).parent if found else None)
    options = parser.parse_args()
    names = ["frazil", "nix"] if options.nix else ["frazil"]
    titles = "".join(f"{name + ' ms':>9}{'CPU':>8}{'MiB':>7}" for name in names)
    print(" " * 34 + titles + ("    ratio    CPU    MiB" if len(names) == 2 else ""))
    for kind in options.only or KINDS:
        # In a sandbox /dev is another one: what is below it cannot be the store there.
        place = None if kind == "builds" else options.scratch
        with tempfile.TemporaryDirectory(prefix="frazil-bench-", dir=place) as name:
            programs = [Program(one, Path(name), None if one == "frazil" else options.nix) for one in names]
            try:
                measure(Jobs(Path(name), options.scale), kind, programs, options.runs)
            finally:
                for program in programs:
                    program.wipe()


if __name__ == "__main__":
    main()
