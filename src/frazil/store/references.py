"""Finding store paths in contents, and hashing contents modulo their own path.

In: a stream of bytes and the paths that may occur. Out: those that do. Only hash parts are searched for; they are found
across the borders of chunks too. Source of truth: the manual's `store/building` (scanning for references).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from frazil.digest import BASE32_ALPHABET, Hash
from frazil.store import nar
from frazil.store.path import HASH_LENGTH, StorePath

_IS_DIGIT = bytes([chr(value) in BASE32_ALPHABET for value in range(256)])
"""Maps every byte to 1 where a hash part may hold it, else to 0."""
_DIGITS = b"\1" * HASH_LENGTH
_FEW = 4
"""Up to so many paths are searched for one by one, which is faster than looking at every candidate."""


class ReferenceScanner:
    """`write` contents to it, then ask `found()`."""

    def __init__(self, candidates: Iterable[StorePath]) -> None:
        self._paths = {path.hash_part.encode("ascii"): path for path in candidates}
        self._missing = set(self._paths)
        self._tail = b""

    def write(self, data: bytes) -> None:
        if not self._missing:
            return
        if self._tail:
            border = self._tail + data[: HASH_LENGTH - 1]
            self._search(border)
        self._search(data)
        if len(data) >= HASH_LENGTH - 1:
            self._tail = data[-(HASH_LENGTH - 1) :]
        else:
            self._tail = (self._tail + data)[-(HASH_LENGTH - 1) :]

    def _search(self, data: bytes) -> None:
        missing = self._missing
        if len(missing) <= _FEW:
            missing.difference_update([part for part in missing if part in data])
            return
        marks = data.translate(_IS_DIGIT)
        start = marks.find(_DIGITS)
        while start >= 0:
            end = marks.find(b"\0", start + HASH_LENGTH)
            end = len(data) if end < 0 else end
            for offset in range(start, end - HASH_LENGTH + 1):
                missing.discard(data[offset : offset + HASH_LENGTH])
            start = marks.find(_DIGITS, end)

    def found(self) -> set[StorePath]:
        return {path for part, path in self._paths.items() if part not in self._missing}


def scan_path(
    path: str, candidates: Iterable[StorePath], write: nar.Write | None = None
) -> tuple[set[StorePath], Hash, int]:
    """Reads a tree once: (which candidates it refers to, its archive's SHA-256, its archive's size).

    `write`: who else wants the archive's bytes.
    """
    scanner = ReferenceScanner(candidates)
    counter = nar.CountingHash("sha256")

    def tee(data: bytes) -> None:
        counter.write(data)
        scanner.write(data)
        if write is not None:
            write(data)

    nar.dump_path(path, tee)
    digest, size = counter.result()
    return scanner.found(), digest, size


class Rewriter:
    """Replaces texts by others of the same length in a stream, across chunk borders. `finish` at the end.

    `positions`: where replacements were made, in bytes from the start.
    """

    def __init__(self, rewrites: dict[bytes, bytes], write: Callable[[bytes], object]) -> None:
        for old, new in rewrites.items():
            if len(old) != len(new) or not old:
                raise ValueError("a rewrite must keep the length")
        self._rewrites = rewrites
        self._write = write
        self._longest = max((len(old) for old in rewrites), default=1)
        self._pattern = re.compile(b"|".join(map(re.escape, rewrites))) if rewrites else None
        self._held = b""
        self._at = 0
        self.positions: list[int] = []

    def write(self, data: bytes) -> None:
        data = self._held + data
        if self._pattern is not None:
            data = self._replace(data)
        keep = min(len(data), self._longest - 1)
        ready = len(data) - keep
        self._held = data[ready:]
        self._at += ready
        if ready:
            self._write(data[:ready])

    def _replace(self, data: bytes) -> bytes:
        assert self._pattern is not None
        pieces, last = [], 0
        for match in self._pattern.finditer(data):
            self.positions.append(self._at + match.start())
            pieces += [data[last : match.start()], self._rewrites[match[0]]]
            last = match.end()
        return b"".join([*pieces, data[last:]]) if pieces else data

    def finish(self) -> None:
        if self._held:
            self._at += len(self._held)
            self._write(self._held)
            self._held = b""


class ModuloHash:
    """The hash of contents with a hash part in them taken as zeros, so that it does not depend on itself.

    The places where it stood are hashed too. `result` → (hash, bytes seen).
    """

    def __init__(self, algorithm: str, hash_part: str) -> None:
        self._counter = nar.CountingHash(algorithm)
        part = hash_part.encode("ascii")
        self._rewriter = Rewriter({part: bytes(len(part))}, self._counter.write)

    def write(self, data: bytes) -> None:
        self._rewriter.write(data)

    def result(self) -> tuple[Hash, int]:
        self._rewriter.finish()
        size = self._counter.size
        for position in self._rewriter.positions:
            self._counter.write(b"|%d" % position)
        return self._counter.result()[0], size
