# cython: boundscheck=False, wraparound=False
"""Functions and calls.

Source of truth: `ExprLambda` and `ExprCall` in Nix's `nixexpr.cc`, `callFunction` in `eval.cc`; messages included.
"""

import cython
from cython.cimports.frazil.lang.origins import Shape, place_among, places, shape_of
from cython.cimports.frazil.lang.runtime import add_trace, call_primop, call_value, show_name, show_type, show_value
from cython.cimports.frazil.lang.values import (
    MISSING,
    UNCALLED,
    Attrs,
    Env,
    Expr,
    Lambda,
    LambdaExpr,
    Primop,
    State,
    arguments1,
    arguments2,
    cell,
    eval_body,
    finished,
    get_slot,
    get_value,
    init_value,
    new_attrs,
    new_env,
    new_frame,
    new_lambda,
    new_scope,
    pending,
    set_slot,
    spare_arguments,
    stack_is_low,
    stack_overflow,
    turn,
)

from frazil.lang.errors import CallMismatch, TypeMismatch, byte_string

SHOWN_FORMALS = 20
# How many shapes of arguments a function remembers.
MOST_MAPS = cython.declare(cython.Py_ssize_t, 64)
MOST_MAPS = 64
DEFAULT_SHOWN = byte_string(" ? …")


@cython.cfunc
def call_failed(function: LambdaExpr, call_pos: cython.Py_ssize_t) -> object:
    state: State = function.state
    if state.show_trace:
        what = f"'{function.name}'" if function.name is not None else "anonymous lambda"
        add_trace(state, function.pos, f"while calling {what}")
        if call_pos:
            add_trace(state, call_pos, "from call site")
    return None


@cython.cfunc
def uncalled(function: LambdaExpr, call_pos: cython.Py_ssize_t) -> object:
    """The error of a function's body, with what traces say of the call."""
    try:
        pending()
    finally:
        call_failed(function, call_pos)
    return None


if cython.compiled:
    UNCALLED = cython.cast(cython.p_void, uncalled)


def watch_body(function, body, scope, slots):
    from frazil.lang.observed import watched_body

    expr: LambdaExpr = function
    return watched_body(expr.state.observer, function, body, scope, slots)


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
        inner = new_scope(scope, None, self.argument, 0)
        self.body = self.body.bind(inner)
        if isinstance(self.body, LambdaExpr):
            self.inner = cython.cast(LambdaExpr, self.body)
        elif self.state.observer is None:
            leads: cython.int = self.body.leads()
            self.strict = leads & 1
            self.strict_up = leads & 2
        if self.state.observer is not None:
            self.body = watch_body(self, self.body, inner, 1)
        return self

    def eval(self, env):
        return new_lambda(self, env)

    def pattern(self):
        """(formals as (name, has default, position) or None, has an ellipsis, the argument's name or None)."""
        return None, False, self.argument

    def apply(self, up, argument, call_pos):
        return eval_body(self.body, new_env(up, argument), self, call_pos)


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
        inner = new_scope(scope, slots, None, 0)
        self.defaults = []
        for item in self.formals:
            formal: Formal = item
            if formal.default is not None:
                formal.default = formal.default.bind(inner)
            self.defaults.append(formal.default)
        self.body = self.body.bind(inner)
        if self.state.observer is not None:
            self.body = watch_body(self, self.body, inner, len(slots))
        return self

    def eval(self, env):
        return new_lambda(self, env)

    def asked(self):
        """What `functionArgs` gives: which formals have defaults."""
        if self.arguments is None:
            names = tuple(sorted(self.names))
            formals = {cython.cast(Formal, f).name: cython.cast(Formal, f) for f in self.formals}
            shape = shape_of(names)
            result: object = new_attrs(shape, places(shape, [cython.cast(Formal, formals[n]).pos for n in names], 0))
            for i, name in enumerate(names):
                init_value(result, i, cython.cast(Formal, formals[name]).default is not None)
            self.arguments = result
        return self.arguments

    def pattern(self):
        """(formals as (name, has default, position) or None, has an ellipsis, the argument's name or None)."""
        formals = []
        for item in self.formals:
            formal: Formal = item
            formals.append((formal.name, formal.default is not None, formal.pos))
        return formals, bool(self.ellipsis), self.argument

    def use_shape(self, shape):
        """Where a set of this shape has each formal (counted from 1; 0: nowhere), or None where that does not tell:
        there are too many names, or the set has others than the formals."""
        if self.maps is None:
            self.maps = {}
        places: bytes = self.maps.get(shape)
        if places is None:
            if shape.count >= 255 or len(self.maps) >= MOST_MAPS:
                return None
            places = bytes([place_among(shape, name) + 1 for name in self.names])
            if not self.ellipsis and len(places) - places.count(0) != shape.count:
                return None
            self.maps[shape] = places
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
        count: cython.Py_ssize_t = len(self.names)
        k: cython.Py_ssize_t = self.first
        env: Env = new_frame(up, count + k, MISSING)
        slots: object = env
        if k:
            set_slot(slots, 0, cell(argument))
        i: cython.Py_ssize_t
        place: cython.Py_ssize_t
        shape: Shape = attrs.shape
        places: bytes = None
        if shape is not None:
            places = self.cached_map if shape is self.cached else self.use_shape(shape)
        if places is not None:
            for i in range(count):
                place = places[i]
                place &= 255
                if place > 0:
                    set_slot(slots, k + i, cell(get_value(attrs, place - 1)))
        else:
            self.bind_table(attrs, env, call_pos)
        defaults = self.defaults
        for i in range(count):
            if get_slot(slots, k + i) is MISSING:
                if defaults[i] is None:
                    self.require(slots, call_pos)
                set_slot(slots, k + i, cython.cast(Expr, defaults[i]).delay(env))
        return env

    def bind_table(self, attrs, env, call_pos):
        """Look for each formal by its name."""
        used: cython.Py_ssize_t = 0
        i: cython.Py_ssize_t
        item: object
        names = self.names
        slots: object = env
        for i in range(len(names)):
            item = attrs.lookup(names[i])
            if item is not MISSING:
                set_slot(slots, self.first + i, cell(item))
                used += 1
        if not self.ellipsis and used != attrs.size():
            self.require(slots, call_pos)
            self.unexpected(attrs, call_pos)

    def require(self, slots, call_pos):
        """Missing arguments are reported before unexpected ones; of several the one whose name was read first."""
        from frazil.lang.deep_force import in_creation_order

        missing = [
            name
            for i, name in enumerate(self.names)
            if get_slot(slots, self.first + i) is MISSING and self.defaults[i] is None
        ]
        if missing:
            self.missing(in_creation_order(self.state, missing)[0], call_pos)

    def missing(self, name, call_pos):
        what = self.name if self.name is not None else "anonymous lambda"
        error = CallMismatch(
            f"function '{what}' called without required argument '{show_name(name)}'",
            pos=self.pos,
            positions=self.state.positions,
        )
        error.formals = show_formals(self)
        error.add_trace(call_pos, "from call site")
        raise error

    def unexpected(self, attrs, call_pos):
        from frazil.lang.deep_force import in_creation_order
        from frazil.lang.runtime import suggestions

        known = set(self.names)
        name = in_creation_order(self.state, [name for name in attrs.names() if name not in known])[0]
        what = self.name if self.name is not None else "anonymous lambda"
        error = CallMismatch(
            f"function '{what}' called with unexpected argument '{show_name(name)}'",
            pos=self.pos,
            positions=self.state.positions,
            suggestions=suggestions(name, known),
        )
        error.formals = show_formals(self)
        error.add_trace(call_pos, "from call site")
        raise error

    def apply(self, up, argument, call_pos):
        return eval_body(self.body, self.bind_argument(up, argument, call_pos), self, call_pos)


def show_formals(function):
    """`{ a, b ? …, ... }`, at most as many names as fit on a line or two."""
    formals: list = cython.cast(FormalsLambda, function).formals
    words = []
    for item in formals[:SHOWN_FORMALS]:
        formal: Formal = item
        words.append(show_name(formal.name) + (DEFAULT_SHOWN if formal.default is not None else ""))
    if len(formals) > SHOWN_FORMALS:
        words.append(f"({len(formals) - SHOWN_FORMALS} more)")
    if cython.cast(FormalsLambda, function).ellipsis:
        words.append("...")
    return "{ " + ", ".join(words) + " }"


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


@cython.no_gc
@cython.cclass
class CallNode(Expr):
    """`f a b`, as the parser makes it."""

    def leads(self):
        return self.function.leads() & 3

    def __init__(self, state, pos, function, arguments):
        self.state = state
        self.pos = pos
        self.function = function
        self.first = None
        for argument in arguments:
            add_argument(self, argument)

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        self.function = self.function.bind(scope)
        arguments = self.arguments
        if arguments is None:
            self.first = self.first.bind(scope)
            if self.second is not None:
                self.second = self.second.bind(scope)
        else:
            bind_each(arguments, scope)
        if self.state.observer is not None:
            from frazil.lang.observed import watched_call

            return watched_call(self.state.observer, self.state, self.pos, self.function, arguments_of(self), scope)
        turn(self, CALL_MANY if arguments is not None else CALL1 if self.second is None else CALL2)
        return self


def add_argument(call, argument):
    """As the parser reads one more."""
    if call.first is None:
        call.first = argument
    elif call.second is None:
        call.second = argument
    else:
        if call.arguments is None:
            call.arguments = [call.first, call.second]
        call.arguments.append(argument)
    return None


def arguments_of(expr):
    """A list."""
    call: CallNode = expr
    if call.arguments is not None:
        return call.arguments
    return [call.first] if call.second is None else [call.first, call.second]


def bind_each(exprs, scope):
    """The expressions of a list, in place."""
    i: cython.Py_ssize_t
    for i in range(len(exprs)):
        exprs[i] = cython.cast(Expr, exprs[i]).bind(scope)
    return None


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
        if type(function) is not Lambda:
            return self.call_other(function, env)
        called: LambdaExpr = cython.cast(Lambda, function).expr
        argument: object = self.first.quick(env) if called.strict else self.first.delay(env)
        check_depth(state, self.pos)
        argument = called.apply(cython.cast(Lambda, function).env, argument, self.pos)
        state.call_depth -= 1
        return argument

    def call_other(self, function, env):
        """What is no function of the language's own."""
        state = self.state
        if type(function) is not Primop or cython.cast(Primop, function).arity != 1:
            argument: object = self.first.delay(env)
            return call_value(state, function, [argument], self.pos)
        # Builtins of one argument look at it first of all.
        arguments: list = arguments1(self.first.quick(env))
        check_depth(state, self.pos)
        value: object = call_primop(state, function, arguments, self.pos)
        spare_arguments(arguments)
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
        if type(current) is not Lambda:
            return self.call_other(current, env)
        function: LambdaExpr = cython.cast(Lambda, current).expr.inner
        if function is None:
            return self.call_in_turn(current, env)
        first: object = self.first.quick(env) if function.strict_up else self.first.delay(env)
        second: object = self.second.quick(env) if function.strict else self.second.delay(env)
        check_depth(state, self.pos)
        second = function.apply(new_env(cython.cast(Lambda, current).env, first), second, self.pos)
        state.call_depth -= 1
        return second

    def call_in_turn(self, current, env):
        """A function whose value is another, as far as anybody knows."""
        state = self.state
        first: object = self.first.delay(env)
        second: object = self.second.delay(env)
        check_depth(state, self.pos)
        called = cython.cast(Lambda, current)
        current = called.expr.apply(called.env, first, self.pos)
        if type(current) is Lambda:
            called = cython.cast(Lambda, current)
            current = called.expr.apply(called.env, second, self.pos)
            state.call_depth -= 1
            return current
        state.call_depth -= 1
        return call_value(state, current, [second], self.pos)

    def call_other(self, current, env):
        """What is no function of the language's own."""
        state = self.state
        first: object = self.first.delay(env)
        second: object = self.second.delay(env)
        if type(current) is not Primop or cython.cast(Primop, current).arity != 2:
            return call_value(state, current, [first, second], self.pos)
        check_depth(state, self.pos)
        arguments: list = arguments2(first, second)
        current = call_primop(state, current, arguments, self.pos)
        spare_arguments(arguments)
        state.call_depth -= 1
        return current


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
        if type(current) is not Lambda:
            return call_value(state, current, self.delayed(env, 0), self.pos)
        check_depth(state, self.pos)
        function: LambdaExpr = cython.cast(Lambda, current).expr
        up: Env = cython.cast(Lambda, current).env
        last: cython.Py_ssize_t = count - 1
        i: cython.Py_ssize_t = 0
        while True:
            while i < last and function.inner is not None:
                up = new_env(up, cython.cast(Expr, exprs[i]).delay(env))
                function = function.inner
                i += 1
            current = function.apply(up, cython.cast(Expr, exprs[i]).delay(env), self.pos)
            i += 1
            if i == count:
                break
            if type(current) is not Lambda:
                state.call_depth -= 1
                return call_value(state, current, self.delayed(env, i), self.pos)
            function = cython.cast(Lambda, current).expr
            up = cython.cast(Lambda, current).env
        state.call_depth -= 1
        return current

    def delayed(self, env, first):
        """The arguments from one on."""
        arguments: list = []
        i: cython.Py_ssize_t
        for i in range(first, len(self.arguments)):
            arguments.append(cython.cast(Expr, self.arguments[i]).delay(env))
        return arguments


# What calls are turned into once it is known how many arguments they have.
CALL1 = cython.declare(object, None)
CALL1 = Call1.__new__(Call1)
CALL2 = cython.declare(object, None)
CALL2 = Call2.__new__(Call2)
CALL_MANY = cython.declare(object, None)
CALL_MANY = CallMany.__new__(CallMany)


if not cython.compiled:
    # What C-level attributes start as.
    FormalsLambda.cached = None
    FormalsLambda.cached_map = None
    FormalsLambda.maps = None
    FormalsLambda.arguments = None
    CallNode.second = None
    CallNode.arguments = None
    FormalsLambda.names = None
    FormalsLambda.defaults = None


@cython.final
@cython.cclass
class BuiltinSpec:
    """How a builtin is declared: see `registry`."""

    def __init__(
        self,
        name,
        arity,
        function,
        experimental=None,
        internal=False,
        add_trace=True,
        documentation="",
        argument_names=(),
        impure=False,
    ):
        self.name = name
        self.arity = arity
        self.function = function
        self.experimental = experimental
        self.internal = internal
        self.add_trace = add_trace
        self.documentation = documentation
        self.argument_names = argument_names
        self.impure = impure
