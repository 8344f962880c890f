"""Where zstd's frames end: what reads them stops at the end of its input without a word, also in a frame's middle.

Only lengths are looked at: headers of frames and blocks, and what they announce is passed over. Source of truth: RFC
8878.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from .errors import OciError

_MAGIC = 0xFD2FB528
_SKIPPABLE = 0x184D2A50


class Reader(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class WholeFrames:
    """Passes on what `source` gives. Raises OciError at the end of one that is cut off."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._walk = _frames()
        self._wanted = next(self._walk)
        self._held = b""
        self._skip = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        if not data and size != 0:
            if self._held or self._skip or self._wanted != -4:
                raise OciError("the compressed data ends early")
            return data
        self._pass(data)
        return data

    def _pass(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                continue
            part = data[at : at + abs(self._wanted) - len(self._held)]
            self._held += part
            at += len(part)
            if len(self._held) == abs(self._wanted):
                held, self._held = self._held, b""
                self._skip = self._walk.send(held)
                self._wanted = next(self._walk)


def _frames() -> Generator[int, bytes, None]:
    """Yields how many bytes it wants to see (negative where the input may end instead), then how many to pass over."""
    while True:
        magic = int.from_bytes((yield -4), "little")
        if magic & 0xFFFFFFF0 == _SKIPPABLE:
            yield 0
            length = int.from_bytes((yield 4), "little")
            yield length
            continue
        if magic != _MAGIC:
            raise OciError("the compressed data is damaged: what follows is no zstd frame")
        yield 0
        flags = (yield 1)[0]
        single = flags >> 5 & 1
        yield (1 - single) + (0, 1, 2, 4)[flags & 3] + (single, 2, 4, 8)[flags >> 6]
        last = False
        while not last:
            header = int.from_bytes((yield 3), "little")
            last = bool(header & 1)
            yield 1 if header >> 1 & 3 == 1 else header >> 3
        if flags >> 2 & 1:
            yield from _checksum()


def _checksum() -> Generator[int, bytes, None]:
    yield 4
    yield 0
