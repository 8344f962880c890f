# cython: boundscheck=False, wraparound=False
"""What evaluation does to values: force, call, compare, coerce.

In: values or thunks. Out: values in weak head normal form, or an error of `errors`. Every function that can go as
deep as its data checks the stack, so that no data ends the process. Source of truth: Nix's `eval.cc`, for the order of
evaluation and every message.
"""

import sys

import cython
from cython.cimports.frazil.lang.origins import nowhere
from cython.cimports.frazil.lang.values import (
    MISSING,
    UNTRACED,
    Attrs,
    ContextString,
    Expr,
    Lambda,
    LambdaExpr,
    PathValue,
    Primop,
    PrimopApplication,
    Thunk,
    asked_from,
    attrs_from_dict,
    call_builtin,
    decimal,
    get_value,
    glance,
    init_value,
    is_in_order,
    new_attrs,
    new_call,
    new_env,
    new_thunk,
    pending,
    run_thunk,
    set_asked_from,
    spend,
    stack_is_low,
    stack_overflow,
    use_pool_of_calls,
)

from frazil.errors import FrazilError
from frazil.lang.errors import EvalBaseError, EvalError, TypeMismatch, note_step

PRIMOP_TICKS = cython.declare(cython.uint, 256)
PRIMOP_TICKS = 256


@cython.final
@cython.no_gc
@cython.cclass
class CallExpr(Expr):
    """Delayed calls of one function, as `map` makes them. The argument of each is where a thunk has its environment;
    two arguments are a pair there (`paired`). `unplaced`: the function's own place is not the caller's. Errors name
    as the call's place that of whoever wants its value."""

    def eval(self, env):
        pos: cython.Py_ssize_t = asked_from()
        state = self.state
        function: object = self.function
        if type(function) is Thunk:
            function = force_at(function, pos)
            self.function = function
        argument: object = cython.cast(object, env)
        if self.paired:
            argument = cython.cast(object, env.up)
            return call_with_two(state, function, argument, env.payload, pos)
        if type(function) is not Lambda:
            return call_value(state, function, [argument], pos)
        if state.call_depth > state.max_call_depth or stack_is_low():
            raise stack_overflow(state, pos)
        state.call_depth += 1
        value: object = cython.cast(Lambda, function).expr.apply(cython.cast(Lambda, function).env, argument, pos)
        state.call_depth -= 1
        return value


use_pool_of_calls(CallExpr)
FIRST_CALL = cython.declare(object, None)
FIRST_CALL = CallExpr.__new__(CallExpr)


def call_with_two(state, function, first, second, pos):
    """`function first second`, called from `pos` as far as anybody knows."""
    if type(function) is not Lambda:
        return call_value(state, function, [first, second], pos)
    if state.call_depth > state.max_call_depth or stack_is_low():
        raise stack_overflow(state, pos)
    state.call_depth += 1
    expr: LambdaExpr = cython.cast(Lambda, function).expr
    value: object
    if expr.inner is not None:
        if state.observer is not None:
            from frazil.lang.observed import watched_call_with_two

            state.call_depth -= 1
            return watched_call_with_two(state, function, first, second, pos)
        value = expr.inner.apply(new_env(cython.cast(Lambda, function).env, first), second, pos)
        state.call_depth -= 1
        return value
    value = expr.apply(cython.cast(Lambda, function).env, first, pos)
    if type(value) is not Lambda:
        state.call_depth -= 1
        return call_value(state, value, [second], pos)
    value = cython.cast(Lambda, value).expr.apply(cython.cast(Lambda, value).env, second, pos)
    state.call_depth -= 1
    return value


@cython.no_gc
@cython.cclass
class PythonExpr(Expr):
    """A value computed by Python when it is first needed."""

    def eval(self, env):
        return force_at(self.function(), 0)


def add_trace(state, pos, text):
    """In a `finally` after a failure: note what was being done."""
    error = sys.exc_info()[1]
    if isinstance(error, EvalBaseError):
        if error.positions is None and state is not None:
            error.positions = state.positions
        error.add_trace(pos, text)
    elif isinstance(error, FrazilError) and state is not None:
        note_step(error, state.positions, pos, text)


def not_boolean(expr, value, text):
    error = TypeMismatch(
        f"expected a Boolean but found {show_type(value)}: {show_value(value)}",
        pos=expr.pos,
        positions=expr.state.positions,
    )
    error.add_trace(expr.pos, text)
    raise error


@cython.cfunc
def untraced(expr: Expr, text: object) -> object:
    """What an expression gave after all, or its error with a line of trace more."""
    value: object = None
    done: cython.bint = False
    try:
        value = pending()
        done = True
    finally:
        if not done:
            add_trace(expr.state, expr.pos, text)
    return value


def no_plain_bool(expr, text):
    not_boolean(expr, untraced(expr, text), text)
    return False


if cython.compiled:
    UNTRACED = cython.cast(cython.p_void, untraced)


def eval_attrs(expr, env, text):
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


def force(value):
    """The value of a value or thunk."""
    if type(value) is Thunk:
        thunk = cython.cast(Thunk, value)
        if thunk.expr is None:
            return thunk.slot
        return run_thunk(thunk, 0)
    return value


def force_at(value, pos):
    if type(value) is Thunk:
        thunk = cython.cast(Thunk, value)
        if thunk.expr is None:
            return thunk.slot
        return run_thunk(thunk, pos)
    return value


def show_name(name):
    """An attribute name in messages; a computed one that could not be computed is shown as it is written."""
    from frazil.lang.error_text import attribute_name

    return name if name.startswith('"${') else attribute_name(name)


# --- calls


def call(state, function, argument):
    """`function argument`."""
    if type(function) is not Lambda:
        return call_value(state, function, [argument], 0)
    if state.call_depth > state.max_call_depth or stack_is_low():
        raise stack_overflow(state, 0)
    state.call_depth += 1
    value: object = cython.cast(Lambda, function).expr.apply(cython.cast(Lambda, function).env, argument, 0)
    state.call_depth -= 1
    return value


def call2(state, function, argument1, argument2):
    """`function argument1 argument2`."""
    return call_with_two(state, function, argument1, argument2, 0)


def call_many(state, function, arguments):
    """A function applied to a list of arguments, one after the other."""
    return call_value(state, function, arguments, 0)


def call_value(state, function, arguments, pos):
    """Apply to all arguments, as one level of call depth."""
    if state.call_depth > state.max_call_depth or stack_is_low():
        raise stack_overflow(state, pos)
    state.call_depth += 1
    current = force_at(function, pos)
    count: cython.Py_ssize_t = len(arguments)
    i: cython.Py_ssize_t = 0
    while i < count:
        if type(current) is Lambda:
            function_value = cython.cast(Lambda, current)
            current = function_value.expr.apply(function_value.env, arguments[i], pos)
            i += 1
        elif type(current) is Primop or type(current) is PrimopApplication:
            if type(current) is Primop:
                primop = cython.cast(Primop, current)
                given: list = arguments if i == 0 else arguments[i:]
            else:
                primop = cython.cast(PrimopApplication, current).primop
                given = cython.cast(PrimopApplication, current).arguments + (arguments if i == 0 else arguments[i:])
            extra: cython.Py_ssize_t = len(given) - primop.arity
            if extra < 0:
                current = PrimopApplication(primop, given)
                break
            i = count - extra
            current = call_primop(state, primop, given[: primop.arity] if extra else given, pos)
        elif type(current) is Attrs and cython.cast(Attrs, current).has("__functor"):
            current = call_functor(state, current, arguments[i], pos)
            i += 1
        else:
            raise TypeMismatch(
                f"attempt to call something which is not a function but {show_type(current)}: {show_value(current)}",
                pos=pos,
                positions=state.positions,
            )
    state.call_depth -= 1
    return current


def call_functor(state, attrs, argument, pos):
    done: cython.bint = False
    try:
        functor = attrs.lookup("__functor")
        result = call_value(state, functor, [attrs, argument], attrs.position("__functor"))
        done = True
    finally:
        if not done:
            add_trace(state, pos, "while calling a functor (an attribute set with a '__functor' attribute)")
    return result


def call_primop(state, primop, arguments, pos):
    done: cython.bint = False
    result: object = None
    # One may take long (a sort, a hash) without coming past here again.
    spend(PRIMOP_TICKS)
    set_asked_from(pos)
    try:
        if cython.compiled and cython.cast(Primop, primop).direct is not cython.NULL:
            result = cython.cast(Primop, primop).direct(state, arguments, 0)
        else:
            result = call_builtin(cython.cast(Primop, primop).function, state, arguments)
        done = True
    finally:
        if not done:
            primop_failed(state, primop, pos)
    if type(result) is Thunk:
        return force_at(result, pos)
    return result


def call_site():
    """Where the builtin that just begins was called."""
    return asked_from()


def primop_failed(state, primop, pos):
    error = sys.exc_info()[1]
    if isinstance(error, EvalBaseError):
        if error.positions is None:
            error.positions = state.positions
        error.settle_call_site(pos)
        if primop.add_trace:
            error.add_trace(pos, f"while calling the '{primop.name}' builtin")
    elif isinstance(error, FrazilError) and primop.add_trace:
        note_step(error, state.positions, pos, f"while calling the '{primop.name}' builtin")
    elif isinstance(error, RecursionError):
        raise stack_overflow(state, pos) from None


def delayed_calls(state, function, paired):
    """What thunks of calls of one function share: `new_thunk(calls, argument)`, `new_thunk(calls, new_env(a, b))`."""
    return cython.cast(CallExpr, new_call(FIRST_CALL, state, function, paired, False))


def delayed_call(state, function, argument):
    """A thunk of `function argument`."""
    return new_thunk(delayed_calls(state, function, False), argument)


def delayed_call2(state, function, argument1, argument2):
    """A thunk of `function argument1 argument2`."""
    return new_thunk(delayed_calls(state, function, True), new_env(argument1, argument2))


def delayed_members(state, function):
    """What thunks of `function name value` share, as `mapAttrs` makes them before it looks at the function."""
    return cython.cast(CallExpr, new_call(FIRST_CALL, state, function, True, True))


def map_shaped(state, function, attrs):
    """`mapAttrs` of a set that has a shape: the outcome has it too, but no positions."""
    names = attrs.shape.names
    calls = delayed_members(state, function)
    result = new_attrs(attrs.shape, nowhere(attrs.shape))
    i: cython.Py_ssize_t
    for i in range(attrs.shape.count):
        init_value(result, i, new_thunk(calls, new_env(names[i], get_value(attrs, i))))
    return result


def lazy(function):
    """A thunk whose value `function()` computes."""
    expr = cython.cast(PythonExpr, PythonExpr.__new__(PythonExpr))
    expr.state = None
    expr.pos = 0
    expr.function = function
    return new_thunk(expr, None)


# --- names of types


def type_name(value):
    """As messages name a type: "a set", "an integer", "null"."""
    if value is None:
        return "null"
    kind = type(value)
    if kind is bool:
        return "a Boolean"
    if kind is int:
        return "an integer"
    if kind is float:
        return "a float"
    if kind is str or kind is ContextString:
        return "a string"
    if kind is Attrs:
        return "a set"
    if kind is list:
        return "a list"
    if kind is PathValue:
        return "a path"
    if kind is Thunk:
        return "a thunk"
    return "a function"


def show_type(value):
    """The longer form that type errors use."""
    kind = type(value)
    if kind is ContextString:
        return "a string with context"
    if kind is Primop:
        return f"the built-in function '{value.name}'"
    if kind is PrimopApplication:
        return f"the partially applied built-in function '{value.primop.name}'"
    return type_name(value)


def show_value(value):
    """A value as error messages print it: shortened, nothing evaluated."""
    from frazil.lang.error_text import shorten

    return shorten(value)


# --- checked forcing


def wrong_type(value, expected, trace):
    error = TypeMismatch(f"expected {expected} but found {show_type(value)}: {show_value(value)}")
    if trace:
        error.add_trace(0, trace)
    return error


def force_traced(value, trace):
    """Force; a failure says what it was for."""
    if type(value) is not Thunk:
        return value
    thunk = cython.cast(Thunk, value)
    if thunk.expr is None:
        return thunk.slot
    done: cython.bint = False
    try:
        result = run_thunk(thunk, 0)
        done = True
    finally:
        if not done:
            add_trace(None, 0, trace)
    return result


def force_int(value, trace):
    value = force_traced(value, trace)
    if type(value) is not int:
        raise wrong_type(value, "an integer", trace)
    return value


def force_float(value, trace):
    """A float; integers are converted."""
    value = force_traced(value, trace)
    if type(value) is int:
        return float(value)
    if type(value) is not float:
        raise wrong_type(value, "a float", trace)
    return value


def force_bool(value, trace):
    value = force_traced(value, trace)
    if type(value) is not bool:
        raise wrong_type(value, "a Boolean", trace)
    return value


def force_attrs(value, trace):
    value = force(value)
    if type(value) is not Attrs:
        raise wrong_type(value, "a set", trace)
    return value


def force_list(value, trace):
    value = force(value)
    if type(value) is not list:
        raise wrong_type(value, "a list", trace)
    return value


def force_function(value, trace):
    value = force_traced(value, trace)
    kind = type(value)
    if kind is Lambda or kind is Primop or kind is PrimopApplication:
        return value
    if kind is Attrs and cython.cast(Attrs, value).has("__functor"):
        return value
    raise wrong_type(value, "a function", trace)


def force_string(value, context, trace):
    """The text of a string; its context is added to `context` unless that is None."""
    value = force_traced(value, trace)
    if type(value) is str:
        return value
    if type(value) is not ContextString:
        raise wrong_type(value, "a string", trace)
    string = cython.cast(ContextString, value)
    if context is not None:
        context.update(string.context)
    return string.text


def force_string_no_context(value, trace):
    value = force_traced(value, trace)
    if type(value) is str:
        return value
    if type(value) is not ContextString:
        raise wrong_type(value, "a string", trace)
    string = cython.cast(ContextString, value)
    error = EvalError(
        f"the string '{string.text}' is not allowed to refer to a store path"
        f" (such as '{show_context_element(min(string.context, key=context_order))}')"
    )
    error.add_trace(0, trace)
    raise error


def context_order(element):
    """Key by which Nix sorts what a string refers to: paths, derivations with all their closure, outputs."""
    if element.startswith("="):
        return (1, element[1:])
    if not element.startswith("!"):
        return (0, element)
    *outputs, path = element[1:].split("!")
    key: object = (0, path)
    for output in reversed(outputs[1:]):
        key = (1, key, output)
    return (2, key, outputs[0])


def show_context_element(element):
    """A context element as messages show it (`/nix/store/….drv^out`)."""
    if element.startswith("="):
        return f"{element[1:]} (deep)"
    if element.startswith("!"):
        parts = element[1:].split("!")
        return "^".join(reversed(parts))
    return element


def is_derivation(value):
    """Whether a set says `type = "derivation"`."""
    if type(value) is not Attrs:
        return False
    kind = cython.cast(Attrs, value).lookup("type")
    if kind is MISSING:
        return False
    kind = force(kind)
    if type(kind) is ContextString:
        kind = cython.cast(ContextString, kind).text
    return type(kind) is str and kind == "derivation"


# --- coercion


def coerce_to_string(state, value, context, trace, coerce_more=False, copy_to_store=True, canonicalize_path=True):
    """The text of a value used as a string; what it refers to is added to `context`."""
    return coerce(state, value, context, trace, 0, coerce_more, copy_to_store, canonicalize_path)


def coerce(state, value, context, trace, pos, coerce_more, copy_to_store, canonicalize_path):
    value = force_at(value, pos)
    kind = type(value)
    if kind is str:
        return value
    if kind is ContextString:
        context.update(cython.cast(ContextString, value).context)
        return cython.cast(ContextString, value).text
    if state.call_depth > state.max_call_depth or stack_is_low():
        raise stack_overflow(state, pos)
    if kind is PathValue:
        return coerce_path(state, cython.cast(PathValue, value).text, context, copy_to_store, canonicalize_path)
    if kind is Attrs:
        return coerce_attrs(state, cython.cast(Attrs, value), context, trace, pos, coerce_more, copy_to_store, False)
    if coerce_more:
        if kind is list:
            state.call_depth += 1
            text = coerce_list(state, value, context, trace, pos, copy_to_store, canonicalize_path)
            state.call_depth -= 1
            return text
        plain = plain_text(value)
        if plain is not None:
            return plain
    raise cannot_coerce(state, value, trace, pos)


def cannot_coerce(state, value, trace, pos):
    error = TypeMismatch(f"cannot coerce {show_type(value)} to a string: {show_value(value)}")
    error.positions = state.positions
    if trace:
        error.add_trace(pos, trace)
    return error


def plain_text(value):
    """Text of what only `toString` and derivations accept."""
    if value is None or value is False:
        return ""
    if value is True:
        return "1"
    if type(value) is int:
        return decimal(value)
    if type(value) is float:
        return "%f" % value
    return None


def coerce_path(state, text, context, copy_to_store, canonicalize_path):
    if copy_to_store:
        store_path = state.effects.copy_path_to_store(canonical_path(text))
        context.add(store_path)
        return store_path
    note_shown(state, text)
    return canonical_path(text) if canonicalize_path else text


def note_shown(state, text):
    """A path becomes text: `Effects` may want to know, since the text says where files are."""
    hook = getattr(state.effects, "path_shown", None)
    if hook is not None:
        hook(text)


def coerce_list(state, items, context, trace, pos, copy_to_store, canonicalize_path):
    parts: list = []
    count: cython.Py_ssize_t = len(items)
    i: cython.Py_ssize_t = 0
    done: cython.bint = False
    try:
        for item in cython.cast(list, items):
            parts.append(
                coerce(
                    state,
                    item,
                    context,
                    "while evaluating one element of the list",
                    pos,
                    True,
                    copy_to_store,
                    canonicalize_path,
                )
            )
            i += 1
            if i < count:
                item = force(item)
                if type(item) is not list or len(item) != 0:
                    parts.append(" ")
        done = True
    finally:
        if not done:
            add_trace(state, pos, trace)
    return "".join(parts)


def trying(value):
    """The word messages use: a value in hand is used, another evaluated."""
    return "evaluating" if type(value) is Thunk and cython.cast(Thunk, value).expr is not None else "using"


def coerce_attrs(state, attrs, context, trace, pos, coerce_more, copy_to_store, to_path):
    """A set as a string (`to_path`: as a path): through `__toString` and `outPath`, as often as it takes."""
    if state.call_depth > state.max_call_depth or stack_is_low():
        raise stack_overflow(state, pos)
    state.call_depth += 1
    cell = attrs.lookup("__toString")
    if cell is not MISSING:
        text = coerce_called(state, attrs, cell, context, trace, pos, coerce_more, copy_to_store, to_path)
    else:
        cell = attrs.lookup("outPath")
        if cell is MISSING:
            raise cannot_coerce(state, attrs, trace, pos)
        text = coerce_out_path(state, attrs, cell, context, trace, pos, coerce_more, copy_to_store, to_path)
    state.call_depth -= 1
    return text


def coerce_called(state, attrs, function, context, trace, pos, coerce_more, copy_to_store, to_path):
    where: cython.Py_ssize_t = attrs.position("__toString")
    result: object = MISSING
    done: cython.bint = False
    try:
        result = call_value(state, function, [attrs], where)
        text = coerce_inner(state, result, context, trace, pos, coerce_more, copy_to_store, to_path)
        done = True
    finally:
        if not done:
            if result is MISSING:
                add_trace(state, where, "while calling the `__toString` attribute")
            else:
                add_trace(state, where, f"while {trying(result)} the result of the `__toString` attribute")
    return text


def coerce_out_path(state, attrs, cell, context, trace, pos, coerce_more, copy_to_store, to_path):
    done: cython.bint = False
    try:
        value = glance(cell)
        if value is MISSING:
            value = force_at(cell, attrs.position("outPath"))
        text = coerce_inner(state, value, context, trace, pos, coerce_more, copy_to_store, to_path)
        done = True
    finally:
        if not done:
            add_trace(state, attrs.position("outPath"), f"while {trying(cell)} the `outPath` attribute")
    return text


def coerce_inner(state, value, context, trace, pos, coerce_more, copy_to_store, to_path):
    if to_path:
        return path_text(state, value, context, trace)
    return coerce(state, value, context, trace, pos, coerce_more, copy_to_store, True)


def coerce_to_path(state, value, context, trace):
    """An absolute, normalised path; strings must be absolute."""
    return path_text(state, force(value), context, trace)


def path_text(state, value, context, trace):
    if type(value) is PathValue:
        return canonical_path(cython.cast(PathValue, value).text)
    if type(value) is Attrs:
        return coerce_attrs(state, cython.cast(Attrs, value), context, trace, 0, False, False, True)
    text = coerce(state, value, context, trace, 0, False, False, True)
    if not text.startswith("/"):
        error = EvalError(f"string '{text}' doesn't represent an absolute path")
        error.add_trace(0, trace)
        raise error
    return canonical_path(text)


def is_canonical(text):
    return is_in_order(text)


def canonical_path(text):
    """Without `.`, `..`, doubled and trailing slashes; `..` at the root stays there."""
    if is_canonical(text):
        return text
    parts: list = []
    for part in text.split("/"):
        if part == "..":
            if parts:
                parts.pop()
        elif part and part != ".":
            parts.append(part)
    return "/" + "/".join(parts)


def suggestions(name, names):
    """Names that may have been meant: the five nearest within an edit distance of two."""
    from frazil.errors import edit_distance

    near = sorted((edit_distance(name, other, 2), other) for other in names if abs(len(other) - len(name)) <= 2)
    return [other for distance, other in near[:5] if distance <= 2]


def position_value(state, pos):
    """`{ column; file; line; }` of a place in a file, null for anywhere else; computed when looked at."""
    table = state.positions
    found = table.locate(pos)
    if found is None or not found[1]:
        return None
    note_shown(state, found[0])
    line = lazy(lambda: table.file_line_column(pos)[2])
    column = lazy(lambda: table.file_line_column(pos)[3])
    return attrs_from_dict({"file": found[0], "line": line, "column": column})


if not cython.compiled:

    def eval_bool(expr, env, text):
        value = traced_eval(expr, env, text)
        if value is not True and value is not False:
            not_boolean(expr, value, text)
        return value

    def traced_eval(expr, env, text):
        try:
            return expr.eval(env)
        except BaseException:
            add_trace(expr.state, expr.pos, text)
            raise
