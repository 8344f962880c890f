"""DEFLATE: understood by zlib, always the same bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import threading
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.image._deflate import deflate
from frazil.packages.oci.streams import Gzip


def check(data: bytes, window: bytes = b"") -> None:
    def unpacker() -> zlib._Decompress:
        return zlib.decompressobj(-15, zdict=window[-32768:]) if window else zlib.decompressobj(-15)

    whole = unpacker()
    assert whole.decompress(deflate(data, window, True)) + whole.flush() == data
    assert whole.eof and not whole.unused_data
    part = unpacker()
    packed = deflate(data, window, False)
    assert part.decompress(packed) == data and not part.eof
    assert packed.endswith(b"\0\0\xff\xff")


@given(
    st.one_of(
        st.binary(max_size=2000),
        st.lists(st.sampled_from([b"a", b"abc", b"the same again, and ", bytes(300)]), max_size=300).map(b"".join),
    ),
    st.binary(max_size=500),
)
def test_zlib_understands_it(data: bytes, window: bytes) -> None:
    check(data, window)
    check(data, data)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 257, 258, 259, 65535, 65536, 300_000])
def test_sizes(size: int) -> None:
    chance = random.Random(size)
    for data in (
        chance.randbytes(size),
        b"a" * size,
        bytes(chance.choice(b"abc") for _ in range(size)),
        bytes(min(255, int(chance.expovariate(0.05))) for _ in range(size)),
        (chance.randbytes(40_000) * 9)[:size],  # repeats from farther away than is allowed
    ):
        check(data)
        check(data, chance.randbytes(40_000))


def test_codes_that_would_be_too_long() -> None:
    """Counts like Fibonacci's numbers make the deepest trees."""
    counts = [1, 1]
    while len(counts) < 24:
        counts.append(counts[-1] + counts[-2])
    letters = [letter for letter, count in enumerate(counts) for _ in range(count)]
    random.Random(7).shuffle(letters)
    check(bytes(letters))
    for short in range(2, 24):
        check(bytes(letter for letter in letters[:20_000] if letter >= short))


def sample() -> bytes:
    chance = random.Random("sample")
    words = [chance.randbytes(chance.randrange(2, 12)) for _ in range(300)]
    return b"".join(chance.choice(words) for _ in range(300_000)) + chance.randbytes(70_000) + bytes(500_000)


def test_the_bytes_are_these() -> None:
    """On every machine, with every compiler: digests of images depend on it."""
    data = sample()
    assert hashlib.sha256(data).hexdigest().startswith("206c7cf8d9a86d56")
    assert (
        hashlib.sha256(deflate(data, b"", True)).hexdigest()
        == "192682ad3fef541820daaee1e36cb157032c5082febc3775bf4f98f16b21b8e1"
    )


def test_as_small_as_zlib() -> None:
    data = sample()
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    assert len(deflate(data, b"", True)) < 1.03 * len(packer.compress(data) + packer.flush())


def test_threads_change_nothing() -> None:
    data = sample()

    def packed(threads: int) -> bytes:
        out = io.BytesIO()
        packer = Gzip(out.write, threads, deflate)
        for start in range(0, len(data), 70_001):
            packer.write(data[start : start + 70_001])
        packer.finish()
        return out.getvalue()

    whole = packed(1)
    assert gzip.decompress(whole) == data
    assert packed(3) == whole
    results: list[bytes] = []
    threads = [threading.Thread(target=lambda: results.append(deflate(data, b"", True))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(results)) == 1
