"""Definitions in a set literal: nested paths, merging of literals, duplicates. Nix's `addAttr` in `parser-state.hh`."""

import cython
from cython.cimports.frazil.lang.functions import set_name
from cython.cimports.frazil.lang.nodes import new_definition, new_set
from cython.cimports.frazil.lang.selection import Select, Select1
from cython.cimports.frazil.lang.sets import AttrDef, AttrsExpr, DynamicDef
from cython.cimports.frazil.lang.values import LambdaExpr, State
from cython.cimports.frazil.lang.variables import InheritFrom, Var

from frazil.lang.errors import ParseError


def duplicate_error(state, path, pos, previous):
    from frazil.lang.ast_printer import show_attr_path

    where = cython.cast(State, state).positions.show(previous)
    return ParseError(
        f"attribute '{show_attr_path(path)}' already defined at {where}",
        pos=pos,
        positions=cython.cast(State, state).positions,
    )


def add_attribute(state, attrs, path, expr, pos: cython.Py_ssize_t):
    """`path = expr` in a literal."""
    into: AttrsExpr = attrs
    nested: AttrsExpr
    count: cython.Py_ssize_t = len(path)
    i: cython.Py_ssize_t
    for i in range(count - 1):
        name = path[i]
        if type(name) is str:
            found = into.defs.get(name)
            if found is not None:
                existing: AttrDef = found
                if type(existing.expr) is not AttrsExpr:
                    raise duplicate_error(state, path[: i + 1], pos, existing.pos)
                nested = cython.cast(AttrsExpr, existing.expr)
            else:
                nested = new_set(state, 0)
                into.defs[name] = new_definition(nested, pos, 0)
        else:
            nested = new_set(state, 0)
            add_dynamic(into, name, nested, pos)
        into = nested
    last = path[count - 1]
    if type(last) is str:
        add_definition(state, into, path, last, new_definition(expr, pos, 0))
    else:
        add_dynamic(into, last, expr, pos)


def add_dynamic(attrs, name, expr, pos: cython.Py_ssize_t):
    into: AttrsExpr = attrs
    if into.dynamic is None:
        into.dynamic = []
    into.dynamic.append(DynamicDef(name, expr, pos))


def add_definition(state, attrs, path, name, definition):
    """One name; two literals for it are merged into the first. `path` ends in the name."""
    into: AttrsExpr = attrs
    new: AttrDef = definition
    found = into.defs.get(name)
    if found is None:
        into.defs[name] = new
        if isinstance(new.expr, LambdaExpr):
            set_name(new.expr, name)
        return
    old: AttrDef = found
    if type(old.expr) is not AttrsExpr or type(new.expr) is not AttrsExpr:
        raise duplicate_error(state, path, new.pos, old.pos)
    target: AttrsExpr = cython.cast(AttrsExpr, old.expr)
    source: AttrsExpr = cython.cast(AttrsExpr, new.expr)
    if source.inherit_from is not None and target.inherit_from is None:
        target.inherit_from = []
    for inner_name, inner in source.defs.items():
        item: AttrDef = inner
        if item.kind == 2:
            origin: InheritFrom = cython.cast(Select, item.expr).subject
            origin.shift(len(target.inherit_from))
        add_definition(state, target, [*path, inner_name], inner_name, item)
    if source.dynamic is not None:
        if target.dynamic is None:
            target.dynamic = []
        target.dynamic.extend(source.dynamic)
    if source.inherit_from is not None:
        target.inherit_from.extend(source.inherit_from)


def add_inherited(state, attrs, source, where: cython.Py_ssize_t, names):
    """`inherit names;`, or with a source `inherit (source) names;`."""
    into: AttrsExpr = attrs
    index: cython.Py_ssize_t = -1
    if source is not None:
        if into.inherit_from is None:
            into.inherit_from = []
        into.inherit_from.append(source)
        index = len(into.inherit_from) - 1
    name: str
    at: cython.Py_ssize_t
    for item in names:
        name = item[0]
        at = item[1]
        if name in into.defs:
            raise duplicate_error(state, [name], at, cython.cast(AttrDef, into.defs[name]).pos)
        if index < 0:
            var = cython.cast(Var, Var.__new__(Var))
            var.state = state
            var.pos = at
            var.name = name
            into.defs[name] = new_definition(var, at, 1)
        else:
            # A node of its own for each: merging literals moves them.
            subject = cython.cast(InheritFrom, InheritFrom.__new__(InheritFrom))
            subject.state = state
            subject.pos = where
            subject.index = index
            select = cython.cast(Select, Select1.__new__(Select1))
            select.state = state
            select.pos = at
            select.subject = subject
            select.path = [name]
            select.default = None
            into.defs[name] = new_definition(select, at, 2)
