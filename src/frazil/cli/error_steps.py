"""How evaluation got to an error: the user's own steps in reading order, other people's folded; cycles.

In: trace frames and the view. Out: lines.
"""

from __future__ import annotations

import os
import re

from frazil.cli.display import readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from frazil.cli.error_layout import View
    from frazil.errors import TraceFrame
    from frazil.position import Position

SHOWN_STEPS = 8
MARGIN = 7
WIDEST_PLACE = 40
# What evaluation does with a value says nothing that the source line does not show.
SELF_EVIDENT = (
    "in the ",
    "in an operand",
    "while evaluating a branch",
    "while selecting an attribute",
    "from call site",
    "from the definition of",
    "while evaluating the condition",
    "while evaluating a path segment",
)
_WITHOUT_PLACE = re.compile(
    r"while evaluating (?:the file '|the (?:\w+ )?argument passed to builtins\.|the module argument )"
    r"|while getting the argument `|while evaluating attribute '"
    r"|while realising the context of |noting that argument `|while decoding a JSON string"
    r"|while evaluating an attribute name"
)
_DEFINITIONS = re.compile(r"(?:while evaluating definitions from|in a definition by) `([^']*)'")
_ORDINARY = (*SELF_EVIDENT, "while calling ", "while evaluating the attribute '")

# A step: (place, what is done there); or (frames that are folded).
Step = tuple[str, str] | list["TraceFrame"]


def worth_showing(trace: Sequence[TraceFrame], view: View) -> list[TraceFrame]:
    """One step a place, the most telling one; repeated steps once."""
    found: list[TraceFrame] = []
    for frame in trace:
        if not frame.text or (frame.position is None and _says_nothing(frame.text, view)):
            continue
        last = found[-1] if found else None
        if last is not None and _at_one_place(frame.position, last.position):
            if last.text.startswith(SELF_EVIDENT):
                found[-1] = frame
                continue
            if frame.text.startswith(_ORDINARY):
                continue
        if last is not None and frame.position is None and frame.text == last.text:
            continue
        found.append(frame)
    return found


def _at_one_place(one: Position | None, other: Position | None) -> bool:
    if one is None or other is None:
        return False
    return one is other or (one.line == other.line and one.column == other.column and one == other)


def _says_nothing(text: str, view: View) -> bool:
    """Of a step without a place of its own: what the place that follows shows anyway."""
    definitions = _DEFINITIONS.match(text)
    if definitions is not None:
        return not view.is_own(view.rename(definitions[1].partition(", via ")[0]))
    return text.startswith(SELF_EVIDENT) or _WITHOUT_PLACE.match(text) is not None


def way(frames: list[TraceFrame], place: Position | None, view: View, *, own_only: bool = False) -> list[str]:
    """The steps from where evaluation began to the error; runs of steps in other people's files as one line.

    `own_only`: where no step has a place in the user's files, there is nothing to tell.
    """
    steps: list[Step] = []
    known: dict[int, Step | None] = {}  # a function that calls itself leaves one and the same frame again and again
    for frame in frames:
        if id(frame) not in known:
            known[id(frame)] = _step(frame, place, view)
        step = known[id(frame)]
        if isinstance(step, list) and steps and isinstance(steps[-1], list):
            steps[-1].append(frame)
        elif isinstance(step, list):
            steps.append([frame])
        elif step is not None:
            steps.append(step)
    plain = _shortened(_unrepeated([step if isinstance(step, tuple) else _fold(step, view) for step in steps]))
    if all(text.startswith("… ") and not where for where, text in plain):
        return []
    if own_only and not any(where for where, _ in plain):
        return []
    return _lines(plain, view)


def _step(frame: TraceFrame, place: Position | None, view: View) -> Step | None:
    """None: it only says what the error says."""
    if frame.position is not None and not view.is_own(frame.position.file):
        return [frame]
    if frame.position is None:
        return ("", _sentence(view.with_names(frame.text)))
    if frame.position != place or not frame.text.startswith(_ORDINARY):
        return (view.place(frame.position), _what(frame))
    return None


def _what(frame: TraceFrame) -> str:
    """What is done at a place: in words, or the source where the words would say nothing."""
    position = frame.position
    if frame.text.startswith(SELF_EVIDENT) and position is not None and position.source_line:
        raw = position.source_line.encode("utf-8", "surrogateescape")[max(position.column - 1, 0) :]
        source = _sentence(_expression(raw.decode("utf-8", "ignore")))
        if source:
            return source
    return _sentence(frame.text)


def _expression(text: str) -> str:
    """Up to where what is around the expression ends."""
    depth = 0
    for index, character in enumerate(text):
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        if depth < 0 or (depth == 0 and character == ";"):
            return text[:index]
    return text


def _sentence(text: str) -> str:
    return " ".join(readable(text).split()).rstrip(":")


def _shortened(steps: list[tuple[str, str]]) -> list[tuple[str, str]]:
    if len(steps) <= SHOWN_STEPS + 1:
        return steps
    left = len(steps) - SHOWN_STEPS
    middle = ("", f"… {left} more steps ('--show-trace' shows all)")
    return [*steps[: SHOWN_STEPS // 2], middle, *steps[-(SHOWN_STEPS // 2) :]]


def _lines(steps: list[tuple[str, str]], view: View) -> list[str]:
    width = min(max((len(where) for where, _ in steps), default=0), WIDEST_PLACE)
    palette = view.palette
    lines = ["on the way there:"]
    for where, text in steps:
        room = max(view.width - MARGIN - width - 4, 20)
        text = text if len(text) <= room else text[: room - 1] + "…"
        fold = not where and text.startswith("… ")
        colour = palette.faint if fold else palette.blue
        lines.append(
            f"  {colour}{where:{width}}{palette.normal}  {palette.faint if fold else ''}{text}{palette.normal}"
        )
    return lines


def _unrepeated(steps: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A function that calls itself leaves the same steps again and again: said once, with how often."""
    found: list[tuple[str, str]] = []
    index = 0
    while index < len(steps):
        for length in (1, 2, 3):
            pattern = steps[index : index + length]
            count = 1
            while steps[index + count * length : index + (count + 1) * length] == pattern:
                count += 1
            if count > 2:
                found += [*pattern, ("", f"… and {count - 1} times more")]
                index += count * length
                break
        else:
            found.append(steps[index])
            index += 1
    return found


def _fold(frames: list[TraceFrame], view: View) -> tuple[str, str]:
    plural = "frame" if len(frames) == 1 else "frames"
    return ("", f"… {len(frames)} {plural} inside {_libraries([f.position for f in frames])}")


def _libraries(places: Sequence[Position | None]) -> str:
    names = dict.fromkeys(library_name(place.file) for place in places if place is not None)
    if len(names) > 1:
        names.pop("Nix", None)
    return ", ".join(list(names)[:3]) + (", …" if len(names) > 3 else "")


def library_name(file: str) -> str:
    """What people call the place of a file that is not theirs: "nixpkgs lib", "flake-utils", "frazilpkgs lib"."""
    if file.startswith("«nix-internal»"):
        return "Nix"
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
        name, below = (os.path.basename(folder), "lib/" + after) if mark else (_folder_name(file), "")
    first = below.partition("/")[0] if "/" in below else ""
    return f"{name} {first}" if first == "lib" else name


def _folder_name(file: str) -> str:
    """Of the repository or flake that a file is part of, or its folder."""
    folder = above = os.path.dirname(file)
    while len(above) > 1:
        if any(os.path.lexists(os.path.join(above, name)) for name in (".git", "flake.nix")):
            return os.path.basename(above)
        above = os.path.dirname(above)
    return folder


def _input_name(reference: str) -> str:
    """ "github:NixOS/nixpkgs/057f9a…?narHash=…" -> "nixpkgs"."""
    path = reference.partition("?")[0]
    scheme, _, rest = path.partition(":")
    words = [word for word in rest.split("/") if word]
    if scheme in ("github", "gitlab", "sourcehut") and len(words) > 1:
        return words[1]
    return (words[-1] if words else scheme).removesuffix(".git")


def cycle(places: Sequence[Position], view: View, place: Position | None = None) -> list[str]:
    """Values that need each other, each once; those of libraries folded where there are others. `place`: shown above"""
    if len(places) == 1:
        return [f"this value needs itself: {view.palette.blue}{view.place(places[0])}{view.palette.normal}"]
    groups: list[list[Position]] = []
    some_own = any(view.is_own(step.file) for step in places)
    if not some_own and place is not None and view.is_own(place.file):
        return [f"it asks for what is made of it: {len(places)} values inside {_libraries(places)} need each other"]
    for step in places:
        folded = some_own and not view.is_own(step.file)
        if folded and groups and not view.is_own(groups[-1][0].file):
            groups[-1].append(step)
        else:
            groups.append([step])
    shown = groups[: 2 * SHOWN_STEPS]
    width = min(max(len(view.place(group[0])) for group in shown if len(group) == 1), WIDEST_PLACE) if shown else 0
    lines = ["these values need each other, each the one below it, the last the first:"]
    for group in shown:
        if some_own and not view.is_own(group[0].file):
            values = "value" if len(group) == 1 else "values"
            text = f"… {len(group)} {values} inside {_libraries(group)}"
            lines.append(f"  {'':{width}}  {view.palette.faint}{text}{view.palette.normal}")
            continue
        room = max(view.width - MARGIN - width - 4, 20)
        line = _cycle_source(group[0])
        line = line if len(line) <= room else line[: room - 1] + "…"
        lines.append(f"  {view.palette.blue}{view.place(group[0]):{width}}{view.palette.normal}  {line}")
    if len(groups) > len(shown):
        lines.append(f"  … {len(groups) - len(shown)} more")
    return lines


def _cycle_source(place: Position) -> str:
    """A whole line where it is short, from the place on where it is long."""
    line = readable(place.source_line or "")
    return _sentence(line if len(line) <= 80 else line.encode()[max(place.column - 1, 0) :].decode("utf-8", "ignore"))
