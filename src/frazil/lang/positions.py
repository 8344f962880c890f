"""Positions as integers: every source text gets a range, so that `base + offset` names a byte of it.

0 means nowhere. Line and column are computed when somebody asks. Lines end at LF, CR, or CR LF; columns count
bytes from 1. Of files that are parsed only where their lines begin is kept: who wants to show a line reads the file
again, and shows none if its lines are elsewhere now.
"""

from __future__ import annotations

from frazil._native import line_starts
from frazil.lang.errors import display, shown_path
from frazil.position import Position

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ASKED_BEFORE_TABLE = 16
LARGEST_TABLE = (1 << 32) - 1
"""So long a text can have a table of its lines."""


class PositionTable:
    """All source texts of one evaluator."""

    def __init__(self) -> None:
        self._bases: list[int] = []
        self._origins: list[tuple[str, bool]] = []
        self._texts: list[bytes | None] = []
        self._next = 1
        self._asked: dict[int, int] = {}
        self._line_starts: dict[int, bytes] = {}
        self._last_shown: tuple[tuple[int, int], tuple[str | None, str | None, str | None]] | None = None
        self.rename: Callable[[str], str] | None = None
        """What a path is called in messages: byte string to byte string."""
        self.read_again: Callable[[str], bytes | None] | None = None
        """The contents of a file that was let go; None where there are none."""

    def add_origin(self, name: str, is_path: bool, text: bytes) -> int:
        """The base of a new source text; `name` is a byte string: a path or what to call the text."""
        base = self._next
        self._bases.append(base)
        self._origins.append((name, is_path))
        self._texts.append(text)
        self._next = base + len(text) + 2
        return base

    def let_go(self, base: int) -> None:
        """Keeps no longer the text of a file that can be read again."""
        index = count_up_to(self._bases, base) - 1
        text = self._texts[index]
        if text is not None and len(text) <= LARGEST_TABLE:
            self._line_starts[base] = line_starts(text)
            self._texts[index] = None

    def _text(self, index: int) -> bytes | None:
        """A source text; None where it is not to be had any more."""
        text = self._texts[index]
        if text is None and self.read_again is not None:
            text = self.read_again(self._origins[index][0])
            if (
                text is None
                or len(text) != self._size(index)
                or line_starts(text) != self._line_starts[self._bases[index]]
            ):
                return None
            self._texts[index] = text
        return text

    def _size(self, index: int) -> int:
        following = self._bases[index + 1] if index + 1 < len(self._bases) else self._next
        return following - self._bases[index] - 2

    def origins(self) -> Iterator[tuple[int, str, bool, int]]:
        """(base, name, is a path, size) of each source text, in the order they were read."""
        for index, (base, (name, is_path)) in enumerate(zip(list(self._bases), list(self._origins), strict=True)):
            yield base, name, is_path, self._size(index)

    def last_file(self) -> tuple[str, int]:
        """(the file read last, how many texts were read); the name as messages show it, empty if there is none."""
        origins = self._origins
        for name, is_path in reversed(origins[-8:]):
            if is_path:
                return display(self._called(name)), len(origins)
        return "", len(origins)

    def _called(self, path: str) -> str:
        return shown_path(path) if self.rename is None else self.rename(shown_path(path))

    def _index(self, pos: int) -> int:
        return count_up_to(self._bases, pos) - 1

    def locate(self, pos: int) -> tuple[str, bool, int] | None:
        """(name, is a path, offset) of a position."""
        if pos <= 0:
            return None
        index = self._index(pos)
        name, is_path = self._origins[index]
        return name, is_path, pos - self._bases[index]

    def text_at(self, pos: int) -> bytes | None:
        """The source text that a position is in; None for nowhere, and for a file that has changed since."""
        return self._text(self._index(pos)) if pos > 0 else None

    def file_line_column(self, pos: int) -> tuple[str, bool, int, int] | None:
        """(name, is a path, line, column)."""
        if pos <= 0:
            return None
        index = self._index(pos)
        name, is_path = self._origins[index]
        offset = pos - self._bases[index]
        line, start = self._line(index, offset)
        return name, is_path, line, offset - start + 1

    def position(self, pos: int) -> Position | None:
        """The position in full, with the source line and its neighbours."""
        found = self.file_line_column(pos)
        if found is None:
            return None
        name, is_path, line, column = found
        if is_path:
            name = self._called(name)
        index = self._index(pos)
        this, before, after = self._shown_lines(index, pos - self._bases[index] - column + 1)
        return Position(display(name), line, column, this, before, after)

    def _shown_lines(self, index: int, start: int) -> tuple[str | None, str | None, str | None]:
        """(the line that starts there, the one before, the one after).

        Thousands of frames of one trace may be on one line, which may be the whole of a large file: they share it.
        """
        if self._last_shown is not None and self._last_shown[0] == (index, start):
            return self._last_shown[1]
        lines: tuple[str | None, str | None, str | None] = (None, None, None)
        text = self._text(index)
        if text is not None:
            this, following = line_at(text, start)
            after = line_at(text, following)[0] if following <= len(text) else None
            before = line_at(text, previous_start(text, start))[0] if start > 0 else None
            lines = (this, before, after)
        self._last_shown = ((index, start), lines)
        return lines

    def _line(self, index: int, offset: int) -> tuple[int, int]:
        """As `line_of`; a text that is asked about often gets a table of its lines."""
        base, text = self._bases[index], self._texts[index]
        starts = self._line_starts.get(base)
        if starts is None:
            assert text is not None
            asked = self._asked[base] = self._asked.get(base, 0) + 1
            if asked <= ASKED_BEFORE_TABLE or len(text) > LARGEST_TABLE:
                return line_of(text, offset)
            starts = self._line_starts[base] = line_starts(text)
        numbers = unpacked(starts, self._size(index))
        line = count_up_to(numbers, offset)
        return line, numbers[line - 1]

    def show(self, pos: int) -> str:
        """`file:line:column` as a byte string."""
        found = self.file_line_column(pos)
        if found is None:
            return "«none»:0:0"
        name, is_path, line, column = found
        return f"{self._called(name) if is_path else name}:{line}:{column}"


def count_up_to(numbers: list[int] | memoryview[int], most: int) -> int:
    """How many of the ascending numbers are not above one. (`bisect` is in many installations a file to be loaded.)"""
    low, high = 0, len(numbers)
    while low < high:
        middle = (low + high) >> 1
        if numbers[middle] <= most:
            low = middle + 1
        else:
            high = middle
    return low


def unpacked(starts: bytes, size: int) -> memoryview[int]:
    """What `line_starts` gave for a text of that size, as numbers."""
    return memoryview(starts).cast("H" if size < 1 << 16 else "I")


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
