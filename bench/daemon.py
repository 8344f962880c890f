"""Times a daemon's answers beside C++ Nix's daemon, and prints ratios (below 1: frazil is faster).

    python bench/daemon.py [--runs 3] [--requests 2000] [--megabytes 64] [--scratch FOLDER]

Both daemons serve a scratch store of their own with equal contents; the client is frazil's in both cases, so that what
differs is the server. `nix-daemon` is looked for in PATH.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from frazil.activity import Reporter
from frazil.store.config import StoreSettings
from frazil.store.local import LocalStore
from frazil.store.opening import open_store

FRAZIL = os.environ.get("FRAZIL") or str(Path(sys.executable).with_name("frazil"))


class Daemon:
    def __init__(self, command: list[str], folder: Path) -> None:
        self.folder, self.command = folder, command
        (folder / "etc").mkdir(parents=True)
        (folder / "var").mkdir()  # without it C++ Nix takes "auto" for a daemon: itself
        (folder / "etc/nix.conf").write_text("build-users-group =\nsubstituters =\nsandbox = false\n")
        self.socket = folder / "socket"
        names = {"STORE": "store", "STATE": "var", "LOG": "log", "CONF": "etc"}
        self.environment = {**os.environ, **{f"NIX_{name}_DIR": f"{folder}/{part}" for name, part in names.items()}}
        self.environment |= {"NIX_DAEMON_SOCKET_PATH": str(self.socket), "HOME": str(folder)}

    def __enter__(self) -> Daemon:
        log = (self.folder / "log.txt").open("wb")
        self.process = subprocess.Popen(self.command, env=self.environment, stdout=log, stderr=log)
        for _ in range(200):
            if self.socket.exists():
                return self
            time.sleep(0.05)
        raise SystemExit(f"{self.command[0]} does not listen: {(self.folder / 'log.txt').read_text()}")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def store(self) -> LocalStore:
        places = {name: self.environment[name] for name in ("NIX_STORE_DIR", "NIX_STATE_DIR")}
        store = open_store(f"unix://{self.socket}", StoreSettings(), Reporter(), places)
        assert isinstance(store, LocalStore)
        return store


def measure(daemon: Daemon, requests: int, big: Path, run: int) -> dict[str, float]:
    times: dict[str, float] = {}

    def timed(name: str, action: Callable[[], object]) -> None:
        start = time.perf_counter()
        action()
        times[name] = time.perf_counter() - start

    def connect() -> None:
        for _ in range(30):
            with daemon.store() as store:
                store.query_info_or_none(path)

    with daemon.store() as store:
        path = store.add_text("first", b"first", ())
        timed(f"{requests} path infos", lambda: [store.query_info_or_none(path) for _ in range(requests)])
        timed(f"{requests} validity checks", lambda: [store.is_registered(path) for _ in range(requests)])
        timed("30 connections", connect)
        texts = [f"{run} {number}".encode() for number in range(requests // 10)]
        timed(f"{len(texts)} texts added", lambda: [store.add_text("text", text, ()) for text in texts])
        size = big.stat().st_size >> 20
        added = []
        timed(f"{size} MiB added", lambda: added.append(store.add_path(f"big-{run}", str(big))))
        timed(f"{size} MiB read", lambda: store.dump_nar(added[0], lambda chunk: None))
    return times


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--scratch", type=Path)
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(dir=options.scratch))
    results: dict[str, dict[str, list[float]]] = {}
    try:
        big = scratch / "big"
        big.write_bytes(os.urandom(options.megabytes << 20))
        commands = {"frazil": [FRAZIL, "daemon"], "C++": ["nix-daemon"]}
        with (
            Daemon(commands["frazil"], scratch / "ours") as ours,
            Daemon(commands["C++"], scratch / "theirs") as theirs,
        ):
            for run in range(options.runs):
                for name, daemon in (("frazil", ours), ("C++", theirs)):
                    for what, seconds in measure(daemon, options.requests, big, run).items():
                        results.setdefault(what, {}).setdefault(name, []).append(seconds)
        for what, by_program in results.items():
            mine, other = (statistics.median(by_program[name]) for name in ("frazil", "C++"))
            print(f"{what:24} frazil {mine * 1000:8.1f} ms   C++ {other * 1000:8.1f} ms   ratio {mine / other:.2f}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
