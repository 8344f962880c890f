"""How errors in TOML texts show what they are about: the style of the library that Nix uses (toml11).

In: the text, what is wrong, and places with a word about each. Out: the message. Of a place that takes several lines
the first is shown.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN_AROUND = 30
"""Characters shown of a line before and after a place."""
_NAMES = {
    0: "NUL",
    9: "TAB",
    10: "LINE FEED",
    11: "VERTICAL TAB",
    12: "FORM FEED",
    13: "CARRIAGE RETURN",
    27: "ESCAPE",
}


def places_shown(text: str, message: str, places: Sequence[tuple[int, int, str]]) -> str:
    """`places`: (start, end, word), each at least a character long."""
    numbers = [text.count("\n", 0, start) + 1 for start, _, _ in places]
    width = max(len(str(number)) for number in numbers)
    margin = " " * (width + 1) + " |"
    shown = [f"[error] {message}\n --> fromTOML\n{margin}\n"]
    for i, (start, end, word) in enumerate(places):
        if i > 0:
            shown.append(f"{margin} ...\n{margin}\n")
        line, column = _line(text, start, end)
        break_after = text.find("\n", start, end)
        length = max((break_after if break_after >= 0 else end) - start, 1)
        shown.append(f" {numbers[i]:{width}} | {''.join(map(_visible, line))}\n{margin} {' ' * column}")
        shown.append(f"{'^' * length}-- {word}\n")
    return "".join(shown)


def _line(text: str, start: int, end: int) -> tuple[str, int]:
    """The line of a place, cut where it is long, and how much of it is before the place."""
    before = max(start - SHOWN_AROUND, 0)
    first = text.rfind("\n", before, start) + 1
    head = text[first:start] if first else ("... " if before else "") + text[before:start]
    last = max(end - 1, start)
    break_within = text.find("\n", start, last)
    if break_within >= 0:
        return head + text[start:break_within], len(head)
    following = min(last + SHOWN_AROUND, len(text))
    break_after = text.find("\n", last, following)
    if break_after < 0 and following < len(text) and text[following] == "\n":
        break_after = following
    tail = text[start : break_after if break_after >= 0 else following]
    return head + tail + (" ..." if break_after < 0 and following < len(text) else ""), len(head)


def _visible(c: str) -> str:
    if " " <= c <= "~":
        return c
    name = _NAMES.get(ord(c))
    return f"0x{ord(c):02x}" + (f"({name})" if name is not None else "")
