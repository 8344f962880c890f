"""Where the bytes of an image pass: counted, hashed, compressed, all without holding more than a few blocks.

gzip is made of pieces of 1 MiB, compressed by several threads and joined into one member, so the result does not depend
on how many threads there were; what compresses a piece is zlib, or what the caller gives (`Deflate`). zstd comes from
the library or the program, whichever is there, as one frame.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections import deque
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, Protocol

from .errors import OciError
from .zstd_frames import Reader, WholeFrames

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

Write = Callable[[bytes], object]
Deflate = Callable[[bytes, bytes, bool], bytes]
"""Of a piece, what lies before it (at most 32 KiB count), and whether it is the last: blocks that end with a byte."""
PIECE = 1 << 20
_SMALL = 8
_GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_WINDOW = 1 << 15
GZIP_LEVEL = 6
ZSTD_LEVEL = 9
EXTENSIONS = {"gz": ".gz", "zstd": ".zst", "none": ""}
LAYER_MEDIA = {
    "gz": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "none": "application/vnd.oci.image.layer.v1.tar",
}


class Meter:
    """Counts and hashes what passes on to `write`."""

    __slots__ = ("_hash", "_next", "size")

    def __init__(self, write: Write | None = None) -> None:
        self._hash = hashlib.sha256()
        self._next = write
        self.size = 0

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)
        if self._next is not None:
            self._next(data)

    @property
    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()


class Hasher:
    """A `Meter` for much data: gathers it to large blocks, which a thread of its own hashes while the next are read.
    `finish` before anything is asked; at any end `close`."""

    def __init__(self, write: Write) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._write = write
        self._pool = ThreadPoolExecutor(1)
        self._pending: deque[Future[None]] = deque()
        self._parts: list[bytes] = []
        self._held = 0
        self._hash = hashlib.sha256()
        self.size = 0

    def start(self) -> None:
        """Begins to count and hash anew; what came before is written."""
        self.finish()
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        self._parts.append(data)
        self._held += len(data)
        if self._held >= PIECE:
            self._flush()

    def _flush(self) -> None:
        block = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts, self._held = [], 0
        self.size += len(block)
        self._pending.append(self._pool.submit(self._hash.update, block))
        self._write(block)
        while len(self._pending) > 4:
            self._pending.popleft().result()

    def finish(self) -> None:
        if self._parts:
            self._flush()
        while self._pending:
            self._pending.popleft().result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()


class Compressor(Protocol):
    def write(self, data: bytes) -> object: ...
    def finish(self) -> None: ...
    def abandon(self) -> None: ...


class Plain:
    def __init__(self, write: Write) -> None:
        self.write = write

    def finish(self) -> None: ...

    def abandon(self) -> None: ...


class Gzip:
    """One gzip member without name or time, or with `small_start` a member of 8 bytes and then one: some container
    programs (Podman 4.3 of Debian 12) lose what stands behind the first 8 bytes in the first block of an archive.
    """

    def __init__(
        self, write: Write, threads: int = 1, deflate: Deflate | None = None, *, small_start: bool = False
    ) -> None:
        self._write = write
        self._deflate = deflate or zlib_deflate
        self._buffer: list[bytes] = []
        self._held = 0
        self._window = b""
        self._crc = 0
        self._size = 0
        self._pool: ThreadPoolExecutor | None = None
        if threads > 1:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(threads)
        self._room = 2 * threads
        self._running: deque[Future[bytes]] = deque()
        self._start: bytes | None = b"" if small_start else None
        write(_GZIP_HEADER)

    def _first(self, data: bytes) -> bytes:
        """Ends the small member as soon as it is whole; what is left of `data`."""
        assert self._start is not None
        start = self._start + data[: _SMALL - len(self._start)]
        rest = data[len(start) - len(self._start) :]
        self._start = start
        if len(start) == _SMALL:
            self._start = None
            self._write(self._deflate(start, b"", True) + struct.pack("<II", zlib.crc32(start), _SMALL))
            self._write(_GZIP_HEADER)
        return rest

    def write(self, data: bytes) -> None:
        if self._start is not None:
            data = self._first(data)
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        self._buffer.append(data)
        self._held += len(data)
        if self._held >= PIECE:
            whole = b"".join(self._buffer)
            start = 0
            while len(whole) - start >= PIECE:
                self._piece(whole[start : start + PIECE], last=False)
                start += PIECE
            self._buffer = [whole[start:]]
            self._held = len(whole) - start

    def _piece(self, data: bytes, *, last: bool) -> None:
        window, self._window = self._window, data[-_WINDOW:]
        if self._pool is None:
            self._write(self._deflate(data, window, last))
            return
        self._running.append(self._pool.submit(self._deflate, data, window, last))
        while len(self._running) > self._room:
            self._write(self._running.popleft().result())

    def finish(self) -> None:
        if self._start:  # less than 8 bytes in all
            start, self._start = self._start, None
            self.write(start)
        self._piece(b"".join(self._buffer), last=True)
        while self._running:
            self._write(self._running.popleft().result())
        self._write(struct.pack("<II", self._crc, self._size & 0xFFFFFFFF))
        if self._pool is not None:
            self._pool.shutdown()

    def abandon(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def zlib_deflate(data: bytes, window: bytes, last: bool) -> bytes:
    # The dictionary is what comes before: pieces compress nearly as well as the whole.
    if window:
        packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, -15, 8, zlib.Z_DEFAULT_STRATEGY, window)
    else:
        packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, -15, 8)
    return packer.compress(data) + packer.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)


class ZstdLibrary:
    def __init__(self, write: Write, level: int = ZSTD_LEVEL) -> None:
        import zstandard

        self._write = write
        self._packer = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()

    def write(self, data: bytes) -> None:
        if packed := self._packer.compress(data):
            self._write(packed)

    def finish(self) -> None:
        self._write(self._packer.flush())

    def abandon(self) -> None: ...


class ZstdProgram:
    """The program `zstd`, which must be on PATH; a thread of its own reads what it makes."""

    def __init__(self, write: Write, level: int = ZSTD_LEVEL) -> None:
        import subprocess
        import threading

        try:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                ["zstd", "-q", "-c", "--single-thread", f"-{level}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        except FileNotFoundError:
            raise OciError("the program zstd is not there", "install it, or choose gz or none") from None
        self._output = write
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._copy)
        self._thread.start()

    def _copy(self) -> None:
        source: IO[bytes] | None = self._process.stdout
        assert source is not None
        try:
            while chunk := source.read(1 << 16):
                self._output(chunk)
        except BaseException as error:
            self._failure = error
            source.close()

    def write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except BrokenPipeError:
            self._end()
            raise OciError("the program zstd ended early") from None

    def _end(self) -> int:
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._thread.join()
        status = self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._failure is not None:
            raise self._failure
        return status

    def finish(self) -> None:
        if status := self._end():
            raise OciError(f"the program zstd failed with status {status}")

    def abandon(self) -> None:
        self._process.kill()
        self._end()


def compressor(
    kind: str, write: Write, threads: int = 1, deflate: Deflate | None = None, *, small_start: bool = False
) -> Compressor:
    """`kind`: gz, zstd or none. `small_start`: see Gzip."""
    if kind == "gz":
        return Gzip(write, threads, deflate, small_start=small_start)
    if kind == "zstd":
        try:
            return ZstdLibrary(write)
        except ImportError:
            return ZstdProgram(write)
    if kind == "none":
        return Plain(write)
    raise OciError(f"the compressor '{kind}' is not known", "there are gz, zstd and none")


def is_bzip2(start: bytes) -> bool:
    """By six bytes: a block's beginning or the end of an empty stream follows the level."""
    return start[:3] == b"BZh" and b"1" <= start[3:4] <= b"9" and start[4:6] in (b"1A", b"\x17r")


def kind_of(path: str) -> str:
    """How a file is compressed: gz, zstd, bzip2, xz or none."""
    with open(path, "rb") as file:
        return Decompressed(file).kind


class Decompressed:
    """A stream of what `source` holds, compressed or not: told by its first bytes. At most `limit` bytes come out."""

    def __init__(self, source: Reader, limit: int | None = None) -> None:
        start = _exactly(source, 6)
        self._source: Reader = _Rest(start, source)
        self._left = limit
        self._buffer = b""
        self._done = False
        self._unpack: Any = None
        if start[:2] == b"\x1f\x8b":
            self.kind = "gz"
        elif start[:4] == b"\x28\xb5\x2f\xfd":
            self.kind = "zstd"
            self._source = _zstd_reader(WholeFrames(self._source))
        elif is_bzip2(start):
            import bz2

            self.kind, self._unpack = "bzip2", bz2.BZ2Decompressor
        elif start == b"\xfd7zXZ\0":
            import lzma

            self.kind, self._unpack = "xz", lzma.LZMADecompressor
        else:
            self.kind = "none"
        if self.kind == "gz":
            self._unpack = lambda: zlib.decompressobj(31)
        self._current: Any = None

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes, fewer only at the end."""
        parts: list[bytes] = []
        wanted = size if size >= 0 else 1 << 62
        while wanted > 0:
            if not self._buffer:
                self._buffer = self._more(min(wanted, 1 << 18))
                if not self._buffer:
                    break
            parts.append(self._buffer[:wanted])
            self._buffer = self._buffer[wanted:]
            wanted -= len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _more(self, size: int) -> bytes:
        if self._done:
            return b""
        data = self._source.read(size) if self._unpack is None else self._unpacked(size)
        if not data:
            self._done = True
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise OciError("the image unpacks to more than was announced or allowed")
        return data

    def _unpacked(self, size: int) -> bytes:
        while True:
            packed = b""
            if self._current is None:
                packed = self._source.read(1 << 16)
                if not packed:
                    return b""
                self._current = self._unpack()
            elif self._needs_input():
                packed = self._source.read(1 << 16)
                if not packed:
                    raise OciError("the compressed data ends early")
            try:
                data = self._feed(packed, size)
            except (OSError, EOFError, zlib.error, ValueError) as error:
                raise OciError(f"the compressed data is damaged: {error}") from None
            if self._current.eof:
                self._source = _Rest(self._current.unused_data, self._source)
                self._current = None
            if data:
                return data

    def _needs_input(self) -> bool:
        if self.kind == "gz":
            return not self._current.unconsumed_tail
        return bool(self._current.needs_input)

    def _feed(self, packed: bytes, size: int) -> bytes:
        if self.kind == "gz":
            return bytes(self._current.decompress(self._current.unconsumed_tail + packed, size))
        return bytes(self._current.decompress(packed, size))


def _zstd_reader(source: Reader) -> Reader:
    try:
        import zstandard
    except ImportError:
        return _program_reader(source)
    unpacker: Any = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    reader: Reader = unpacker.stream_reader(source, read_across_frames=True)
    return _Guarded(reader, zstandard.ZstdError)


class _Guarded:
    def __init__(self, source: Reader, error: type[Exception]) -> None:
        self._source, self._error = source, error

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._source.read(size)
        except self._error as error:
            raise OciError(f"the compressed data is damaged: {error}") from None


def _program_reader(source: Reader) -> Reader:
    """`zstd -d` fed by a thread."""
    import subprocess
    import threading

    try:
        process = subprocess.Popen(["zstd", "-qdc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except FileNotFoundError:
        raise OciError("the program zstd is not there") from None

    failures: list[BaseException] = []

    def feed() -> None:
        assert process.stdin is not None
        try:
            with process.stdin as sink:
                while chunk := source.read(1 << 16):
                    sink.write(chunk)
        except BrokenPipeError:
            pass  # its status says why
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    return _Program(process, thread, failures)


class _Program:
    """`failures`: of reading what the program is given."""

    def __init__(self, process: Any, thread: Any, failures: list[BaseException]) -> None:
        self._process, self._thread, self._failures = process, thread, failures

    def read(self, size: int = -1, /) -> bytes:
        if self._process.stdout.closed:
            return b""
        data: bytes = self._process.stdout.read(size)
        if not data and size:
            self._thread.join()
            status = self._process.wait()
            self._process.stdout.close()
            if self._failures:
                raise self._failures[0]
            if status:
                raise OciError("the compressed data is damaged")
        return data


class _Rest:
    """Bytes already read, then the rest of their stream."""

    def __init__(self, start: bytes, source: Reader) -> None:
        self._start, self._source = start, source

    def read(self, size: int = -1, /) -> bytes:
        if self._start:
            part = self._start if size < 0 else self._start[:size]
            self._start = self._start[len(part) :]
            return part
        return self._source.read(size)


def _exactly(source: Reader, size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0 and (part := source.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
