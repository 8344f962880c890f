"""How errors look by default: one screen, what is wrong first.

In order: the message; what is known about an option of the module system; the place with its source lines; how
evaluation got there, through the user's own files, other people's folded; `hint:`. With `--show-trace`, and for whoever
calls us by one of Nix's names, errors look as Nix's do (`display.show_error`).
"""

from __future__ import annotations

import os
import re

from frazil.cli.display import Palette, readable, show_suggestions, terminal_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from frazil.errors import FrazilError
    from frazil.position import Position

MARGIN = " " * 7
WIDEST = 200
NARROWEST = 60
# Part of words and pictures made of several characters.
JOINERS = "\u200c\u200d\u3000"
_STORE_PATH = re.compile(r"/nix/store/[0-9a-z]{32}-[^\s'\"`’,;:)»]*")


def as_it_is(file: str) -> str:
    return file


class View:
    """Where the user is, and how wide the screen. `own`: folders whose files are the user's.

    `rename`: what a file of the store is called, where it is a copy of one of the user's.
    """

    def __init__(
        self,
        directory: str,
        *,
        own: Sequence[str] = (),
        width: int = 100,
        colours: bool = False,
        rename: Callable[[str], str] = as_it_is,
    ) -> None:
        self.directory = os.path.abspath(directory)
        self.own = tuple(os.path.abspath(folder) for folder in own) or (self.directory,)
        self.width = max(NARROWEST, min(width, WIDEST))
        self.palette = Palette(colours)
        self.colours = colours
        self.rename = rename

    def is_own(self, file: str) -> bool:
        """Expressions of the command line, and files below the user's folders."""
        if not file.startswith("/"):
            # "«github:owner/name/…»/file" is of an input; "«string»" and "«stdin»" are the user's.
            return "»/" not in file and file.startswith("«nix-internal") is False
        return any(_is_below(file, folder) for folder in self.own) and "/nix/store/" not in file

    def shorten(self, file: str) -> str:
        """As messages show it: as the user knows it, seen from the working directory."""
        file = self.rename(file)
        if _is_below(file, self.directory):
            return file[len(self.directory) + 1 :]
        return file

    def place(self, position: Position) -> str:
        return readable(f"{self.shorten(position.file)}:{position.line}:{position.column}")

    def with_names(self, text: str) -> str:
        """A message whose copies in the store are called as the user knows them."""
        if "/nix/store/" not in text or self.rename is as_it_is:
            return text
        return _STORE_PATH.sub(lambda found: self.rename(found[0]), text)


def _is_below(file: str, folder: str) -> bool:
    return file.startswith(folder if folder.endswith("/") else folder + "/")


def project_folder(directory: str) -> str:
    """The folder that holds the repository or flake one stands in, or the one itself."""
    folder = os.path.abspath(directory)
    while True:
        if os.path.lexists(os.path.join(folder, ".git")) or os.path.lexists(os.path.join(folder, "flake.nix")):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return os.path.abspath(directory)
        folder = above


def view_for(error: FrazilError, directory: str, *, width: int = 100, colours: bool = False) -> View:
    """Files of the project one stands in are the user's own; where none plays a part, those beside the first one."""
    view = View(directory, own=[project_folder(directory)], width=width, colours=colours, rename=_renamer(error))
    places = [frame.position for frame in error.trace if frame.position is not None]
    if error.position is not None:
        places.append(error.position)
    asked = getattr(error, "asked", None)
    if asked is not None:
        places += asked()
    files = dict.fromkeys([place.file for place in places])
    if files and not any(map(view.is_own, files)):
        first = next(filter(_may_be_own, files), None)
        if first is not None:
            view.own = (*view.own, os.path.dirname(first))
    return view


def _renamer(error: FrazilError) -> Callable[[str], str]:
    """The evaluator's own way to call files, where the error comes from one."""
    own = getattr(getattr(error, "positions", None), "rename", None)
    if own is None:
        return as_it_is

    def rename(file: str) -> str:
        shown: str = own(os.fsencode(file).decode("latin-1"))
        return os.fsdecode(shown.encode("latin-1"))

    return rename


def _may_be_own(file: str) -> bool:
    return file.startswith("/") and not any(part in file for part in ("/nix/store/", "/lib/", "/frazil/packages/"))


def lay_out(error: FrazilError, view: View, *, level: str = "error") -> str:
    """The whole text, without a final newline."""
    from frazil.cli.error_advice import advice
    from frazil.cli.error_options import failure_of
    from frazil.cli.error_places import main_place, with_derivation_places
    from frazil.cli.error_steps import way, worth_showing

    palette = view.palette
    message = view.with_names(readable(error.message))
    failure = failure_of(message, view)
    blocks = [_message(error, failure.message if failure is not None else message, level, view)]
    if failure is not None:
        blocks.append(_indent(failure.table(palette)))
    frames = worth_showing(with_derivation_places(error.trace), view)
    place, frames = main_place(error, frames, view)
    if failure is not None and (failure.place is not None or (place is not None and not view.is_own(place.file))):
        # Where the module system gave up is of no interest.
        place = failure.place
    hints = [error.hint] if error.hint else []
    shown, more = point_out(error, place)
    hints += more
    if shown is not None:
        text = _indent(excerpt(shown, view))
        if failure is None or not failure.rows:
            blocks[-1] = (blocks[-1] or blocks.pop(-2)) + "\n" + text
        else:
            blocks.append(text)
    blocks += _document(error, shown, view)
    steps: Sequence[Position] = getattr(error, "steps", ())
    if steps:
        from frazil.cli.error_steps import cycle

        blocks.append(_indent(cycle(steps, view, place)))
    elif frames:
        blocks.append(_indent(way(frames, place, view, own_only=failure is not None)))
    if failure is not None and failure.hint:
        hints.append(failure.hint)
    else:
        hints += advice(error, place)
    blocks += [_hint(readable(text), view) for text in dict.fromkeys(hints)]
    return "\n\n".join(block for block in blocks if block)


def point_out(error: FrazilError, place: Position | None) -> tuple[Position | None, list[str]]:
    """The place made more exact, and what to say about it: for texts that are no expressions, and missing names."""
    from frazil.cli.error_places import Places, pointed
    from frazil.lang.errors import ParseError

    positions, pos = getattr(error, "positions", None), getattr(error, "pos", 0)
    if isinstance(error, ParseError) and positions is not None and pos > 0 and "syntax error" in error.message:
        from frazil.cli.error_syntax import syntax_advice

        offset, text = positions.locate(pos)[2], positions.text_at(pos)
        found = syntax_advice(text, offset, error.message) if text is not None else None
        if found is not None:
            hint, better = found
            return (place if better is None else Places(positions, pos - offset)(better)), [hint]
    return (pointed(error, place) if place is not None else None), []


def _document(error: FrazilError, place: Position | None, view: View) -> list[str]:
    """The place in the JSON text that `fromJSON` could not read."""
    document = getattr(error, "document", None)
    where = re.search(r"at line (\d+), column (\d+)", error.message)
    if document is None or where is None:
        return []
    from frazil.cli.error_places import document_name
    from frazil.position import Position

    line, column = int(where[1]), int(where[2])
    data = document.encode("latin-1")
    lines = [part.decode("utf-8", "replace") for part in data.split(b"\n", line + 1)]
    if line > len(lines):
        return []
    around = [lines[n] if 0 <= n < len(lines) else None for n in (line - 2, line - 1, line)]
    name = document_name(data, place) or "the JSON text"
    return [_indent(excerpt(Position(name, line, max(column, 1), around[1], around[0], around[2]), view))]


def _message(error: FrazilError, message: str, level: str, view: View) -> str:
    text = message
    suggestions = [readable(word) for word in getattr(error, "suggestions", None) or ()]
    asked = re.search(r"attribute '([^']*)' missing|argument '([^']*)'", message)
    if suggestions and asked is not None:
        from frazil.cli.error_advice import likely

        suggestions = likely(asked[1] or asked[2], suggestions)
    if suggestions:
        text += "\n" + show_suggestions(suggestions)
    shown = terminal_text(text.rstrip(), view.colours).replace("\n", "\n" + MARGIN)
    return f"{view.palette.red}{level}:{view.palette.normal} {shown}"


def _hint(text: str, view: View) -> str:
    """Long sentences are broken; lines with spaces before them, and single words, stay as they are."""
    import textwrap

    lines: list[str] = []
    for line in text.split("\n"):
        whole = line.startswith((" ", "git ")) or len(line) <= view.width - len(MARGIN) - 6
        lines += [line] if whole else textwrap.wrap(line, view.width - len(MARGIN) - 6, break_on_hyphens=False)
    shown = "\n".join((MARGIN + " " * 6 + line).rstrip() for line in lines)
    return f"{MARGIN}{view.palette.green}hint:{view.palette.normal} {shown.lstrip(' ')}"


def _indent(lines: list[str]) -> str:
    return "\n".join((MARGIN + line).rstrip() for line in lines)


# -- places -------------------------------------------------------------------------------------------------------


def excerpt(position: Position, view: View) -> list[str]:
    """The place, and the lines around it, cut to the width of the screen."""
    palette = view.palette
    lines = [f"at {palette.blue}{view.place(position)}{palette.normal}:"]
    if position.source_line is None:
        return lines
    column = _column(position)
    room = view.width - len(MARGIN) - 9
    start = _start(_plain(position.source_line), column, room)
    around = (
        (position.line - 1, position.previous_line),
        (position.line, position.source_line),
        (position.line + 1, position.next_line),
    )
    for number, line in around:
        if line is None or number < 1:
            continue
        # A line above or below that is blank, or out of sight, helps nobody.
        if number != position.line and not line[start:].strip():
            continue
        lines.append(f"{number:6}| {_cut(_plain(line), start, room)}")
        if number == position.line and position.column > 0:
            before = _plain(position.source_line)[start:column]
            lines.append(f"      | {' ' * (_width(before) + (start > 0))}{palette.red}^{palette.normal}")
    return lines


def _start(line: str, column: int, room: int) -> int:
    """The first character shown of a line that is wider than the room: the place is two thirds to the right."""
    if _width(line) <= room:
        return 0
    start = max(0, column - room * 2 // 3)
    while start < column and _width(line[start:column]) > room * 2 // 3:
        start += max(1, (_width(line[start:column]) - room * 2 // 3) // 2)
    return start


def _plain(line: str) -> str:
    """A character for each character, none of which moves the cursor or says anything to a terminal."""
    text = readable(line)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in JOINERS else " " if c.isspace() else "\ufffd" for c in text)


def _cut(line: str, start: int, room: int) -> str:
    end = start + room
    if not line.isascii():
        while end > start + 1 and _width(line[start:end]) > room:
            end -= max(1, (_width(line[start:end]) - room) // 2)
    return ("…" if start else "") + line[start:end].rstrip() + ("…" if len(line) > end else "")


def _column(position: Position) -> int:
    """Characters before the place; positions count bytes."""
    line = readable(position.source_line or "")
    if line.isascii():
        return position.column - 1
    return len(line.encode("utf-8")[: position.column - 1].decode("utf-8", "ignore"))


def _width(text: str) -> int:
    """Columns on a terminal."""
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.category(c) in ("Mn", "Me", "Cf") for c in text)
