"""Rounds of one kind of accident, counted."""

from __future__ import annotations

import importlib
import os
import pickle
import pkgutil
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from .accidents import ACCIDENTS, Accident, Round, Site
from .bad_cache import bad_cache
from .child import failing_disk_is_possible
from .damage import damage
from .jobs import JOBS

DISK = 96 << 20
KINDS: dict[str, tuple[Accident, tuple[str, ...]]] = {
    **ACCIDENTS,
    "cache": (bad_cache, ("substitute",)),
    "damage": (damage, ("substitute",)),
}


@dataclass
class Tally:
    rounds: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    skipped: str = ""

    def count(self, seed: str, result: Round) -> None:
        self.rounds += 1
        self.struck[result.job] += result.struck
        self.problems += [f"{result.job} {seed}: {text}" for text in result.problems]

    def line(self, kind: str) -> str:
        if self.skipped:
            return f"{kind}: skipped, {self.skipped}"
        parts = ", ".join(f"{job} {count}" for job, count in sorted(self.struck.items()))
        return f"{kind}: {self.rounds} rounds, {sum(self.struck.values())} hit ({parts}), {len(self.problems)} problems"


def import_everything() -> None:
    """What jobs need: a process that may open no file cannot load its own program either."""
    for room in ("store", "build"):
        package = importlib.import_module(f"frazil.{room}")
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"frazil.{room}.{module.name}")


def run(kind: str, rounds: int, seed: str, folder: Path) -> Tally:
    accident, jobs = KINDS[kind]
    import_everything()
    if kind == "failing-disk" and not failing_disk_is_possible():
        return Tally(skipped="not on this machine's architecture")
    if kind == "full-disk":
        return _on_small_disk(lambda: _rounds(accident, jobs, rounds, f"{kind}-{seed}", folder), folder)
    return _rounds(accident, jobs, rounds, f"{kind}-{seed}", folder)


def _on_small_disk(work: Callable[[], Tally], folder: Path) -> Tally:
    """In a process that has a file system of its own on `folder`, of a size that can be filled."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read)
            reason = mount_small_disk(str(folder), DISK)
            tally = Tally(skipped=reason) if reason else work()
            with open(write, "wb") as file:
                pickle.dump(tally, file)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(write)
    with open(read, "rb") as file:
        data = file.read()
    os.waitpid(child, 0)
    if not data:
        return Tally(problems=["the process with the small disk died"])
    tally = pickle.loads(data)
    assert isinstance(tally, Tally)
    return tally


def mount_small_disk(folder: str, size: int) -> str:
    """In namespaces that end with this process; why it cannot be, where it cannot."""
    import ctypes

    new_user, new_mounts, private = 0x10000000, 0x00020000, 1 << 18
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(new_mounts if user == 0 else new_user | new_mounts):
        return f"no mount namespace: {os.strerror(ctypes.get_errno())}"
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    libc.mount(b"none", b"/", None, ctypes.c_ulong((1 << 14) | private), None)
    if libc.mount(b"none", os.fsencode(folder), b"tmpfs", ctypes.c_ulong(0), f"size={size}".encode()):
        return f"no file system can be mounted: {os.strerror(ctypes.get_errno())}"
    return ""


def _rounds(accident: Accident, jobs: tuple[str, ...], rounds: int, seed: str, folder: Path) -> Tally:
    tally = Tally()
    sites = [Site(folder / name, JOBS[name]) for name in jobs[:rounds]]
    try:
        for site in sites:
            site.measure()
        for number in range(rounds):
            name = f"{seed}-{number}"
            tally.count(name, accident(sites[number % len(sites)], name, Random(name)))
        for site in sites:
            tally.problems += [f"{site.job.name} at the end: {text}" for text in site.ground.collect()]
    finally:
        for site in sites:
            site.close()
    return tally
