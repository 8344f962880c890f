"""Whether anything was committed to a database since one last looked, without asking it.

In: the path of an SQLite database in WAL mode that this process has open. Out: a mark that is another one after every
commit, by whatever process. It is the header of the WAL index, which every commit writes and every reader compares,
and which all processes have mapped. Source of truth: SQLite's description of its WAL-mode file format.

A process that closes any descriptor of that file loses all its locks on it, SQLite's among them. So what was opened
stays open until the process has no connection to the database any more: every connection has a `Changes` of its own,
from before it is opened until after it is closed.
"""

from __future__ import annotations

import os
from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap

    _File = tuple[int, int]
    """Its device and number."""

_HEADERS = 96
"""The header is there twice, 48 bytes each: while the two differ somebody is writing."""
_VERSION = (3007000).to_bytes(4, "little"), (3007000).to_bytes(4, "big")


class _Database:
    """A database that this process uses: by how many connections, and the indices that were mapped for them."""

    def __init__(self) -> None:
        self.connections = 0
        self.indices: list[tuple[_File, int, mmap]] = []


_databases: dict[str, _Database] = {}
_lock = allocate_lock()


class Changes:
    """`mark()`: equal ones mean that nothing was committed in between. `folder`: where the database `name` is."""

    __slots__ = ("_contents", "_key", "_path")

    def __init__(self, folder: str, name: str) -> None:
        self._key = os.path.join(os.path.realpath(folder), name)
        self._path = self._key + "-shm"
        self._contents: mmap | None = None
        with _lock:
            _databases.setdefault(self._key, _Database()).connections += 1

    def look(self) -> None:
        """From now on there are marks, where there is an index and its form is known here."""
        with _lock:
            indices = _databases[self._key].indices
            try:
                file = _file(os.stat(self._path))
                if not any(known == file for known, _, _ in indices):
                    indices.append(_map(self._path))
            except (OSError, ValueError):
                return
            for known, _, contents in indices:
                if known == file and contents[:4] in _VERSION:
                    self._contents = contents

    def mark(self) -> bytes | None:
        """None where there are none, and while the index is being written."""
        if self._contents is None:
            return None
        found = self._contents[:_HEADERS]
        return found if found[:48] == found[48:] else None

    def close(self) -> None:
        """After the connection is closed."""
        self._contents = None
        with _lock:
            database = _databases[self._key]
            database.connections -= 1
            if database.connections == 0:
                del _databases[self._key]
                for _, descriptor, contents in database.indices:
                    contents.close()
                    os.close(descriptor)


def _file(status: os.stat_result) -> _File:
    return status.st_dev, status.st_ino


def _map(path: str) -> tuple[_File, int, mmap]:
    from mmap import PROT_READ, mmap

    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    return _file(os.fstat(descriptor)), descriptor, mmap(descriptor, _HEADERS, prot=PROT_READ)
