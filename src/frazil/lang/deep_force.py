# cython: boundscheck=False, wraparound=False, binding=True
"""Evaluating everything inside a value, in the order in which Nix does it.

Source of truth: `forceValueDeep` in Nix's `eval.cc`.
"""

import cython
from cython.cimports.frazil.lang.runtime import CallExpr, add_trace, force_at
from cython.cimports.frazil.lang.values import (
    MISSING,
    Attrs,
    Lambda,
    Thunk,
    marked_value,
    run_thunk,
    stack_is_low,
    stack_overflow,
)


def force_deep(state, value):
    """The value with everything inside it evaluated."""
    value = force_at(value, 0)
    seen: set = set()
    saved = state.call_depth
    deepen(state, value, seen)
    state.call_depth = saved
    return value


def determine_pos(value):
    """Where a value (or the function of a delayed call) is written, 0 where unknown."""
    if type(value) is Thunk:
        thunk = cython.cast(Thunk, value)
        if thunk.expr is None:
            return determine_pos(thunk.slot)
        known = marked_value(thunk)
        if known is not MISSING:
            return determine_pos(known)
        if type(thunk.expr) is CallExpr and not cython.cast(CallExpr, thunk.expr).unplaced:
            return determine_pos(cython.cast(CallExpr, thunk.expr).function)
        return 0
    if type(value) is Attrs:
        return cython.cast(Attrs, value).pos
    if type(value) is Lambda:
        return cython.cast(Lambda, value).expr.pos
    return 0


def force_placed(value):
    """Force for printing and `deepSeq`: a delayed call is called from where its function is written."""
    if type(value) is Thunk:
        thunk = cython.cast(Thunk, value)
        if thunk.expr is None:
            return thunk.slot
        return run_thunk(thunk, determine_pos(value))
    return value


EARLY_NAMES = (
    "outPath drvPath type meta name value system __overrides outputs outputName __ignoreNulls file line column"
    " __functor __toString right wrong __structuredAttrs __json allowedReferences allowedRequisites"
    " disallowedReferences disallowedRequisites maxSize maxClosureSize builder args __contentAddressed __impure"
    " outputHash outputHashAlgo outputHashMode recurseForDerivations description self startSet operator key path"
    " prefix outputSpecified requiredSystemFeatures __sub __lessThan __mul __div or __findFile __nixPath body"
).split()


def creation_order(state, attrs):
    """The names of a set in the order in which Nix numbers names: its own, the builtins', then as they were read.

    `deepSeq` and strict evaluation go in this order, which decides what fails or is traced first.
    """
    return in_creation_order(state, attrs.names())


def in_creation_order(state, names):
    """Names in the order in which Nix numbers them; those that no text held come last."""
    if len(names) < 2:
        return names
    symbols = state.symbols
    ranks = state.symbol_ranks
    if ranks is None or len(ranks) < len(symbols):
        ranks = {}
        for name in EARLY_NAMES:
            ranks.setdefault(name, len(ranks))
        for name in state.builtins().names():
            ranks.setdefault(name, len(ranks))
        for name in symbols:
            ranks.setdefault(name, len(ranks))
        state.symbol_ranks = ranks
    last: cython.Py_ssize_t = len(ranks)
    return sorted(names, key=lambda name: ranks.get(name, last))


def deepen(state, value, seen):
    if type(value) is str or type(value) is int:
        return None
    state.call_depth += 1
    if state.call_depth > state.max_call_depth or stack_is_low():
        raise stack_overflow(state, determine_pos(value))
    value = force_placed(value)
    if type(value) is not Attrs and type(value) is not list:
        state.call_depth -= 1
        return None
    key = id(value)
    if key in seen:
        state.call_depth -= 1
        return None
    seen.add(key)
    done: cython.bint = False
    index: cython.Py_ssize_t = 0
    name: object = None
    try:
        if type(value) is Attrs:
            attrs = cython.cast(Attrs, value)
            for name in creation_order(state, attrs):
                deepen(state, attrs.lookup(name), seen)
        else:
            for item in cython.cast(list, value):
                deepen(state, item, seen)
                index += 1
        done = True
    finally:
        if not done:
            if type(value) is Attrs:
                if name is not None:
                    position = cython.cast(Attrs, value).position(name)
                    from frazil.lang.error_text import attribute_name

                    add_trace(state, position, f"while evaluating the attribute '{attribute_name(name)}'")
            else:
                add_trace(state, 0, f"while evaluating list element at index {index}")
    state.call_depth -= 1
    return None
