"""The compressors that squashfs knows, each bounded in what it gives: the bytes come from anywhere.

In: one compressed block and the most that may come of it. Out: its bytes; BadImage for anything else.
"""

from __future__ import annotations

import io

from frazil.portable.errors import BadImage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

COMPRESSORS = {1: "gzip", 2: "lzma", 3: "lzo", 4: "xz", 5: "lz4", 6: "zstd"}
_MEMORY = 64 << 20
"""Of a decoder: a dictionary is never larger than a block, which is 1 MiB at most."""


def unpacker(compressor: int) -> Callable[[bytes, int], bytes]:
    """Raises BadImage where it is not known."""
    found = _UNPACKERS.get(compressor)
    if found is None:
        name = COMPRESSORS.get(compressor)
        what = f"compressed with {name}" if name else f"compressed in an unknown way ({compressor})"
        raise BadImage(f"the squashfs is {what}, which cannot be read here", hint="make it with xz, zstd, gzip or lz4")
    return found


def _gzip(data: bytes, limit: int) -> bytes:
    import zlib

    decoder = zlib.decompressobj()
    try:
        result = decoder.decompress(data, limit)
    except zlib.error as error:
        raise BadImage(f"a block cannot be unpacked: {error}") from error
    return _whole(result, decoder.eof, limit)


def _lzma(data: bytes, limit: int) -> bytes:
    import lzma

    form = lzma.FORMAT_XZ if data[:1] == b"\xfd" else lzma.FORMAT_ALONE
    decoder = lzma.LZMADecompressor(form, memlimit=_MEMORY)
    try:
        # At least one byte more, or the decoder does not look at the stream's end.
        result = decoder.decompress(data, limit + 1)
    except lzma.LZMAError as error:
        raise BadImage(f"a block cannot be unpacked: {error}") from error
    return _whole(result, decoder.eof or form == lzma.FORMAT_ALONE, limit)


def _lz4(data: bytes, limit: int) -> bytes:
    import lz4.block  # type: ignore[import-untyped]

    try:
        return bytes(lz4.block.decompress(data, uncompressed_size=limit))
    except lz4.block.LZ4BlockError as error:
        raise BadImage(f"a block cannot be unpacked: {error}") from error


def _zstd(data: bytes, limit: int) -> bytes:
    import zstandard

    try:
        decoder = zstandard.ZstdDecompressor(max_window_size=8 << 20)
        with decoder.stream_reader(io.BytesIO(data)) as reader:
            result = reader.read(limit + 1)
    except zstandard.ZstdError as error:
        raise BadImage(f"a block cannot be unpacked: {error}") from error
    return _whole(result, True, limit)


def _whole(result: bytes, ended: bool, limit: int) -> bytes:
    if len(result) > limit or not ended:
        raise BadImage("a block is larger than blocks can be, or ends early")
    return result


_UNPACKERS: dict[int, Callable[[bytes, int], bytes]] = {1: _gzip, 2: _lzma, 4: _lzma, 5: _lz4, 6: _zstd}
