"""A place in a source text. Leaf: imported by every room."""

from __future__ import annotations

from frazil.record import Record


class Position(Record):
    """`file` is a path or an origin such as `«string»`; `line` and `column` count from 1; column in bytes.

    `source_line` is the text of that line where it is known (decoded for display).
    """

    file: str
    line: int
    column: int
    source_line: str | None = None
    previous_line: str | None = None
    next_line: str | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"
