"""Words, strings and frames: what every message of both protocols is made of.

In: a binary stream. Out: Python numbers and bytes, and back. Everything that is read is bounded, and memory grows only
with what has really arrived: a length that lies costs its sender, not us. Source of truth: libutil's serialisation.

A number is eight bytes, little-endian. A string is its length, its bytes, and zeros up to a multiple of eight. A
framed stream is chunks (a length and that many bytes, no padding) up to a chunk of length zero.
"""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Callable, Iterable
from typing import Protocol

from frazil.protocol.errors import Disconnected, ProtocolError

MAXIMUM_STRING = 1 << 28
"""A text, such as the environment of a derivation or a file that older clients send as one string."""
MAXIMUM_COUNT = 1 << 24
"""Elements of a list, set or map."""
MAXIMUM_CHUNK = 1 << 30
"""A single frame: read piece by piece, never as a whole."""
_PIECE = 1 << 20
_PAD = b"\0" * 8
_PADS = tuple(_PAD[: -size % 8] for size in range(8))
_U64 = struct.Struct("<Q")
FRAME_SIZE = 64 * 1024
"""How much is gathered before a frame is sent."""


class Stream(Protocol):
    """A buffered binary stream: `read` gives all that was asked for, less only at the end."""

    def read(self, size: int, /) -> bytes: ...


class Sink(Protocol):
    """What is written may wait for `flush`."""

    def write(self, data: bytes, /) -> object: ...

    def flush(self) -> object: ...


class Reader:
    """Raises Disconnected where the stream ends too early, ProtocolError for what is malformed."""

    __slots__ = ("_read", "goodbye", "stream")

    def __init__(self, stream: Stream, goodbye: str = "unexpected end-of-file") -> None:
        self.stream = stream
        self._read = stream.read
        self.goodbye = goodbye

    def exactly(self, size: int) -> bytes:
        data = self._read(size)
        if len(data) != size:
            raise Disconnected(self.goodbye)
        return data

    def number(self) -> int:
        data = self._read(8)
        if len(data) != 8:
            raise Disconnected(self.goodbye)
        found: int = _U64.unpack(data)[0]
        return found

    def number_or_end(self) -> int | None:
        """None where the peer has hung up between two messages."""
        data = self._read(8)
        if not data:
            return None
        if len(data) != 8:
            raise Disconnected(self.goodbye)
        found: int = _U64.unpack(data)[0]
        return found

    def bounded(self, maximum: int, what: str) -> int:
        found = self.number()
        if found > maximum:
            raise ProtocolError(f"{what} {found} is out of range")
        return found

    def integer(self) -> int:
        """An unsigned integer of 32 bits."""
        return self.bounded(0xFFFFFFFF, "serialised integer")

    def signed(self) -> int:
        found = self.number()
        return found - (1 << 64) if found >= 1 << 63 else found

    def boolean(self) -> bool:
        return self.number() != 0

    def tag(self, maximum: int, what: str) -> int:
        """A small number that selects one of `maximum` + 1 cases."""
        found = self.number()
        if found > maximum:
            raise ProtocolError(f"Invalid {what}")
        return found

    def string(self, maximum: int = MAXIMUM_STRING) -> bytes:
        size = self.number()
        if size > maximum:
            raise ProtocolError("string is too long")
        if size <= _PIECE:
            padded = (size + 7) & ~7
            data = self._read(padded)
            if len(data) != padded:
                raise Disconnected(self.goodbye)
            if padded == size:
                return data
            if data[size:] != _PAD[: padded - size]:
                raise ProtocolError("non-zero padding")
            return data[:size]
        pieces = []
        left = size
        while left:
            piece = self.exactly(min(left, _PIECE))
            pieces.append(piece)
            left -= len(piece)
        rest = -size % 8
        if rest and self.exactly(rest) != _PAD[:rest]:
            raise ProtocolError("non-zero padding")
        return b"".join(pieces)

    def text(self, maximum: int = MAXIMUM_STRING) -> str:
        """A string as a file name or message: undecodable bytes are kept."""
        return self.string(maximum).decode("utf-8", "surrogateescape")

    def byte_text(self, maximum: int = MAXIMUM_STRING) -> str:
        """A string as a value of the language: one character a byte."""
        return self.string(maximum).decode("latin-1")

    def count(self) -> int:
        return self.bounded(MAXIMUM_COUNT, "number of elements")

    def texts(self) -> list[str]:
        return [self.text() for _ in range(self.count())]


class Writer:
    """Gathers small writes; what it writes to gets them in pieces of reasonable size, all at `flush`."""

    __slots__ = ("_pieces", "_size", "sink")
    LIMIT = 32 * 1024

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._pieces: list[bytes] = []
        self._size = 0

    def raw(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= self.LIMIT:
            self.push()

    def push(self) -> None:
        """Hands on what was gathered."""
        if self._pieces:
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
            self.sink.write(data)

    def flush(self) -> None:
        self.push()
        self.sink.flush()

    def forget(self) -> None:
        """Drops what was not handed on: the peer is gone."""
        self._pieces.clear()
        self._size = 0

    def number(self, value: int) -> None:
        self.raw(_U64.pack(value))

    def numbers(self, *values: int) -> None:
        self.raw(b"".join([_U64.pack(value) for value in values]))

    def signed(self, value: int) -> None:
        self.raw(_U64.pack(value & 0xFFFFFFFFFFFFFFFF))

    def boolean(self, value: bool) -> None:
        self.raw(_U64.pack(1 if value else 0))

    def string(self, data: bytes) -> None:
        size = len(data)
        if size < self.LIMIT:
            self.raw(_U64.pack(size) + data + _PADS[size & 7])
            return
        self.raw(_U64.pack(size))
        self.raw(data)
        if size & 7:
            self.raw(_PADS[size & 7])

    def text(self, text: str) -> None:
        self.string(text.encode("utf-8", "surrogateescape"))

    def byte_text(self, text: str) -> None:
        self.string(text.encode("latin-1"))

    def texts(self, texts: Iterable[str]) -> None:
        found = list(texts)
        self.number(len(found))
        for text in found:
            self.text(text)


class FramedReader:
    """The bytes of a framed stream; `read` gives what was asked for, less only at the end."""

    __slots__ = ("_ended", "_left", "_reader")

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._left = 0
        self._ended = False

    def read(self, size: int, /) -> bytes:
        pieces: list[bytes] = []
        wanted = size
        while wanted > 0 and self._more():
            piece = self._reader.exactly(min(wanted, self._left, _PIECE))
            self._left -= len(piece)
            wanted -= len(piece)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _more(self) -> bool:
        if self._left:
            return True
        if not self._ended:
            self._left = self._reader.bounded(MAXIMUM_CHUNK, "size of a frame")
            self._ended = self._left == 0
        return not self._ended

    def drain(self) -> int:
        """Skips to the end. How many bytes were left."""
        skipped = 0
        while data := self.read(_PIECE):
            skipped += len(data)
        return skipped


class FramedWriter:
    """Sends what is written as frames. `between` is called before each: to hear whether the peer has failed."""

    __slots__ = ("_between", "_pieces", "_size", "_writer")

    def __init__(self, writer: Writer, between: Callable[[], None] = lambda: None) -> None:
        self._writer = writer
        self._between = between
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, data: bytes, /) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= FRAME_SIZE:
            self.flush()

    def flush(self) -> None:
        if not self._size:
            return
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        self._between()
        self._writer.number(len(data))
        self._writer.raw(data)

    def finish(self) -> None:
        self.flush()
        self._writer.number(0)
        self._writer.flush()


class Input:
    """A file descriptor as a stream. `has_data`: whether reading would not wait."""

    __slots__ = ("_buffer", "_position", "descriptor")
    SIZE = 64 * 1024

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._buffer = b""
        self._position = 0

    def read(self, size: int, /) -> bytes:
        start = self._position
        end = start + size
        if end <= len(self._buffer):
            self._position = end
            return self._buffer[start:end]
        return self._read_more(size)

    def _read_more(self, size: int) -> bytes:
        pieces = [self._buffer[self._position :]]
        left = size - len(pieces[0])
        self._buffer, self._position = b"", 0
        while left > 0:
            data = os.read(self.descriptor, max(self.SIZE, min(left, _PIECE)))
            if not data:
                break
            if len(data) > left:
                pieces.append(data[:left])
                self._buffer, self._position = data, left
                break
            pieces.append(data)
            left -= len(data)
        return b"".join(pieces)

    @property
    def buffered(self) -> bool:
        return self._position < len(self._buffer)

    def has_data(self) -> bool:
        if self.buffered:
            return True
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        return bool(poll.poll(0))


class Output:
    """A file descriptor that is written to at once."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def write(self, data: bytes, /) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.descriptor, view) :]

    def flush(self) -> None:
        pass
