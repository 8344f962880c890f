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
    from collections.abc import Sequence

    from frazil.errors import FrazilError, TraceFrame
    from frazil.position import Position

MARGIN = " " * 7
SHOWN_STEPS = 8
WIDEST = 200
NARROWEST = 60
# What evaluation does with a value says nothing that the source line does not show.
_SELF_EVIDENT = (
    "in the ",
    "in an operand",
    "while evaluating a branch",
    "while selecting an attribute",
    "from call site",
    "from the definition of",
    "while evaluating the condition",
    "while evaluating a path segment",
)
_WITHOUT_PLACE = re.compile(r"while evaluating (?:the file '|the (?:\w+ )?argument passed to builtins\.)")
_ORDINARY = (*_SELF_EVIDENT, "while calling ", "while evaluating the attribute '")


class View:
    """Where the user is, and how wide the screen. `own`: folders whose files are the user's."""

    def __init__(self, directory: str, *, own: Sequence[str] = (), width: int = 100, colours: bool = False) -> None:
        self.directory = os.path.abspath(directory)
        self.own = tuple(os.path.abspath(folder) for folder in own) or (self.directory,)
        self.width = max(NARROWEST, min(width, WIDEST))
        self.palette = Palette(colours)
        self.colours = colours

    def is_own(self, file: str) -> bool:
        """Expressions of the command line, and files below the user's folders."""
        if not file.startswith("/"):
            # "«github:owner/name/…»/file" is of an input; "«string»" and "«stdin»" are the user's.
            return "»/" not in file
        return any(_is_below(file, folder) for folder in self.own) and "/nix/store/" not in file

    def shorten(self, file: str) -> str:
        if _is_below(file, self.directory):
            return file[len(self.directory) + 1 :]
        return file

    def place(self, position: Position) -> str:
        return readable(f"{self.shorten(position.file)}:{position.line}:{position.column}")


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
    view = View(directory, own=[project_folder(directory)], width=width, colours=colours)
    places = [frame.position for frame in error.trace if frame.position is not None]
    if error.position is not None:
        places.append(error.position)
    if places and not any(view.is_own(place.file) for place in places):
        first = next((place.file for place in places if _may_be_own(place.file)), None)
        if first is not None:
            view.own = (*view.own, os.path.dirname(first))
    return view


def _may_be_own(file: str) -> bool:
    return file.startswith("/") and not any(part in file for part in ("/nix/store/", "/lib/", "/frazil/packages/"))


def lay_out(error: FrazilError, view: View, *, level: str = "error") -> str:
    """The whole text, without a final newline."""
    from frazil.cli.error_advice import advice
    from frazil.cli.error_options import option_failure

    palette = view.palette
    failure = option_failure(readable(error.message), view)
    blocks = [_message(error, failure.message if failure is not None else readable(error.message), level, view)]
    if failure is not None:
        blocks.append(_indent(failure.table(palette)))
    frames = _worth_showing(error.trace)
    place, frames = _main_place(error, frames, view)
    if failure is not None and (failure.place is not None or (place is not None and not view.is_own(place.file))):
        # Where the module system gave up is of no interest.
        place = failure.place
    if place is not None:
        shown = _indent(excerpt(place, view))
        if failure is None:
            blocks[-1] += "\n" + shown
        else:
            blocks.append(shown)
    cycle: Sequence[Position] = getattr(error, "steps", ())
    if cycle:
        blocks.append(_indent(_cycle(cycle, view)))
    elif frames:
        blocks.append(_indent(_way(frames, place, view)))
    hints = [error.hint] if error.hint else []
    hints += [failure.hint] if failure is not None and failure.hint else []
    hints += advice(error)
    blocks += [_hint(readable(text), view) for text in dict.fromkeys(hints)]
    return "\n\n".join(block for block in blocks if block)


def _message(error: FrazilError, message: str, level: str, view: View) -> str:
    text = message
    suggestions = [readable(word) for word in getattr(error, "suggestions", None) or ()]
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


# -- places --------------------------------------------------------------------------------------------------------


def _main_place(error: FrazilError, frames: list[TraceFrame], view: View) -> tuple[Position | None, list[TraceFrame]]:
    """Where to look first, and the steps that lead there.

    That is where the error arose, unless that is in other people's code: then it is the last step in the user's own.
    """
    if error.position is not None and view.is_own(error.position.file):
        return error.position, frames
    for index in range(len(frames) - 1, -1, -1):
        position = frames[index].position
        if position is not None and view.is_own(position.file):
            return position, frames
    if error.position is not None:
        return error.position, frames
    for frame in reversed(frames):
        if frame.position is not None:
            return frame.position, frames
    return None, frames


def excerpt(position: Position, view: View) -> list[str]:
    """The place, and the lines around it, cut to the width of the screen."""
    palette = view.palette
    lines = [f"at {palette.blue}{view.place(position)}{palette.normal}:"]
    if position.source_line is None:
        return lines
    column = _column(position)
    room = view.width - len(MARGIN) - 9
    start = max(0, column - room * 2 // 3) if len(position.source_line) > room else 0
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
        lines.append(f"{number:6}| {_cut(readable(line).expandtabs(1), start, room)}")
        if number == position.line and position.column > 0:
            before = readable(position.source_line).expandtabs(1)[start:column]
            lines.append(f"      | {' ' * (_width(before) + (start > 0))}{palette.red}^{palette.normal}")
    return lines


def _cut(line: str, start: int, room: int) -> str:
    end = start + room
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
    return len(text) + wide - sum(unicodedata.combining(c) != 0 for c in text)


# -- the way there ---------------------------------------------------------------------------------------------------


def _worth_showing(trace: Sequence[TraceFrame]) -> list[TraceFrame]:
    """One step a place, the most telling one; repeated steps once."""
    found: list[TraceFrame] = []
    for frame in trace:
        if not frame.text or (frame.position is None and _says_nothing(frame.text)):
            continue
        last = found[-1] if found else None
        if last is not None and frame.position is not None and frame.position == last.position:
            if last.text.startswith(_SELF_EVIDENT):
                found[-1] = frame
                continue
            if frame.text.startswith(_ORDINARY):
                continue
        if last is not None and frame.position is None and frame.text == last.text:
            continue
        found.append(frame)
    return found


def _says_nothing(text: str) -> bool:
    """Of a step without a place of its own: what the place that follows shows anyway."""
    return text.startswith(_SELF_EVIDENT) or _WITHOUT_PLACE.match(text) is not None


def _way(frames: list[TraceFrame], place: Position | None, view: View) -> list[str]:
    """The steps from where evaluation began to the error; runs of steps in other people's files as one line."""
    steps: list[tuple[str, str, str]] = []
    folded: list[TraceFrame] = []
    for frame in frames:
        own = frame.position is None or view.is_own(frame.position.file)
        if not own:
            folded.append(frame)
            continue
        if folded:
            steps.append(_fold(folded))
            folded = []
        if frame.position is None:
            steps.append(("", readable(frame.text).rstrip(":"), ""))
        elif frame.position != place or not frame.text.startswith(_ORDINARY):
            steps.append((view.place(frame.position), readable(frame.text).rstrip(":"), ""))
    if folded:
        steps.append(_fold(folded))
    steps = _unrepeated(steps)
    if all(fold for _, _, fold in steps):
        return []
    if len(steps) > SHOWN_STEPS:
        left = len(steps) - SHOWN_STEPS
        middle = ("", f"… {left} more steps ('--show-trace' shows all)", "fold")
        steps = [*steps[: SHOWN_STEPS // 2], middle, *steps[-(SHOWN_STEPS // 2) :]]
    width = min(max((len(where) for where, _, _ in steps), default=0), 40)
    palette = view.palette
    lines = ["on the way there:"]
    for where, text, fold in steps:
        text = text.replace("\n", " ")
        room = max(view.width - len(MARGIN) - width - 4, 20)
        text = text if len(text) <= room else text[: room - 1] + "…"
        colour = palette.faint if fold else palette.blue
        lines.append(
            f"  {colour}{where:{width}}{palette.normal}  {palette.faint if fold else ''}{text}{palette.normal}"
        )
    return lines


def _unrepeated(steps: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """A function that calls itself leaves the same steps again and again: said once, with how often."""
    found: list[tuple[str, str, str]] = []
    index = 0
    while index < len(steps):
        for length in (1, 2, 3):
            pattern = steps[index : index + length]
            count = 1
            while steps[index + count * length : index + (count + 1) * length] == pattern:
                count += 1
            if count > 2:
                found += [*pattern, ("", f"… and {count - 1} times more", "fold")]
                index += count * length
                break
        else:
            found.append(steps[index])
            index += 1
    return found


def _fold(frames: list[TraceFrame]) -> tuple[str, str, str]:
    names = dict.fromkeys(library_name(f.position.file) for f in frames if f.position is not None)
    shown = ", ".join(list(names)[:3]) + (", …" if len(names) > 3 else "")
    plural = "frame" if len(frames) == 1 else "frames"
    return ("", f"… {len(frames)} {plural} inside {shown}", "fold")


def library_name(file: str) -> str:
    """What people call the place of a file that is not theirs: "nixpkgs lib", "flake-utils", "frazilpkgs lib"."""
    if "»/" in file:
        reference, _, below = file.partition("»/")
        name = _input_name(reference.lstrip("«"))
    elif "/frazil/packages/" in file:
        name, below = "frazilpkgs", file.rpartition("/frazil/packages/")[2]
    elif "/nix/store/" in file:
        rest = file.partition("/nix/store/")[2]
        base, _, below = rest.partition("/")
        name = base[33:] or base
    else:
        folder, mark, after = file.partition("/lib/")
        name, below = (os.path.basename(folder), "lib/" + after) if mark else (os.path.dirname(file), "")
    first = below.partition("/")[0] if "/" in below else ""
    return f"{name} {first}" if first == "lib" else name


def _input_name(reference: str) -> str:
    """ "github:NixOS/nixpkgs/057f9a…?narHash=…" -> "nixpkgs"."""
    path = reference.partition("?")[0]
    scheme, _, rest = path.partition(":")
    words = [word for word in rest.split("/") if word]
    if scheme in ("github", "gitlab", "sourcehut") and len(words) > 1:
        return words[1]
    return (words[-1] if words else scheme).removesuffix(".git")


def _cycle(places: Sequence[Position], view: View) -> list[str]:
    """Values that need each other, each once."""
    if len(places) == 1:
        return [f"this value needs itself: {view.palette.blue}{view.place(places[0])}{view.palette.normal}"]
    shown = list(places)
    left = len(shown) - 2 * SHOWN_STEPS
    width = min(max(len(view.place(place)) for place in shown), 40)
    lines = ["these values need each other, each the one below it, the last the first:"]
    for index, place in enumerate(shown):
        if left > 0 and SHOWN_STEPS <= index < SHOWN_STEPS + left:
            if index == SHOWN_STEPS:
                lines.append(f"  … {left} more")
            continue
        room = max(view.width - len(MARGIN) - width - 4, 20)
        line = readable(place.source_line or "").strip()
        line = line if len(line) <= room else line[: room - 1] + "…"
        lines.append(f"  {view.palette.blue}{view.place(place):{width}}{view.palette.normal}  {line}")
    return lines
