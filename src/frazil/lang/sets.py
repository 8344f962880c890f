# cython: boundscheck=False, wraparound=False
"""Attribute sets, `let` and lists, as they are written.

Source of truth: `ExprAttrs`, `ExprLet` and `ExprList` in Nix's `eval.cc`; messages included.
"""

import cython
from cython.cimports.frazil.lang.definitions import (
    count_definitions,
    definition_expr,
    definition_kind,
    definition_name,
    definition_names,
    definition_pos,
    free_definitions,
    has_definitions,
    know_shape,
    known_shape,
    new_definitions,
    no_definitions,
    packed_kinds,
    packed_positions,
    sort_definitions,
)
from cython.cimports.frazil.lang.functions import bind_each, set_name
from cython.cimports.frazil.lang.origins import Shape, index_of, origin_position, place_among, places, shape_of
from cython.cimports.frazil.lang.runtime import force_string_no_context, show_name, show_type, show_value
from cython.cimports.frazil.lang.selection import HasAttr, Select
from cython.cimports.frazil.lang.values import (
    EMPTY_LIST,
    MISSING,
    Attrs,
    Definer,
    Env,
    Expr,
    LambdaExpr,
    Scope,
    Slots,
    State,
    Thunk,
    attrs_from_dict,
    finished,
    get_definer,
    get_slot,
    get_source,
    init_value,
    new_attrs,
    new_frame,
    new_lazy_attrs,
    new_lazy_frame,
    new_scope,
    new_slots,
    new_thunk,
    set_slot,
    set_source,
    settle_members,
    slots_table,
    stack_is_low,
    stack_overflow,
    unmade,
)
from cython.cimports.frazil.lang.variables import InheritFrom, Literal, SlotVar0, Var, WithVar

from frazil.lang.errors import EvalBaseError, EvalError, TypeMismatch, UndefinedVariable

PLAIN = cython.declare(cython.int, 0)
INHERITED = cython.declare(cython.int, 1)
INHERITED_FROM = cython.declare(cython.int, 2)
PLAIN = 0
INHERITED = 1
INHERITED_FROM = 2
# The set is a variable: the same as `name = set.name`.
INHERITED_BY_NAME = cython.declare(cython.int, 3)
INHERITED_BY_NAME = 3
OUTSIDE = cython.declare(cython.int, 1)
APART = cython.declare(cython.int, 2)
OUTSIDE = 1
APART = 2
# After so many instances of a literal it is seen how many of their values were asked for.
ENOUGH = cython.declare(cython.Py_ssize_t, 256)
ENOUGH = 256
# Larger sets hold values or thunks from the start: whether all are made is found by looking at each.
MOST_LAZY = cython.declare(cython.Py_ssize_t, 32)
MOST_LAZY = 32


@cython.final
@cython.no_gc
@cython.cclass
class AttrDef:
    """One definition of a literal, for who prints it; `kind`: plain, inherited, or inherited from a set."""

    def __init__(self, expr, pos, kind=0):
        self.expr = expr
        self.pos = pos
        self.kind = kind


@cython.final
@cython.no_gc
@cython.cclass
class DynamicDef:
    """One definition whose name is computed."""

    def __init__(self, name, expr, pos):
        self.name = name
        self.expr = expr
        self.pos = pos


@cython.no_gc
@cython.cclass
class AttrsExpr(Definer):
    """`{ … }` and `rec { … }`."""

    def __init__(self, state, pos):
        self.state = state
        self.pos = pos
        self.recursive = False
        self.defs = new_definitions()
        self.dynamic = None
        self.inherit_from = None
        self.overrides = -1

    def __dealloc__(self):
        free_definitions(self.defs)

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        self.prepare()
        inner: Scope = scope
        if self.recursive:
            inner = new_scope(scope, index_of(self.shape), None, 0)
        self.bind_definitions(scope, inner, False)
        if self.dynamic is not None:
            for definition in self.dynamic:
                item: DynamicDef = definition
                item.name = item.name.bind(inner)
                item.expr = item.expr.bind(inner)
        elif not self.recursive and self.state.observer is None:
            self.look_what_is_at_hand()
        return self if self.state.observer is None else counted_node(self)

    def prepare(self):
        """Sort the names once."""
        sort_definitions(self.defs)
        shape: object = known_shape(self.defs)
        if shape is None:
            shape = shape_of(definition_names(self.defs))
            know_shape(self.defs, shape)
        self.shape = cython.cast(Shape, shape)
        self.places = places(self.shape, packed_positions(self.defs), self.pos)
        self.kinds = packed_kinds(self.defs)
        self.framed = self.inherit_from is not None
        if self.recursive:
            self.overrides = place_among(self.shape, "__overrides")

    def bind_definitions(self, outer_scope, inner, within):
        """`within`: the sets of `inherit (set) …` have slots in the scope itself, after those of the names."""
        source: Scope = None
        if self.inherit_from is not None:
            source = inner if within else new_scope(inner, {}, None, 0)
            source.first_source = self.shape.count if within else 0
            bind_each(self.inherit_from, inner)
        defs = self.defs
        count: cython.Py_ssize_t = count_definitions(defs)
        exprs: object = new_slots(count, None)
        kind: cython.int
        i: cython.Py_ssize_t = 0
        try:
            for i in range(count):
                kind = definition_kind(defs, i)
                expr = cython.cast(Expr, definition_expr(defs, i))
                if kind == PLAIN:
                    expr = expr.bind(inner)
                elif kind == INHERITED:
                    expr = expr.bind(outer_scope)
                else:
                    expr = expr.bind(source)
                set_slot(exprs, i, expr)
        except UndefinedVariable as error:
            raise self.first_undefined(error, i, (inner, outer_scope, source)) from None
        self.exprs = exprs
        self.defs = no_definitions()
        free_definitions(defs)
        if self.framed and self.state.observer is None:
            self.refer_to_variables(inner)
        self.plain = not self.recursive and self.dynamic is None and not self.framed

    def refer_to_variables(self, scope):
        """What is inherited from a variable needs no slot for the set."""
        kinds: object = bytearray(self.kinds)
        for i in range(self.shape.count):
            if kinds[i] == INHERITED_FROM:
                subject: InheritFrom = cython.cast(Select, get_slot(self.exprs, i)).subject
                source: object = self.inherit_from[subject.index]
                if isinstance(source, Var) and type(source) is not WithVar:
                    subject.refer_to(source, scope)
                    kinds[i] = INHERITED_BY_NAME
        self.kinds = bytes(kinds)
        self.framed = INHERITED_FROM in kinds

    def look_what_is_at_hand(self):
        """Which members may be known when the set is made. If that leaves any, the set is made lazily."""
        count: cython.Py_ssize_t = self.shape.count
        if count > MOST_LAZY:
            return
        settled: object = bytearray()
        i: cython.Py_ssize_t
        for i in range(count):
            expr: object = get_slot(self.exprs, i)
            if isinstance(expr, (Literal, Var)) and type(expr) is not WithVar:
                settled.append(i)
                continue
            self.lazy = True
            if self.kinds[i] != INHERITED_FROM and isinstance(expr, (Select, HasAttr, WithVar, ListExpr)):
                settled.append(i)
        if self.lazy:
            self.settled = bytes(settled)
            self.places.definer = self
            if not self.framed:
                self.places.members = self.exprs

    def first_undefined(self, error, index, scopes):
        """Of several undefined variables Nix names the one whose attribute's name was read first. `scopes`: by kind."""
        from frazil.lang.deep_force import in_creation_order

        names = self.shape.names
        for name in in_creation_order(self.state, list(names)):
            place: cython.Py_ssize_t = place_among(self.shape, name)
            if place == index:
                break
            if place > index:
                expr = cython.cast(Expr, definition_expr(self.defs, place))
                try:
                    expr.bind(scopes[definition_kind(self.defs, place)])
                except UndefinedVariable as other:
                    return other
        return error

    def definitions(self):
        """A dict from name to definition."""
        found = {}
        i: cython.Py_ssize_t
        if has_definitions(self.defs):
            for i in range(count_definitions(self.defs)):
                found[definition_name(self.defs, i)] = AttrDef(
                    definition_expr(self.defs, i), definition_pos(self.defs, i), definition_kind(self.defs, i)
                )
            return found
        for i in range(self.shape.count):
            found[self.shape.names[i]] = AttrDef(get_slot(self.exprs, i), 0, min(self.kinds[i], 2))
        return found

    def inherit_env(self, env):
        sources = self.inherit_from
        frame: Env = new_frame(env, len(sources), MISSING)
        for i in range(len(sources)):
            set_slot(frame, i, cython.cast(Expr, sources[i]).delay(env))
        return frame

    def fill(self, env, inner, slots):
        """Put every definition's value or thunk in its slot."""
        exprs: object = self.exprs
        kinds = self.kinds
        kind: cython.int
        i: cython.Py_ssize_t
        source: Env = self.inherit_env(inner) if self.framed else None
        for i in range(self.shape.count):
            kind = kinds[i]
            if kind == INHERITED:
                set_slot(slots, i, cython.cast(Expr, get_slot(exprs, i)).delay(env))
            elif kind == INHERITED_FROM:
                set_slot(slots, i, cython.cast(Expr, get_slot(exprs, i)).delay(source))
            else:
                set_slot(slots, i, cython.cast(Expr, get_slot(exprs, i)).delay(inner))
        return slots

    def make_lazily(self, env):
        """A set of what is at hand; the rest is made when somebody asks for it."""
        attrs = new_lazy_attrs(self.shape, self.places, env)
        settle_members(attrs, self.exprs, self.settled, env)
        self.instances += 1
        if self.instances == ENOUGH:
            # Where nearly everything is asked for, it is quicker to make it at once.
            rest: cython.Py_ssize_t = (self.shape.count - len(self.settled)) * ENOUGH
            if rest > 0 and 8 * self.places.made > 7 * rest:
                self.lazy = False
            self.instances = self.places.made = 0
        return attrs

    def make_member(self, attrs, i):
        expr: Expr = cython.cast(Expr, get_slot(self.exprs, i))
        source: object = get_source(attrs)
        env: Env = cython.cast(Env, source)
        if self.framed:
            made: cython.bint = type(source) is Slots and get_definer(source) is self
            if self.kinds[i] != INHERITED_FROM:
                if made:
                    env = env.up
            elif not made:
                env = new_lazy_frame(env, len(self.inherit_from), self)
                set_source(attrs, env)
        if stack_is_low():
            return new_thunk(expr, env)
        return expr.delay(env)

    def define(self, frame, slot):
        """A set of `inherit (set) …`."""
        value: object = cython.cast(Expr, self.inherit_from[slot]).delay(frame.up)
        set_slot(frame, slot, value)
        return value

    def eval(self, env):
        if self.lazy:
            return self.make_lazily(env)
        exprs: object = self.exprs
        count: cython.Py_ssize_t = self.shape.count
        attrs: object
        i: cython.Py_ssize_t
        if self.plain:
            attrs = new_attrs(self.shape, self.places)
            for i in range(count):
                init_value(attrs, i, cython.cast(Expr, get_slot(exprs, i)).delay(env))
            return attrs
        if not self.recursive:
            attrs = self.make(env)
            return attrs if self.dynamic is None else self.eval_dynamic(env, attrs)
        inner: Env = new_frame(env, count, MISSING)
        if self.overrides >= 0:
            attrs = self.eval_overrides(inner, inner)
        else:
            self.fill(env, inner, inner)
            attrs = new_attrs(self.shape, self.places)
            for i in range(count):
                init_value(attrs, i, get_slot(inner, i))
        return attrs if self.dynamic is None else self.eval_dynamic(inner, attrs)

    def make(self, env):
        """A set that is not recursive."""
        attrs: object = new_attrs(self.shape, self.places)
        source: Env = self.inherit_env(env) if self.framed else None
        exprs: object = self.exprs
        kinds = self.kinds
        i: cython.Py_ssize_t
        for i in range(self.shape.count):
            if kinds[i] == INHERITED_FROM:
                init_value(attrs, i, cython.cast(Expr, get_slot(exprs, i)).delay(source))
            else:
                init_value(attrs, i, cython.cast(Expr, get_slot(exprs, i)).delay(env))
        return attrs

    def delay(self, env):
        return new_thunk(self, env)

    def eval_overrides(self, inner, slots):
        """`rec { … __overrides = { … }; }`: those attributes replace the ones of the literal."""
        source: Env = self.inherit_env(inner) if self.framed else None
        i: cython.Py_ssize_t
        for i in range(self.shape.count):
            # Thunks throughout: a value looked up now would miss its replacement.
            if self.kinds[i] == INHERITED:
                set_slot(slots, i, cython.cast(Expr, get_slot(self.exprs, i)).delay(inner.up))
            else:
                set_slot(
                    slots, i, new_thunk(get_slot(self.exprs, i), source if self.kinds[i] == INHERITED_FROM else inner)
                )
        trace = "while evaluating the `__overrides` attribute"
        over: object = finished(get_slot(slots, self.overrides), self.pos)
        if type(over) is not Attrs:
            error = TypeMismatch(
                f"expected a set but found {show_type(over)}: {show_value(over)}", positions=self.state.positions
            )
            error.add_trace(0, trace)
            raise error
        replacing: Attrs = cython.cast(Attrs, over)
        table = slots_table(self.shape.names, slots)
        origin = {name: origin_position(self.places, name) for name in self.shape.names}
        for name, value in replacing.items():
            slot: cython.Py_ssize_t = place_among(self.shape, name)
            if slot >= 0:
                set_slot(slots, slot, value)
            table[name] = value
            origin[name] = replacing.position(name)
        return attrs_from_dict(table, origin, self.pos)

    def eval_dynamic(self, env, attrs):
        table = cython.cast(Attrs, attrs).copy_table()
        old_origin = cython.cast(Attrs, attrs).origin
        origin = {name: origin_position(old_origin, name) for name in table}
        for definition in self.dynamic:
            item: DynamicDef = definition
            value = finished(item.name.eval(env), item.pos)
            if value is None:
                continue
            name = dynamic_name(self.state, value, item.pos)
            if name in table:
                before = self.state.positions.show(origin[name])
                raise EvalError(
                    f"dynamic attribute '{show_name(name)}' already defined at {before}",
                    pos=item.pos,
                    positions=self.state.positions,
                )
            if isinstance(item.expr, LambdaExpr):
                set_name(item.expr, name)
            table[name] = item.expr.delay(env)
            origin[name] = item.pos
        return attrs_from_dict(table, origin, self.pos)


def dynamic_name(state, value, pos):
    """The text of a computed attribute name."""
    try:
        return force_string_no_context(value, "")
    except EvalBaseError as error:
        error.positions = cython.cast(State, state).positions
        error.frames = [(pos, "while evaluating the name of a dynamic attribute", None)]
        if isinstance(error, TypeMismatch):
            error.pos = pos
        raise


@cython.final
@cython.no_gc
@cython.cclass
class LetExpr(Definer):
    """`let … in body`."""

    def __init__(self, state, attrs, body):
        self.state = state
        self.pos = 0
        self.attrs = attrs
        self.body = body

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        attrs = self.attrs
        attrs.prepare()
        inner = new_scope(scope, index_of(attrs.shape), None, 0)
        lazy: cython.bint = self.state.observer is None
        attrs.bind_definitions(scope, inner, lazy)
        self.size = 0
        if lazy:
            self.prepare_slots()
        self.body = self.body.bind(inner)
        if self.state.observer is not None:
            from frazil.lang.observed import watched_place

            what = "while evaluating a 'let' expression"
            self.body = watched_place(self.state.observer, self.body, inner, 0, what)
        return self

    def eval(self, env):
        if self.size > 0:
            return self.body.eval(new_lazy_frame(env, self.size, self))
        attrs = self.attrs
        inner: Env = new_frame(env, attrs.shape.count, MISSING)
        attrs.fill(env, inner, inner)
        return self.body.eval(inner)

    def prepare_slots(self):
        """What stands in each slot of the scope, and how what belongs there is made."""
        attrs = self.attrs
        count: cython.Py_ssize_t = attrs.shape.count
        self.size = count + (len(attrs.inherit_from) if attrs.framed else 0)
        self.members = new_slots(self.size, None)
        ways: object = bytearray(self.size)
        i: cython.Py_ssize_t
        for i in range(self.size):
            expr: object = get_slot(attrs.exprs, i) if i < count else attrs.inherit_from[i - count]
            set_slot(self.members, i, expr)
            if i < count and attrs.kinds[i] == INHERITED:
                ways[i] = OUTSIDE
            elif type(expr) is SlotVar0 and self.comes_later(cython.cast(Var, expr).slot, i):
                # A name that stands for a later one has a cell of its own.
                ways[i] = APART
            elif not isinstance(expr, (Literal, Var, Select, HasAttr, ListExpr)):
                ways[i] = APART
        self.ways = bytes(ways)

    def comes_later(self, slot, other):
        """Whether a name is defined after another. (Nix goes by the order in which it met the names.)"""
        attrs = self.attrs
        if slot >= attrs.shape.count or other >= attrs.shape.count:
            return False
        names = attrs.shape.names
        return origin_position(attrs.places, names[slot]) > origin_position(attrs.places, names[other])

    def define(self, frame, slot):
        """The value of a name, or a set of `inherit (set) …`."""
        expr: Expr = cython.cast(Expr, get_slot(self.members, slot))
        way: cython.int = self.ways[slot]
        env: Env = frame.up if way == OUTSIDE else frame
        value: object
        if way == APART or stack_is_low():
            value = new_thunk(expr, env)
        else:
            # Who comes back here on the way finds no value yet.
            set_slot(frame, slot, MISSING)
            value = expr.delay(env)
        set_slot(frame, slot, value)
        return value


@cython.final
@cython.no_gc
@cython.cclass
class ListExpr(Expr):
    """`[ … ]`."""

    def __init__(self, state, elements):
        self.state = state
        self.elements = elements
        self.pos = cython.cast(Expr, elements[0]).pos if elements else 0

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        bind_each(self.elements, scope)
        return self if self.state.observer is None else counted_node(self)

    def eval(self, env):
        elements = self.elements
        count: cython.Py_ssize_t = len(elements)
        if count == 0:
            return EMPTY_LIST
        values: list = [None] * count
        i: cython.Py_ssize_t
        for i in range(count):
            values[i] = cython.cast(Expr, elements[i]).delay(env)
        return values

    def delay(self, env):
        if len(self.elements) == 0:
            return EMPTY_LIST
        return new_thunk(self, env)

    def settle(self, env):
        return EMPTY_LIST if len(self.elements) == 0 else unmade()


def counted_node(expr):
    from frazil.lang.observed import counted

    return counted(cython.cast(Expr, expr).state.observer, expr)


def is_literal(value):
    """Whether forcing computes nothing: a value, or a set, list or function that is still as it was written."""
    if not isinstance(value, Thunk):
        return True
    expr = cython.cast(Thunk, value).expr
    if expr is None or isinstance(expr, (ListExpr, LambdaExpr)):
        return True
    return isinstance(expr, AttrsExpr) and cython.cast(AttrsExpr, expr).dynamic is None


if not cython.compiled:
    # What C-level attributes start as.
    AttrsExpr.shape = None
    AttrsExpr.places = None
    AttrsExpr.exprs = None
    AttrsExpr.defs = None
    AttrsExpr.kinds = None
    AttrsExpr.plain = None
    AttrsExpr.lazy = AttrsExpr.framed = False
    AttrsExpr.instances = 0
