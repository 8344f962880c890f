"""Compression: deterministic whatever the number of threads, understood by others, damage noticed."""

from __future__ import annotations

import bz2
import gzip
import io
import random
import shutil
import sys
from itertools import accumulate

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from frazil.packages.oci.errors import OciError
from frazil.packages.oci.streams import Decompressed, Gzip, Meter, compressor, is_bzip2
from frazil.packages.oci.zstd_frames import Reader, WholeFrames


def packed(kind: str, pieces: list[bytes], threads: int = 1, small: bool = False) -> bytes:
    out = io.BytesIO()
    packer = compressor(kind, out.write, threads, small_start=small)
    for piece in pieces:
        packer.write(piece)
    packer.finish()
    return out.getvalue()


@given(st.lists(st.binary(max_size=50), max_size=6), st.sampled_from(["gz", "zstd", "none"]), st.booleans())
def test_round_trip(pieces: list[bytes], kind: str, small: bool) -> None:
    data = packed(kind, pieces, small=small)
    if kind == "none":  # else it is what it looks like
        assume(not data.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0")) and not is_bzip2(data[:6]))
    assert Decompressed(io.BytesIO(data)).read() == b"".join(pieces)
    if kind == "gz":
        assert gzip.decompress(data) == b"".join(pieces)


def test_threads_and_pieces_change_nothing() -> None:
    random.seed(7)
    data = random.randbytes(1 << 20) + b"abc" * (1 << 20) + random.randbytes(100)
    whole = packed("gz", [data])
    assert whole == packed("gz", [data], threads=3)
    assert whole == packed("gz", [data[i : i + 70001] for i in range(0, len(data), 70001)], threads=2)
    assert gzip.decompress(whole) == data
    source = Decompressed(io.BytesIO(whole))
    assert b"".join(iter(lambda: source.read(9999), b"")) == data


def test_the_small_start_is_a_member_of_its_own() -> None:
    out = io.BytesIO()
    packer = Gzip(out.write, small_start=True)
    for byte in b"0123456789":
        packer.write(bytes([byte]))
    packer.finish()
    first = gzip.compress(b"01234567", mtime=0)
    assert out.getvalue()[10 : len(first) - 8] == first[10:-8]
    assert gzip.decompress(out.getvalue()) == b"0123456789"


def test_cut_and_damaged_data() -> None:
    data = packed("gz", [bytes(range(256)) * 100])
    with pytest.raises(OciError, match="ends early"):
        Decompressed(io.BytesIO(data[: len(data) // 2])).read()
    with pytest.raises(OciError, match="damaged"):
        Decompressed(io.BytesIO(data[:-8] + b"\xff" * 8)).read()
    with pytest.raises(OciError, match="damaged"):
        Decompressed(io.BytesIO(packed("zstd", [b"abc"])[:-4] + b"\xff" * 4)).read()


def test_more_than_allowed_is_refused() -> None:
    bomb = packed("gz", [bytes(1 << 22)])
    with pytest.raises(OciError, match="more than"):
        Decompressed(io.BytesIO(bomb), limit=1 << 20).read()


def test_unknown_compressor() -> None:
    with pytest.raises(OciError, match="not known"):
        compressor("lz9", lambda _: None)


def test_meter() -> None:
    meter = Meter()
    meter.write(b"")
    assert meter.digest == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def read_all(source: Reader, step: int) -> bytes:
    return b"".join(iter(lambda: source.read(step), b""))


def test_texts_that_begin_like_bzip2() -> None:
    assert Decompressed(io.BytesIO(b"BZh")).read() == b"BZh"
    assert Decompressed(io.BytesIO(b"BZh9 is a name")).kind == "none"
    for content in (b"", b"x"):
        assert Decompressed(io.BytesIO(bz2.compress(content))).read() == content


@settings(max_examples=25)
@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=3), st.integers(1, 400), st.integers(1, 50))
def test_zstd_that_is_cut_off(pieces: list[bytes], missing: int, step: int) -> None:
    frames = [packed("zstd", [piece]) for piece in pieces]
    whole, ends = b"".join(frames), set(accumulate(map(len, frames)))
    cut = max(6, len(whole) - missing)

    assert read_all(Decompressed(io.BytesIO(whole)), step) == b"".join(pieces)
    if cut not in ends:
        with pytest.raises(OciError, match=r"ends early|damaged"):
            read_all(Decompressed(io.BytesIO(whole[:cut])), step)


def test_zstd_frames_of_all_kinds() -> None:
    zstandard = pytest.importorskip("zstandard")
    skippable = (0x184D2A53).to_bytes(4, "little") + (5).to_bytes(4, "little") + b"12345"
    plain = zstandard.ZstdCompressor(write_checksum=False, write_content_size=True).compress(b"a" * 300_000)
    noise = zstandard.ZstdCompressor(write_checksum=True).compress(random.randbytes(300_000))
    for data in (plain, noise, plain + skippable, plain + skippable + noise):
        assert read_all(WholeFrames(io.BytesIO(data)), 777) == data
        for cut in (1, 2, len(data) // 2):
            source = WholeFrames(io.BytesIO(data[:-cut]))
            with pytest.raises(OciError, match="ends early"):
                read_all(source, 1000)
    with pytest.raises(OciError, match="no zstd frame"):
        WholeFrames(io.BytesIO(plain + b"rest")).read(1 << 30)


def test_zstd_by_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in builders of the package set, whose Python has no such library. What is cut off ends."""
    if shutil.which("zstd") is None:
        pytest.skip("the program 'zstd' is not there")
    data = random.Random(1).randbytes(300_000)
    whole = packed("zstd", [data])
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert packed("zstd", [data])[:4] == whole[:4]
    assert read_all(Decompressed(io.BytesIO(whole)), 70_000) == data
    with pytest.raises(OciError, match="ends early"):
        read_all(Decompressed(io.BytesIO(whole[:-5])), 70_000)
    with pytest.raises(OciError, match="damaged"):
        read_all(Decompressed(io.BytesIO(whole[:100_000] + bytes(100) + whole[100_100:])), 70_000)
