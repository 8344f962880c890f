"""Stamps of the file system: what tells, without reading, that a file or a tree is as it was.

In: paths. Out: texts to compare. As in git's index, a stamp counts only if it was older than the moment it was taken
by more than the clock's grain: else the file may change once more without another stamp.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GRAIN, COARSE_GRAIN = 60_000_000, 2_000_000_000
"""Nanoseconds; the second for file systems that keep whole seconds."""


def stamp(status: os.stat_result) -> str:
    return (
        f"{status.st_mode:o},{status.st_size},{status.st_mtime_ns},{status.st_ctime_ns},{status.st_ino},{status.st_dev}"
    )


def is_settled(newest: int, now: int) -> bool:
    """Whether a time in nanoseconds lies far enough back. Times in the future never do."""
    return newest < now - (GRAIN if newest % 1_000_000_000 else COARSE_GRAIN)


def settled_stamp(status: os.stat_result, now: int) -> str:
    """The stamp, or nothing where it cannot be relied on."""
    return stamp(status) if is_settled(max(status.st_mtime_ns, status.st_ctime_ns), now) else ""


def file_kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "regular"
    if stat.S_ISDIR(mode):
        return "directory"
    return "symlink" if stat.S_ISLNK(mode) else "unknown"


def tree_stamp(path: bytes, now: int, verdicts: Mapping[str, tuple[str, bool]] | None = None) -> str:
    """Of everything (that the verdicts keep) at and below a path; nothing where it cannot be relied on.

    Raises OSError, and LookupError for an entry on which there is no verdict or whose kind is another now.
    """
    status = os.lstat(path)
    newest = max(status.st_mtime_ns, status.st_ctime_ns)
    rows = [stamp(status).encode()]
    pending = [b""] if stat.S_ISDIR(status.st_mode) else []
    while pending:
        relative = pending.pop()
        with os.scandir(path + b"/" + relative) as found:
            entries = sorted([(entry.name, entry.stat(follow_symlinks=False)) for entry in found])
        for name, status in entries:
            inner = relative + b"/" + name if relative else name
            if verdicts is None or is_kept(verdicts, os.fsdecode(inner), file_kind(status.st_mode)):
                rows.append(inner + b"\0" + stamp(status).encode())
                newest = max(newest, status.st_mtime_ns, status.st_ctime_ns)
                if stat.S_ISDIR(status.st_mode):
                    pending.append(inner)
    from frazil.evalcache.hashing import sha256

    return sha256(b"\0".join(rows)).hexdigest() if is_settled(newest, now) else ""


def is_kept(verdicts: Mapping[str, tuple[str, bool]], name: str, kind: str) -> bool:
    known, keep = verdicts[name]
    if known != kind:
        raise LookupError(name)
    return keep


def keep_by_verdict(verdicts: Mapping[str, tuple[str, bool]], top: str) -> Callable[[str, str], bool]:
    """The verdicts as the archive writer asks for them: full paths, kinds."""
    start = len(top) + 1

    def keep(path: str, kind: str) -> bool:
        return is_kept(verdicts, path[start:], kind)

    return keep
