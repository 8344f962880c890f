"""What `_walk.c` does, in Python: what it is compared with."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from frazil.digest import Hash
from frazil.evalcache.stamps import file_kind, is_kept, stamp

_ALL_BITS = (1 << 64) - 1


def walk(path: bytes, verdicts: Mapping[str, tuple[str, bool]] | None, /) -> tuple[bytes, int, bytes]:
    """-> the digest, the newest time, the names that `look` wants."""
    status = os.lstat(path)
    newest = max(status.st_mtime_ns, status.st_ctime_ns)
    parts, names = [_numbers(status)], []
    pending = [b""] if stat.S_ISDIR(status.st_mode) else []
    while pending:
        folder = pending.pop()
        with os.scandir(path + b"/" + folder) as found:
            entries = sorted([(entry.name, entry.stat(follow_symlinks=False)) for entry in found])
        for name, status in entries:
            inner = folder + name
            if verdicts is None or is_kept(verdicts, os.fsdecode(inner), file_kind(status.st_mode)):
                names.append(inner + b"\0")
                parts += (names[-1], _numbers(status))
                newest = max(newest, status.st_mtime_ns, status.st_ctime_ns)
                if stat.S_ISDIR(status.st_mode):
                    pending.append(inner + b"/")
    return _digest(parts), newest, b"".join(names)


def look(path: bytes, names: bytes, /) -> bytes:
    """The digest, as long as these are the names. Raises OSError."""
    parts = [_numbers(os.lstat(path))]
    for name in names.split(b"\0")[:-1]:
        parts += (name + b"\0", _numbers(os.lstat(path + b"/" + name)))
    return _digest(parts)


def is_stamp(path: bytes, text: str, /) -> bool:
    return stamp(os.lstat(path)) == text


def _digest(parts: list[bytes]) -> bytes:
    return Hash.of("sha256", b"".join(parts)).digest


def _numbers(status: os.stat_result) -> bytes:
    times = (status.st_mtime_ns, status.st_ctime_ns)
    numbers = (status.st_mode, status.st_size, *times, status.st_ino, status.st_dev)
    return b"".join([(number & _ALL_BITS).to_bytes(8, "little") for number in numbers])
