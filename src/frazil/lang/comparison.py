# cython: boundscheck=False, wraparound=False, binding=True
"""Equality and order of values.

Source of truth: `eqValues` in Nix's `eval.cc`, `CompareValues` in `primops.cc`; messages included.
"""

import cython
from cython.cimports.frazil.lang.runtime import (
    add_trace,
    force,
    force_at,
    is_derivation,
    show_type,
    show_value,
    type_name,
)
from cython.cimports.frazil.lang.values import (
    MISSING,
    Attrs,
    ContextString,
    Lambda,
    PathValue,
    Primop,
    PrimopApplication,
    Thunk,
    cell,
    get_value,
    is_marking,
    marked_value,
    note_marks,
    same_text,
    spend,
    stack_is_low,
    stack_overflow,
    swap_marks,
)

from frazil.lang.errors import EvalError


def equal(state, left, right):
    """`left == right` for two cells, as builtins compare (identical functions in one cell are equal)."""
    return equal_cells(state, left, right, 0)


def resolved(value):
    if type(value) is Thunk:
        thunk = cython.cast(Thunk, value)
        if thunk.expr is None:
            return thunk.slot
        known = marked_value(thunk)
        return value if known is MISSING else known
    return value


def equal_cells(state, left, right, pos):
    same: cython.bint = left is right or resolved(left) is resolved(right)
    left = force_at(left, pos)
    right = force_at(right, pos)
    if same:
        return True
    if left is right and (type(left) is Lambda or type(left) is Primop or type(left) is PrimopApplication):
        return True
    return equal_values(state, left, right, pos)


def equal_values(state, left, right, pos):
    """Two forced values that are not in one cell."""
    left_kind = type(left)
    right_kind = type(right)
    if left_kind is str or left_kind is ContextString:
        if right_kind is not str and right_kind is not ContextString:
            return False
        left_text: object = left if left_kind is str else cython.cast(ContextString, left).text
        right_text: object = right if right_kind is str else cython.cast(ContextString, right).text
        return left_text == right_text
    if left_kind is int:
        if right_kind is float:
            return float(left) == right
        return right_kind is int and left == right
    if left_kind is float:
        if right_kind is int:
            return left == float(right)
        return right_kind is float and left == right
    if left_kind is not right_kind:
        return False
    if left is None or left_kind is bool:
        return left is right
    if left_kind is PathValue:
        note_compared(state, cython.cast(PathValue, left).text, cython.cast(PathValue, right).text)
        return cython.cast(PathValue, left).text == cython.cast(PathValue, right).text
    if left_kind is list or left_kind is Attrs:
        if state.call_depth > state.max_call_depth or stack_is_low():
            raise stack_overflow(state, pos)
        state.call_depth += 1
        result = equal_lists(state, left, right, pos) if left_kind is list else equal_sets(state, left, right, pos)
        state.call_depth -= 1
        return result
    return False


def equal_lists(state, left, right, pos):
    left_items = cython.cast(list, left)
    right_items = cython.cast(list, right)
    count: cython.Py_ssize_t = len(left_items)
    if count != len(right_items):
        return False
    for i in range(count):
        spend(1)
        if not equal_cells(state, left_items[i], right_items[i], pos):
            return False
    return True


# The outcome for large sets that were compared: a package set asks the same of the same two platforms all the time.
# Sets never change, and what was compared is evaluated, so that an outcome holds for ever.
LARGE = cython.declare(cython.Py_ssize_t, 8)
LARGE = 8
COMPARED = cython.declare(list, [None] * 256)
COMPARED = [None] * 256


def equal_sets(state, left, right, pos):
    left_attrs = cython.cast(Attrs, left)
    right_attrs = cython.cast(Attrs, right)
    if is_derivation(left) and is_derivation(right):
        left_path = left_attrs.lookup("outPath")
        right_path = right_attrs.lookup("outPath")
        if left_path is not MISSING and right_path is not MISSING:
            return equal_cells(state, left_path, right_path, pos)
    if left_attrs.size() != right_attrs.size():
        return False
    if left_attrs.size() < LARGE:
        return equal_members(state, left_attrs, right_attrs, pos)
    place: cython.Py_ssize_t = (id(left) // 32 * 7 + id(right) // 32) & 255
    known = COMPARED[place]
    marking: cython.bint = is_marking()
    if known is not None and known[0] is left and known[1] is right:
        if marking:
            note_marks(known[3])
        return known[2]
    outer: object = swap_marks(None) if marking else None
    own: object = None
    outcome: cython.bint
    try:
        outcome = equal_members(state, left_attrs, right_attrs, pos)
    finally:
        if marking:
            own = swap_marks(outer)
            note_marks(own)
    COMPARED[place] = (left, right, outcome, own)
    return outcome


@cython.cfunc
def plainly_equal(left: object, right: object) -> cython.bint:
    """Whether two cells are equal as far as can be seen without evaluating anything."""
    left = cell(left)
    right = cell(right)
    kind = type(left)
    if kind is Thunk or kind is not type(right):
        return False
    if left is right:
        return True
    return kind is str and same_text(left, right)


@cython.cfunc
@cython.exceptval(-1)
def equal_members(state: object, left: Attrs, right: Attrs, pos: cython.Py_ssize_t) -> cython.int:
    """The members that need a closer look are compared in order of their names."""
    rest: list = []
    i: cython.Py_ssize_t
    name: str
    if left.shape is not None and left.shape is right.shape:
        for i in range(left.shape.count):
            if not plainly_equal(get_value(left, i), get_value(right, i)):
                rest.append(left.shape.names[i])
    else:
        for name in left.own_table() if left.shape is None else left.shape.names:
            if not plainly_equal(left.lookup(name), right.lookup(name)):
                rest.append(name)
        rest.sort()
    for name in rest:
        other = right.lookup(name)
        if other is MISSING or not equal_cells(state, left.lookup(name), other, pos):
            return False
    return True


def less_than(state, left, right, what=""):
    """Order of two forced values, as `<`, `sort` and `genericClosure` use it; `what` goes into the trace."""
    left_kind = type(left)
    right_kind = type(right)
    if left_kind is int and right_kind is int:
        return left < right
    if left_kind is str and right_kind is str:
        return left < right
    done: cython.bint = False
    try:
        result: cython.bint = compare(state, left, right, what)
        done = True
    finally:
        if not done and what:
            add_trace(state, 0, what)
    return result


def order_kind(value):
    kind = type(value)
    return str if kind is ContextString else kind


def compare(state, left, right, what):
    left_kind = order_kind(left)
    right_kind = order_kind(right)
    if left_kind in (int, float) and right_kind in (int, float):
        if left_kind is not right_kind:
            return float(left) < float(right)
        return left < right
    if type_name(left) != type_name(right):
        raise EvalError(
            f"cannot compare {show_type(left)} with {show_type(right)};"
            f" values are {show_value(left)} and {show_value(right)}"
        )
    if left_kind is str:
        left_text: str = left if type(left) is str else left.text
        right_text: str = right if type(right) is str else right.text
        return left_text < right_text
    if left_kind is PathValue:
        note_compared(state, left.text, right.text)
        return left.text < right.text
    if left_kind is list:
        return compare_lists(state, left, right, what)
    raise EvalError(
        f"cannot compare {show_type(left)} with {show_type(right)};"
        f" values of that type are incomparable (values are {show_value(left)} and {show_value(right)})"
    )


def note_compared(state, left, right):
    """Two paths are compared: that says where they are, unless both are in one tree."""
    hook = getattr(state.effects, "paths_compared", None)
    if hook is not None:
        hook(left, right)


def compare_lists(state, left, right, what):
    if stack_is_low():
        raise stack_overflow(state, 0)
    for i in range(len(right)):
        if i == len(left):
            return True
        if not equal_cells(state, left[i], right[i], 0):
            return less_than(state, force(left[i]), force(right[i]), "while comparing two list elements")
    return False
