"""Words, strings and frames: round trips, and streams that lie."""

from __future__ import annotations

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.protocol.errors import Disconnected, ProtocolError
from frazil.protocol.wire import FramedReader, FramedWriter, Input, Output, Reader, Writer


def written(*steps: object) -> bytes:
    sink = io.BytesIO()
    writer = Writer(sink)
    for step in steps:
        step(writer)  # type: ignore[operator]
    writer.flush()
    return sink.getvalue()


@given(st.binary(max_size=100))
def test_strings_return_and_are_padded_to_words(data: bytes) -> None:
    text = written(lambda w: w.string(data))
    assert len(text) % 8 == 0
    reader = Reader(io.BytesIO(text))
    assert reader.string() == data
    assert reader.number_or_end() is None


@given(st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1), st.booleans())
def test_numbers_return(number: int, signed: int, flag: bool) -> None:
    text = written(lambda w: w.number(number), lambda w: w.signed(signed), lambda w: w.boolean(flag))
    reader = Reader(io.BytesIO(text))
    assert (reader.number(), reader.signed(), reader.boolean()) == (number, signed, flag)


def test_bytes_are_those_of_the_format() -> None:
    assert written(lambda w: w.text("nix")) == b"\x03" + bytes(7) + b"nix" + bytes(5)
    assert written(lambda w: w.texts(["a"])) == b"\x01" + bytes(7) + b"\x01" + bytes(7) + b"a" + bytes(7)


@given(st.binary(max_size=64))
def test_any_bytes_give_a_string_or_an_error(data: bytes) -> None:
    try:
        found = Reader(io.BytesIO(data)).string()
    except ProtocolError:
        return
    assert len(found) <= len(data)


def test_a_long_string_that_never_comes_costs_nothing() -> None:
    with pytest.raises(Disconnected):
        Reader(io.BytesIO((1 << 27).to_bytes(8, "little") + b"x")).string()
    with pytest.raises(ProtocolError, match="too long"):
        Reader(io.BytesIO((1 << 60).to_bytes(8, "little"))).string()


def test_long_strings_come_in_pieces() -> None:
    data = os.urandom((3 << 20) + 5)
    assert Reader(io.BytesIO(written(lambda w: w.string(data)))).string() == data
    broken = bytearray(written(lambda w: w.string(data)))
    broken[-1] = 1
    with pytest.raises(ProtocolError, match="padding"):
        Reader(io.BytesIO(bytes(broken))).string()


def test_padding_must_be_zero() -> None:
    with pytest.raises(ProtocolError, match="padding"):
        Reader(io.BytesIO(b"\x01" + bytes(7) + b"a" + b"\x01" * 7)).string()


def test_counts_tags_and_integers_are_bounded() -> None:
    huge = (1 << 40).to_bytes(8, "little")
    with pytest.raises(ProtocolError):
        Reader(io.BytesIO(huge)).count()
    with pytest.raises(ProtocolError):
        Reader(io.BytesIO(huge)).integer()
    with pytest.raises(ProtocolError, match="Invalid case"):
        Reader(io.BytesIO(huge)).tag(2, "case")


@given(st.lists(st.binary(max_size=300_000), max_size=4), st.integers(1, 100_000))
def test_framed_streams_return(pieces: list[bytes], step: int) -> None:
    sink = io.BytesIO()
    framed = FramedWriter(Writer(sink))
    for piece in pieces:
        framed.write(piece)
    framed.finish()
    reader = Reader(io.BytesIO(sink.getvalue() + b"next"))
    source = FramedReader(reader)
    found = []
    while data := source.read(step):
        found.append(data)
    assert b"".join(found) == b"".join(pieces)
    assert source.read(1) == b""
    assert reader.exactly(4) == b"next"


def test_a_frame_that_ends_early_is_an_error() -> None:
    with pytest.raises(Disconnected):
        FramedReader(Reader(io.BytesIO((10).to_bytes(8, "little") + b"abc"))).drain()
    with pytest.raises(ProtocolError):
        FramedReader(Reader(io.BytesIO((1 << 62).to_bytes(8, "little")))).read(1)


@given(st.lists(st.integers(1, 200_000), min_size=1, max_size=6))
def test_descriptors_as_streams(sizes: list[int]) -> None:
    from threading import Thread

    data = os.urandom(sum(sizes))
    read_end, write_end = os.pipe()

    def send() -> None:
        Output(write_end).write(data)
        os.close(write_end)

    thread = Thread(target=send)
    thread.start()
    stream = Input(read_end)
    try:
        assert b"".join([stream.read(size) for size in sizes]) == data
        assert stream.read(8) == b""
    finally:
        thread.join()
        os.close(read_end)


def test_whether_data_waits() -> None:
    read_end, write_end = os.pipe()
    stream = Input(read_end)
    try:
        assert not stream.has_data()
        os.write(write_end, b"abcd")
        assert stream.has_data()
        assert stream.read(2) == b"ab"
        assert stream.buffered
        assert stream.read(2) == b"cd"
        assert not stream.has_data()
    finally:
        os.close(read_end)
        os.close(write_end)
