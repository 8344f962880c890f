"""`nix search`: packages whose path, name or description match regular expressions.

In: cursors to look below. Out: a `Hit` for each package, in the order of evaluation. Expressions are POSIX extended
ones without regard to the case of ASCII letters. Source: the manual page of `nix search`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frazil.errors import UsageError
from frazil.flake.cursor import Cursor
from frazil.lang.errors import EvalError
from frazil.lang.regex import Regex, RegexError, compile_regex
from frazil.lang.versions import parse_derivation_name

if TYPE_CHECKING:
    from frazil.flake.parts import Parts

Span = tuple[int, int]
"""Where a match begins and ends, in characters."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Byte strings, with the matches in `path` and `description`."""

    path: str
    name: str
    version: str
    description: str
    path_spans: tuple[Span, ...]
    description_spans: tuple[Span, ...]


def _lower(text: str) -> str:
    """Only ASCII: a byte string's other characters are parts of UTF-8 sequences."""
    return "".join([c.lower() if c.isascii() else c for c in text])


def _compile(text: str) -> Regex:
    try:
        # A group around everything: splitting then tells where the matches are.
        return compile_regex(f"({_lower(text).replace('[:upper:]', '[:alpha:]')})")
    except RegexError as error:
        raise UsageError(f"'{text}' is not a valid regular expression") from error


def find_spans(pattern: Regex, text: str) -> list[Span]:
    spans, position = [], 0
    for piece in pattern.split(_lower(text)):
        length = len(piece if isinstance(piece, str) else piece[0] or "")
        if not isinstance(piece, str):
            spans.append((position, position + length))
        position += length
    return spans


def highlight(text: str, spans: Sequence[Span], before: str, after: str) -> str:
    """Marks matches, those that touch as one."""
    out, last = [], 0
    ordered = sorted(spans)
    while ordered:
        start, end = ordered.pop(0)
        while ordered and ordered[0][0] <= end:
            end = max(end, ordered.pop(0)[1])
        out.append(f"{text[last:start]}{before}{text[start:end]}{after}")
        last = end
    return "".join(out) + text[last:]


class Search:
    """All of `wanted` must match somewhere, none of `excluded` may."""

    def __init__(self, wanted: Sequence[str], excluded: Sequence[str]) -> None:
        self.wanted, self.excluded = list(map(_compile, wanted)), list(map(_compile, excluded))

    def below(self, cursor: Cursor, *, first: bool = True, remembered: Parts | None = None) -> Iterator[Hit]:
        """`remembered`: what earlier runs found out about packages, and what this one does."""
        return self._below(lambda: cursor, cursor.path, first, remembered)

    def _below(
        self, look: Callable[[], Cursor], path: tuple[str, ...], first: bool, remembered: Parts | None
    ) -> Iterator[Hit]:
        try:
            found = _describe(look, path, first, remembered)
            if "package" in found:
                hit = self._hit(".".join(path), *found["package"])
                if hit is not None:
                    yield hit
            for name in found.get("inner", ()):
                yield from self._below(_later(look, name), (*path, name), False, remembered)
        except EvalError:
            # Package sets of this kind always have members that do not evaluate.
            if not path or path[0] != "legacyPackages":
                raise

    def _hit(self, path: str, full_name: str, description: str) -> Hit | None:
        name, version = parse_derivation_name(full_name)
        places = (path, name, description)
        if any(find_spans(pattern, place) for pattern in self.excluded for place in places):
            return None
        found: list[list[Span]] = [[], [], []]
        for pattern in self.wanted:
            spans = [find_spans(pattern, place) for place in places]
            if not any(spans):
                return None
            found = [old + new for old, new in zip(found, spans)]
        return Hit(path, name, version, description, tuple(found[0]), tuple(found[2]))


def _later(look: Callable[[], Cursor], name: str) -> Callable[[], Cursor]:
    return lambda: look().get(name)


def _describe(
    look: Callable[[], Cursor], path: tuple[str, ...], first: bool, remembered: Parts | None
) -> Mapping[str, Any]:
    """What is there: a package with its name and description, a set to search, or nothing of interest."""
    if remembered is None or len(path) < 3:
        return _look_at(look(), first)
    detail = {"path": list(path), "first": first}
    found = remembered.known(detail, _is_description)
    if found is None:
        cursor = look()
        found = remembered.evaluate(detail, lambda: _look_at(cursor, first))
    assert found is not None
    return found


def _look_at(cursor: Cursor, first: bool) -> dict[str, Any]:
    path = cursor.path
    if cursor.is_derivation():
        name, meta = cursor.get("name").string(), cursor.maybe("meta")
        text = meta.maybe("description") if meta is not None else None
        return {"package": [name, text.string().replace("\n", " ") if text is not None else ""]}
    if first or not path or (path[0] in ("packages", "legacyPackages") and len(path) <= 2):
        return {"inner": cursor.names()}
    if path[0] == "legacyPackages":
        flag = cursor.maybe("recurseForDerivations")
        if flag is not None and flag.boolean():
            return {"inner": cursor.names()}
    return {}


def _is_description(answer: Mapping[str, Any]) -> bool:
    """The shape of what `_look_at` gives."""
    package, inner = answer.get("package", ["", ""]), answer.get("inner", [])
    rows = isinstance(package, list) and len(package) == 2 and isinstance(inner, list)
    return rows and all(isinstance(text, str) for text in [*package, *inner])
