"""Positions as integers: every source text gets a range, so that `base + offset` names a byte of it.

0 means nowhere. Line and column are computed when somebody asks. Lines end at LF, CR, or CR LF; columns count
bytes from 1.
"""

from __future__ import annotations

from frazil.lang.errors import display, shown_path
from frazil.position import Position

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ASKED_BEFORE_TABLE = 16


class PositionTable:
    """All source texts of one evaluator."""

    def __init__(self) -> None:
        self._bases: list[int] = []
        self._origins: list[tuple[str, bool, bytes]] = []
        self._next = 1
        self._asked: dict[int, int] = {}
        self._line_starts: dict[int, list[int]] = {}
        self._last_shown: tuple[tuple[int, int], tuple[str, str | None, str | None]] = ((-1, -1), ("", None, None))
        self.rename: Callable[[str], str] | None = None
        """What a path is called in messages: byte string to byte string."""

    def add_origin(self, name: str, is_path: bool, text: bytes) -> int:
        """The base of a new source text; `name` is a byte string: a path or what to call the text."""
        base = self._next
        self._bases.append(base)
        self._origins.append((name, is_path, text))
        self._next = base + len(text) + 2
        return base

    def origins(self) -> Iterator[tuple[int, str, bool, bytes]]:
        """(base, name, is a path, text) of each source text, in the order they were read."""
        for base, (name, is_path, text) in zip(list(self._bases), list(self._origins), strict=True):
            yield base, name, is_path, text

    def last_file(self) -> tuple[str, int]:
        """(the file read last, how many texts were read); the name as messages show it, empty if there is none."""
        origins = self._origins
        for name, is_path, _ in reversed(origins[-8:]):
            if is_path:
                return display(self._called(name)), len(origins)
        return "", len(origins)

    def _called(self, path: str) -> str:
        return shown_path(path) if self.rename is None else self.rename(shown_path(path))

    def locate(self, pos: int) -> tuple[str, bool, bytes, int] | None:
        """(name, is a path, text, offset) of a position."""
        if pos <= 0:
            return None
        index = count_up_to(self._bases, pos) - 1
        name, is_path, text = self._origins[index]
        return name, is_path, text, pos - self._bases[index]

    def file_line_column(self, pos: int) -> tuple[str, bool, int, int] | None:
        """(name, is a path, line, column)."""
        found = self.locate(pos)
        if found is None:
            return None
        name, is_path, text, offset = found
        line, start = self._line(pos - offset, text, offset)
        return name, is_path, line, offset - start + 1

    def position(self, pos: int) -> Position | None:
        """The position in full, with the source line and its neighbours."""
        found = self.locate(pos)
        if found is None:
            return None
        name, is_path, text, offset = found
        if is_path:
            name = self._called(name)
        line, start = self._line(pos - offset, text, offset)
        this, before, after = self._shown_lines(pos - offset, text, start)
        return Position(display(name), line, offset - start + 1, this, before, after)

    def _shown_lines(self, base: int, text: bytes, start: int) -> tuple[str, str | None, str | None]:
        """(the line that starts there, the one before, the one after).

        Thousands of frames of one trace may be on one line, which may be the whole of a large file: they share it.
        """
        place, lines = self._last_shown
        if place != (base, start):
            this, following = line_at(text, start)
            after = line_at(text, following)[0] if following <= len(text) else None
            before = line_at(text, previous_start(text, start))[0] if start > 0 else None
            lines = (this, before, after)
            self._last_shown = ((base, start), lines)
        return lines

    def _line(self, base: int, text: bytes, offset: int) -> tuple[int, int]:
        """As `line_of`; a text that is asked about often gets a table of its lines."""
        starts = self._line_starts.get(base)
        if starts is None:
            asked = self._asked[base] = self._asked.get(base, 0) + 1
            if asked <= ASKED_BEFORE_TABLE:
                return line_of(text, offset)
            starts = self._line_starts[base] = line_starts(text)
        line = count_up_to(starts, offset)
        return line, starts[line - 1]

    def show(self, pos: int) -> str:
        """`file:line:column` as a byte string."""
        found = self.file_line_column(pos)
        if found is None:
            return "«none»:0:0"
        name, is_path, line, column = found
        return f"{self._called(name) if is_path else name}:{line}:{column}"


def count_up_to(numbers: list[int], most: int) -> int:
    """How many of the ascending numbers are not above one. (`bisect` is in many installations a file to be loaded.)"""
    low, high = 0, len(numbers)
    while low < high:
        middle = (low + high) >> 1
        if numbers[middle] <= most:
            low = middle + 1
        else:
            high = middle
    return low


def line_starts(text: bytes) -> list[int]:
    """Where lines begin."""
    starts = [0]
    place = 0
    for line in text.splitlines(True):
        place += len(line)
        starts.append(place)
    if not text.endswith((b"\n", b"\r")) and text:
        starts.pop()
    return starts


def line_of(text: bytes, offset: int) -> tuple[int, int]:
    """(line counted from 1, offset of its start)."""
    head = text[:offset]
    line = 1 + head.count(b"\n")
    lone = head.count(b"\r") - head.count(b"\r\n")
    # A CR whose LF comes after the offset is not a line of its own.
    if lone and head.endswith(b"\r") and text[offset : offset + 1] == b"\n":
        lone -= 1
        head = head[:-1]
    return line + lone, max(head.rfind(b"\n"), head.rfind(b"\r")) + 1


def line_at(text: bytes, start: int) -> tuple[str, int]:
    """(the line that starts there, where the next one starts)."""
    line_feed = text.find(b"\n", start)
    end = len(text) if line_feed < 0 else line_feed
    carriage_return = text.find(b"\r", start, end)
    if carriage_return >= 0:
        end = carriage_return
    following = end + (2 if text[end : end + 2] == b"\r\n" else 1)
    return text[start:end].decode("utf-8", "surrogateescape"), following


def previous_start(text: bytes, start: int) -> int:
    end = start - 1
    if text[end : end + 1] == b"\n" and end > 0 and text[end - 1 : end] == b"\r":
        end -= 1
    head = text[:end]
    return max(head.rfind(b"\n"), head.rfind(b"\r")) + 1
