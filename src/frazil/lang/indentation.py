"""Indented strings: the common indentation goes, as `stripIndentation` in Nix's `parser-state.hh` does it.

In: [(position, is text with indentation, text or expression)]; escapes come as text without indentation.
Out: [(position, text or expression)] without empty texts.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Part = tuple[int, bool, Any]


def minimum_indentation(parts: list[Part]) -> int:
    """Of all lines that hold more than spaces."""
    at_start = True
    minimum = 1000000
    current = 0
    for _, indented, part in parts:
        if not indented:
            if at_start:
                at_start = False
                minimum = min(minimum, current)
            continue
        lines = part.split("\n")
        last = len(lines) - 1
        for number, line in enumerate(lines):
            if at_start:
                stripped = line.lstrip(" ")
                current += len(line) - len(stripped)
                if stripped:
                    at_start = False
                    minimum = min(minimum, current)
            if number < last:
                at_start = True
                current = 0
    return minimum


def strip_lines(text: str, minimum: int, at_start: bool, dropped: int) -> tuple[str, bool, int]:
    """(text without indentation, whether it ends at a line's start, spaces dropped there)."""
    lines = text.split("\n")
    last = len(lines) - 1
    out = []
    for number, line in enumerate(lines):
        if at_start:
            stripped = line.lstrip(" ")
            spaces = len(line) - len(stripped)
            drop = min(spaces, max(0, minimum - dropped))
            out.append(line[drop:])
            dropped += spaces
            if stripped:
                at_start = False
                dropped = 0
        else:
            out.append(line)
        if number < last:
            at_start = True
            dropped = 0
    return "\n".join(out), at_start, dropped


def strip_indentation(parts: list[Part]) -> list[tuple[int, Any]]:
    """The parts as they count."""
    minimum = minimum_indentation(parts)
    at_start = True
    dropped = 0
    out: list[tuple[int, Any]] = []
    last = len(parts) - 1
    for number, (pos, _, part) in enumerate(parts):
        if not isinstance(part, str):
            at_start = False
            dropped = 0
            out.append((pos, part))
            continue
        text, at_start, dropped = strip_lines(part, minimum, at_start, dropped)
        if number == last:
            newline = text.rfind("\n")
            if newline >= 0 and not text[newline + 1 :].strip(" "):
                text = text[: newline + 1]
        if text:
            out.append((pos, text))
    return out
