"""Compressed streams: what binary caches hold, and `Content-Encoding`.

In: pieces of bytes, always treated as hostile when unpacking. Out: pieces of bounded size, whatever the ratio. Source
of truth: the manual's binary cache settings `compression`, `compression-level`, `parallel-compression`.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from frazil.errors import UsageError
from frazil.store.errors import FormatError, StoreError

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from frazil.store.nar import Read, Write

CHUNK = 1 << 18
_thread = threading.local()
"""An unpacker for each thread: making one takes longer than unpacking a small text."""
_BROTLI_PIECE = 1 << 14
_ZSTD_FRAME = 16 << 20
_ZSTD_THREADS = 4
_XZ_BLOCK = 24 << 20
"""Bytes of input that one thread packs, where several pack one stream."""
KNOWN = frozenset(
    ("none", "br", "bzip2", "compress", "grzip", "gzip", "lrzip", "lz4", "lzip", "lzma", "lzop", "xz", "zstd")
)
"""Names that mean something; which of them can be handled, `SUPPORTED` tells."""
SUPPORTED = frozenset(("none", "br", "bzip2", "gzip", "lz4", "lzip", "lzma", "xz", "zstd"))
ENDINGS = {"xz": ".xz", "bzip2": ".bz2", "zstd": ".zst", "lzip": ".lzip", "lz4": ".lz4", "br": ".br"}


def check_known(name: str) -> str:
    """Raises UsageError for a name that is no compression method, or one that is not supported."""
    name = {"brotli": "br"}.get(name, name)
    if name not in KNOWN:
        raise UsageError(f"unknown compression method '{name}'", hint="known methods: " + ", ".join(sorted(SUPPORTED)))
    if name not in SUPPORTED:
        raise UsageError(
            f"failed to initialize compression: method '{name}' is not supported",
            hint="supported: " + ", ".join(sorted(SUPPORTED)),
        )
    return name


# --------------------------------------------------------------------------------------------------------- unpacking


def decompressed(read: Read, method: str, what: str = "a compressed stream") -> Iterator[bytes]:
    """The unpacked bytes of a stream. Raises FormatError where it is damaged or cut off; `what` names it."""
    if method in ("none", ""):
        return _plain(read)
    opener = _UNPACKERS.get({"brotli": "br"}.get(method, method))
    if opener is None:
        raise StoreError(f"cannot unpack {what}: compression method '{method}' is not supported")
    return _translated(opener(read), what)


def _translated(pieces: Iterator[bytes], what: str) -> Iterator[bytes]:
    try:
        yield from pieces
    except _Damaged as error:
        raise FormatError(f"{what} is damaged: {error}") from error.__cause__


class _Damaged(Exception):
    pass


_CUT_OFF = "unexpected end of the compressed data"


def _plain(read: Read) -> Iterator[bytes]:
    while data := read(CHUNK):
        yield data


def _members(read: Read, make: Callable[[], Any], failures: tuple[type[Exception], ...]) -> Iterator[bytes]:
    """For decompressors with `decompress(data, max_length)`, `eof`, `unused_data`; streams may follow each other."""
    held, any_member = b"", False
    while True:
        data = held or read(CHUNK)
        held = b""
        if not data:
            if not any_member:
                raise _Damaged(_CUT_OFF)
            return
        any_member = True
        unpacker = make()
        while True:
            try:
                piece = unpacker.decompress(data, CHUNK)
            except failures as error:
                raise _Damaged(str(error) or "bad data") from error
            if piece:
                yield piece
            if unpacker.eof:
                held = unpacker.unused_data.lstrip(b"\0") if failures else unpacker.unused_data
                break
            data = b""
            if unpacker.needs_input:
                data = read(CHUNK)
                if not data and not piece:  # else there may be more to come of what it has
                    raise _Damaged(_CUT_OFF)


def _xz(read: Read) -> Iterator[bytes]:
    import lzma

    return _members(read, lambda: lzma.LZMADecompressor(memlimit=1 << 31), (lzma.LZMAError, EOFError))


def _bzip2(read: Read) -> Iterator[bytes]:
    import bz2

    return _members(read, bz2.BZ2Decompressor, (OSError, ValueError, EOFError))


class _Zlib:
    """zlib's object with the methods of the others."""

    def __init__(self) -> None:
        import zlib

        self._inner = zlib.decompressobj(31)
        self._fresh = True

    def decompress(self, data: bytes, size: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, size)

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


def _gzip(read: Read) -> Iterator[bytes]:
    import zlib

    return _members(read, _Zlib, (zlib.error,))


def _lz4(read: Read) -> Iterator[bytes]:
    import lz4.frame  # type: ignore[import-untyped]

    class Member:
        def __init__(self) -> None:
            self._inner = lz4.frame.LZ4FrameDecompressor()

        def decompress(self, data: bytes, size: int) -> bytes:
            found: bytes = self._inner.decompress(data, max_length=size)
            return found

        @property
        def needs_input(self) -> bool:
            return bool(self._inner.needs_input)

        @property
        def eof(self) -> bool:
            return bool(self._inner.eof)

        @property
        def unused_data(self) -> bytes:
            return self._inner.unused_data or b""

    return _members(read, Member, (RuntimeError, ValueError, EOFError))


class _Raw:
    """What the library calls a source: something with `read`."""

    __slots__ = ("read",)

    def __init__(self, read: Read) -> None:
        self.read = read


def unpack_small(data: bytes, method: str, size: int) -> bytes | None:
    """A whole compressed text at once, where that is quicker than as a stream and it comes to `size` bytes; else None:
    then the stream tells why."""
    if method != "zstd":
        return None
    import zstandard

    unpacker = getattr(_thread, "zstd", None)
    if unpacker is None:
        unpacker = _thread.zstd = zstandard.ZstdDecompressor()
    try:
        if zstandard.frame_content_size(data) not in (size, -1):  # that much would be allocated, whatever it is
            return None
        found: bytes = unpacker.decompress(data, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError:
        return None
    return found if len(found) == size else None


def _zstd(read: Read) -> Iterator[bytes]:
    import zstandard

    checker = _ZstdFrames()
    unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 31)
    reader = unpacker.stream_reader(_Raw(checker.watch(read)), read_size=CHUNK, read_across_frames=True)  # type: ignore[arg-type]
    try:
        while data := reader.read(CHUNK):
            yield data
    except zstandard.ZstdError as error:
        raise _Damaged(str(error)) from error
    if not checker.complete():
        raise _Damaged(_CUT_OFF)


class _ZstdFrames:
    """Whether a stream ends where a frame does, which the library's reader does not tell."""

    def __init__(self) -> None:
        self._held = b""
        self._skip = 0
        self._state = "magic"
        self._checksum = 0
        self._any = False

    def watch(self, read: Read) -> Read:
        def watched(size: int) -> bytes:
            data = read(size)
            self._any = self._any or bool(data)
            self._feed(data)
            return data

        return watched

    def _feed(self, data: bytes) -> None:
        if self._skip >= len(data):
            self._skip -= len(data)
            return
        self._held += data[self._skip :]
        self._skip = 0
        while (step := self._step()) is not None:
            if step > len(self._held):
                self._skip = step - len(self._held)
                self._held = b""
                return
            self._held = self._held[step:]

    def _step(self) -> int | None:
        """How many bytes what comes next takes; None where more is needed to tell."""
        held = self._held
        if self._state == "magic":
            if len(held) < 5:
                return None
            if held[1:4] == b"\x2a\x4d\x18":
                return None if len(held) < 8 else 8 + int.from_bytes(held[4:8], "little")
            flags = held[4]
            size = (0 if flags & 0x20 else 1) + (0, 1, 2, 4)[flags & 3]
            size += (1 if flags & 0x20 else 0, 2, 4, 8)[flags >> 6]
            self._checksum = 4 if flags & 4 else 0
            self._state = "block"
            return 5 + size
        if len(held) < 3:
            return None
        header = int.from_bytes(held[:3], "little")
        size = 1 if (header >> 1) & 3 == 1 else header >> 3
        if header & 1:
            self._state = "magic"
            size += self._checksum
        return 3 + size

    def complete(self) -> bool:
        return self._any and self._state == "magic" and not self._held and not self._skip


def _brotli(read: Read) -> Iterator[bytes]:
    import brotli  # type: ignore[import-untyped]

    unpacker = brotli.Decompressor()
    limit = {"output_buffer_limit": CHUNK} if hasattr(unpacker, "can_accept_more_data") else {}
    try:
        while not unpacker.is_finished():
            data = read(_BROTLI_PIECE) if not limit or unpacker.can_accept_more_data() else b""
            piece = unpacker.process(data, **limit)
            if piece:
                yield piece
            elif not data and not unpacker.is_finished():
                raise _Damaged(_CUT_OFF)
    except brotli.error as error:
        raise _Damaged(str(error)) from error


def _lzip(read: Read) -> Iterator[bytes]:
    """Members of header, raw LZMA and trailer."""
    import lzma

    held = b""
    first = True
    while True:
        while len(held) < 6 and (data := read(CHUNK)):
            held += data
        if not held and not first:
            return
        if len(held) < 6 or held[:4] != b"LZIP" or held[4] != 1:
            raise _Damaged("not an lzip member")
        first = False
        size = 1 << (held[5] & 0x1F)
        size -= (size // 16) * (held[5] >> 5)
        if not 1 << 12 <= size <= 1 << 29:
            raise _Damaged("bad dictionary size")
        filters = [{"id": lzma.FILTER_LZMA1, "dict_size": size, "lc": 3, "lp": 0, "pb": 2}]
        held, trailer, total, crc = held[6:], b"", 0, 0
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
        import zlib

        while not unpacker.eof:
            if unpacker.needs_input and not held:
                held = read(CHUNK)
                if not held:
                    raise _Damaged(_CUT_OFF)
            try:
                piece = unpacker.decompress(held, CHUNK)
            except lzma.LZMAError as error:
                raise _Damaged(str(error)) from error
            held = b""
            total += len(piece)
            crc = zlib.crc32(piece, crc)
            if piece:
                yield piece
        trailer = unpacker.unused_data
        while len(trailer) < 20 and (data := read(CHUNK)):
            trailer += data
        if len(trailer) < 20:
            raise _Damaged(_CUT_OFF)
        if int.from_bytes(trailer[:4], "little") != crc or int.from_bytes(trailer[4:12], "little") != total:
            raise _Damaged("wrong checksum")
        held = trailer[20:]


_UNPACKERS: dict[str, Callable[[Read], Iterator[bytes]]] = {
    "xz": _xz,
    "lzma": _xz,
    "bzip2": _bzip2,
    "gzip": _gzip,
    "zstd": _zstd,
    "br": _brotli,
    "lz4": _lz4,
    "lzip": _lzip,
}


# ----------------------------------------------------------------------------------------------------------- packing


class _Packer(Protocol):
    """As the standard library's compressor objects."""

    def compress(self, data: bytes) -> bytes: ...

    def flush(self) -> bytes: ...


class Compressor:
    """`write` pieces, then `finish`; what comes out goes to `write_out`."""

    def __init__(self, method: str, write_out: Write, *, level: int = -1, parallel: bool = False) -> None:
        """`level`: the method's own scale, -1 for its default. Raises UsageError."""
        self._out = write_out
        self._packer = _packer(check_known(method), level, parallel)

    def write(self, data: bytes) -> None:
        packed = self._packer.compress(data)
        if packed:
            self._out(packed)

    def finish(self) -> None:
        packed = self._packer.flush()
        if packed:
            self._out(packed)


def compress(data: bytes, method: str, *, level: int = -1) -> bytes:
    pieces: list[bytes] = []
    packer = Compressor(method, pieces.append, level=level)
    packer.write(data)
    packer.finish()
    return b"".join(pieces)


class _None:
    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


class _Zstd:
    """Frames of 16 MiB of input that follow each other, each with its size in front: what Nix writes.

    `parallel`: several are packed at once, each by one thread, while what comes next is gathered and hashed already.
    """

    def __init__(self, level: int, parallel: bool) -> None:
        self._level = level
        self._threads = min(len(os.sched_getaffinity(0)), _ZSTD_THREADS) if parallel else 0
        self._helpers: ThreadPoolExecutor | None = None
        self._under_way: deque[tuple[Future[bytes], bytearray]] = deque()
        self._held = bytearray()
        self._size = 0
        """How much of `_held` is waiting; it keeps its size, since getting so much memory anew takes long."""
        self._free: list[bytearray] = []
        self._any = False
        self._local = threading.local()

    def _pack(self, held: bytearray, size: int) -> bytes:
        import zstandard

        inner = getattr(self._local, "inner", None)
        if inner is None:
            inner = self._local.inner = zstandard.ZstdCompressor(level=self._level)
        packed: bytes = inner.compress(memoryview(held)[:size])
        return packed

    def _frame(self) -> bytes:
        packed = self._pack(self._held, self._size)
        self._size, self._any = 0, True
        return packed

    def _next_frame(self) -> bytes:
        """What has become of one before, where as many are under way as may be."""
        if not self._threads:
            return self._frame()
        if self._helpers is None:
            from concurrent.futures import ThreadPoolExecutor

            self._helpers = ThreadPoolExecutor(self._threads, thread_name_prefix="zstd")
        self._under_way.append((self._helpers.submit(self._pack, self._held, self._size), self._held))
        packed = self._oldest() if len(self._under_way) > self._threads else b""
        self._held = self._free.pop() if self._free else bytearray()
        self._size, self._any = 0, True
        return packed

    def _oldest(self) -> bytes:
        future, held = self._under_way.popleft()
        self._free.append(held)
        return future.result()

    def _hold(self, data: memoryview) -> None:
        end = self._size + len(data)
        if end <= len(self._held):
            self._held[self._size : end] = data
        else:
            self._held[self._size :] = data
        self._size = end

    def compress(self, data: bytes) -> bytes:
        rest, packed = memoryview(data), []
        while len(rest) >= _ZSTD_FRAME - self._size:
            room = _ZSTD_FRAME - self._size
            self._hold(rest[:room])
            rest = rest[room:]
            packed.append(self._next_frame())
        self._hold(rest)
        return packed[0] if len(packed) == 1 else b"".join(packed)

    def flush(self) -> bytes:
        packed = b"".join([self._oldest() for _ in range(len(self._under_way))])
        if self._helpers is not None:
            self._helpers.shutdown()
            self._helpers = None
        return packed + self._frame() if self._size or not self._any else packed


class _Brotli:
    def __init__(self, level: int) -> None:
        import brotli

        self._inner = brotli.Compressor(quality=level)

    def compress(self, data: bytes) -> bytes:
        packed: bytes = self._inner.process(data)
        return packed

    def flush(self) -> bytes:
        packed: bytes = self._inner.finish()
        return packed


class _Lz4:
    def __init__(self, level: int) -> None:
        import lz4.frame

        self._inner = lz4.frame.LZ4FrameCompressor(compression_level=level)
        self._head: bytes = self._inner.begin()

    def compress(self, data: bytes) -> bytes:
        packed: bytes = self._head + self._inner.compress(data)
        self._head = b""
        return packed

    def flush(self) -> bytes:
        packed: bytes = self._head + self._inner.flush()
        return packed


class _Lzip:
    def __init__(self, level: int) -> None:
        import lzma
        import zlib

        self._crc32 = zlib.crc32
        self._inner = lzma.LZMACompressor(
            lzma.FORMAT_RAW,
            filters=[{"id": lzma.FILTER_LZMA1, "preset": level, "dict_size": 1 << 23, "lc": 3, "lp": 0, "pb": 2}],
        )
        self._head = b"LZIP\x01" + bytes([23])
        self._crc = self._size = 0
        self._packed = 26

    def compress(self, data: bytes) -> bytes:
        self._crc = self._crc32(data, self._crc)
        self._size += len(data)
        packed = self._inner.compress(data)
        self._packed += len(packed)
        packed, self._head = self._head + packed, b""
        return packed

    def flush(self) -> bytes:
        packed = self._inner.flush()
        self._packed += len(packed)
        sizes = self._size.to_bytes(8, "little") + self._packed.to_bytes(8, "little")
        return self._head + packed + self._crc.to_bytes(4, "little") + sizes


class _ParallelXz:
    """Blocks packed by several threads, as streams that follow each other."""

    def __init__(self, level: int) -> None:
        from concurrent.futures import ThreadPoolExecutor

        threads = len(os.sched_getaffinity(0))
        self._level = level
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="xz")
        self._waiting: list[Future[bytes]] = []
        self._most = threads + 1
        self._pieces: list[bytes] = []
        self._size = 0
        self._any = False

    def _pack(self, data: bytes) -> bytes:
        import lzma

        return lzma.compress(data, preset=self._level)

    def _submit(self) -> None:
        self._waiting.append(self._pool.submit(self._pack, b"".join(self._pieces)))
        self._pieces, self._size, self._any = [], 0, True

    def compress(self, data: bytes) -> bytes:
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= _XZ_BLOCK:
            self._submit()
        return self._waiting.pop(0).result() if len(self._waiting) > self._most else b""

    def flush(self) -> bytes:
        if self._pieces or not self._any:
            self._submit()
        packed = b"".join([future.result() for future in self._waiting])
        self._pool.shutdown()
        return packed


_LEVELS = {"xz": 6, "lzma": 6, "lzip": 6, "bzip2": 9, "gzip": 6, "zstd": 3, "br": 11, "lz4": 0}
_RANGES = {
    "xz": (0, 9),
    "lzma": (0, 9),
    "lzip": (0, 9),
    "bzip2": (1, 9),
    "gzip": (0, 9),
    "zstd": (-131072, 22),
    "br": (0, 11),
    "lz4": (-65536, 16),
}


def _packer(method: str, level: int, parallel: bool) -> _Packer:
    if method == "none":
        return _None()
    if level == -1:
        level = _LEVELS[method]
    low, high = _RANGES[method]
    if not low <= level <= high:
        raise UsageError(f"compression level {level} is not one of '{method}'", hint=f"say {low} to {high}")
    if method in ("xz", "lzma"):
        import lzma

        if method == "xz" and parallel:
            return _ParallelXz(level)
        form = lzma.FORMAT_XZ if method == "xz" else lzma.FORMAT_ALONE
        return lzma.LZMACompressor(form, preset=level)
    if method == "bzip2":
        import bz2

        return bz2.BZ2Compressor(level)
    if method == "gzip":
        import zlib

        return zlib.compressobj(level, wbits=31)
    if method == "zstd":
        return _Zstd(level, parallel)
    if method == "br":
        return _Brotli(level)
    return _Lz4(level) if method == "lz4" else _Lzip(level)
