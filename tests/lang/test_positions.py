"""Lines and columns of positions, and how much they cost."""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil._native import line_starts
from frazil.lang.effects import FileSystemEffects
from frazil.lang.evaluator import Evaluator
from frazil.lang.positions import PositionTable, count_up_to, line_at, line_of, unpacked
from frazil.lang.settings import EvalSettings


def test_thousands_of_positions_on_one_long_line_share_it() -> None:
    table = PositionTable()
    base = table.add_origin("long", False, b"x" * 1_000_000)
    start = time.process_time()
    found = [table.position(base + number) for number in range(5000)]
    assert time.process_time() - start < 10
    assert all(position is not None and position.column == number + 1 for number, position in enumerate(found))
    assert len({id(position.source_line) for position in found if position is not None}) == 1


@given(st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", b"\r\n"])).map(b"".join))
def test_lines_are_those_of_the_standard_library(text: bytes) -> None:
    lines, start = [], 0
    while start < len(text):
        line, start = line_at(text, start)
        lines.append(line)
    assert lines == text.decode().splitlines()


def test_neighbours_follow_the_position() -> None:
    table = PositionTable()
    base = table.add_origin("text", False, b"one\r\ntwo\rthree\n")
    other = table.add_origin("other", False, b"uno")
    shown = [
        (p.source_line, p.previous_line, p.next_line)
        for p in map(table.position, (base, base + 5, other, base + 9))
        if p
    ]
    assert shown == [("one", None, "two"), ("two", "one", "three"), ("uno", None, None), ("three", "two", "")]


@given(st.lists(st.integers(0, 20)), st.integers(-1, 21))
def test_counting_in_order(numbers: list[int], most: int) -> None:
    numbers.sort()
    assert count_up_to(numbers, most) == bisect_right(numbers, most)


@given(st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", b"\r\n"])).map(b"".join))
def test_a_table_of_lines_says_what_counting_says(text: bytes) -> None:
    starts = unpacked(line_starts(text), len(text))
    for offset in range(len(text) + 1):
        line = count_up_to(starts, offset)
        if text[offset - 1 : offset + 1] != b"\r\n":  # no place of anything
            assert (line, starts[line - 1]) == line_of(text, offset)


@given(st.integers(65530, 65540), st.integers(1, 70000))
def test_lines_of_texts_longer_than_short_numbers(size: int, every: int) -> None:
    text = bytearray(b"x" * size)
    for place in range(every - 1, size, every):
        text[place] = 10
    starts = list(unpacked(line_starts(bytes(text)), size))
    assert starts == [0, *(place + 1 for place in range(every - 1, size, every))]


def of_file(file: Path) -> PositionTable:
    """The positions of an evaluator that parsed a file."""
    evaluator = Evaluator(FileSystemEffects(), EvalSettings())
    evaluator.parse_file(os.fspath(file))
    table: PositionTable = evaluator.positions
    return table


def test_a_file_is_read_again_for_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.nix"
    file.write_text("{\n  a = 1;\n}\n")
    table = of_file(file)
    assert table.file_line_column(5) == (os.fspath(file), True, 2, 3)
    file.write_text("{\n  b = 2;\n}\n")  # lines begin where they did: what it says now is as good
    found = table.position(5)
    assert found is not None
    assert (found.line, found.column, found.source_line, found.next_line) == (2, 3, "  b = 2;", "}")


@pytest.mark.parametrize("change", ["moved", "shorter", "gone", "pipe"])
def test_a_changed_file_shows_no_lines(tmp_path: Path, change: str) -> None:
    file = tmp_path / "a.nix"
    file.write_text("{\n  a = 1;\n}\n")
    table = of_file(file)
    if change == "moved":
        file.write_text("{\n\n a = 1;\n}\n")
    elif change == "shorter":
        file.write_text("{ }")
    else:
        file.unlink()
        if change == "pipe":
            os.mkfifo(file)  # reading it would wait for ever
    found = table.position(5)
    assert found is not None
    assert (found.file, found.line, found.column) == (os.fspath(file), 2, 3)
    assert (found.source_line, found.previous_line, found.next_line) == (None, None, None)
    assert table.text_at(5) is None


def test_what_cannot_be_read_again_is_kept(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.write(write, b"{\n  a = 1;\n}\n")
    os.close(write)
    evaluator = Evaluator(FileSystemEffects(), EvalSettings())
    evaluator.parse_at(f"/dev/fd/{read}", None, None)
    os.close(read)
    found = evaluator.positions.position(5)
    assert found is not None
    assert found.source_line == "  a = 1;"
