# cython: boundscheck=False, wraparound=False
"""Nodes that report to an `Observer`, put between the others while names are resolved.

They are made only where an evaluator has an observer: otherwise evaluation meets none of them. Source of truth:
`callFunction` and the places that push a `DebugTrace` in Nix's `eval.cc`.
"""

import cython
from cython.cimports.frazil.lang.concatenation import ConcatLists
from cython.cimports.frazil.lang.functions import FormalsLambda
from cython.cimports.frazil.lang.operators import Update
from cython.cimports.frazil.lang.runtime import call_functor, call_value, force_at
from cython.cimports.frazil.lang.selection import Select
from cython.cimports.frazil.lang.values import (
    Attrs,
    Env,
    Expr,
    Lambda,
    LambdaExpr,
    Primop,
    PrimopApplication,
    Scope,
    State,
    Thunk,
    get_slot,
    new_thunk,
    stack_is_low,
    stack_overflow,
)

from frazil.lang.errors import EvalBaseError
from frazil.lang.observation import Frame
from frazil.lang.selection import path_items


@cython.final
@cython.no_gc
@cython.cclass
class Names:
    """A scope with the environment that belongs to it."""

    def __init__(self, scope, env):
        self.scope = scope
        self.env = env


@cython.cfunc
def settle(argument: object, pos: cython.Py_ssize_t) -> object:
    """Evaluates the argument of `{ … }:`, which is about to happen anyway; its error will be raised once more."""
    try:
        force_at(argument, pos)
    except EvalBaseError:
        pass
    return None


@cython.final
@cython.no_gc
@cython.cclass
class WatchedCall(Expr):
    """`f a b …`."""

    def eval(self, env):
        debugger = self.observer.debugger
        if debugger is None:
            return self.call(env)
        with debugger.within(Frame("while calling a function", self.pos, Names(self.scope, env))):
            return self.call(env)

    @cython.cfunc
    def call(self, env: Env) -> object:
        observer = self.observer
        function: object = self.function.eval(env)
        arguments: list = []
        for argument in self.arguments:
            value: object = cython.cast(Expr, argument).delay(env)
            if observer.counting:
                if type(value) is Thunk:
                    observer.thunks += 1
                else:
                    observer.avoided += 1
            arguments.append(value)
        return self.report(function, arguments)

    @cython.cfunc
    def report(self, function: object, arguments: list) -> object:
        observer = self.observer
        if not observer.watches_calls:
            return self.apply(function, arguments)
        observer.enter(function, arguments, self.pos)
        try:
            return self.apply(function, arguments)
        finally:
            observer.announced = False
            observer.leave(self.pos)

    @cython.cfunc
    def apply(self, current: object, arguments: list) -> object:
        """One argument after the other, each call announced to the function's body or the builtin."""
        state = self.state
        observer = self.observer
        count: cython.Py_ssize_t = len(arguments)
        i: cython.Py_ssize_t = 0
        if state.call_depth > state.max_call_depth or stack_is_low():
            raise stack_overflow(state, self.pos)
        state.call_depth += 1
        while i < count:
            if type(current) is Lambda:
                expr: LambdaExpr = cython.cast(Lambda, current).expr
                if type(expr) is FormalsLambda:
                    settle(arguments[i], expr.pos)
                observer.announced = True
                if observer.counting and expr.inner is not None:
                    observer.count_function(expr, 1)
                current = expr.apply(cython.cast(Lambda, current).env, arguments[i], self.pos)
                i += 1
            elif type(current) is Attrs and cython.cast(Attrs, current).has("__functor"):
                current = self.apply_functor(cython.cast(Attrs, current), arguments[i])
                i += 1
            else:
                observer.announced = type(current) is Primop or type(current) is PrimopApplication
                current = call_value(state, current, arguments[i:], self.pos)
                break
        state.call_depth -= 1
        return current

    @cython.cfunc
    def apply_functor(self, attrs: Attrs, argument: object) -> object:
        observer = self.observer
        where: cython.Py_ssize_t = attrs.position("__functor")
        observer.enter(None, [], where)
        observer.announced = True
        try:
            return call_functor(self.state, attrs, argument, self.pos)
        finally:
            observer.announced = False
            observer.leave(where)


@cython.final
@cython.no_gc
@cython.cclass
class WatchedBody(Expr):
    """What a function's call evaluates; reports calls that builtins make."""

    def eval(self, env):
        observer = self.observer
        if observer.counting:
            observer.count_function(self.function, self.slots)
        if observer.announced or not observer.watches_calls:
            observer.announced = False
            return self.watched(env)
        observer.enter(self.function, [], 0)
        try:
            return self.watched(env)
        finally:
            observer.leave(0)

    @cython.cfunc
    def watched(self, env: Env) -> object:
        debugger = self.observer.debugger
        if debugger is None:
            return self.body.eval(env)
        name = self.function.name
        what = "anonymous lambda" if name is None else f"'{name}'"
        with debugger.within(Frame(f"while calling {what}", self.function.pos, Names(self.scope, env))):
            return self.body.eval(env)


@cython.final
@cython.no_gc
@cython.cclass
class WatchedPlace(Expr):
    """The body of a `let` or a whole file, for the debugger; without text what is evaluated in the first place, which
    is no step but where errors outside of all steps stop."""

    def eval(self, env):
        if self.text is None:
            try:
                return self.body.eval(env)
            except EvalBaseError as error:
                self.observer.debugger.failed(error, Names(self.scope, env))
                raise
        with self.observer.debugger.within(Frame(self.text, self.pos, Names(self.scope, env))):
            return self.body.eval(env)


@cython.final
@cython.no_gc
@cython.cclass
class CountedSubject(Expr):
    """The `e` of `e.a`: notes which definition of `a` is selected."""

    def eval(self, env):
        value: object = self.subject.eval(env)
        if type(value) is Attrs and type(self.name) is str:
            where: cython.Py_ssize_t = cython.cast(Attrs, value).position(self.name)
            if where > 0:
                self.observer.count_selection(where)
        return value


@cython.final
@cython.no_gc
@cython.cclass
class WatchedSelection(Expr):
    """`e.a.b`."""

    def eval(self, env):
        observer = self.observer
        debugger = observer.debugger
        observer.lookups += self.steps
        if debugger is None:
            return self.body.eval(env)
        with debugger.within(Frame(self.text, self.pos, Names(self.scope, env))):
            return self.body.eval(env)


@cython.final
@cython.no_gc
@cython.cclass
class Counted(Expr):
    """A set, list, `//` or `++`: notes what it makes, and whether delaying it took a thunk."""

    def eval(self, env):
        value: object = self.body.eval(env)
        self.observer.count_value(self.kind, value)
        return value

    def delay(self, env):
        value: object = self.body.delay(env)
        if type(value) is not Thunk or cython.cast(Thunk, value).expr is not self.body:
            self.observer.avoided += 1
            return value
        self.observer.thunks += 1
        return new_thunk(self, env)


# --- while names are resolved


def watched_call(observer, state, pos, function, arguments, scope):
    observer.expressions += 1
    node: WatchedCall = WatchedCall.__new__(WatchedCall)
    node.state = state
    node.pos = pos
    node.observer = observer
    node.function = function
    node.arguments = arguments
    node.scope = scope
    return node


def watched_call_with_two(state, function, first, second, pos):
    """A builtin calls `a: b: …` with both arguments: one call, of two functions."""
    node: WatchedCall = WatchedCall.__new__(WatchedCall)
    node.state = state
    node.pos = pos
    node.observer = cython.cast(State, state).observer
    return node.report(function, [first, second])


def watched_body(observer, function, body, scope, slots):
    """The body of a function, which must not be a function itself: `a: b: …` is one call for most callers."""
    if isinstance(body, LambdaExpr):
        return body
    observer.expressions += 1
    node: WatchedBody = WatchedBody.__new__(WatchedBody)
    node.state = cython.cast(Expr, body).state
    node.pos = cython.cast(Expr, body).pos
    node.observer = observer
    node.function = function
    node.body = body
    node.scope = scope
    node.slots = slots
    return node


def watched_place(observer, body, scope, pos, text):
    if observer.debugger is None:
        return body
    node: WatchedPlace = WatchedPlace.__new__(WatchedPlace)
    node.state = cython.cast(Expr, body).state
    node.pos = pos
    node.observer = observer
    node.body = body
    node.scope = scope
    node.text = text
    return node


def watched_selection(observer, body, scope, text):
    if observer.debugger is None and not observer.counting:
        return body
    observer.expressions += 1
    select: Select = body
    node: WatchedSelection = WatchedSelection.__new__(WatchedSelection)
    node.state = select.state
    node.pos = select.pos
    node.observer = observer
    node.body = body
    node.scope = scope
    node.text = text
    path = path_items(select.path)
    node.steps = len(path)
    if observer.counting_calls:
        counted: CountedSubject = CountedSubject.__new__(CountedSubject)
        counted.state = select.subject.state
        counted.pos = select.subject.pos
        counted.observer = observer
        counted.subject = select.subject
        counted.name = path[0]
        select.subject = counted
    return node


def counted(observer, body):
    observer.expressions += 1
    if not observer.counting:
        return body
    node: Counted = Counted.__new__(Counted)
    node.state = cython.cast(Expr, body).state
    node.pos = cython.cast(Expr, body).pos
    node.observer = observer
    node.body = body
    if type(body) is Update:
        node.kind = "update"
    else:
        node.kind = "concatenation" if type(body) is ConcatLists else "literal"
    return node


# --- names in scope, for the debugger


@cython.cfunc
def is_with(scope: Scope) -> cython.bint:
    return scope.names is None and scope.single is None


def levels(names):
    """The scopes from the inside out: ("names", sorted names) or ("with", names of the set, None if unevaluated)."""
    found: list = []
    scope: Scope = cython.cast(Names, names).scope
    env: Env = cython.cast(Names, names).env
    while scope is not None:
        if is_with(scope):
            attrs = known(env.payload)
            found.append(("with", list(cython.cast(Attrs, attrs).names()) if type(attrs) is Attrs else None))
        elif scope.names is not None:
            found.append(("names", sorted(scope.names)))
        else:
            found.append(("names", [scope.single]))
        scope = scope.up
        env = env.up
    return found


@cython.cfunc
def known(value: object) -> object:
    """What a cell holds, without evaluating."""
    if type(value) is Thunk and cython.cast(Thunk, value).expr is None:
        return cython.cast(Thunk, value).slot
    return value


def bindings(names):
    """A dict from every name in scope to its value or thunk; inner ones win."""
    found: dict = {}
    collect(cython.cast(Names, names).scope, cython.cast(Names, names).env, found)
    return found


def collect(scope, env, found):
    if scope is None:
        return None
    collect(scope.up, env.up, found)
    if is_with(scope):
        attrs = known(env.payload)
        if type(attrs) is Attrs:
            found.update(cython.cast(Attrs, attrs).items())
    elif scope.names is not None:
        for name, index in scope.names.items():
            found[name] = get_slot(env, index)
    else:
        found[scope.single] = env.payload
    return None
