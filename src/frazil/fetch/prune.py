"""Keeping the folders of the cache small: what was not used for long goes, and the oldest of what is too much.

In: the cache folder with `trees/`, `downloads/`, `git-lfs/` and `debian/`. Out: a smaller one. Looked at once a day,
by whoever adds something. Whatever is used gets a new modification time; what was used within a day is never taken
away, so that no other process loses what it reads. An entry is renamed before it is deleted: what is there under its
name is whole, whenever a process is killed.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from frazil.fetch.settings import cache_directory

if TYPE_CHECKING:
    from frazil.fetch.settings import FetchSettings

DAY = 24 * 3600
_STAMP = "pruned"
_DOOMED = "frazil-deleted-"
_SCRATCH = ("frazil-fetch-", _DOOMED)


class Rule(NamedTuple):
    """`depth`: how many folders lie between the folder and its entries; `age`: seconds; `size`: bytes altogether."""

    folder: str
    depth: int
    age: int
    size: int


RULES = (
    Rule("trees", 0, 30 * DAY, 4 << 30),
    Rule("downloads", 1, 90 * DAY, 10 << 30),
    Rule("git-lfs", 2, 90 * DAY, 4 << 30),
    Rule("debian", 0, 180 * DAY, 1 << 30),
)


class _Entry(NamedTuple):
    used: float
    path: str
    status: os.stat_result


def mark_used(path: str) -> None:
    """Counts as a use from now; a folder that cannot be written needs no care."""
    with contextlib.suppress(OSError):
        os.utime(path, follow_symlinks=False)


def prune_if_due(settings: FetchSettings) -> None:
    """Once a day. Never raises: a cache that cannot be cleaned is no reason to fail."""
    import fcntl

    base = cache_directory(settings)
    stamp = os.path.join(base, _STAMP)
    with contextlib.suppress(OSError):
        if os.path.lexists(stamp) and abs(time.time() - os.lstat(stamp).st_mtime) < DAY:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with open(os.open(stamp, flags, 0o644), "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # else another process is at it
            os.utime(file.fileno())
            prune(base)


def prune(base: str, rules: tuple[Rule, ...] = RULES) -> None:
    now = time.time()
    for rule in rules:
        _prune_folder(os.path.join(base, rule.folder), rule, now)


def _prune_folder(folder: str, rule: Rule, now: float) -> None:
    entries = sorted(_entries(folder, rule.depth))
    recent = []
    for entry in entries:
        is_scratch = os.path.basename(entry.path).startswith(_SCRATCH)
        if now - entry.used < DAY:
            recent.append(entry)
        elif is_scratch or now - entry.used > rule.age:
            _remove(entry.path)
        else:
            recent.append(entry)
    sizes = [_size(entry) for entry in recent]
    total = sum(sizes)
    for entry, size in zip(recent, sizes, strict=True):
        if total <= rule.size or now - entry.used < DAY:
            break
        _remove(entry.path)
        total -= size


def _entries(folder: str, depth: int) -> Iterator[_Entry]:
    """What lies in a folder, or so many folders deeper. Times ahead of the clock count as now."""
    try:
        with os.scandir(folder) as found:
            names = [entry.path for entry in found]
    except OSError:
        return
    for path in names:
        try:
            status = os.lstat(path)
        except OSError:
            continue
        if depth and stat.S_ISDIR(status.st_mode):
            yield from _entries(path, depth - 1)
        else:
            yield _Entry(min(status.st_mtime, time.time()), path, status)


def _size(entry: _Entry) -> int:
    """Bytes on disk, those of a folder with all that is in it."""
    if not stat.S_ISDIR(entry.status.st_mode):
        return entry.status.st_blocks * 512
    total, pending = 0, [entry.path]
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as found:
            for item in found:
                with contextlib.suppress(OSError):
                    total += item.stat(follow_symlinks=False).st_blocks * 512
                if item.is_dir(follow_symlinks=False):
                    pending.append(item.path)
    return total


def _remove(path: str) -> None:
    from frazil.fetch.tree import remove_tree

    folder, name = os.path.split(path)
    doomed = path if name.startswith(_DOOMED) else os.path.join(folder, f"{_DOOMED}{os.getpid()}-{name}")
    with contextlib.suppress(OSError):
        if doomed != path:
            os.rename(path, doomed)
        if os.path.isdir(doomed) and not os.path.islink(doomed):
            remove_tree(doomed)
        else:
            os.unlink(doomed)
