"""Each compressor gives what was packed, and never more than it may."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable

import lz4.block
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from frazil.portable.errors import BadImage
from frazil.portable.unpacking import unpacker

LIMIT = 8192
PACKERS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "gzip": (1, zlib.compress),
    "lzma": (2, lambda data: lzma.compress(data, lzma.FORMAT_ALONE)),
    "xz": (4, lambda data: lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32)),
    "lz4": (5, lambda data: bytes(lz4.block.compress(data, store_size=False))),
    "zstd": (6, zstandard.ZstdCompressor().compress),
    "zstd without its length": (6, zstandard.ZstdCompressor(write_content_size=False).compress),
}
each = pytest.mark.parametrize("name", PACKERS)


@each
@given(data=st.binary(max_size=LIMIT) | st.builds(lambda n: b"ab" * n, st.integers(0, LIMIT // 2)))
def test_round_trip(name: str, data: bytes) -> None:
    number, pack = PACKERS[name]
    assert unpacker(number)(pack(data), LIMIT) == data


@each
@pytest.mark.parametrize("size", [LIMIT + 1, 50 << 20])
def test_bombs(name: str, size: int) -> None:
    number, pack = PACKERS[name]
    with pytest.raises(BadImage):
        unpacker(number)(pack(bytes(size)), LIMIT)


@each
def test_cut_off(name: str) -> None:
    number, pack = PACKERS[name]
    data = bytes(range(256)) * 30
    packed = pack(data)
    try:
        result = unpacker(number)(packed[: len(packed) // 2], LIMIT)
    except BadImage:
        return
    # Not every form tells where it ends; the reader compares lengths.
    assert len(result) < len(data)


@each
@given(data=st.binary(max_size=300))
def test_anything(name: str, data: bytes) -> None:
    number, pack = PACKERS[name]
    for text in (data, pack(b"x" * 100)[:20] + data):
        try:
            assert len(unpacker(number)(text, LIMIT)) <= LIMIT
        except BadImage:
            pass


def test_a_frame_that_lies_about_its_length() -> None:
    packed = zstandard.ZstdCompressor().compress(bytes(1 << 20))
    with pytest.raises(BadImage):
        unpacker(6)(packed, LIMIT)


@pytest.mark.parametrize(("number", "message"), [(3, "compressed with lzo"), (7, r"unknown way \(7\)"), (0, r"\(0\)")])
def test_what_is_not_known(number: int, message: str) -> None:
    with pytest.raises(BadImage, match=message):
        unpacker(number)
