# cython: binding=True
"""Builtins that steer evaluation and report about it: errors, order, tracing, kinds of values, constants.

In and out: values of the language. Source of truth: the manual's "Built-ins", Nix's `primops.cc`.
"""

import cython
from cython.cimports.frazil.lang.deep_force import force_deep
from cython.cimports.frazil.lang.runtime import coerce_to_string, force, force_string, force_string_no_context
from cython.cimports.frazil.lang.values import (
    Attrs,
    ContextString,
    Lambda,
    PathValue,
    Primop,
    PrimopApplication,
    State,
    attrs_from_dict,
    know_direct,
)

from frazil.lang.errors import AbortError, AlwaysShown, AssertionFailed, EvalBaseError, ThrownError
from frazil.lang.registry import BuiltinSpec

LANGUAGE_VERSION = 6


def builtin_abort(state: State, arguments: list):
    text = coerce_to_string(state, arguments[0], set(), "while evaluating the error message passed to builtins.abort")
    raise AbortError(f"evaluation aborted with the following error message: '{text}'")


def builtin_throw(state: State, arguments: list):
    text = coerce_to_string(state, arguments[0], set(), "while evaluating the error message passed to builtin.throw")
    raise ThrownError(text)


@cython.ccall
def builtin_add_error_context(state: State, arguments: list):
    try:
        return force(arguments[1])
    except EvalBaseError as error:
        text = coerce_to_string(
            state,
            arguments[0],
            set(),
            "while evaluating the error message passed to builtins.addErrorContext",
            False,
            False,
        )
        error.add_trace(0, AlwaysShown(text))
        raise


def builtin_try_eval(state: State, arguments: list):
    depth: cython.Py_ssize_t = state.call_depth
    debugger = debugger_of(state)
    if debugger is not None:
        debugger.try_level += 1
    try:
        value = force(arguments[0])
    except AssertionFailed as error:
        # The failed thunk keeps the error: not with all of Python's frames.
        error.__traceback__ = None
        error.__context__ = None
        state.call_depth = depth
        return attrs_from_dict({"success": False, "value": False})
    finally:
        if debugger is not None:
            debugger.try_level -= 1
    return attrs_from_dict({"success": True, "value": value})


@cython.ccall
def builtin_seq(state: State, arguments: list):
    force(arguments[0])
    return force(arguments[1])


@cython.ccall
def builtin_deep_seq(state: State, arguments: list):
    force_deep(state, arguments[0])
    return force(arguments[1])


@cython.cfunc
def debugger_of(state: State) -> object:
    return None if state.observer is None else state.observer.debugger


def builtin_break(state: State, arguments: list):
    debugger = debugger_of(state)
    if debugger is not None:
        debugger.breakpoint()
    return force(arguments[0])


def builtin_trace(state: State, arguments: list):
    value = force(arguments[0])
    if type(value) is str:
        text = value
    elif type(value) is ContextString:
        text = cython.cast(ContextString, value).text
    else:
        from frazil.lang.printer import print_value

        text = print_value(state, value)
    state.effects.trace(f"trace: {text}")
    debugger = debugger_of(state)
    if debugger is not None and debugger.on_trace:
        debugger.stop(None)
    return force(arguments[1])


def builtin_trace_verbose(state: State, arguments: list):
    if state.settings.trace_verbose:
        return builtin_trace(state, arguments)
    return force(arguments[1])


def builtin_warn(state: State, arguments: list):
    text = force_string(arguments[0], None, "while evaluating the first argument; the message passed to builtins.warn")
    prefix = "evaluation warning: "
    if text.startswith("\n"):
        shown = prefix[:-1] + text.rstrip(" \n\r\t")
    else:
        shown = prefix + text.rstrip(" \n\r\t").replace("\n", "\n" + " " * len(prefix))
    state.effects.trace(shown)
    if state.settings.abort_on_warn:
        raise EvalBaseError("aborting to reveal stack trace of warning, as abort-on-warn is set")
    debugger = debugger_of(state)
    if debugger is not None and debugger.on_warn:
        debugger.stop(None)
    return force(arguments[1])


def builtin_type_of(state: State, arguments: list):
    value = force(arguments[0])
    if value is None:
        return "null"
    kind = type(value)
    if kind is bool:
        return "bool"
    if kind is int:
        return "int"
    if kind is float:
        return "float"
    if kind is str or kind is ContextString:
        return "string"
    if kind is Attrs:
        return "set"
    if kind is list:
        return "list"
    return "path" if kind is PathValue else "lambda"


@cython.ccall
def builtin_is_bool(state: State, arguments: list):
    return type(force(arguments[0])) is bool


def builtin_is_null(state: State, arguments: list):
    return force(arguments[0]) is None


@cython.ccall
def builtin_is_path(state: State, arguments: list):
    return type(force(arguments[0])) is PathValue


@cython.ccall
def builtin_is_function(state: State, arguments: list):
    kind = type(force(arguments[0]))
    return kind is Lambda or kind is Primop or kind is PrimopApplication


def builtin_get_env(state: State, arguments: list):
    name = force_string_no_context(arguments[0], "while evaluating the first argument passed to builtins.getEnv")
    if state.settings.pure or state.settings.restricted:
        return ""
    return state.effects.get_environment(name)


# --- constants


def constant_true(state: State, arguments: list):
    return True


def constant_false(state: State, arguments: list):
    return False


def constant_null(state: State, arguments: list):
    return None


def constant_language_version(state: State, arguments: list):
    return LANGUAGE_VERSION


def constant_nix_version(state: State, arguments: list):
    return state.settings.nix_version


def constant_store_dir(state: State, arguments: list):
    return state.settings.store_dir


def constant_current_system(state: State, arguments: list):
    return state.settings.system


def constant_current_time(state: State, arguments: list):
    if state.settings.current_time is not None:
        return state.settings.current_time
    not_repeatable = getattr(state.effects, "not_repeatable", None)
    if not_repeatable is not None:
        not_repeatable("the current time was asked for")
    import time

    return int(time.time())


def constant_nix_path(state: State, arguments: list):
    return [attrs_from_dict({"prefix": prefix, "path": path}) for prefix, path in state.settings.search_path]


if cython.compiled:
    know_direct(builtin_add_error_context, cython.cast(cython.p_void, builtin_add_error_context))
    know_direct(builtin_deep_seq, cython.cast(cython.p_void, builtin_deep_seq))
    know_direct(builtin_is_bool, cython.cast(cython.p_void, builtin_is_bool))
    know_direct(builtin_is_function, cython.cast(cython.p_void, builtin_is_function))
    know_direct(builtin_is_path, cython.cast(cython.p_void, builtin_is_path))
    know_direct(builtin_seq, cython.cast(cython.p_void, builtin_seq))


BUILTINS = [
    BuiltinSpec(
        "abort",
        1,
        builtin_abort,
        documentation="Ends evaluation with a message; `tryEval` does not catch it.",
        argument_names=("s",),
    ),
    BuiltinSpec(
        "addErrorContext",
        2,
        builtin_add_error_context,
        add_trace=False,
        documentation="The second argument; where its evaluation fails, the first is shown in the error's trace.",
        argument_names=("context", "value"),
    ),
    BuiltinSpec(
        "break",
        1,
        builtin_break,
        documentation="Its argument; in a debugger, evaluation stops here.",
        argument_names=("v",),
    ),
    BuiltinSpec(
        "currentSystem",
        0,
        constant_current_system,
        impure=True,
        documentation="The system that evaluation is for, such as `x86_64-linux`; not in pure evaluation.",
    ),
    BuiltinSpec(
        "currentTime",
        0,
        constant_current_time,
        impure=True,
        documentation="Seconds since 1970 when evaluation began; not in pure evaluation.",
    ),
    BuiltinSpec(
        "deepSeq",
        2,
        builtin_deep_seq,
        documentation="Evaluates the first argument and everything in it, then gives the second.",
        argument_names=("e1", "e2"),
    ),
    BuiltinSpec("false", 0, constant_false, documentation="The Boolean value false."),
    BuiltinSpec(
        "getEnv",
        1,
        builtin_get_env,
        documentation="An environment variable; empty where it is not set and in pure or restricted evaluation.",
        argument_names=("s",),
    ),
    BuiltinSpec("isBool", 1, builtin_is_bool, documentation="Whether a value is a Boolean.", argument_names=("e",)),
    BuiltinSpec(
        "isFunction", 1, builtin_is_function, documentation="Whether a value is a function.", argument_names=("e",)
    ),
    BuiltinSpec("isNull", 1, builtin_is_null, documentation="Whether a value is null.", argument_names=("e",)),
    BuiltinSpec("isPath", 1, builtin_is_path, documentation="Whether a value is a path.", argument_names=("e",)),
    BuiltinSpec("langVersion", 0, constant_language_version, documentation="The version of the language, an integer."),
    BuiltinSpec(
        "nixPath", 0, constant_nix_path, documentation="The search path of `<…>`, a list of `{ path; prefix; }`."
    ),
    BuiltinSpec(
        "nixVersion", 0, constant_nix_version, documentation="The version of Nix whose language this is, a string."
    ),
    BuiltinSpec("null", 0, constant_null, documentation="The value null."),
    BuiltinSpec(
        "seq",
        2,
        builtin_seq,
        documentation="Evaluates the first argument, then gives the second.",
        argument_names=("e1", "e2"),
    ),
    BuiltinSpec("storeDir", 0, constant_store_dir, documentation="The logical store directory."),
    BuiltinSpec(
        "throw",
        1,
        builtin_throw,
        documentation="Fails with a message; `tryEval` catches it.",
        argument_names=("s",),
    ),
    BuiltinSpec(
        "trace",
        2,
        builtin_trace,
        documentation="Shows the first argument on standard error, then gives the second.",
        argument_names=("e1", "e2"),
    ),
    BuiltinSpec(
        "traceVerbose",
        2,
        builtin_trace_verbose,
        documentation="As `trace` where the setting `trace-verbose` is on; otherwise just the second argument.",
        argument_names=("e1", "e2"),
    ),
    BuiltinSpec("true", 0, constant_true, documentation="The Boolean value true."),
    BuiltinSpec(
        "tryEval",
        1,
        builtin_try_eval,
        documentation="`{ success; value; }`: whether evaluation went without `throw` or a failed `assert`.",
        argument_names=("e",),
    ),
    BuiltinSpec(
        "typeOf",
        1,
        builtin_type_of,
        documentation="The type of a value: int, bool, string, path, null, set, list, lambda or float.",
        argument_names=("e",),
    ),
    BuiltinSpec(
        "warn",
        2,
        builtin_warn,
        documentation="Shows the first argument as a warning, then gives the second.",
        argument_names=("e1", "e2"),
    ),
]
