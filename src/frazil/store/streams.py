"""Turning who writes into who can be read from: archives pass between stores that give and stores that take.

In: a function that is given `write`. Out: `read`, as a file's. Memory: a few pieces at a time.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from frazil.store.errors import BadArchive

if TYPE_CHECKING:
    from frazil.store.nar import Read, Write

_PIECE = 1 << 18
_LARGEST = 2 * _PIECE
"""What is handed on as it is: who reads asks for so much, too, so that nothing is copied."""
_PIECES = 8
"""How many wait between the two threads."""


class _Abandoned(Exception):
    """The reader is gone."""


class _Pipe:
    def __init__(self, produce: Callable[[Write], object]) -> None:
        self._pieces: queue.Queue[bytes | None] = queue.Queue(_PIECES)
        self._produce = produce
        self._abandoned = False
        self._failure: BaseException | None = None
        self._held = memoryview(b"")
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._produce(self._write)
        except _Abandoned:
            pass
        except BaseException as error:  # told to the reader, in its own thread
            self._failure = error
        finally:
            if not self._abandoned:
                self._pieces.put(None)

    def _write(self, data: bytes) -> None:
        whole = len(data) <= _LARGEST
        for start in range(0, len(data), _LARGEST):
            if self._abandoned:
                raise _Abandoned
            self._pieces.put(data if whole else data[start : start + _LARGEST])

    def read(self, size: int) -> bytes:
        while not self._held:
            if self._ended:
                return b""
            piece = self._pieces.get()
            if piece is None:
                self._ended = True
                if self._failure is not None:
                    raise self._failure
                return b""
            if 0 < len(piece) <= size:
                return piece
            self._held = memoryview(piece)
        data, self._held = bytes(self._held[:size]), self._held[size:]
        return data

    def close(self) -> None:
        """Ends the producer, wherever it is."""
        self._abandoned = True
        while self._thread.is_alive():
            try:
                self._pieces.get_nowait()
            except queue.Empty:
                self._thread.join(0.01)


@contextmanager
def reading(produce: Callable[[Write], object]) -> Iterator[Read]:
    """What `produce` writes, to be read; it runs in a thread of its own. Its errors are raised by `read`."""
    pipe = _Pipe(produce)
    try:
        yield pipe.read
    finally:
        pipe.close()


def read_chunks(chunks: Iterator[bytes]) -> Read:
    """A `read` function over pieces of any size."""
    held = memoryview(b"")

    def read(size: int) -> bytes:
        nonlocal held
        while not held:
            data = next(chunks, None)
            if data is None:
                return b""
            if 0 < len(data) <= size:
                return data
            held = memoryview(data)
        if size >= len(held):
            data, held = bytes(held), memoryview(b"")
        else:
            data, held = bytes(held[:size]), held[size:]
        return data

    return read


def read_all(read: Read, maximum: int, what: str) -> bytes:
    """Everything, where it is not more than `maximum` bytes. Raises BadArchive."""
    pieces, total = [], 0
    while data := read(min(_PIECE, maximum + 1 - total)):
        pieces.append(data)
        total += len(data)
        if total > maximum:
            raise BadArchive(f"{what} is larger than {maximum} bytes")
    return b"".join(pieces)


def read_up_to(read: Read, size: int) -> bytes:
    """So many bytes, or fewer where the stream ends before."""
    data = read(size)
    while 0 < len(data) < size:
        more = read(size - len(data))
        if not more:
            break
        data += more
    return data


def after(data: bytes, read: Read) -> Read:
    """A `read` function that gives `data` first."""
    held = data

    def both(size: int) -> bytes:
        nonlocal held
        if not held:
            return read(size)
        some, held = held[:size], held[size:]
        return some

    return both
