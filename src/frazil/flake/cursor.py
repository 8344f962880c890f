"""Walking along attribute paths of a flake's outputs, evaluating only what lies on the way."""

from __future__ import annotations

from frazil.errors import edit_distance
from frazil.flake.errors import FlakeError, OutputNotFound
from frazil.lang.errors import EvalBaseError, TypeMismatch
from frazil.lang.runtime import force, force_bool, force_string
from frazil.lang.values import MISSING, Attrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from frazil.position import Position

    Value = Any

MAX_SUGGESTIONS, MAX_DISTANCE = 5, 2


def parse_attribute_path(text: str) -> tuple[str, ...]:
    """`a."b.c".d` to its names."""
    names: list[str] = []
    current, quoted = "", False
    for character in text:
        if character == '"':
            quoted = not quoted
        elif character == "." and not quoted:
            names.append(current)
            current = ""
        else:
            current += character
    if quoted:
        raise FlakeError(f"missing closing quote in selection path '{text}'")
    return (*names, current) if current else tuple(names)


def show_attribute_path(path: Sequence[str]) -> str:
    return ".".join(path)


Suggestions = set[tuple[int, str]]


def trim(suggestions: Suggestions) -> tuple[str, ...]:
    """The nearest few of those at most two edits away, as messages show them."""
    return tuple(name for distance, name in sorted(suggestions)[:MAX_SUGGESTIONS] if distance <= MAX_DISTANCE)


class Cursor:
    """A value at a place, evaluated when asked."""

    __slots__ = ("evaluator", "path", "places", "value")

    def __init__(self, evaluator: Any, value: Value, path: tuple[str, ...] = (), places: tuple[int, ...] = ()) -> None:
        """`places`: where the attributes of the path are defined, as the evaluator's positions."""
        self.evaluator, self.value, self.path, self.places = evaluator, value, path, places

    @property
    def name(self) -> str:
        return show_attribute_path(self.path)

    def force(self) -> Value:
        """The thunk stays: whoever asks next may have to be told what it rests on."""
        try:
            return force(self.value)
        except EvalBaseError as error:
            if error.asked is None:
                error.asked = self.positions
            raise

    def positions(self) -> list[Position]:
        """Where the attributes of the path are defined, outermost first."""
        found = (self.evaluator.positions.position(place) for place in self.places if place > 0)
        return [position for position in found if position is not None]

    def names(self) -> list[str]:
        """Raises TypeMismatch where the value is no set."""
        value = self.force()
        if not isinstance(value, Attrs):
            raise TypeMismatch(f"'{self.name}' is not an attribute set")
        return list(value.names())

    def maybe(self, name: str) -> Cursor | None:
        value = self.force()
        if not isinstance(value, Attrs):
            return None
        found = value.lookup(name)
        if found is MISSING:
            return None
        return Cursor(self.evaluator, found, (*self.path, name), (*self.places, value.position(name)))

    def get(self, name: str) -> Cursor:
        found = self.maybe(name)
        if found is None:
            raise FlakeError(f"attribute '{show_attribute_path((*self.path, name))}' does not exist")
        return found

    def find(self, path: Sequence[str], suggestions: Suggestions) -> Cursor | None:
        """None where an attribute is missing; near names are added to `suggestions`."""
        cursor = self
        for name in path:
            child = cursor.maybe(name)
            if child is None:
                cursor.suggest(name, suggestions)
                return None
            cursor = child
        return cursor

    def suggest(self, name: str, suggestions: Suggestions) -> None:
        value = self.force()
        if isinstance(value, Attrs):
            near = {
                (edit_distance(name, other, MAX_DISTANCE), other)
                for other in value.names()
                if abs(len(other) - len(name)) <= MAX_DISTANCE
            }
            suggestions |= near

    def is_derivation(self) -> bool:
        kind = self.maybe("type")
        return kind is not None and kind.string() == "derivation"

    def string(self) -> str:
        """Raises TypeMismatch for anything but a string; its context is dropped."""
        value = self.force()
        if isinstance(value, str):
            return value
        if hasattr(value, "context"):
            return str(value.text)
        raise TypeMismatch(f"'{self.name}' is not a string but {self.evaluator.type_name(value)}")

    def string_with_context(self) -> tuple[str, frozenset[str]]:
        context: set[str] = set()
        text = force_string(self.value, context, f"while evaluating the attribute '{self.name}'")
        return text, frozenset(context)

    def boolean(self) -> bool:
        return force_bool(self.value, f"while evaluating the attribute '{self.name}'")

    def integer(self) -> int:
        value = self.force()
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeMismatch(f"'{self.name}' is not an integer but {self.evaluator.type_name(value)}")
        return value

    def strings(self) -> list[str]:
        value = self.force()
        if not isinstance(value, list):
            raise TypeMismatch(f"'{self.name}' is not a list but {self.evaluator.type_name(value)}")
        return [Cursor(self.evaluator, element, self.path).string() for element in value]


__all__ = ["Cursor", "OutputNotFound", "Suggestions", "parse_attribute_path", "show_attribute_path", "trim"]
