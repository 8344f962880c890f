"""Errors of the module system: which option, of which type, defined where, and how to resolve it.

`lib.evalModules` can only throw text. In: that text, in nixpkgs' wording or in that of the embedded package set. Out:
`OptionFailure`, or None for any other message.
"""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.cli.display import Palette
    from frazil.cli.error_layout import View
    from frazil.position import Position

LARGEST_FILE = 1 << 20
SHOWN_VALUE = 100
SHOWN_DEFINITIONS = 8
OPTION = r"[`‘](?P<option>[^'’]+)['’]"
_DEFINITION = re.compile(r"^- In [`‘](?P<file>[^'’]*)['’](?P<more>[^:\n]*):? ?(?P<value>.*)$")


class _Kind:
    """A family of messages. `hint` may use {option}, {assignment}, {file}."""

    def __init__(self, name: str, hint: str, *patterns: str) -> None:
        self.name = name
        self.hint = hint
        self.patterns = tuple(re.compile(pattern.replace("OPTION", OPTION), re.S) for pattern in patterns)


KINDS = (
    _Kind(
        "wrong type",
        "give the option a value of that type{there}",
        r"A definition for option OPTION is not of type [`‘](?P<type>.*?)['’]\.(?= |$)",
        r"What OPTION is defined as is not of type [`‘](?P<type>.*?)['’]:",
    ),
    _Kind(
        "conflict",
        "keep one definition; or say which counts: `{option} = lib.mkForce VALUE;` wins over the others, "
        "`lib.mkDefault VALUE` gives way to them",
        r"The option OPTION has conflicting definition values:",
        r"Definitions of OPTION contradict each other:",
    ),
    _Kind(
        "several definitions",
        "only one definition may count: remove the others, or make one win with `{option} = lib.mkForce VALUE;`",
        r"The option OPTION is defined multiple times while it's expected to be unique",
        r"OPTION takes a single definition, but has",
    ),
    _Kind(
        "not combinable",
        "one definition can count (`lib.mkForce`); or the option needs a type whose values combine (`lib.types.lines`, "
        "`lib.types.listOf …`, `lib.types.attrsOf …`), and `lib.mkMerge` puts several values into one definition",
        r"Cannot merge definitions of OPTION",
        r"The definitions of OPTION do not combine:",
    ),
    _Kind(
        "no value",
        "set it: `{option} = …;`; or give it a `default` where it is declared",
        r"The option OPTION (?:was accessed but has no value defined|is used but not defined)",
        r"OPTION is needed but has no value defined",
    ),
    _Kind(
        "read-only",
        "a read-only option has one definition: remove the others",
        r"The option OPTION is read-only, but it's set multiple times",
        r"OPTION is read-only: one definition is all it may have",
    ),
    _Kind(
        "unknown",
        "is the name right, and the module that declares the option among `imports`?",
        r"The option OPTION does not exist\.",
        r"OPTION does not exist: no module declares such an option",
    ),
    _Kind(
        "declared twice",
        "an option is declared once: remove a declaration, or rename it",
        r"The option OPTION in [`‘].*?['’] is already declared in (?P<files>[^\n]*?)\.?$",
        r"declares the option OPTION, which is already declared by (?P<files>[^\n]*?)\.?$",
    ),
)


class Definition:
    """`place`: None where it cannot be told."""

    def __init__(self, file: str, place: Position | None, value: str) -> None:
        self.file = file
        self.place = place
        self.value = value

    @property
    def line(self) -> int:
        return 0 if self.place is None else self.place.line


class OptionFailure:
    """`message`: without the list of definitions, which `table` shows."""

    def __init__(self, message: str, option: str, kind: str | None, definitions: list[Definition], hint: str) -> None:
        self.message = message
        self.option = option
        self.type = kind
        self.definitions = definitions
        self.hint = hint

    @property
    def place(self) -> Position | None:
        """The first definition that can be shown."""
        return next((d.place for d in self.definitions if d.place is not None), None)

    def table(self, palette: Palette) -> list[str]:
        rows = [("option", self.option)]
        if self.type:
            rows.append(("type", self.type))
        lines = [f"{name:<8} {text}" for name, text in rows]
        for number, definition in enumerate(self.definitions[:SHOWN_DEFINITIONS]):
            label = "defined" if number == 0 else ""
            where = definition.file + (f":{definition.line}" if definition.line else "")
            lines.append(f"{label:<8} {palette.blue}{where}{palette.normal}  {definition.value}".rstrip())
        left = len(self.definitions) - SHOWN_DEFINITIONS
        if left > 0:
            lines.append(f"{'':<8} … {left} more")
        return lines


def option_failure(message: str, view: View) -> OptionFailure | None:
    for kind in KINDS:
        for pattern in kind.patterns:
            found = pattern.search(message)
            if found is not None:
                return _failure(message, kind, found, view)
    return None


def _failure(message: str, kind: _Kind, found: re.Match[str], view: View) -> OptionFailure:
    option = found["option"]
    groups = found.groupdict()
    definitions = _definitions(message, option, view)
    first = message[: message.find("\n- In ")] if "\n- In " in message else message
    near = re.search(r"Did you mean ([^\n]*)\?\s*\Z", message)
    first = re.sub(r":?\s*(?:Definition values:?)?\s*\Z", "", first)
    where = ""
    if kind.name == "wrong type" and definitions:
        at = definitions[0]
        where = f" in {at.file}" + (f", line {at.line}" if at.line else "")
        where += _unquoted(at.value, groups.get("type") or "")
    hint = kind.hint.format(option=option, there=where)
    if near is not None:
        hint = f"did you mean {near[1]}? If not: {hint}"
    return OptionFailure(first, option, groups.get("type"), definitions, hint)


def _unquoted(value: str, wanted: str) -> str:
    """A number or truth value in quotes is the commonest mistake of all."""
    plain = value.strip().strip('"')
    if not value.strip().startswith('"'):
        return ""
    if ("integer" in wanted and re.fullmatch(r"-?[0-9]+", plain)) or (
        "boolean" in wanted and plain in ("true", "false")
    ):
        return f": write {plain} without the quotes"
    return ""


def _definitions(message: str, option: str, view: View) -> list[Definition]:
    found: list[Definition] = []
    for line in message.split("\n"):
        match = _DEFINITION.match(line)
        if match is not None:
            file = match["file"]
            value = " ".join(match["value"].split())
            short = value if len(value) <= SHOWN_VALUE else value[: SHOWN_VALUE - 1] + "…"
            found.append(Definition(view.shorten(file), definition_place(file, option), short))
        elif found and line[:1] in (" ", "\t") and len(found[-1].value) < SHOWN_VALUE:
            # A value over several lines.
            last = found[-1]
            value = f"{last.value} {' '.join(line.split())}".strip()
            last.value = value if len(value) <= SHOWN_VALUE else value[: SHOWN_VALUE - 1] + "…"
    return found


def definition_place(file: str, option: str) -> Position | None:
    """Where a file sets an option, None where it does not, or in more than one place that may be meant."""
    if not os.path.isabs(file) or not os.path.isfile(file):
        return None
    try:
        with open(file, "rb") as stream:
            text = stream.read(LARGEST_FILE + 1)
    except OSError:
        return None
    if len(text) > LARGEST_FILE:
        return None
    names = [name.strip('"') for name in option.split(".")]
    for first in range(len(names)):
        path = rb"\s*\.\s*".join(rb'"?' + re.escape(os.fsencode(name)) + rb'"?' for name in names[first:])
        pattern = re.compile(rb"(?<![\w.'\"-])(?:config\s*\.\s*)?" + path + rb"\s*=(?!=)")
        hits = [hit for hit in pattern.finditer(text) if _may_be_meant(text, hit.start(), names[:first])]
        if len(hits) == 1:
            return _place(file, text, hits[0].start())
        if hits:
            return None
    return None


def _may_be_meant(text: bytes, offset: int, outer: list[str]) -> bool:
    """Not in a comment, and what the rest of the path names comes somewhere before."""
    if b"#" in text[text.rfind(b"\n", 0, offset) + 1 : offset]:
        return False
    return all(re.search(rb"(?<![\w'-])" + re.escape(os.fsencode(name)), text[:offset]) for name in outer)


def _place(file: str, text: bytes, offset: int) -> Position:
    from frazil.position import Position

    lines = [line.decode("utf-8", "replace") for line in text.split(b"\n")]
    number = text.count(b"\n", 0, offset)
    column = offset - (text.rfind(b"\n", 0, offset) + 1) + 1
    above = lines[number - 1] if number > 0 else None
    below = lines[number + 1] if number + 1 < len(lines) else None
    return Position(file, number + 1, column, lines[number], above, below)
