# cython: boundscheck=False, wraparound=False
"""Constants and variables: what `bind` makes of a name.

In: a name and the scopes around it. Out: one class a place where it was found. Source of truth: `ExprVar` in Nix's
`nixexpr.cc` and `eval.cc`.
"""

import cython
from cython.cimports.frazil.lang.endings import another
from cython.cimports.frazil.lang.runtime import show_type, show_value
from cython.cimports.frazil.lang.values import (
    MISSING,
    Attrs,
    Env,
    Expr,
    Scope,
    State,
    Thunk,
    cell,
    define_slot,
    finished,
    get_argument,
    get_outer,
    glance,
    is_unmade,
    kept,
    known_slot,
    new_env,
    new_scope,
    new_thunk,
    set_argument,
    set_outer,
    stack_is_low,
    stack_overflow,
    turn,
    unmade,
)

from frazil.lang.errors import TypeMismatch, UndefinedVariable
from frazil.lang.runtime import position_value, suggestions


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

    def settle(self, env):
        return self.value

    def leads(self):
        return 4


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
            known = cython.cast(GlobalVar, another(GLOBAL_VAR))
            known.state = self.state
            known.pos = self.pos
            known.name = name
            known.value = value
            return known
        if withs is None:
            raise undefined(self, names_in_scope(scope))
        return with_var(self, withs)


def names_in_scope(scope):
    """All that an expression may refer to by name, but for the names of `with`."""
    names = set()
    while scope is not None:
        current: Scope = scope
        if current.single is not None:
            names.add(current.single)
        elif current.names is not None:
            names.update(current.names)
        scope = current.up
    return names


def undefined(var, names):
    asked: Var = var
    name = asked.name
    state: State = asked.state
    error = UndefinedVariable(f"undefined variable '{name}'", pos=asked.pos, positions=state.positions)
    error.near = suggestions(name, [*names, *[known for known in state.globals if not known.startswith("__")]])
    return error


@cython.cfunc
def argument_var(var: Var, depth: cython.Py_ssize_t) -> Expr:
    turn(var, ARGUMENT_VAR0 if depth == 0 else ARGUMENT_VAR1 if depth == 1 else ARGUMENT_VAR)
    var.depth = depth
    return var


@cython.cfunc
def slot_var(var: Var, depth: cython.Py_ssize_t, slot: cython.Py_ssize_t) -> Expr:
    turn(var, SLOT_VAR0 if depth == 0 else SLOT_VAR1 if depth == 1 else SLOT_VAR2 if depth == 2 else SLOT_VAR)
    var.depth = depth
    var.slot = slot
    return var


@cython.cfunc
def with_var(old: Var, withs: list) -> Expr:
    result: WithVar = WithVar.__new__(WithVar)
    result.state = old.state
    result.pos = old.pos
    result.name = old.name
    result.depths = shared([depth for depth, _ in withs])
    result.positions = shared([pos for _, pos in withs])
    return result


LAST = cython.declare(list, [None] * 16)
LAST = [None] * 16


@cython.cfunc
def shared(numbers: list) -> list:
    """The same list as for a name not far from here, if there was one like it."""
    place: cython.Py_ssize_t = cython.cast(cython.Py_ssize_t, numbers[0]) % 16
    known: object = LAST[place]
    if known is not None and known == numbers:
        return known
    numbers = numbers[:]
    LAST[place] = numbers
    return numbers


@cython.final
@cython.no_gc
@cython.cclass
class GlobalVar(Var):
    """A builtin."""

    def eval(self, env):
        value = self.value
        if type(value) is Thunk:
            thunk = cython.cast(Thunk, value)
            value = finished(value, self.pos)
            self.value = kept(thunk, value)
        return value

    def delay(self, env):
        return cell(self.value)

    def settle(self, env):
        return self.delay(env)

    def peek(self, env):
        return glance(self.value)

    def leads(self):
        return 4


@cython.final
@cython.no_gc
@cython.cclass
class ArgumentVar0(Var):
    """The argument of the innermost function."""

    def eval(self, env):
        value = env.payload
        if type(value) is Thunk:
            thunk = cython.cast(Thunk, value)
            value = finished(value, self.pos)
            env.payload = kept(thunk, value)
        return value

    def delay(self, env):
        return cell(env.payload)

    def settle(self, env):
        return self.delay(env)

    def peek(self, env):
        return glance(env.payload)

    def leads(self):
        return 5


@cython.final
@cython.no_gc
@cython.cclass
class ArgumentVar1(Var):
    """The argument of the function around the innermost scope."""

    def eval(self, env):
        env = env.up
        value = env.payload
        if type(value) is Thunk:
            thunk = cython.cast(Thunk, value)
            value = finished(value, self.pos)
            env.payload = kept(thunk, value)
        return value

    def delay(self, env):
        return cell(env.up.payload)

    def settle(self, env):
        return self.delay(env)

    def peek(self, env):
        return glance(env.up.payload)

    def leads(self):
        return 6


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
        value: object = get_argument(env, self.depth)
        if type(value) is Thunk:
            thunk = cython.cast(Thunk, value)
            value = finished(value, self.pos)
            set_argument(env, self.depth, kept(thunk, value))
        return value

    def delay(self, env):
        return cell(get_argument(env, self.depth))

    def settle(self, env):
        return self.delay(env)

    def peek(self, env):
        return glance(get_argument(env, self.depth))

    def leads(self):
        return 4


@cython.cfunc
@cython.inline
def slot_value(env: Env, depth: cython.Py_ssize_t, slot: cython.Py_ssize_t, pos: cython.Py_ssize_t) -> object:
    value: object = known_slot(env, depth, slot)
    return force_slot(env, depth, slot, pos) if is_unmade(value) else value


@cython.cfunc
def force_slot(env: Env, depth: cython.Py_ssize_t, slot: cython.Py_ssize_t, pos: cython.Py_ssize_t) -> object:
    value: object = get_outer(env, depth, slot)
    if type(value) is Thunk:
        if is_unmade(value):
            value = define_slot(env, depth, slot)
            if type(value) is not Thunk:
                return value
        thunk = cython.cast(Thunk, value)
        value = finished(value, pos)
        set_outer(env, depth, slot, kept(thunk, value))
    return value


@cython.cfunc
@cython.inline
def slot_cell(expr: Expr, env: Env, depth: cython.Py_ssize_t, slot: cython.Py_ssize_t) -> object:
    value: object = get_outer(env, depth, slot)
    if value is MISSING:
        return new_thunk(expr, env)
    return define_slot(env, depth, slot) if is_unmade(value) else cell(value)


@cython.cfunc
@cython.inline
def slot_peek(env: Env, depth: cython.Py_ssize_t, slot: cython.Py_ssize_t) -> object:
    value: object = get_outer(env, depth, slot)
    return glance(define_slot(env, depth, slot) if is_unmade(value) else value)


@cython.cfunc
@cython.inline
def slot_settle(env: Env, depth: cython.Py_ssize_t, slot: cython.Py_ssize_t) -> object:
    value: object = get_outer(env, depth, slot)
    return unmade() if value is MISSING else cell(value)


@cython.final
@cython.no_gc
@cython.cclass
class SlotVar0(Var):
    """A name of the innermost `let`, `rec` or function with formals."""

    def eval(self, env):
        return slot_value(env, 0, self.slot, self.pos)

    def delay(self, env):
        return slot_cell(self, env, 0, self.slot)

    def peek(self, env):
        return slot_peek(env, 0, self.slot)

    def settle(self, env):
        return slot_settle(env, 0, self.slot)


@cython.final
@cython.no_gc
@cython.cclass
class SlotVar1(Var):
    """The same, one scope out."""

    def eval(self, env):
        return slot_value(env, 1, self.slot, self.pos)

    def delay(self, env):
        return slot_cell(self, env, 1, self.slot)

    def peek(self, env):
        return slot_peek(env, 1, self.slot)

    def settle(self, env):
        return slot_settle(env, 1, self.slot)

    def leads(self):
        return 4


@cython.final
@cython.no_gc
@cython.cclass
class SlotVar2(Var):
    """The same, two scopes out."""

    def eval(self, env):
        return slot_value(env, 2, self.slot, self.pos)

    def delay(self, env):
        return slot_cell(self, env, 2, self.slot)

    def peek(self, env):
        return slot_peek(env, 2, self.slot)

    def settle(self, env):
        return slot_settle(env, 2, self.slot)

    def leads(self):
        return 4


@cython.final
@cython.no_gc
@cython.cclass
class SlotVar(Var):
    """The same, `depth` scopes out."""

    def eval(self, env):
        return slot_value(env, self.depth, self.slot, self.pos)

    def delay(self, env):
        return slot_cell(self, env, self.depth, self.slot)

    def peek(self, env):
        return slot_peek(env, self.depth, self.slot)

    def settle(self, env):
        return slot_settle(env, self.depth, self.slot)

    def leads(self):
        return 4


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
        names = set()
        for i in range(len(self.depths)):
            names.update(with_attrs(self, outer(env, self.depths[i]), self.positions[i]).names())
        raise undefined(self, names)

    def found(self, env):
        """What the name stands for, as far as the sets are known already; otherwise MISSING."""
        for i in range(len(self.depths)):
            attrs: object = glance(outer(env, self.depths[i]).payload)
            if type(attrs) is not Attrs:
                return MISSING
            value: object = cython.cast(Attrs, attrs).known(self.name)
            if value is not MISSING:
                return MISSING if is_unmade(value) else value
        return MISSING

    def delay(self, env):
        value: object = self.found(env)
        if value is MISSING:
            return new_thunk(self, env)
        return cell(value)

    def settle(self, env):
        value: object = self.found(env)
        return unmade() if value is MISSING else cell(value)

    def peek(self, env):
        return glance(self.found(env))


@cython.cfunc
def with_attrs(var: WithVar, env: Env, pos: cython.Py_ssize_t) -> Attrs:
    value: object = env.payload
    if type(value) is Thunk:
        thunk = cython.cast(Thunk, value)
        value = finished(value, pos)
        env.payload = kept(thunk, value)
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
        self.body = self.body.bind(new_scope(scope, None, None, self.pos))
        return self

    def eval(self, env):
        return self.body.eval(new_env(env, self.attrs.delay(env)))


@cython.final
@cython.no_gc
@cython.cclass
class InheritFrom(Expr):
    """The set of an `inherit (set) …`: number `index` of the literal's sources, which is in a `slot` of the scope. If
    it is a variable, that is the `source` instead."""

    def __init__(self, state, pos, index):
        self.state = state
        self.pos = pos
        self.index = index

    def shift(self, distance):
        """The literal was merged into another that has sources of its own."""
        self.index += distance

    def bind(self, scope):
        self.slot = self.index + scope.first_source
        return self

    def eval(self, env):
        if self.source is not None:
            return self.source.eval(env)
        return slot_value(env, 0, self.slot, self.pos)

    def peek(self, env):
        return slot_peek(env, 0, self.slot) if self.source is None else self.source.peek(env)

    def refer_to(self, var, scope):
        """The set is this variable of the literal's scope."""
        again = cython.cast(Var, Var.__new__(Var))
        again.state = self.state
        again.pos = self.pos
        again.name = cython.cast(Var, var).name
        self.source = again.bind(scope)


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


# What others are turned into.
ARGUMENT_VAR0 = cython.declare(object, None)
ARGUMENT_VAR0 = ArgumentVar0.__new__(ArgumentVar0)
ARGUMENT_VAR1 = cython.declare(object, None)
ARGUMENT_VAR1 = ArgumentVar1.__new__(ArgumentVar1)
ARGUMENT_VAR = cython.declare(object, None)
ARGUMENT_VAR = ArgumentVar.__new__(ArgumentVar)
SLOT_VAR0 = cython.declare(object, None)
SLOT_VAR0 = SlotVar0.__new__(SlotVar0)
SLOT_VAR1 = cython.declare(object, None)
SLOT_VAR1 = SlotVar1.__new__(SlotVar1)
SLOT_VAR2 = cython.declare(object, None)
SLOT_VAR2 = SlotVar2.__new__(SlotVar2)
SLOT_VAR = cython.declare(object, None)
SLOT_VAR = SlotVar.__new__(SlotVar)
# What others are copied from.
GLOBAL_VAR = cython.declare(object, None)
GLOBAL_VAR = GlobalVar.__new__(GlobalVar)


if not cython.compiled:
    # What C-level attributes start as.
    InheritFrom.source = None
