# cython: boundscheck=False, wraparound=False
"""Expressions: what the parser makes, the resolver (`bind`) specialises, and `eval` runs.

Each class is one shape of expression with at most four methods: `bind(scope)` resolves names once, `eval(env)`
gives the value, `delay(env)` a value or a thunk, `peek(env)` the value if it costs nothing. Errors are annotated in
`finally` blocks,
which cost nothing while nothing fails. Source of truth: Nix's `nixexpr.cc` and `eval.cc`; wording of messages included.
"""

import sys

import cython
from cython.cimports.frazil.lang.runtime import (
    add_trace,
    call_primop,
    call_value,
    coerce,
    equal_values,
    force_string_no_context,
    less_than,
    show_type,
    show_value,
)
from cython.cimports.frazil.lang.values import (
    EMPTY_ATTRS,
    MISSING,
    Attrs,
    ContextString,
    Env,
    Expr,
    Lambda,
    LambdaExpr,
    PathValue,
    Primop,
    PrimopApplication,
    Scope,
    Shape,
    State,
    Thunk,
    attrs_from_dict,
    get_slot,
    new_cell,
    new_pair,
    new_shaped,
    new_slots,
    origin_position,
    run_thunk,
    set_slot,
    stack_is_low,
    stack_overflow,
    update_attrs,
)

from frazil.lang.errors import (
    AssertionFailed,
    EvalBaseError,
    EvalError,
    MissingAttribute,
    TypeMismatch,
    UndefinedVariable,
)

PLAIN = cython.declare(cython.int, 0)
INHERITED = cython.declare(cython.int, 1)
INHERITED_FROM = cython.declare(cython.int, 2)
SUBTRACT = cython.declare(cython.int, 0)
MULTIPLY = cython.declare(cython.int, 1)
DIVIDE = cython.declare(cython.int, 2)
LESS = cython.declare(cython.int, 3)
PLAIN = 0
INHERITED = 1
INHERITED_FROM = 2
SUBTRACT = 0
MULTIPLY = 1
DIVIDE = 2
LESS = 3
OPERATOR_NAMES = ("__sub", "__mul", "__div", "__lessThan")
INT_MIN = cython.declare(object, -(2**63))
INT_MAX = cython.declare(object, 2**63 - 1)
INT_MIN = -(2**63)
INT_MAX = 2**63 - 1


# --- helpers of all nodes


@cython.cfunc
@cython.inline
def new_thunk(expr: object, env: object) -> Thunk:
    return cython.cast(Thunk, new_pair(Thunk, expr, env))


@cython.cfunc
@cython.inline
def new_env(up: object, payload: object) -> Env:
    return cython.cast(Env, new_pair(Env, up, payload))


@cython.cfunc
@cython.inline
def new_lambda(expr: object, env: object) -> Lambda:
    return cython.cast(Lambda, new_pair(Lambda, expr, env))


@cython.cfunc
@cython.inline
def new_attrs(shape: Shape, values: object, pos: cython.Py_ssize_t) -> Attrs:
    return cython.cast(Attrs, new_shaped(EMPTY_ATTRS, shape, values, pos))


@cython.cfunc
@cython.inline
def finished(value: object, pos: cython.Py_ssize_t) -> object:
    """The value of a value or thunk."""
    if type(value) is Thunk:
        thunk: Thunk = cython.cast(Thunk, value)
        if thunk.expr is None:
            return thunk.slot
        return run_thunk(thunk, pos)
    return value


@cython.cfunc
@cython.inline
def glance(value: object) -> object:
    """The value if it is there already, otherwise MISSING."""
    if type(value) is Thunk:
        if cython.cast(Thunk, value).expr is None:
            return cython.cast(Thunk, value).slot
        return MISSING
    return value


@cython.cfunc
@cython.inline
def cell(value: object) -> object:
    """What to put in a new cell for something in another cell: itself, but the value of a finished thunk."""
    if type(value) is Thunk and cython.cast(Thunk, value).expr is None:
        return cython.cast(Thunk, value).slot
    return value


@cython.cfunc
@cython.inline
def traced_eval(expr: Expr, env: Env, text: object) -> object:
    """Evaluate; a failure is annotated with the position of the expression."""
    done: cython.bint = False
    value: object = None
    try:
        value = expr.eval(env)
        done = True
    finally:
        if not done:
            add_trace(expr.state, expr.pos, text)
    return value


@cython.cfunc
def eval_bool(expr: Expr, env: Env, text: object) -> cython.bint:
    done: cython.bint = False
    value: object = None
    try:
        value = expr.eval(env)
        if value is not True and value is not False:
            raise TypeMismatch(
                f"expected a Boolean but found {show_type(value)}: {show_value(value)}",
                pos=expr.pos,
                positions=expr.state.positions,
            )
        done = True
    finally:
        if not done:
            add_trace(expr.state, expr.pos, text)
    return value is True


@cython.cfunc
def eval_attrs(expr: Expr, env: Env, text: object) -> Attrs:
    done: cython.bint = False
    value: object = None
    try:
        value = expr.eval(env)
        if type(value) is not Attrs:
            raise TypeMismatch(
                f"expected a set but found {show_type(value)}: {show_value(value)}", positions=expr.state.positions
            )
        done = True
    finally:
        if not done:
            add_trace(expr.state, expr.pos, text)
    return cython.cast(Attrs, value)


def show(expr):
    """The expression as `--parse` prints it."""
    from frazil.lang.ast_printer import show_expr

    return show_expr(expr)


# --- constants and variables


@cython.no_gc
@cython.cclass
class Literal(Expr):
    """A number or string."""

    def __init__(self, state, pos, value):
        self.state = state
        self.pos = pos
        self.value = value

    def eval(self, env):
        return self.value

    def delay(self, env):
        return self.value

    def peek(self, env):
        return self.value


@cython.no_gc
@cython.cclass
class PathLiteral(Literal):
    """A path; its text may end in a slash where an interpolation follows."""


@cython.no_gc
@cython.cclass
class Var(Expr):
    """A name not yet resolved."""

    def __init__(self, state, pos, name):
        self.state = state
        self.pos = pos
        self.name = name

    def bind(self, scope):
        depth: cython.Py_ssize_t = 0
        name = self.name
        withs: list = None
        current = scope
        while current is not None:
            if current.single is not None:
                if current.single == name:
                    return argument_var(self, depth)
            elif current.names is not None:
                slot = current.names.get(name)
                if slot is not None:
                    return slot_var(self, depth, slot)
            else:
                if withs is None:
                    withs = []
                withs.append((depth, current.pos))
            depth += 1
            current = current.up
        value = self.state.globals.get(name, MISSING)
        if value is not MISSING:
            known = cython.cast(GlobalVar, GlobalVar.__new__(GlobalVar))
            known.state = self.state
            known.pos = self.pos
            known.name = name
            known.value = value
            return known
        if withs is None:
            raise UndefinedVariable(f"undefined variable '{name}'", pos=self.pos, positions=self.state.positions)
        return with_var(self, withs)


def argument_var(var, depth: cython.Py_ssize_t):
    old: Var = var
    if depth == 0:
        result: Var = ArgumentVar0.__new__(ArgumentVar0)
    elif depth == 1:
        result = ArgumentVar1.__new__(ArgumentVar1)
    else:
        deep: ArgumentVar = ArgumentVar.__new__(ArgumentVar)
        deep.depth = depth
        result = deep
    result.state = old.state
    result.pos = old.pos
    result.name = old.name
    return result


def slot_var(var, depth: cython.Py_ssize_t, slot: cython.Py_ssize_t):
    old: Var = var
    if depth == 0:
        v0: SlotVar0 = SlotVar0.__new__(SlotVar0)
        v0.slot = slot
        result: Var = v0
    elif depth == 1:
        v1: SlotVar1 = SlotVar1.__new__(SlotVar1)
        v1.slot = slot
        result = v1
    elif depth == 2:
        v2: SlotVar2 = SlotVar2.__new__(SlotVar2)
        v2.slot = slot
        result = v2
    else:
        deep: SlotVar = SlotVar.__new__(SlotVar)
        deep.depth = depth
        deep.slot = slot
        result = deep
    result.state = old.state
    result.pos = old.pos
    result.name = old.name
    return result


def with_var(var, withs):
    old: Var = var
    result: WithVar = WithVar.__new__(WithVar)
    result.state = old.state
    result.pos = old.pos
    result.name = old.name
    result.depths = [depth for depth, _ in withs]
    result.positions = [pos for _, pos in withs]
    return result


@cython.final
@cython.no_gc
@cython.cclass
class GlobalVar(Var):
    """A builtin."""

    def eval(self, env):
        value = finished(self.value, self.pos)
        self.value = value
        return value

    def delay(self, env):
        return cell(self.value)

    def peek(self, env):
        return glance(self.value)


@cython.final
@cython.no_gc
@cython.cclass
class ArgumentVar0(Var):
    """The argument of the innermost function."""

    def eval(self, env):
        value = env.payload
        if type(value) is Thunk:
            value = finished(value, self.pos)
            env.payload = value
        return value

    def delay(self, env):
        return cell(env.payload)

    def peek(self, env):
        return glance(env.payload)


@cython.final
@cython.no_gc
@cython.cclass
class ArgumentVar1(Var):
    """The argument of the function around the innermost scope."""

    def eval(self, env):
        env = env.up
        value = env.payload
        if type(value) is Thunk:
            value = finished(value, self.pos)
            env.payload = value
        return value

    def delay(self, env):
        return cell(env.up.payload)

    def peek(self, env):
        return glance(env.up.payload)


@cython.cfunc
@cython.inline
def outer(env: Env, depth: cython.Py_ssize_t) -> Env:
    while depth > 0:
        env = env.up
        depth -= 1
    return env


@cython.final
@cython.no_gc
@cython.cclass
class ArgumentVar(Var):
    """A function's argument, `depth` scopes out."""

    def eval(self, env):
        env = outer(env, self.depth)
        value = env.payload
        if type(value) is Thunk:
            value = finished(value, self.pos)
            env.payload = value
        return value

    def delay(self, env):
        return cell(outer(env, self.depth).payload)

    def peek(self, env):
        return glance(outer(env, self.depth).payload)


@cython.cfunc
@cython.inline
def slot_value(env: Env, slot: cython.Py_ssize_t, pos: cython.Py_ssize_t) -> object:
    slots: object = env.payload
    value: object = get_slot(slots, slot)
    if type(value) is Thunk:
        value = finished(value, pos)
        set_slot(slots, slot, value)
    return value


@cython.cfunc
@cython.inline
def slot_cell(expr: Expr, at: Env, slot: cython.Py_ssize_t, env: Env) -> object:
    value: object = get_slot(at.payload, slot)
    if value is MISSING:
        return new_thunk(expr, env)
    return cell(value)


@cython.final
@cython.no_gc
@cython.cclass
class SlotVar0(Var):
    """A name of the innermost `let`, `rec` or function with formals."""

    def eval(self, env):
        return slot_value(env, self.slot, self.pos)

    def delay(self, env):
        return slot_cell(self, env, self.slot, env)

    def peek(self, env):
        return glance(get_slot(env.payload, self.slot))


@cython.final
@cython.no_gc
@cython.cclass
class SlotVar1(Var):
    """The same, one scope out."""

    def eval(self, env):
        return slot_value(env.up, self.slot, self.pos)

    def delay(self, env):
        return slot_cell(self, env.up, self.slot, env)

    def peek(self, env):
        return glance(get_slot(env.up.payload, self.slot))


@cython.final
@cython.no_gc
@cython.cclass
class SlotVar2(Var):
    """The same, two scopes out."""

    def eval(self, env):
        return slot_value(env.up.up, self.slot, self.pos)

    def delay(self, env):
        return slot_cell(self, env.up.up, self.slot, env)

    def peek(self, env):
        return glance(get_slot(env.up.up.payload, self.slot))


@cython.final
@cython.no_gc
@cython.cclass
class SlotVar(Var):
    """The same, `depth` scopes out."""

    def eval(self, env):
        return slot_value(outer(env, self.depth), self.slot, self.pos)

    def delay(self, env):
        return slot_cell(self, outer(env, self.depth), self.slot, env)

    def peek(self, env):
        return glance(get_slot(outer(env, self.depth).payload, self.slot))


@cython.final
@cython.no_gc
@cython.cclass
class WithVar(Var):
    """A name that only the sets of enclosing `with`s can have."""

    def eval(self, env):
        name = self.name
        for i in range(len(self.depths)):
            at: Env = outer(env, self.depths[i])
            attrs = with_attrs(self, at, self.positions[i])
            value = attrs.lookup(name)
            if value is not MISSING:
                return finished(value, self.pos)
        raise UndefinedVariable(f"undefined variable '{name}'", pos=self.pos, positions=self.state.positions)


@cython.cfunc
def with_attrs(var: WithVar, env: Env, pos: cython.Py_ssize_t) -> Attrs:
    value: object = finished(env.payload, pos)
    env.payload = value
    if type(value) is not Attrs:
        error = TypeMismatch(
            f"expected a set but found {show_type(value)}: {show_value(value)}", positions=var.state.positions
        )
        error.add_trace(pos, "while evaluating the first subexpression of a with expression")
        raise error
    return cython.cast(Attrs, value)


@cython.final
@cython.no_gc
@cython.cclass
class InheritFrom(Expr):
    """The set of an `inherit (set) …`: number `index` of the literal's sources."""

    def __init__(self, state, pos, index):
        self.state = state
        self.pos = pos
        self.index = index

    def shift(self, distance):
        """The literal was merged into another that has sources of its own."""
        self.index += distance

    def eval(self, env):
        return slot_value(env, self.index, self.pos)

    def peek(self, env):
        return glance(get_slot(env.payload, self.index))


# --- attribute sets and lists


@cython.final
@cython.no_gc
@cython.cclass
class AttrDef:
    """One definition in a literal; `kind`: plain, inherited, or inherited from a set."""

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
class AttrsExpr(Expr):
    """`{ … }` and `rec { … }`."""

    def __init__(self, state, pos):
        self.state = state
        self.pos = pos
        self.recursive = False
        self.defs = {}
        self.dynamic = None
        self.inherit_from = None
        self.overrides = -1

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        self.prepare()
        inner: Scope = scope
        if self.recursive:
            inner = Scope(scope, self.shape.index, None)
        self.bind_definitions(scope, inner)
        if self.dynamic is not None:
            for definition in self.dynamic:
                item: DynamicDef = definition
                item.name = item.name.bind(inner)
                item.expr = item.expr.bind(inner)
        return self

    def prepare(self):
        """Sort the names once."""
        names = sorted(self.defs)
        self.shape = Shape(names, [cython.cast(AttrDef, self.defs[name]).pos for name in names])
        self.exprs = [None] * len(names)
        self.kinds = [cython.cast(AttrDef, self.defs[name]).kind for name in names]
        self.plain = not self.recursive and self.dynamic is None and self.inherit_from is None
        if self.recursive:
            self.overrides = self.shape.index.get("__overrides", -1)

    def bind_definitions(self, outer_scope, inner):
        source: Scope = None
        if self.inherit_from is not None:
            source = Scope(inner, {}, None)
            self.inherit_from = [cython.cast(Expr, e).bind(inner) for e in self.inherit_from]
        i: cython.Py_ssize_t = 0
        for name in self.shape.names:
            definition: AttrDef = self.defs[name]
            if definition.kind == PLAIN:
                definition.expr = definition.expr.bind(inner)
            elif definition.kind == INHERITED:
                definition.expr = definition.expr.bind(outer_scope)
            else:
                definition.expr = definition.expr.bind(source)
            self.exprs[i] = definition.expr
            i += 1

    def inherit_env(self, env):
        if self.inherit_from is None:
            return None
        sources = self.inherit_from
        slots: object = new_slots(len(sources), MISSING)
        for i in range(len(sources)):
            set_slot(slots, i, cython.cast(Expr, sources[i]).delay(env))
        return new_env(env, slots)

    def fill(self, env, inner, slots):
        """Put every definition's value or thunk in its slot."""
        source: Env = self.inherit_env(inner)
        exprs = self.exprs
        kinds = self.kinds
        kind: cython.int
        for i in range(len(exprs)):
            kind = kinds[i]
            if kind == PLAIN:
                set_slot(slots, i, cython.cast(Expr, exprs[i]).delay(inner))
            elif kind == INHERITED:
                set_slot(slots, i, cython.cast(Expr, exprs[i]).delay(env))
            else:
                set_slot(slots, i, cython.cast(Expr, exprs[i]).delay(source))
        return slots

    def eval(self, env):
        exprs = self.exprs
        count: cython.Py_ssize_t = len(exprs)
        slots: object = new_slots(count, MISSING)
        i: cython.Py_ssize_t
        if self.plain:
            for i in range(count):
                set_slot(slots, i, cython.cast(Expr, exprs[i]).delay(env))
            return new_attrs(self.shape, slots, self.pos)
        attrs: object
        if not self.recursive:
            self.fill(env, env, slots)
            attrs = new_attrs(self.shape, slots, self.pos)
            return attrs if self.dynamic is None else self.eval_dynamic(env, attrs)
        inner: Env = new_env(env, slots)
        if self.overrides >= 0:
            attrs = self.eval_overrides(inner, slots)
        else:
            self.fill(env, inner, slots)
            attrs = new_attrs(self.shape, slots, self.pos)
        return attrs if self.dynamic is None else self.eval_dynamic(inner, attrs)

    def delay(self, env):
        if len(self.exprs) == 0 and self.dynamic is None:
            return new_attrs(self.shape, EMPTY_ATTRS.values, self.pos)
        return new_thunk(self, env)

    def eval_overrides(self, inner, slots):
        """`rec { … __overrides = { … }; }`: those attributes replace the ones of the literal."""
        source: Env = self.inherit_env(inner)
        for i in range(len(slots)):
            # Thunks throughout: a value looked up now would miss its replacement.
            if self.kinds[i] == INHERITED:
                set_slot(slots, i, cython.cast(Expr, self.exprs[i]).delay(inner.up))
            else:
                set_slot(slots, i, new_thunk(self.exprs[i], inner if self.kinds[i] == PLAIN else source))
        trace = "while evaluating the `__overrides` attribute"
        over: object = finished(get_slot(slots, self.overrides), self.pos)
        if type(over) is not Attrs:
            error = TypeMismatch(
                f"expected a set but found {show_type(over)}: {show_value(over)}", positions=self.state.positions
            )
            error.add_trace(0, trace)
            raise error
        replacing: Attrs = cython.cast(Attrs, over)
        table = dict(zip(self.shape.names, slots))
        origin = {name: self.shape.positions[i] for i, name in enumerate(self.shape.names)}
        for name, value in replacing.items():
            slot = self.shape.index.get(name)
            if slot is not None:
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


def set_name(expr, name):
    """Name a function, and the functions it returns, after what it is bound to."""
    while isinstance(expr, LambdaExpr):
        function: LambdaExpr = expr
        function.name = name
        if isinstance(expr, SimpleLambda):
            expr = cython.cast(SimpleLambda, expr).body
        elif isinstance(expr, FormalsLambda):
            expr = cython.cast(FormalsLambda, expr).body
        else:
            return


@cython.final
@cython.no_gc
@cython.cclass
class LetExpr(Expr):
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
        inner = Scope(scope, attrs.shape.index, None)
        attrs.bind_definitions(scope, inner)
        self.body = self.body.bind(inner)
        return self

    def eval(self, env):
        attrs = self.attrs
        slots: object = new_slots(len(attrs.exprs), MISSING)
        inner: Env = new_env(env, slots)
        attrs.fill(env, inner, slots)
        return self.body.eval(inner)


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
        self.elements = [cython.cast(Expr, e).bind(scope) for e in self.elements]
        return self

    def eval(self, env):
        elements = self.elements
        count: cython.Py_ssize_t = len(elements)
        values: list = [None] * count
        i: cython.Py_ssize_t
        for i in range(count):
            values[i] = cython.cast(Expr, elements[i]).delay(env)
        return values

    def delay(self, env):
        if len(self.elements) == 0:
            return []
        return new_thunk(self, env)


# --- functions


@cython.cfunc
def call_failed(function: LambdaExpr, call_pos: cython.Py_ssize_t) -> object:
    state: State = function.state
    if state.show_trace:
        what = f"'{function.name}'" if function.name is not None else "anonymous lambda"
        add_trace(state, function.pos, f"while calling {what}")
        if call_pos:
            add_trace(state, call_pos, "from call site")
    return None


@cython.final
@cython.no_gc
@cython.cclass
class SimpleLambda(LambdaExpr):
    """`x: body`."""

    def __init__(self, state, pos, argument, body):
        self.state = state
        self.pos = pos
        self.argument = argument
        self.body = body
        self.name = None

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        self.body = self.body.bind(Scope(scope, None, self.argument))
        if isinstance(self.body, LambdaExpr):
            self.inner = cython.cast(LambdaExpr, self.body)
        return self

    def eval(self, env):
        return new_lambda(self, env)

    def delay(self, env):
        return new_lambda(self, env)

    def pattern(self):
        """(formals as (name, has default, position) or None, has an ellipsis, the argument's name or None)."""
        return None, False, self.argument

    def apply(self, up, argument, call_pos):
        done: cython.bint = False
        value: object = None
        try:
            value = self.body.eval(new_env(up, argument))
            done = True
        finally:
            if not done:
                call_failed(self, call_pos)
        return value


@cython.final
@cython.no_gc
@cython.cclass
class Formal:
    """One named argument."""

    def __init__(self, name, pos, default):
        self.name = name
        self.pos = pos
        self.default = default


@cython.final
@cython.no_gc
@cython.cclass
class FormalsLambda(LambdaExpr):
    """`{ a, b ? c, … } @ args: body`. Slots: the argument if it has a name, then the formals in order."""

    def __init__(self, state, pos, formals, ellipsis, argument, body):
        self.state = state
        self.pos = pos
        self.formals = formals
        self.ellipsis = ellipsis
        self.argument = argument
        self.body = body
        self.name = None

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        self.names = [cython.cast(Formal, f).name for f in self.formals]
        self.first = 0 if self.argument is None else 1
        slots = {name: i + self.first for i, name in enumerate(self.names)}
        if self.argument is not None:
            slots[self.argument] = 0
        inner = Scope(scope, slots, None)
        self.defaults = []
        for item in self.formals:
            formal: Formal = item
            if formal.default is not None:
                formal.default = formal.default.bind(inner)
            self.defaults.append(formal.default)
        self.body = self.body.bind(inner)
        return self

    def eval(self, env):
        return new_lambda(self, env)

    def delay(self, env):
        return new_lambda(self, env)

    def pattern(self):
        """(formals as (name, has default, position) or None, has an ellipsis, the argument's name or None)."""
        formals = []
        for item in self.formals:
            formal: Formal = item
            formals.append((formal.name, formal.default is not None, formal.pos))
        return formals, bool(self.ellipsis), self.argument

    def use_shape(self, shape):
        """Note where a set of this shape has each formal (-1: nowhere), and whether it has others."""
        places = [shape.index.get(name, -1) for name in self.names]
        if not self.ellipsis:
            used = sum([1 for place in places if place >= 0])
            if used != len(shape.names):
                return None
        self.cached_map = places
        self.cached = shape
        return places

    def bind_argument(self, up, argument, call_pos):
        """The environment of the body."""
        done: cython.bint = False
        value: object = argument
        try:
            value = finished(argument, self.pos)
            if type(value) is not Attrs:
                error = TypeMismatch(
                    f"expected a set but found {show_type(value)}: {show_value(value)}", positions=self.state.positions
                )
                error.add_trace(self.pos, "while evaluating the value passed for the lambda argument")
                raise error
            done = True
        finally:
            if not done and call_pos:
                add_trace(self.state, call_pos, "from call site")
        attrs: Attrs = cython.cast(Attrs, value)
        names = self.names
        count: cython.Py_ssize_t = len(names)
        k: cython.Py_ssize_t = self.first
        slots: object = new_slots(count + k, MISSING)
        env: Env = new_env(up, slots)
        if k:
            set_slot(slots, 0, cell(argument))
        i: cython.Py_ssize_t
        place: cython.Py_ssize_t
        item: object
        shape: Shape = attrs.shape
        if shape is not None and (shape is self.cached or self.use_shape(shape) is not None):
            values = attrs.values
            places = self.cached_map
            for i in range(count):
                place = places[i]
                if place >= 0:
                    set_slot(slots, k + i, cell(get_slot(values, place)))
        else:
            used: cython.Py_ssize_t = 0
            for i in range(count):
                item = attrs.lookup(names[i])
                if item is not MISSING:
                    set_slot(slots, k + i, cell(item))
                    used += 1
            if not self.ellipsis and used != attrs.size():
                self.require(slots, call_pos)
                self.unexpected(attrs, call_pos)
        defaults = self.defaults
        for i in range(count):
            if get_slot(slots, k + i) is MISSING:
                if defaults[i] is None:
                    self.missing(names[i], call_pos)
                set_slot(slots, k + i, cython.cast(Expr, defaults[i]).delay(env))
        return env

    def require(self, slots, call_pos):
        """Missing arguments are reported before unexpected ones."""
        for i, name in enumerate(self.names):
            if get_slot(slots, self.first + i) is MISSING and self.defaults[i] is None:
                self.missing(name, call_pos)

    def missing(self, name, call_pos):
        what = self.name if self.name is not None else "anonymous lambda"
        error = TypeMismatch(
            f"function '{what}' called without required argument '{show_name(name)}'",
            pos=self.pos,
            positions=self.state.positions,
        )
        error.add_trace(call_pos, "from call site")
        raise error

    def unexpected(self, attrs, call_pos):
        from frazil.lang.runtime import suggestions

        known = set(self.names)
        others = [name for name in attrs.names() if name not in known]
        others.sort(key=attrs.position)
        name = others[0]
        what = self.name if self.name is not None else "anonymous lambda"
        error = TypeMismatch(
            f"function '{what}' called with unexpected argument '{show_name(name)}'",
            pos=self.pos,
            positions=self.state.positions,
            suggestions=suggestions(name, known),
        )
        error.add_trace(call_pos, "from call site")
        raise error

    def apply(self, up, argument, call_pos):
        env: Env = self.bind_argument(up, argument, call_pos)
        done: cython.bint = False
        value: object = None
        try:
            value = self.body.eval(env)
            done = True
        finally:
            if not done:
                call_failed(self, call_pos)
        return value


@cython.no_gc
@cython.cclass
class CallNode(Expr):
    """`f a b`, as the parser makes it."""

    def __init__(self, state, pos, function, arguments):
        self.state = state
        self.pos = pos
        self.function = function
        self.arguments = arguments

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        function = self.function.bind(scope)
        arguments = [cython.cast(Expr, a).bind(scope) for a in self.arguments]
        result: CallNode
        if len(arguments) == 1:
            one: Call1 = Call1.__new__(Call1)
            one.argument = arguments[0]
            result = one
        elif len(arguments) == 2:
            two: Call2 = Call2.__new__(Call2)
            two.first = arguments[0]
            two.second = arguments[1]
            result = two
        else:
            result = CallMany.__new__(CallMany)
        result.state = self.state
        result.pos = self.pos
        result.function = function
        result.arguments = arguments
        return result


@cython.cfunc
@cython.inline
def check_depth(state: State, pos: cython.Py_ssize_t) -> cython.bint:
    if state.call_depth > state.max_call_depth or stack_is_low():
        raise stack_overflow(state, pos)
    state.call_depth += 1
    return True


@cython.final
@cython.no_gc
@cython.cclass
class Call1(CallNode):
    """`f a`."""

    def eval(self, env):
        state = self.state
        function: object = self.function.eval(env)
        argument: object = self.argument.delay(env)
        check_depth(state, self.pos)
        value: object
        if type(function) is Lambda:
            value = cython.cast(Lambda, function).expr.apply(cython.cast(Lambda, function).env, argument, self.pos)
        elif type(function) is Primop and cython.cast(Primop, function).arity == 1:
            value = call_primop(state, function, [argument], self.pos)
        else:
            state.call_depth -= 1
            return call_value(state, function, [argument], self.pos)
        state.call_depth -= 1
        return value


@cython.final
@cython.no_gc
@cython.cclass
class Call2(CallNode):
    """`f a b`."""

    def eval(self, env):
        state = self.state
        current: object = self.function.eval(env)
        first: object = self.first.delay(env)
        second: object = self.second.delay(env)
        check_depth(state, self.pos)
        if type(current) is Lambda:
            function: LambdaExpr = cython.cast(Lambda, current).expr
            if function.inner is not None:
                current = function.inner.apply(new_env(cython.cast(Lambda, current).env, first), second, self.pos)
                state.call_depth -= 1
                return current
            current = function.apply(cython.cast(Lambda, current).env, first, self.pos)
            if type(current) is Lambda:
                current = cython.cast(Lambda, current).expr.apply(cython.cast(Lambda, current).env, second, self.pos)
                state.call_depth -= 1
                return current
            state.call_depth -= 1
            return call_value(state, current, [second], self.pos)
        if type(current) is Primop and cython.cast(Primop, current).arity == 2:
            current = call_primop(state, current, [first, second], self.pos)
            state.call_depth -= 1
            return current
        state.call_depth -= 1
        return call_value(state, current, [first, second], self.pos)


@cython.final
@cython.no_gc
@cython.cclass
class CallMany(CallNode):
    """`f a b c …`."""

    def eval(self, env):
        state = self.state
        current: object = self.function.eval(env)
        exprs = self.arguments
        count: cython.Py_ssize_t = len(exprs)
        arguments: list = [None] * count
        i: cython.Py_ssize_t
        for i in range(count):
            arguments[i] = cython.cast(Expr, exprs[i]).delay(env)
        if type(current) is not Lambda:
            return call_value(state, current, arguments, self.pos)
        check_depth(state, self.pos)
        function: LambdaExpr = cython.cast(Lambda, current).expr
        up: Env = cython.cast(Lambda, current).env
        last: cython.Py_ssize_t = count - 1
        i = 0
        while True:
            while i < last and function.inner is not None:
                up = new_env(up, arguments[i])
                function = function.inner
                i += 1
            current = function.apply(up, arguments[i], self.pos)
            i += 1
            if i == count:
                break
            if type(current) is not Lambda:
                state.call_depth -= 1
                return call_value(state, current, arguments[i:], self.pos)
            function = cython.cast(Lambda, current).expr
            up = cython.cast(Lambda, current).env
        state.call_depth -= 1
        return current


# --- arithmetic


@cython.final
@cython.no_gc
@cython.cclass
class Arithmetic(Expr):
    """`-`, `*`, `/` and `<`: calls of `__sub` and so on in the language, unless a scope redefines those names."""

    def __init__(self, state, pos, operator, left, right):
        self.state = state
        self.pos = pos
        self.operator = operator
        self.left = left
        self.right = right

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        name = OPERATOR_NAMES[self.operator]
        if name in self.state.symbols:
            function = Var(self.state, 0, name).bind(scope)
            if not isinstance(function, GlobalVar):
                return CallNode(self.state, self.pos, Var(self.state, 0, name), [self.left, self.right]).bind(scope)
        self.left = self.left.bind(scope)
        self.right = self.right.bind(scope)
        return self

    def eval(self, env):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        done: cython.bint = False
        value: object = None
        operator: cython.int = self.operator
        try:
            left: object = self.left.eval(env)
            right: object = self.right.eval(env)
            if operator == LESS:
                if type(left) is int and type(right) is int:
                    value = cython.cast(cython.longlong, left) < cython.cast(cython.longlong, right)
                else:
                    value = less_than(self.state, left, right, "")
            elif type(left) is int and type(right) is int:
                value = integer_operation(operator, left, right)
            else:
                value = mixed_operation(operator, left, right)
            done = True
        finally:
            if not done:
                add_trace(self.state, self.pos, f"while calling the '{OPERATOR_NAMES[operator][2:]}' builtin")
        return value


@cython.cfunc
def integer_operation(operator: cython.int, left: object, right: object) -> object:
    value: object
    if operator == SUBTRACT:
        value = left - right
        if INT_MIN <= value <= INT_MAX:
            return value
        raise EvalError(f"integer overflow in subtracting {left} - {right}")
    if operator == MULTIPLY:
        value = left * right
        if INT_MIN <= value <= INT_MAX:
            return value
        raise EvalError(f"integer overflow in multiplying {left} * {right}")
    if right == 0:
        raise EvalError("division by zero")
    value = abs(left) // abs(right)
    if (left < 0) != (right < 0):
        value = -value
    if value > INT_MAX:
        raise EvalError(f"integer overflow in dividing {left} / {right}")
    return value


WORDS = (
    ("first argument of the subtraction", "second argument of the subtraction"),
    ("first argument of the multiplication", "second argument of the multiplication"),
    ("first operand of the division", "second operand of the division"),
)


def mixed_operation(operator, left, right):
    """Floats, and what is no number at all."""
    from frazil.lang.runtime import force_float, force_int

    first, second = WORDS[operator]
    first = "while evaluating the " + first
    second = "while evaluating the " + second
    if operator == 2:
        divisor = force_float(right, second)
        if divisor == 0:
            raise EvalError("division by zero")
        if type(left) is float or type(right) is float:
            return force_float(left, first) / divisor
    elif type(left) is float or type(right) is float:
        if operator == 0:
            return force_float(left, first) - force_float(right, second)
        if operator == 1 and type(left) is not float and type(left) is not int:
            first = "while evaluating the first of the multiplication"
        return force_float(left, first) * force_float(right, second)
    return integer_operation(operator, force_int(left, first), force_int(right, second))


# --- selection


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
                shown.append('"${' + show(item) + '}"')
    return ".".join([show_name(name) for name in shown])


def show_name(name):
    from frazil.lang.error_text import attribute_name

    return name if name.startswith('"${') else attribute_name(name)


def missing_attribute(state, attrs, name):
    from frazil.lang.runtime import suggestions

    return MissingAttribute(
        f"attribute '{show_name(name)}' missing",
        positions=state.positions,
        suggestions=suggestions(name, attrs.names()),
    )


def not_a_set(state, value, pos):
    error = TypeMismatch(f"expected a set but found {show_type(value)}: {show_value(value)}", positions=state.positions)
    error.add_trace(pos, "while selecting an attribute")
    return error


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
            return one
        self.subject = self.subject.bind(scope)
        if self.default is not None:
            self.default = self.default.bind(scope)
        self.path = [item if type(item) is str else cython.cast(Expr, item).bind(scope) for item in path]
        return self

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
        value: object = None
        result: object = MISSING
        attrs: Attrs = None
        stage: cython.int = 0
        try:
            value = self.subject.eval(env)
            stage = 1
            if type(value) is not Attrs:
                raise not_a_set(self.state, value, self.pos)
            attrs = cython.cast(Attrs, value)
            result = self.find(attrs)
            if type(result) is Thunk:
                if cython.cast(Thunk, result).expr is None:
                    result = cython.cast(Thunk, result).slot
                else:
                    result = run_thunk(cython.cast(Thunk, result), self.pos)
                if attrs.shape is not None:
                    set_slot(attrs.values, self.index, result)
            elif result is MISSING:
                raise missing_attribute(self.state, attrs, self.name)
            stage = 2
        finally:
            if stage == 0:
                add_trace(self.state, self.subject.pos, "while selecting an attribute")
            elif stage == 1:
                self.failed(env, attrs.position(self.name) if attrs is not None and result is not MISSING else 0, 1)
        return result

    def peek(self, env):
        value: object = self.subject.peek(env)
        if type(value) is not Attrs:
            return MISSING
        return glance(self.find(cython.cast(Attrs, value)))

    def delay(self, env):
        value: object = self.peek(env)
        if value is MISSING:
            return new_thunk(self, env)
        kind = type(value)
        if kind is Lambda or kind is Primop or kind is PrimopApplication:
            return new_cell(value)
        return value


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
        for item in self.path:
            value = finished(value, self.pos)
            name = path_name(self.state, item, env)
            if type(value) is not Attrs:
                return False
            value = cython.cast(Attrs, value).lookup(name)
            if value is MISSING:
                return False
        return True


# --- control


@cython.final
@cython.no_gc
@cython.cclass
class With(Expr):
    """`with attrs; body`."""

    def __init__(self, state, pos, attrs, body):
        self.state = state
        self.pos = pos
        self.attrs = attrs
        self.body = body

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        self.attrs = self.attrs.bind(scope)
        self.body = self.body.bind(Scope(scope, None, None, self.pos))
        return self

    def eval(self, env):
        return self.body.eval(new_env(env, self.attrs.delay(env)))


@cython.final
@cython.no_gc
@cython.cclass
class If(Expr):
    """`if condition then … else …`."""

    def __init__(self, state, pos, condition, then, otherwise):
        self.state = state
        self.pos = pos
        self.condition = condition
        self.then = then
        self.otherwise = otherwise

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        self.condition = self.condition.bind(scope)
        self.then = self.then.bind(scope)
        self.otherwise = self.otherwise.bind(scope)
        return self

    def eval(self, env):
        if eval_bool(self.condition, env, "while evaluating a branch condition"):
            return self.then.eval(env)
        return self.otherwise.eval(env)


@cython.final
@cython.no_gc
@cython.cclass
class Assert(Expr):
    """`assert condition; body`."""

    def __init__(self, state, pos, condition, body):
        self.state = state
        self.pos = pos
        self.condition = condition
        self.body = body

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        self.condition = self.condition.bind(scope)
        self.body = self.body.bind(scope)
        return self

    def eval(self, env):
        if not eval_bool(self.condition, env, "in the condition of the assert statement"):
            self.fail(env)
        return self.body.eval(env)

    def fail(self, env):
        state = self.state
        text = show(self.condition)
        if type(self.condition) is Equals and not cython.cast(Equals, self.condition).negated:
            from frazil.lang.assertion import explain_difference

            condition: Equals = cython.cast(Equals, self.condition)
            left = condition.left.eval(env)
            right = condition.right.eval(env)
            try:
                explain_difference(state, left, right, condition.pos)
            except AssertionFailed as error:
                if error.positions is None:
                    error.positions = state.positions
                error.add_trace(self.pos, f"while evaluating the condition of the assertion '{text}'")
                raise
        raise AssertionFailed(f"assertion '{text}' failed", pos=self.pos, positions=state.positions)


@cython.final
@cython.no_gc
@cython.cclass
class Not(Expr):
    """`!e`."""

    def __init__(self, state, operand):
        self.state = state
        self.pos = cython.cast(Expr, operand).pos
        self.operand = operand

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        self.operand = self.operand.bind(scope)
        return self

    def eval(self, env):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        return not eval_bool(self.operand, env, "in the argument of '!'")


@cython.no_gc
@cython.cclass
class Binary(Expr):
    """An operator with two operands; `pos` is the operator's."""

    def __init__(self, state, pos, left, right):
        self.state = state
        self.pos = pos
        self.left = left
        self.right = right

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        self.left = self.left.bind(scope)
        self.right = self.right.bind(scope)
        return self


@cython.final
@cython.no_gc
@cython.cclass
class Equals(Binary):
    """`==` and `!=`."""

    def __init__(self, state, pos, left, right, negated):
        self.state = state
        self.pos = pos
        self.left = left
        self.right = right
        self.negated = negated

    def eval(self, env):
        name = "!=" if self.negated else "=="
        left: object = None
        stage: cython.int = 0
        try:
            left = self.left.eval(env)
            stage = 1
            right: object = self.right.eval(env)
            stage = 2
        finally:
            if stage == 0:
                add_trace(self.state, self.left.pos, f"in the left operand of '{name}'")
            elif stage == 1:
                add_trace(self.state, self.right.pos, f"in the right operand of '{name}'")
        return equal_values(self.state, left, right, self.pos) is not self.negated


@cython.final
@cython.no_gc
@cython.cclass
class And(Binary):
    """`&&`."""

    def eval(self, env):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        return eval_bool(self.left, env, "in the left operand of '&&'") and eval_bool(
            self.right, env, "in the right operand of '&&'"
        )


@cython.final
@cython.no_gc
@cython.cclass
class Or(Binary):
    """`||`."""

    def eval(self, env):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        return eval_bool(self.left, env, "in the left operand of '||'") or eval_bool(
            self.right, env, "in the right operand of '||'"
        )


@cython.final
@cython.no_gc
@cython.cclass
class Implies(Binary):
    """`->`."""

    def eval(self, env):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        return (not eval_bool(self.left, env, "in the left operand of '->'")) or eval_bool(
            self.right, env, "in the right operand of '->'"
        )


@cython.final
@cython.no_gc
@cython.cclass
class Update(Binary):
    """`//`. Remembers the outcome for two shapes that meet here again."""

    def eval(self, env):
        # The right operand is evaluated first, as in Nix.
        right: object
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        if type(self.right) is Update:
            right = self.right.eval(env)
        else:
            right = eval_attrs(self.right, env, "in the right operand of '//'")
        left: object
        if type(self.left) is Update:
            left = self.left.eval(env)
        else:
            left = eval_attrs(self.left, env, "in the left operand of '//'")
        return self.merge(cython.cast(Attrs, left), cython.cast(Attrs, right))

    def merge(self, left, right):
        left_shape: Shape = left.shape
        right_shape: Shape = right.shape
        if left_shape is None or right_shape is None:
            return update_attrs(left, right)
        if len(left_shape.names) == 0:
            return right
        if len(right_shape.names) == 0:
            return left
        if left_shape is not self.left_shape or right_shape is not self.right_shape:
            if self.misses > 3 or len(left_shape.names) > 100:
                return update_attrs(left, right)
            self.left_shape = left_shape
            self.right_shape = right_shape
            self.merged = None
            return update_attrs(left, right)
        if self.merged is None:
            self.misses += 1
            self.plan_merge()
        plan = self.plan
        values: object = new_slots(len(plan), MISSING)
        left_values = left.values
        right_values = right.values
        place: cython.Py_ssize_t
        i: cython.Py_ssize_t
        for i in range(len(plan)):
            place = plan[i]
            if place >= 0:
                set_slot(values, i, cell(get_slot(left_values, place)))
            else:
                set_slot(values, i, cell(get_slot(right_values, -place - 1)))
        return new_attrs(self.merged, values, 0)

    def plan_merge(self):
        """Where each value of the outcome comes from: left (0, 1, …) or right (-1, -2, …)."""
        left = self.left_shape
        right = self.right_shape
        names = sorted({*left.names, *right.names})
        plan: list = []
        positions: list = []
        for name in names:
            place = right.index.get(name)
            if place is not None:
                plan.append(-place - 1)
                positions.append(right.positions[place])
            else:
                place = left.index[name]
                plan.append(place)
                positions.append(left.positions[place])
        self.plan = plan
        self.merged = Shape(names, positions)


@cython.cfunc
def eval_list(expr: Expr, env: Env, text: object) -> list:
    value: object = traced_eval(expr, env, text)
    return value


@cython.final
@cython.no_gc
@cython.cclass
class ConcatLists(Binary):
    """`++`."""

    def eval(self, env):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        left: object = traced_eval(self.left, env, "in the left operand of '++'")
        right: object = traced_eval(self.right, env, "in the right operand of '++'")
        if type(left) is not list:
            raise not_a_list(self.state, left, self.pos)
        if type(right) is not list:
            raise not_a_list(self.state, right, self.pos)
        if len(cython.cast(list, left)) == 0:
            return right
        if len(cython.cast(list, right)) == 0:
            return left
        return cython.cast(list, left) + cython.cast(list, right)


def not_a_list(state, value, pos):
    error = TypeMismatch(
        f"expected a list but found {show_type(value)}: {show_value(value)}", positions=state.positions
    )
    error.add_trace(pos, "while evaluating one of the elements to concatenate")
    return error


# --- strings


@cython.cfunc
def eval_operand(expr: Expr, env: Env) -> object:
    return traced_eval(expr, env, "in an operand of '+'")


@cython.final
@cython.no_gc
@cython.cclass
class ConcatStrings(Expr):
    """`a + b`, `"…${a}…"` (`force_string`) and `./a${b}`."""

    def __init__(self, state, pos, force_string, parts, part_positions):
        self.state = state
        self.pos = pos
        self.force_string = force_string
        self.parts = parts
        self.part_positions = part_positions

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        self.parts = [cython.cast(Expr, part).bind(scope) for part in self.parts]
        return self

    def eval(self, env):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        parts = self.parts
        first: object = eval_operand(cython.cast(Expr, parts[0]), env)
        if not self.force_string:
            if type(first) is int or type(first) is float:
                return self.add_numbers(env, first)
            if type(first) is str and len(parts) == 2:
                second: object = eval_operand(cython.cast(Expr, parts[1]), env)
                if type(second) is str:
                    return cython.cast(str, first) + cython.cast(str, second)
                return self.concatenate(env, first, second)
        return self.concatenate(env, first, MISSING)

    def add_numbers(self, env, total):
        kind = type(total)
        for i in range(1, len(self.parts)):
            value: object = eval_operand(cython.cast(Expr, self.parts[i]), env)
            pos = self.part_positions[i]
            if type(value) is int and kind is int:
                added: object = total + value
                if added > INT_MAX or added < INT_MIN:
                    raise EvalError(
                        f"integer overflow in adding {total} + {value}", pos=pos, positions=self.state.positions
                    )
                total = added
            elif type(value) is int or type(value) is float:
                total = float(total) + float(value)
                kind = float
            else:
                what = "an integer" if kind is int else "a float"
                raise EvalError(f"cannot add {show_type(value)} to {what}", pos=pos, positions=self.state.positions)
        return total

    def concatenate(self, env, first, second):
        """The general case; `second` is MISSING where it is not evaluated yet."""
        state = self.state
        parts = self.parts
        count: cython.Py_ssize_t = len(parts)
        texts: list = [None] * count
        context: object = None
        gathered: set = None
        as_string: cython.bint = self.force_string or type(first) is str or type(first) is ContextString
        is_path: cython.bint = not self.force_string and type(first) is PathValue
        value: object = first
        i: cython.Py_ssize_t
        for i in range(count):
            if i > 0:
                value = second
                if i > 1 or second is MISSING:
                    value = eval_operand(cython.cast(Expr, parts[i]), env)
            if type(value) is str:
                texts[i] = value
            elif type(value) is ContextString:
                texts[i] = cython.cast(ContextString, value).text
                if context is None:
                    context = cython.cast(ContextString, value).context
                elif context is not cython.cast(ContextString, value).context:
                    context = context | cython.cast(ContextString, value).context
            else:
                if gathered is None:
                    gathered = set()
                texts[i] = coerce(
                    state,
                    value,
                    gathered,
                    "while evaluating a path segment",
                    self.part_positions[i],
                    False,
                    as_string,
                    self.force_string or i > 0,
                )
        if gathered:
            context = frozenset(gathered) if context is None else context | gathered
        text: str = "".join(texts)
        if is_path:
            if context is not None:
                raise EvalError(
                    "a string that refers to a store path cannot be appended to a path",
                    pos=self.pos,
                    positions=state.positions,
                )
            from frazil.lang.runtime import canonical_path

            return PathValue(canonical_path(text))
        return text if context is None else ContextString(text, context)


@cython.final
@cython.no_gc
@cython.cclass
class CurrentPosition(Expr):
    """`__curPos`."""

    def __init__(self, state, pos):
        self.state = state
        self.pos = pos

    def eval(self, env):
        return position_value(self.state, self.pos)


def position_value(state, pos):
    """A position as the language shows it: `{ file, line, column }`, or null where it is in no file."""
    found = state.positions.file_line_column(pos)
    if found is None or not found[1]:
        return None
    name, _, line, column = found
    return attrs_from_dict({"file": name, "line": line, "column": column})


def call_with_position(state, function, arguments, pos):
    """Call on behalf of an expression at `pos`."""
    return call_value(state, function, arguments, pos)


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
    for _kind, _names in (
        (LambdaExpr, "inner"),
        (Update, "left_shape right_shape merged plan"),
        (FormalsLambda, "cached cached_map names defaults"),
        (AttrsExpr, "shape exprs kinds plain"),
        (Select1, "cached default"),
    ):
        for _name in _names.split():
            setattr(_kind, _name, None)
    Update.misses = 0
