"""Definitions in a set literal: nested paths, merging of literals, duplicates. Nix's `addAttr` in `parser-state.hh`."""

import cython
from cython.cimports.frazil.lang.definitions import (
    count_definitions,
    definition_expr,
    definition_kind,
    definition_name,
    definition_pos,
    find_definition,
    with_definition,
)
from cython.cimports.frazil.lang.functions import set_name
from cython.cimports.frazil.lang.nodes import new_select, new_set, new_var
from cython.cimports.frazil.lang.selection import Select
from cython.cimports.frazil.lang.sets import AttrsExpr, DynamicDef
from cython.cimports.frazil.lang.values import Expr, LambdaExpr, State
from cython.cimports.frazil.lang.variables import InheritFrom

from frazil.lang.errors import ParseError


def duplicate_error(state, path, pos, previous):
    from frazil.lang.ast_printer import show_attr_path

    where = cython.cast(State, state).positions.show(previous)
    return ParseError(
        f"attribute '{show_attr_path(path)}' already defined at {where}",
        pos=pos,
        positions=cython.cast(State, state).positions,
    )


def add_attribute(state, into, path, expr, pos):
    """`path = expr` in a literal."""
    nested: AttrsExpr
    count: cython.Py_ssize_t = len(path)
    i: cython.Py_ssize_t
    found: cython.Py_ssize_t
    for i in range(count - 1):
        name = path[i]
        if type(name) is str:
            found = find_definition(into.defs, name)
            if found >= 0:
                existing: object = definition_expr(into.defs, found)
                if type(existing) is not AttrsExpr:
                    raise duplicate_error(state, path[: i + 1], pos, definition_pos(into.defs, found))
                nested = cython.cast(AttrsExpr, existing)
            else:
                nested = new_set(state, 0)
                into.defs = with_definition(into.defs, name, nested, pos, 0)
        else:
            nested = new_set(state, 0)
            add_dynamic(into, name, nested, pos)
        into = nested
    last = path[count - 1]
    if type(last) is str:
        add_definition(state, into, path, last, expr, pos, 0)
    else:
        add_dynamic(into, last, expr, pos)
    return None


def add_dynamic(attrs, name, expr, pos: cython.Py_ssize_t):
    into: AttrsExpr = attrs
    if into.dynamic is None:
        into.dynamic = []
    into.dynamic.append(DynamicDef(name, expr, pos))


@cython.cfunc
def add_definition(
    state: State, into: AttrsExpr, path: list, name: str, expr: Expr, pos: cython.Py_ssize_t, kind: cython.int
) -> object:
    """One name; two literals for it are merged into the first. `path` ends in the name."""
    found: cython.Py_ssize_t = find_definition(into.defs, name)
    if found < 0:
        into.defs = with_definition(into.defs, name, expr, pos, kind)
        if isinstance(expr, LambdaExpr):
            set_name(expr, name)
        return None
    old: object = definition_expr(into.defs, found)
    if type(old) is not AttrsExpr or type(expr) is not AttrsExpr:
        raise duplicate_error(state, path, pos, definition_pos(into.defs, found))
    target: AttrsExpr = cython.cast(AttrsExpr, old)
    source: AttrsExpr = cython.cast(AttrsExpr, expr)
    if source.inherit_from is not None and target.inherit_from is None:
        target.inherit_from = []
    i: cython.Py_ssize_t
    for i in range(count_definitions(source.defs)):
        inner_name: str = definition_name(source.defs, i)
        inner: Expr = definition_expr(source.defs, i)
        inner_kind: cython.int = definition_kind(source.defs, i)
        if inner_kind == 2:
            origin: InheritFrom = cython.cast(Select, inner).subject
            origin.shift(len(target.inherit_from))
        add_definition(
            state, target, [*path, inner_name], inner_name, inner, definition_pos(source.defs, i), inner_kind
        )
    if source.dynamic is not None:
        if target.dynamic is None:
            target.dynamic = []
        target.dynamic.extend(source.dynamic)
    if source.inherit_from is not None:
        target.inherit_from.extend(source.inherit_from)
    return None


def add_inherited(state, into, source, where, names):
    """`inherit names;`, or with a source `inherit (source) names;`."""
    index: cython.Py_ssize_t = -1
    if source is not None:
        if into.inherit_from is None:
            into.inherit_from = []
        into.inherit_from.append(source)
        index = len(into.inherit_from) - 1
    name: str
    at: cython.Py_ssize_t
    found: cython.Py_ssize_t
    for item in names:
        name = item[0]
        at = item[1]
        found = find_definition(into.defs, name)
        if found >= 0:
            raise duplicate_error(state, [name], at, definition_pos(into.defs, found))
        if index < 0:
            into.defs = with_definition(into.defs, name, new_var(state, at, name), at, 1)
        else:
            # A node of its own for each: merging literals moves them.
            subject = cython.cast(InheritFrom, InheritFrom.__new__(InheritFrom))
            subject.state = state
            subject.pos = where
            subject.index = index
            into.defs = with_definition(into.defs, name, new_select(state, at, subject, name, None), at, 2)
    return None
