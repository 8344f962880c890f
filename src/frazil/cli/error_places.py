"""Where to look first. In: an error, its steps, the view. Out: the place a reader should see, and what leads there.

That is where the error arose, unless that is in other people's code. Then it is the last step in the user's own files,
or where these mention what the message is about, or the attribute that was asked for.
"""

from __future__ import annotations

import os
import re

from frazil.cli.display import readable
from frazil.errors import TraceFrame
from frazil.position import Position

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from frazil.cli.error_layout import View
    from frazil.errors import FrazilError

LARGEST_FILE = 1 << 20
MOST_FILES = 2000
_DERIVATION = re.compile(
    r"(while evaluating derivation '.*')\s+whose name attribute is located at (.*):(\d+):(\d+)\Z", re.S
)
_PATH = re.compile(r"(?:[Pp]ath|file) '(?P<path>[^']+)'|(?:found|to) (?:a )?(?:path|string): (?P<value>\S+)")
_RELATIVE = re.compile(r"string '(?P<text>[^']+)' doesn't represent an absolute path")


def with_derivation_places(trace: list[TraceFrame]) -> list[TraceFrame]:
    """Nix puts the place of a derivation's name into the words of the step."""
    found = []
    for frame in trace:
        match = _DERIVATION.match(frame.text) if frame.position is None else None
        if match is not None:
            frame = TraceFrame(match[1], position_in_file(match[2], int(match[3]), int(match[4])), frame.always)
        found.append(frame)
    return found


def position_in_file(file: str, line: int, column: int) -> Position:
    """With the source lines, where the file can be read."""
    text = read_source(file)
    if text is None:
        return Position(file, line, column)
    lines = text.split(b"\n", line + 1)
    around = [part.decode("utf-8", "replace") for part in lines[max(line - 2, 0) : line + 1]]
    if line > len(lines):
        return Position(file, line, column)
    at = 0 if line == 1 else 1
    before = around[0] if line > 1 else None
    after = around[at + 1] if at + 1 < len(around) else None
    return Position(file, line, column, around[at], before, after)


def read_source(file: str) -> bytes | None:
    """A text file of bearable size."""
    if not os.path.isabs(file) or not os.path.isfile(file):
        return None
    try:
        with open(file, "rb") as stream:
            text = stream.read(LARGEST_FILE + 1)
    except OSError:
        return None
    return text if len(text) <= LARGEST_FILE else None


def main_place(error: FrazilError, frames: list[TraceFrame], view: View) -> tuple[Position | None, list[TraceFrame]]:
    """Where to look first, and the steps that lead there."""
    if error.position is not None and view.is_own(error.position.file):
        return error.position, frames
    literal = getattr(error, "quiet_position", None) if error.position is None else None
    if literal is not None and view.is_own(literal.file):
        return literal, frames
    named = mentioned(error, view)
    if named is not None:
        return named, frames
    for index in range(len(frames) - 1, -1, -1):
        position = frames[index].position
        if position is not None and view.is_own(position.file):
            return position, frames
    own = asked_for(error, view)
    if own is not None:
        return own, frames
    if error.position is not None:
        return error.position, frames
    for frame in reversed(frames):
        if frame.position is not None:
            return frame.position, frames
    return None, frames


def asked_for(error: FrazilError, view: View) -> Position | None:
    """The last attribute on the way to what the command line asks for that is defined in the user's files."""
    asked = getattr(error, "asked", None)
    for place in reversed(asked() if asked is not None else []):
        if view.is_own(place.file):
            return place  # type: ignore[no-any-return]
    return None


def mentioned(error: FrazilError, view: View) -> Position | None:
    """Where one of the user's files names the path that an error is about; None where none or several do."""
    message = readable(error.message)
    module = re.match(r"module (/\S+) \(.*\) does not look like a module", message)
    if module is not None:
        return position_in_file(view.rename(module[1]), 1, 1)
    relative, path = _RELATIVE.search(message), _PATH.search(message)
    if relative is not None:
        pattern = re.compile(rb'"' + re.escape(os.fsencode(relative["text"])) + rb'"')
        wanted = None
    elif path is not None:
        wanted = view.rename((path["path"] or path["value"]).strip('"')).removesuffix("/default.nix")
        base = os.fsencode(os.path.basename(wanted))
        if not base:
            return None
        pattern = re.compile(rb"(?<![\w./+-])[\w.+-]*(?:/[\w.+-]+)*/" + re.escape(base) + rb"(?![\w./+-])")
    else:
        return None
    hits = []
    for name, text, place in own_sources(error, view):
        for hit in pattern.finditer(text):
            folder = os.path.dirname(name)
            if wanted is None or os.path.normpath(os.path.join(folder, os.fsdecode(hit[0]))) == wanted:
                hits.append(place(hit.start()))
                if len(hits) > 1:
                    return None
    return hits[0] if hits else None


def own_sources(error: FrazilError, view: View) -> Iterator[tuple[str, bytes, Places]]:
    """The user's files that were parsed: (name, text, offset -> position)."""
    positions = getattr(error, "positions", None)
    if positions is None:
        return
    for index, (base, name, is_path, size) in enumerate(positions.origins()):
        if index >= MOST_FILES:
            return
        shown = view.rename(os.fsdecode(name.encode("latin-1"))) if is_path else ""
        if is_path and size <= LARGEST_FILE and view.is_own(shown):
            text = positions.text_at(base)
            if text is not None:
                yield shown, text, Places(positions, base)


class Places:
    """Offsets of one text as positions."""

    def __init__(self, positions: object, base: int) -> None:
        self.positions = positions
        self.base = base

    def __call__(self, offset: int) -> Position:
        found: Position = self.positions.position(self.base + offset)  # type: ignore[attr-defined]
        return found


def pointed(error: FrazilError, place: Position) -> Position:
    """The caret below the very name that is wrong, where the line holds it once after the place."""
    if place.source_line is None or place.column < 1:
        return place
    message = readable(error.message)
    missing = re.match(r"attribute '([\w'-]+)' missing", message)
    unexpected = re.match(r"function '.*' called with unexpected argument '([\w'-]+)'", message)
    if missing is not None:
        pattern = r"(?:\.\s*\"?|\binherit\s*\([^)]*\)[^;]*?)" + f"(?P<name>{re.escape(missing[1])})" + r"(?![\w'-])"
    elif unexpected is not None:
        pattern = r"(?<![\w.'-])" + f"(?P<name>{re.escape(unexpected[1])})" + r"\s*(?:=|\.)"
    else:
        return _path_pointed(message, place)
    line = place.source_line.encode("utf-8", "surrogateescape")
    hits = list(re.compile(pattern.encode()).finditer(line, place.column - 1))
    if not hits or (len(hits) > 1 and missing is None):
        return place
    column = hits[0].start("name") + 1
    return Position(place.file, place.line, column, place.source_line, place.previous_line, place.next_line)


def _path_pointed(message: str, place: Position) -> Position:
    """The caret below the path that is not there, where the line has it."""
    path = _PATH.search(message)
    if path is None or path["path"] is None or place.source_line is None or not os.path.isabs(place.file):
        return place
    wanted = path["path"].removesuffix("/default.nix")
    for found in re.finditer(r"(?<![\w/.])\.{0,2}(?:/[\w.+-]+)+", place.source_line):
        if os.path.normpath(os.path.join(os.path.dirname(place.file), found[0])) == wanted:
            column = len(place.source_line[: found.start()].encode("utf-8", "surrogateescape")) + 1
            return Position(place.file, place.line, column, place.source_line, place.previous_line, place.next_line)
    return place


def document_name(data: bytes, place: Position | None) -> str | None:
    """The file that a text was read from, where the line of the place names one that holds just that."""
    if place is None or place.source_line is None or not os.path.isabs(place.file):
        return None
    for found in re.finditer(r"(?<![\w/.])\.{0,2}(?:/[\w.+-]+)+", place.source_line):
        path = os.path.normpath(os.path.join(os.path.dirname(place.file), found[0]))
        if read_source(path) == data:
            return path
    return None
