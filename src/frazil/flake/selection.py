"""Selecting by an attribute path, as `-A` does; apart, so that programs without flakes need not read all of them.

Source: the manual page of `nix-build` (`--attr`).
"""

from __future__ import annotations

from frazil.flake.cursor import Cursor, show_attribute_path, trim
from frazil.flake.errors import FlakeError
from frazil.lang.errors import MissingAttribute, TypeMismatch
from frazil.lang.values import MISSING, Attrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from frazil.flake.cursor import Suggestions, Value


def called_root(evaluator: Any, root: Value, auto_arguments: Mapping[str, Value]) -> Value:
    """The root called with what there is for it: once, however many paths start there."""
    return evaluator.lazy(lambda: evaluator.auto_call(evaluator.force(root), auto_arguments))


def select(
    evaluator: Any, root: Value, names: Sequence[str], auto_arguments: Mapping[str, Value], called: Value | None = None
) -> Value:
    """Nix's attribute-path rule for expressions: functions are called on the way, numbers index lists.

    `called`: of `called_root`, for several paths from one root.
    """
    text, value = show_attribute_path(names), root
    for place, name in enumerate(names):
        if called is not None and place == 0:
            value = evaluator.force(called)
        else:
            value = evaluator.auto_call(evaluator.force(value), auto_arguments)
        what = f"the expression selected by the selection path '{text}' should be a"
        if name.isascii() and name.isdigit() and int(name) < 1 << 32:
            if not isinstance(value, list):
                raise TypeMismatch(f"{what} list but is {evaluator.type_name(value)}")
            if int(name) >= len(value):
                raise MissingAttribute(f"list index {int(name)} in selection path '{text}' is out of range")
            value = value[int(name)]
            continue
        if not isinstance(value, Attrs):
            raise TypeMismatch(f"{what} set but is {evaluator.type_name(value)}")
        if not name:
            raise FlakeError(f"empty attribute name in selection path '{text}'")
        found = value.lookup(name)
        if found is MISSING:
            suggestions: Suggestions = set()
            Cursor(evaluator, value).suggest(name, suggestions)
            raise MissingAttribute(
                f"attribute '{name}' in selection path '{text}' not found", suggestions=trim(suggestions)
            )
        value = found
    return evaluator.force(value)
