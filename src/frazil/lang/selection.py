# cython: boundscheck=False, wraparound=False
"""`e.a.b or c` and `e ? a.b`.

Source of truth: `ExprSelect` and `ExprOpHasAttr` in Nix's `eval.cc`; messages included.
"""

import sys

import cython
from cython.cimports.frazil.lang.origins import Shape
from cython.cimports.frazil.lang.runtime import (
    add_trace,
    force_string_no_context,
    show_name,
    show_type,
    show_value,
    traced_eval,
)
from cython.cimports.frazil.lang.values import (
    EMPTY_ATTRS,
    MISSING,
    Attrs,
    Env,
    Expr,
    Lambda,
    Primop,
    PrimopApplication,
    State,
    Thunk,
    finished,
    follow,
    get_value,
    glance,
    is_unmade,
    kept,
    make_value,
    member,
    new_cell,
    new_thunk,
    place_of,
    raw_value,
    set_value,
    stack_is_low,
    stack_overflow,
    unmade,
)

from frazil.lang.errors import EvalBaseError, MissingAttribute, TypeMismatch

# Dicts of so many names are looked up again and again, like a library's.
LARGE = cython.declare(cython.Py_ssize_t, 32)
LARGE = 32


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
    shown = []
    for item in path:
        if type(item) is str:
            shown.append(item)
        else:
            try:
                shown.append(path_name(state, item, env))
            except EvalBaseError:
                from frazil.lang.ast_printer import show_expr

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


@cython.final
@cython.no_gc
@cython.cclass
class Part:
    """One name of an attribute path, or an expression that computes it: `item`. `memo`: a shape, of which `place` is
    where its sets have the name (-1: nowhere); or a set with a large dict, and `held` is its value."""


def path_part(item):
    part = cython.cast(Part, Part.__new__(Part))
    part.item = item
    part.memo = None
    part.held = None
    part.place = -1
    return part


def path_items(path):
    """Names and expressions of a path as nodes have it."""
    if type(path) is not list:
        return [path]
    return [cython.cast(Part, item).item if type(item) is Part else item for item in path]


@cython.cfunc
@cython.inline
def part_value(part: Part, attrs: Attrs) -> object:
    """What the set has under the part's own name, or MISSING."""
    shape: Shape = attrs.shape
    if shape is None:
        if attrs is part.memo:
            return part.held
        return part_of_table(part, attrs)
    if shape is not part.memo:
        part.place = place_of(shape, cython.cast(str, part.item))
        part.memo = shape
    return get_value(attrs, part.place) if part.place >= 0 else MISSING


@cython.cfunc
@cython.inline
def part_glance(part: Part, attrs: Attrs) -> object:
    """The same if it is there already, otherwise MISSING."""
    shape: Shape = attrs.shape
    if shape is None:
        return glance(part.held if attrs is part.memo else attrs.own_table().get(part.item, MISSING))
    if shape is not part.memo:
        part.place = place_of(shape, cython.cast(str, part.item))
        part.memo = shape
    return glance(raw_value(attrs, part.place)) if part.place >= 0 else MISSING


@cython.cfunc
def part_of_table(part: Part, attrs: Attrs) -> object:
    table = attrs.own_table()
    value: object = table.get(part.item, MISSING)
    if len(table) >= LARGE and value is not MISSING:
        part.memo = attrs
        part.held = value
    return value


@cython.cfunc
@cython.inline
def has_part(part: Part, attrs: Attrs) -> cython.bint:
    shape: Shape = attrs.shape
    if shape is None:
        return attrs is part.memo or part.item in attrs.own_table()
    if shape is not part.memo:
        part.place = place_of(shape, cython.cast(str, part.item))
        part.memo = shape
    return part.place >= 0


def bind_path(path, scope):
    i: cython.Py_ssize_t
    for i in range(len(path)):
        item: object = path[i]
        path[i] = path_part(item if type(item) is str else cython.cast(Expr, item).bind(scope))
    return None


@cython.cfunc
def peek_path(attrs: object, parts: list) -> object:
    """What following a path would give where nothing need be evaluated for it, otherwise MISSING."""
    part: Part
    i: cython.Py_ssize_t
    for i in range(len(parts)):
        part = cython.cast(Part, parts[i])
        if type(attrs) is not Attrs or type(part.item) is not str:
            return MISSING
        attrs = part_glance(part, cython.cast(Attrs, attrs))
    return attrs


@cython.cfunc
@cython.inline
def own_cell(value: object) -> object:
    kind = type(value)
    if kind is Lambda or kind is Primop or kind is PrimopApplication:
        return new_cell(value)
    return value


@cython.no_gc
@cython.cclass
class Select(Expr):
    """`e.a.${b} or default`. Where the path is one name, it is of a class of its own from the start, for which `memo`,
    `place` and `held` are what `Part` has for other paths."""

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        self.subject = self.subject.bind(scope)
        if self.default is not None:
            self.default = self.default.bind(scope)
        if type(self.path) is list:
            bind_path(self.path, scope)
        return self if self.state.observer is None else self.watched(self, scope)

    def watched(self, bound, scope):
        from frazil.lang.ast_printer import show_attr_path
        from frazil.lang.observed import watched_selection

        what = f"while evaluating the attribute '{show_attr_path(path_items(self.path))}'"
        return watched_selection(self.state.observer, bound, scope, what)

    def leads(self):
        return self.subject.leads() & 3

    def peek(self, env):
        value: object = self.subject.peek(env)
        if type(value) is not Attrs:
            return MISSING
        return peek_path(value, cython.cast(list, self.path))

    def delay(self, env):
        value: object = self.peek(env)
        return new_thunk(self, env) if value is MISSING else own_cell(value)

    def settle(self, env):
        value: object = self.peek(env)
        return unmade() if value is MISSING else own_cell(value)

    def eval(self, env):
        value: object = traced_eval(self.subject, env, "while selecting an attribute")
        found: object = follow(value, cython.cast(list, self.path), EMPTY_ATTRS)
        return self.select_from(value, env) if is_unmade(found) else found

    def select_from(self, value, env):
        state = self.state
        holder: Attrs = None
        resolved: cython.Py_ssize_t = 0
        found: object = None
        name: str = None
        holder_name: str = None
        done: cython.bint = False
        parts = cython.cast(list, self.path)
        part: Part
        default: Expr = self.default
        i: cython.Py_ssize_t
        try:
            for i in range(len(parts)):
                part = cython.cast(Part, parts[i])
                fixed: cython.bint = type(part.item) is str
                name = cython.cast(str, part.item) if fixed else path_name(state, part.item, env)
                if type(value) is Thunk:
                    value = finished(value, self.pos)
                if type(value) is not Attrs:
                    if default is not None:
                        value = MISSING
                        break
                    raise not_a_set(state, value, self.pos)
                if fixed:
                    found = part_value(part, cython.cast(Attrs, value))
                else:
                    found = cython.cast(Attrs, value).lookup(name)
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
        path = path_items(self.path)
        if where:
            origin = state.positions.locate(where)
            if origin is None or origin[0] != "<nix/derivation-internal.nix>":
                add_trace(state, where, f"from the definition of '{show_path(state, path[:resolved], env)}'")
        add_trace(state, self.pos, f"while evaluating the attribute '{show_path(state, path, env)}'")


@cython.cfunc
@cython.inline
def only_value(select: Select, attrs: Attrs) -> object:
    """As `part_value`, for the one name of a path, which a node holds itself."""
    shape: Shape = attrs.shape
    if shape is None:
        if attrs is select.memo:
            return select.held
        return only_of_table(select, attrs)
    if shape is not select.memo:
        select.place = place_of(shape, cython.cast(str, select.path))
        select.memo = shape
    place: cython.Py_ssize_t = select.place
    if place < 0:
        return MISSING
    value: object = raw_value(attrs, place)
    if is_unmade(value):
        value = make_value(attrs, place)
        # What is made may look through this node, too, at a set of another shape. Who called needs the place.
        select.memo = shape
        select.place = place
    return value


@cython.cfunc
@cython.inline
def only_glance(select: Select, attrs: Attrs) -> object:
    shape: Shape = attrs.shape
    if shape is None:
        return glance(select.held if attrs is select.memo else attrs.own_table().get(select.path, MISSING))
    if shape is not select.memo:
        select.place = place_of(shape, cython.cast(str, select.path))
        select.memo = shape
    return glance(raw_value(attrs, select.place)) if select.place >= 0 else MISSING


@cython.cfunc
def only_of_table(select: Select, attrs: Attrs) -> object:
    table = attrs.own_table()
    value: object = table.get(select.path, MISSING)
    if len(table) >= LARGE and value is not MISSING:
        select.memo = attrs
        select.held = value
    return value


def holder_and_name(expression: Expr, env: Env):
    """Of a selection `a.b.c` the value of `a.b`, and the name `c`; None for other expressions. Errors are those of the
    whole expression's place."""
    if not isinstance(expression, Select):
        return None
    whole = cython.cast(Select, expression)
    value: object
    if type(whole.path) is not list:
        name = whole.path
        value = whole.subject.eval(env)
    else:
        parts: list = whole.path
        count: cython.Py_ssize_t = len(parts) - 1
        last: Part = cython.cast(Part, parts[count])
        name = path_name(whole.state, last.item, env)
        if count == 0:
            value = whole.subject.eval(env)
        else:
            first: Select = cython.cast(Select, Select.__new__(Select))
            first.state = whole.state
            first.pos = whole.pos
            first.subject = whole.subject
            first.default = whole.default
            first.path = parts[:count]
            value = first.eval(env)
    return finished(value, whole.pos) if type(value) is Thunk else value, name


@cython.final
@cython.no_gc
@cython.cclass
class Select1(Select):
    """`e.a`."""

    def eval(self, env):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        value: object = traced_eval(self.subject, env, "while selecting an attribute")
        found: object = member(self, value, EMPTY_ATTRS)
        return self.select_from(value, env) if is_unmade(found) else found

    def select_from(self, value, env):
        result: object
        stage: cython.int = 1
        try:
            if type(value) is not Attrs:
                raise not_a_set(self.state, value, self.pos)
            attrs: Attrs = cython.cast(Attrs, value)
            result = only_value(self, attrs)
            if result is MISSING:
                raise missing_attribute(self.state, attrs, self.path)
            if type(result) is Thunk:
                stage = 2
                thunk = cython.cast(Thunk, result)
                if attrs.shape is None:
                    result = finished(result, self.pos)
                else:
                    # It may remember another place after evaluation, which can come here again.
                    place: cython.Py_ssize_t = self.place
                    result = finished(result, self.pos)
                    set_value(attrs, place, kept(thunk, result))
            stage = 3
        finally:
            if stage == 1:
                self.failed(env, 0, 1)
            elif stage == 2:
                self.failed(env, attrs.position(cython.cast(str, self.path)), 1)
        return result

    def peek(self, env):
        value: object = self.subject.peek(env)
        if type(value) is not Attrs:
            return MISSING
        return only_glance(self, cython.cast(Attrs, value))


@cython.final
@cython.no_gc
@cython.cclass
class SelectOr1(Select):
    """`e.a or default`."""

    def peek(self, env):
        value: object = self.subject.peek(env)
        if type(value) is not Attrs:
            return MISSING
        return only_glance(self, cython.cast(Attrs, value))

    def eval(self, env):
        value: object = traced_eval(self.subject, env, "while selecting an attribute")
        result: object = MISSING
        place: cython.Py_ssize_t = -1
        if type(value) is Attrs:
            result = only_value(self, cython.cast(Attrs, value))
            if type(result) is not Thunk and result is not MISSING:
                return result
            if cython.cast(Attrs, value).shape is not None:
                place = self.place
        done: cython.bint = False
        found: cython.bint = result is not MISSING
        try:
            if found:
                thunk = cython.cast(Thunk, result)
                result = finished(result, self.pos)
                if place >= 0:
                    set_value(value, place, kept(thunk, result))
            else:
                result = self.default.eval(env)
            done = True
        finally:
            if not done:
                where: cython.Py_ssize_t = (
                    cython.cast(Attrs, value).position(cython.cast(str, self.path)) if found else 0
                )
                self.failed(env, where, 1 if found else 0)
        return result


@cython.final
@cython.no_gc
@cython.cclass
class HasAttr(Expr):
    """`e ? a.b`."""

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        self.subject = self.subject.bind(scope)
        bind_path(self.path, scope)
        if len(self.path) == 1 and type(cython.cast(Part, self.path[0]).item) is str:
            self.only = self.path[0]
        return self

    def leads(self):
        return self.subject.leads() & 3

    def eval(self, env):
        value: object = traced_eval(self.subject, env, "in the argument of '?'")
        if self.only is not None:
            if type(value) is not Attrs:
                return False
            return True if has_part(self.only, cython.cast(Attrs, value)) else False
        part: Part
        for item in self.path:
            part = cython.cast(Part, item)
            value = finished(value, self.pos)
            name: str = path_name(self.state, part.item, env)
            if type(value) is not Attrs:
                return False
            value = cython.cast(Attrs, value).lookup(name)
            if value is MISSING:
                return False
        return True

    def peek(self, env):
        if self.only is None:
            return MISSING
        value: object = self.subject.peek(env)
        if type(value) is not Attrs:
            return MISSING
        return True if has_part(self.only, cython.cast(Attrs, value)) else False

    def delay(self, env):
        value: object = self.peek(env)
        return new_thunk(self, env) if value is MISSING else value

    def settle(self, env):
        value: object = self.peek(env)
        return unmade() if value is MISSING else value


if not cython.compiled:
    # What C-level attributes start as.
    Select.default = None
    Select.memo = None
    HasAttr.only = None
