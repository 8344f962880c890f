"""Compressed streams: round trips, damage, and bombs."""

from __future__ import annotations

import hashlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frazil.errors import UsageError
from frazil.store.compression import CHUNK, SUPPORTED, Compressor, check_known, compress, decompressed, unpack_small
from frazil.store.errors import FormatError, StoreError

METHODS = sorted(SUPPORTED - {"none"})
data = st.one_of(st.binary(max_size=300), st.integers(0, 700_000).map(lambda n: b"frazil " * (n // 7)))


def unpack(packed: bytes, method: str, step: int = 1 << 18) -> bytes:
    file = io.BytesIO(packed)
    return b"".join(decompressed(lambda size: file.read(min(size, step)), method))


@settings(max_examples=30, deadline=None)
@given(data, st.sampled_from(sorted(SUPPORTED)), st.sampled_from([1, 7, 1000, 1 << 18]))
def test_round_trip(contents: bytes, method: str, step: int) -> None:
    assert unpack(compress(contents, method), method, step if len(contents) < 5000 else 1000) == contents


@pytest.mark.parametrize("method", METHODS)
def test_what_is_cut_off_is_noticed(method: str) -> None:
    packed = compress(b"some text " * 5000, method)
    for length in {0, 1, len(packed) // 2, len(packed) - 1}:
        with pytest.raises(FormatError, match="damaged"):
            unpack(packed[:length], method)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(METHODS))
def test_junk(junk: bytes, method: str) -> None:
    try:
        unpack(junk, method)
    except FormatError:
        pass


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(METHODS), st.integers(0, 10_000), st.integers(1, 255))
def test_flipped_bits(method: str, place: int, bits: int) -> None:
    packed = bytearray(compress(bytes(range(256)) * 40, method))
    packed[place % len(packed)] ^= bits
    try:
        unpack(bytes(packed), method)
    except FormatError:
        pass


@pytest.mark.parametrize("method", METHODS)
def test_bombs_come_in_small_pieces(method: str) -> None:
    packed = compress(bytes(30_000_000), method, level={"br": 1, "xz": 0, "lzip": 0, "lzma": 0}.get(method, -1))
    file = io.BytesIO(packed)
    sizes = [len(piece) for piece in decompressed(file.read, method)]
    assert sum(sizes) == 30_000_000 and max(sizes) <= 2 * CHUNK


@pytest.mark.parametrize("method", ["xz", "bzip2", "gzip", "zstd", "lz4", "lzip"])
def test_streams_may_follow_each_other(method: str) -> None:
    assert unpack(compress(b"one ", method) + compress(b"two", method), method) == b"one two"


def test_several_threads_pack_one_stream() -> None:
    for method in ("xz", "zstd"):
        out: list[bytes] = []
        packer = Compressor(method, out.append, level=0 if method == "xz" else 1, parallel=True)
        for _ in range(60):
            packer.write(b"frazil" * 170_000)
        packer.finish()
        assert unpack(b"".join(out), method) == b"frazil" * 170_000 * 60


def test_methods_and_levels() -> None:
    assert check_known("brotli") == "br"
    with pytest.raises(UsageError, match="unknown compression method 'rar'"):
        check_known("rar")
    with pytest.raises(UsageError, match="failed to initialize compression: method 'lrzip' is not supported"):
        check_known("lrzip")
    with pytest.raises(UsageError, match="level 99"):
        compress(b"", "xz", level=99)
    with pytest.raises(StoreError, match="'lzop' is not supported"):
        list(decompressed(io.BytesIO(b"").read, "lzop"))


def test_small_texts_at_once() -> None:
    text = b"some text " * 500
    packed = compress(text, "zstd")
    assert unpack_small(packed, "zstd", len(text)) == text
    for wrong in (packed[:-1], packed + b"x", b"", packed + packed):
        assert unpack_small(wrong, "zstd", len(text)) is None
    assert unpack_small(packed, "zstd", len(text) - 1) is None
    assert unpack_small(packed, "zstd", len(text) + 1) is None
    assert unpack_small(compress(text, "xz"), "xz", len(text)) is None
    assert unpack_small(compress(bytes(1 << 24), "zstd"), "zstd", 1000) is None


@pytest.mark.parametrize("size", [0, 1, (16 << 20) - 1, 16 << 20, (40 << 20) + 5])
def test_frames_of_zstd(size: int) -> None:
    """Each of 16 MiB, and says so."""
    import zstandard

    pieces: list[bytes] = []
    packer = Compressor("zstd", pieces.append)
    for start in range(0, size, 10_000_001):
        packer.write(bytes(min(size - start, 10_000_001)))
    packer.finish()
    packed, found = b"".join(pieces), []
    while packed:
        found.append(zstandard.get_frame_parameters(packed).content_size)
        unpacker = zstandard.ZstdDecompressor().decompressobj()
        assert len(unpacker.decompress(packed)) == found[-1]
        packed = unpacker.unused_data
    whole, rest = divmod(size, 16 << 20)
    assert found == [16 << 20] * whole + ([rest] if rest or not whole else [])


def test_sizes_that_a_frame_only_claims() -> None:
    import zstandard

    from frazil.store.compression import unpack_small

    packed = zstandard.ZstdCompressor().compress(b"x" * 300)
    assert unpack_small(packed, "zstd", 300) == b"x" * 300
    assert packed[4] >> 6 == 1  # two bytes of content size: 300 - 256
    huge = packed[:4] + bytes([packed[4] & 0x3F | 0xC0]) + (1 << 60).to_bytes(8, "little") + packed[7:]
    assert unpack_small(huge, "zstd", 300) is None


@pytest.mark.parametrize("size", [0, 1, (16 << 20) - 1, 16 << 20, (16 << 20) + 1, 33 << 20])
def test_frames_packed_beside_are_the_same(size: int) -> None:
    data = (b"0123456789abcdef" * 4099)[: 1 << 16] * (size // (1 << 16) + 1)
    found = []
    for parallel in (False, True):
        pieces: list[bytes] = []
        packer = Compressor("zstd", pieces.append, parallel=parallel)
        for start in range(0, size, 300_001):
            packer.write(data[start : min(start + 300_001, size)])
        packer.finish()
        packed = b"".join(pieces)
        assert packed.count(b"\x28\xb5\x2f\xfd") >= max(1, -(-size // (16 << 20)))
        found.append(hashlib.sha256(b"".join(decompressed(io.BytesIO(packed).read, "zstd", "it"))).digest())
    assert found == [hashlib.sha256(data[:size]).digest()] * 2
