# cython: boundscheck=False, wraparound=False
"""`e.a.b or c` and `e ? a.b`.

Source of truth: `ExprSelect` and `ExprOpHasAttr` in Nix's `eval.cc`; messages included.
"""

import sys

import cython
from cython.cimports.frazil.lang.runtime import (
    add_trace,
    force_string_no_context,
    show_name,
    show_type,
    show_value,
    traced_eval,
)
from cython.cimports.frazil.lang.values import (
    MISSING,
    Attrs,
    Env,
    Expr,
    Lambda,
    Primop,
    PrimopApplication,
    Shape,
    State,
    Thunk,
    finished,
    get_slot,
    glance,
    new_cell,
    new_thunk,
    set_slot,
    stack_is_low,
    stack_overflow,
)

from frazil.lang.errors import EvalBaseError, MissingAttribute, TypeMismatch


@cython.cfunc
def path_name(state: State, item: object, env: Env) -> str:
    """The name an element of an attribute path stands for."""
    if type(item) is str:
        return cython.cast(str, item)
    expr: Expr = cython.cast(Expr, item)
    value: object = expr.eval(env)
    done: cython.bint = False
    name: str = None
    try:
        name = force_string_no_context(value, "while evaluating an attribute name")
        done = True
    finally:
        if not done:
            error = sys.exc_info()[1]
            if isinstance(error, EvalBaseError):
                error.positions = state.positions
                error.frames = [(expr.pos, error.frames[0][1], None)]
                if isinstance(error, TypeMismatch):
                    error.pos = expr.pos
    return name


def show_path(state, path, env):
    """An attribute path for a trace line; computed names are computed again where that works."""
    from frazil.lang.ast_printer import show_expr

    shown = []
    for item in path:
        if type(item) is str:
            shown.append(item)
        else:
            try:
                shown.append(path_name(state, item, env))
            except EvalBaseError:
                shown.append('"${' + show_expr(item) + '}"')
    return ".".join([show_name(name) for name in shown])


def missing_attribute(state, attrs, name):
    from frazil.lang.runtime import suggestions

    names = attrs.names()
    error = MissingAttribute(
        f"attribute '{show_name(name)}' missing",
        positions=state.positions,
        suggestions=suggestions(name, names),
    )
    error.available = names
    return error


def not_a_set(state, value, pos):
    error = TypeMismatch(f"expected a set but found {show_type(value)}: {show_value(value)}", positions=state.positions)
    error.add_trace(pos, "while selecting an attribute")
    return error


@cython.cfunc
@cython.inline
def remembered(attrs: Attrs, name: str, shapes: list, places: list, i: cython.Py_ssize_t) -> object:
    """`attrs.lookup(name)`; where sets of the last shape have it is known."""
    shape: Shape = attrs.shape
    if shape is None:
        return attrs.table.get(name, MISSING)
    if shape is not shapes[i]:
        place = shape.index.get(name)
        if place is None:
            return MISSING
        if type(places[i]) is int:
            shapes[i] = shape
            places[i] = place
        return get_slot(attrs.values, place)
    return get_slot(attrs.values, places[i])


@cython.cfunc
def peek_path(attrs: object, path: list, shapes: list, places: list) -> object:
    """What following a path would give where nothing need be evaluated for it, otherwise MISSING."""
    for i in range(len(path)):
        if type(attrs) is not Attrs or type(path[i]) is not str:
            return MISSING
        attrs = glance(remembered(cython.cast(Attrs, attrs), path[i], shapes, places, i))
    return attrs


@cython.no_gc
@cython.cclass
class Select(Expr):
    """`e.a.${b} or default`."""

    def __init__(self, state, pos, subject, path, default):
        self.state = state
        self.pos = pos
        self.subject = subject
        self.path = path
        self.default = default

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        path = self.path
        if self.default is None and len(path) == 1 and type(path[0]) is str:
            one: Select1 = Select1.__new__(Select1)
            one.state = self.state
            one.pos = self.pos
            one.path = path
            one.default = None
            one.name = path[0]
            one.cached = None
            one.index = 0
            one.subject = self.subject.bind(scope)
            return one if self.state.observer is None else self.watched(one, scope)
        self.subject = self.subject.bind(scope)
        if self.default is not None:
            self.default = self.default.bind(scope)
        self.path = [item if type(item) is str else cython.cast(Expr, item).bind(scope) for item in path]
        self.shapes = [None] * len(path)
        # Computed names (None here) differ from time to time.
        self.places = [0 if type(item) is str else None for item in path]
        return self if self.state.observer is None else self.watched(self, scope)

    def watched(self, bound, scope):
        from frazil.lang.ast_printer import show_attr_path
        from frazil.lang.observed import watched_selection

        what = f"while evaluating the attribute '{show_attr_path(self.path)}'"
        return watched_selection(self.state.observer, bound, scope, what)

    def peek(self, env):
        value: object = self.subject.peek(env)
        if type(value) is not Attrs:
            return MISSING
        return peek_path(value, self.path, self.shapes, self.places)

    def delay(self, env):
        value: object = self.peek(env)
        if value is MISSING:
            return new_thunk(self, env)
        kind = type(value)
        if kind is Lambda or kind is Primop or kind is PrimopApplication:
            return new_cell(value)
        return value

    def eval(self, env):
        value: object = traced_eval(self.subject, env, "while selecting an attribute")
        state = self.state
        holder: Attrs = None
        resolved: cython.Py_ssize_t = 0
        found: object = None
        name: str = None
        holder_name: str = None
        done: cython.bint = False
        path = self.path
        default: Expr = self.default
        i: cython.Py_ssize_t
        try:
            for i in range(len(path)):
                name = path_name(state, path[i], env)
                if type(value) is Thunk:
                    value = finished(value, self.pos)
                if type(value) is not Attrs:
                    if default is not None:
                        value = MISSING
                        break
                    raise not_a_set(state, value, self.pos)
                found = remembered(cython.cast(Attrs, value), name, self.shapes, self.places, i)
                if found is MISSING:
                    if default is not None:
                        value = MISSING
                        break
                    raise missing_attribute(state, value, name)
                holder = cython.cast(Attrs, value)
                holder_name = name
                resolved += 1
                value = found
            if value is MISSING:
                value = default.eval(env)
            elif type(value) is Thunk:
                value = finished(value, self.pos)
            done = True
        finally:
            if not done:
                self.failed(env, 0 if holder is None else holder.position(holder_name), resolved)
        return value

    def failed(self, env, where, resolved):
        state = self.state
        if where:
            origin = state.positions.locate(where)
            if origin is None or origin[0] != "<nix/derivation-internal.nix>":
                add_trace(state, where, f"from the definition of '{show_path(state, self.path[:resolved], env)}'")
        add_trace(state, self.pos, f"while evaluating the attribute '{show_path(state, self.path, env)}'")


@cython.final
@cython.no_gc
@cython.cclass
class Select1(Select):
    """`e.a`: with a memory of where sets of the last shape have `a`."""

    def find(self, attrs):
        """What the set has, or MISSING."""
        shape: Shape = attrs.shape
        if shape is None:
            return attrs.table.get(self.name, MISSING)
        if shape is not self.cached:
            found: object = shape.index.get(self.name)
            if found is None:
                return MISSING
            self.index = found
            self.cached = shape
        return get_slot(attrs.values, self.index)

    def eval(self, env):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        value: object
        result: object
        stage: cython.int = 0
        try:
            value = self.subject.eval(env)
            stage = 1
            if type(value) is not Attrs:
                raise not_a_set(self.state, value, self.pos)
            attrs: Attrs = cython.cast(Attrs, value)
            shape: Shape = attrs.shape
            if shape is not None and shape is self.cached:
                result = get_slot(attrs.values, self.index)
            else:
                result = self.find(attrs)
                if result is MISSING:
                    raise missing_attribute(self.state, attrs, self.name)
            if type(result) is Thunk:
                stage = 2
                # The place may be another one after evaluation, which can come here again.
                index: cython.Py_ssize_t = self.index
                result = finished(result, self.pos)
                if shape is not None:
                    set_slot(attrs.values, index, result)
            stage = 3
        finally:
            if stage == 0:
                add_trace(self.state, self.subject.pos, "while selecting an attribute")
            elif stage == 1:
                self.failed(env, 0, 1)
            elif stage == 2:
                self.failed(env, attrs.position(self.name), 1)
        return result

    def peek(self, env):
        value: object = self.subject.peek(env)
        if type(value) is not Attrs:
            return MISSING
        return glance(self.find(cython.cast(Attrs, value)))


@cython.final
@cython.no_gc
@cython.cclass
class HasAttr(Expr):
    """`e ? a.b`."""

    def __init__(self, state, subject, path):
        self.state = state
        self.pos = cython.cast(Expr, subject).pos
        self.subject = subject
        self.path = path

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        self.subject = self.subject.bind(scope)
        self.path = [item if type(item) is str else cython.cast(Expr, item).bind(scope) for item in self.path]
        return self

    def eval(self, env):
        value: object = traced_eval(self.subject, env, "in the argument of '?'")
        item: object
        if len(self.path) == 1 and type(value) is Attrs:
            item = self.path[0]
            if type(item) is str:
                return True if cython.cast(Attrs, value).has(item) else False
        for item in self.path:
            value = finished(value, self.pos)
            name = path_name(self.state, item, env)
            if type(value) is not Attrs:
                return False
            value = cython.cast(Attrs, value).lookup(name)
            if value is MISSING:
                return False
        return True


if not cython.compiled:
    # What C-level attributes start as.
    Select1.cached = None
    Select1.default = None
