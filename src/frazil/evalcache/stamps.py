"""Stamps of the file system: what tells, without reading, that a file or a tree is as it was.

In: paths. Out: texts to compare. As in git's index, a stamp counts only if it was older than the moment it was taken
by more than the clock's grain: else the file may change once more without another stamp.
"""

from __future__ import annotations

import os
import stat

from frazil.evalcache._walk import is_stamp, look, walk
from frazil.evalcache.facts import PLAIN_BYTES, quote, unquote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GRAIN, COARSE_GRAIN = 60_000_000, 2_000_000_000
"""Nanoseconds; the second for file systems that keep whole seconds."""
MAX_NAMES = 1 << 20
"""Bytes of the names of one tree that are kept with its stamp."""


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


def tree_stamp(path: bytes, now: int, verdicts: dict[str, tuple[str, bool]] | None = None) -> str:
    """Of everything (that the verdicts keep) at and below a path; nothing where it cannot be relied on.

    Raises OSError, and LookupError for an entry on which there is no verdict or whose kind is another now.
    """
    digest, newest, _ = walk(path, verdicts)
    return digest.hex() if is_settled(newest, now) else ""


def listed_tree_stamp(path: bytes, now: int, verdicts: dict[str, tuple[str, bool]] | None = None) -> str:
    """The same, followed by the names below the path: for `is_as_stamped`. Many names are left out."""
    digest, newest, names = walk(path, verdicts)
    if not is_settled(newest, now):
        return ""
    return digest.hex() if len(names) > MAX_NAMES else f"{digest.hex()} {_text_of(names)}"


def is_as_stamped(path: bytes, mark: str) -> bool:
    """Whether a stamp of a single thing, or one with names, would be the same now; False for others. Folders are not
    listed again: one whose status is the same has the same entries. Raises OSError and ValueError."""
    digest, has_names, names = mark.partition(" ")
    if has_names:
        return look(path, _names_in(names)).hex() == digest
    return "," in mark and is_stamp(path, mark)


def _text_of(names: bytes) -> str:
    """Names that are each ended by a zero -> their quoted texts."""
    if b" " not in names and not names.translate(None, PLAIN_BYTES + b"\0"):
        return names[:-1].replace(b"\0", b" ").decode("ascii")
    return " ".join([quote(name) for name in names.split(b"\0")[:-1]])


def _names_in(text: str) -> bytes:
    if "%" in text:
        return b"".join([unquote(name) + b"\0" for name in text.split(" ")])
    return text.encode("ascii").replace(b" ", b"\0") + b"\0" if text else b""


def is_kept(verdicts: Mapping[str, tuple[str, bool]], name: str, kind: str) -> bool:
    known, keep = verdicts[name]
    if known != kind:
        raise LookupError(name)
    return keep


def can_be_copied(path: bytes, keep: Callable[[str, str], bool] | None = None) -> bool:
    """Whether all that is at and below a path can be put into an archive. `keep`: as the archive writer asks for it.

    Raises OSError for folders that cannot be listed."""
    pending = [path]
    while pending:
        current = pending.pop()
        kind = file_kind(os.lstat(current).st_mode)
        if kind == "directory":
            for name in os.listdir(current):
                inner = current + b"/" + name
                if keep is None or keep(os.fsdecode(inner), file_kind(os.lstat(inner).st_mode)):
                    pending.append(inner)
        elif kind == "unknown" or (kind == "regular" and not os.access(current, os.R_OK, effective_ids=True)):
            return False
    return True


def keep_by_verdict(verdicts: Mapping[str, tuple[str, bool]], top: str) -> Callable[[str, str], bool]:
    """The verdicts as the archive writer asks for them: full paths, kinds."""
    start = len(top) + 1

    def keep(path: str, kind: str) -> bool:
        return is_kept(verdicts, path[start:], kind)

    return keep
