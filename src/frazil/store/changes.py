"""Whether anything was committed to a database since one last looked, without asking it.

In: the path of an SQLite database in WAL mode that this process has open. Out: a mark that is another one after every
commit, by whatever process. It is the header of the WAL index, which every commit writes and every reader compares,
and which all processes have mapped. Source of truth: SQLite's description of its WAL-mode file format.

A process that closes any descriptor of that file loses all its locks on it, SQLite's among them. So there is one
descriptor for all of a process's `Changes`, kept until the last of them is closed, which must come after the last
connection was.
"""

from __future__ import annotations

import os
from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap

_HEADERS = 96
"""The header is there twice, 48 bytes each: while the two differ somebody is writing."""
_VERSION = (3007000).to_bytes(4, "little"), (3007000).to_bytes(4, "big")


class _Mapping:
    """One file, mapped."""

    def __init__(self, descriptor: int, contents: mmap) -> None:
        self.descriptor, self.contents = descriptor, contents
        self.users = 0


_mappings: dict[tuple[int, int], _Mapping] = {}
_lock = allocate_lock()


class Changes:
    """`mark()`: equal ones mean that nothing was committed in between. Opening one raises nothing: see `open`."""

    __slots__ = ("_contents", "_key")

    def __init__(self, key: tuple[int, int], contents: mmap) -> None:
        self._key = key
        self._contents = contents

    @staticmethod
    def open(database: str) -> Changes | None:
        """None where there is no such file, or not of the form known here."""
        path = database + "-shm"
        with _lock:
            try:
                status = os.stat(path)
                key = (status.st_dev, status.st_ino)
                mapping = _mappings.get(key) or _map(path, key)
            except (OSError, ValueError):
                return None
            if mapping is None:
                return None
            mapping.users += 1
            return Changes(key, mapping.contents)

    def mark(self) -> bytes | None:
        """None while it is being written."""
        found = self._contents[:_HEADERS]
        return found if found[:48] == found[48:] else None

    def close(self) -> None:
        """After the connection is closed."""
        with _lock:
            mapping = _mappings[self._key]
            mapping.users -= 1
            if mapping.users == 0:
                del _mappings[self._key]
                mapping.contents.close()
                os.close(mapping.descriptor)


def _map(path: str, key: tuple[int, int]) -> _Mapping | None:
    from mmap import PROT_READ, mmap

    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    mapping = _Mapping(descriptor, mmap(descriptor, 4096, prot=PROT_READ))
    status = os.fstat(descriptor)
    _mappings[key] = mapping
    if (status.st_dev, status.st_ino) == key and mapping.contents[:4] in _VERSION:
        return mapping
    mapping.users += 1  # what was opened stays open: to close it would cost SQLite its locks
    return None
