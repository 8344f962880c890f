"""Why `assert a == b` failed: walks both values as equality does and raises the first difference.

Source of truth: `assertEqValues` in Nix's `eval.cc`.
"""

from __future__ import annotations

from typing import Any, NoReturn

from frazil.lang.comparison import equal
from frazil.lang.error_text import attribute_name
from frazil.lang.errors import AssertionFailed, EvalBaseError, StackOverflow
from frazil.lang.runtime import force, is_derivation, show_type, show_value
from frazil.lang.values import MISSING, Attrs, ContextString, PathValue


def fail(message: str) -> NoReturn:
    raise AssertionFailed(message)


def plain(value: Any) -> Any:
    """What decides equality of a simple value."""
    if type(value) in (ContextString, PathValue):
        return value.text
    return value


def kind_of(value: Any) -> Any:
    if type(value) is ContextString:
        return str
    return type(value) if type(value) in (int, float, bool, str, list, Attrs, PathValue, type(None)) else "function"


NAMES = {str: "string", PathValue: "path", bool: "boolean"}


def explain_difference(state: Any, left: Any, right: Any, pos: int) -> None:
    """Raises AssertionFailed unless the two are equal."""
    same = left is right and kind_of(force(left)) != "function"
    left, right = force(left), force(right)
    if state.call_depth > state.max_call_depth:
        raise StackOverflow("stack overflow; max-call-depth exceeded", pos=pos, positions=state.positions)
    if same and kind_of(left) not in (list, Attrs):
        return
    kinds = kind_of(left), kind_of(right)
    if kinds[0] in (int, float) and kinds[1] in (int, float):
        if not equal(state, left, right):
            fail(
                f"{show_type(left)} with value '{show_value(left)}' is not equal to"
                f" {show_type(right)} with value '{show_value(right)}'"
            )
        return
    if kinds[0] is not kinds[1]:
        fail(
            f"{show_type(left)} of value '{show_value(left)}' is not equal to"
            f" {show_type(right)} of value '{show_value(right)}'"
        )
    explain_same_kind(state, left, right, pos)


def explain_same_kind(state: Any, left: Any, right: Any, pos: int) -> None:
    kind = kind_of(left)
    if kind in NAMES:
        if plain(left) != plain(right):
            name = NAMES[kind]
            fail(f"{name} '{show_value(left)}' is not equal to {name} '{show_value(right)}'")
    elif kind is list:
        state.call_depth += 1
        explain_lists(state, left, right, pos)
        state.call_depth -= 1
    elif kind is Attrs:
        state.call_depth += 1
        explain_sets(state, left, right, pos)
        state.call_depth -= 1
    elif kind == "function":
        fail("distinct functions and immediate comparisons of identical functions compare as unequal")


def explain_lists(state: Any, left: list[Any], right: list[Any], pos: int) -> None:
    if len(left) != len(right):
        fail(
            f"list of size '{len(left)}' is not equal to list of size '{len(right)}',"
            f" left hand side is '{show_value(left)}', right hand side is '{show_value(right)}'"
        )
    for index, (one, other) in enumerate(zip(left, right, strict=True)):
        try:
            explain_difference(state, one, other, pos)
        except EvalBaseError as error:
            error.add_trace(pos, f"while comparing list element {index}")
            raise


def explain_sets(state: Any, left: Attrs, right: Attrs, pos: int) -> None:
    if is_derivation(left) and is_derivation(right):
        one, other = left.lookup("outPath"), right.lookup("outPath")
        if one is not MISSING and other is not MISSING:
            try:
                explain_difference(state, one, other, pos)
            except EvalBaseError as error:
                error.add_trace(pos, "while comparing a derivation by its 'outPath' attribute")
                raise
            return
    if left.size() != right.size():
        fail(f"attribute names of attribute set '{show_value(left)}' differs from attribute set '{show_value(right)}'")
    for name in left.names():
        if not right.has(name):
            shown = attribute_name(name)
            one, other = show_value(left), show_value(right)
            fail(f"attribute name '{shown}' is contained in '{one}', but not in '{other}'")
        explain_attribute(state, left, right, name, pos)


def explain_attribute(state: Any, left: Attrs, right: Attrs, name: str, pos: int) -> None:
    try:
        explain_difference(state, left.lookup(name), right.lookup(name), pos)
    except EvalBaseError as error:
        if right.position(name):
            error.add_trace(right.position(name), "where right hand side is")
        if left.position(name):
            error.add_trace(left.position(name), "where left hand side is")
        error.add_trace(pos, f"while comparing attribute '{attribute_name(name)}'")
        raise
