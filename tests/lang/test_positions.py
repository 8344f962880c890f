"""Lines and columns of positions, and how much they cost."""

from __future__ import annotations

import time
from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st

from frazil.lang.positions import PositionTable, count_up_to, line_at, line_of, line_starts


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
    starts = line_starts(text)
    for offset in range(len(text) + 1):
        line = count_up_to(starts, offset)
        if text[offset - 1 : offset + 1] != b"\r\n":  # no place of anything
            assert (line, starts[line - 1]) == line_of(text, offset)
