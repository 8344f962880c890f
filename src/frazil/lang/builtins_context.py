# cython: binding=True
"""Builtins on string contexts: what a string refers to in the store.

In and out: values of the language. Context elements are texts, as Nix writes them inside strings: `PATH` (constant),
`!OUTPUT!DRV` (an output), `=DRV` (a derivation with its closure). Source of truth: the manual's "String context", Nix's
`primops/context.cc`.
"""

import cython
from cython.cimports.frazil.lang.runtime import (
    coerce_to_string,
    force_attrs,
    force_bool,
    force_list,
    force_string,
    force_string_no_context,
    show_name,
)
from cython.cimports.frazil.lang.values import MISSING, Attrs, ContextString, State, attrs_from_dict

from frazil.digest import encode_base32
from frazil.digest import new as new_hash
from frazil.lang.errors import EvalBaseError, EvalError, TypeMismatch
from frazil.lang.registry import BuiltinSpec

STORE_OBJECT = r"[0-9abcdfghijklmnpqrsvwxyz]{32}-[0-9a-zA-Z+\-._?=]{1,211}"


@cython.cfunc
def with_context(text: str, context: set) -> object:
    return ContextString(text, frozenset(context)) if len(context) else text


def builtin_unsafe_discard_string_context(state: State, arguments: list):
    return coerce_to_string(
        state, arguments[0], set(), "while evaluating the argument passed to builtins.unsafeDiscardStringContext"
    )


def builtin_has_context(state: State, arguments: list):
    context: set = set()
    force_string(arguments[0], context, "while evaluating the argument passed to builtins.hasContext")
    return len(context) != 0


def builtin_unsafe_discard_output_dependency(state: State, arguments: list):
    context: set = set()
    text = coerce_to_string(
        state,
        arguments[0],
        context,
        "while evaluating the argument passed to builtins.unsafeDiscardOutputDependency",
    )
    return with_context(text, {e[1:] if e.startswith("=") else e for e in context})


def builtin_add_drv_output_dependencies(state: State, arguments: list):
    context: set = set()
    text = coerce_to_string(
        state, arguments[0], context, "while evaluating the argument passed to builtins.addDrvOutputDependencies"
    )
    if len(context) != 1:
        raise EvalError(f"context of string '{text}' must have exactly one element, but has {len(context)}")
    element = context.pop()
    if element.startswith("!"):
        raise EvalError(
            "`addDrvOutputDependencies` can only act on derivations, not on a derivation output such as"
            f" '{element[1:].partition('!')[0]}'"
        )
    if not element.startswith("="):
        if not element.endswith(".drv"):
            raise EvalError(f"path '{element}' is not a derivation")
        element = "=" + element
    return ContextString(text, frozenset((element,)))


def builtin_get_context(state: State, arguments: list):
    context: set = set()
    force_string(arguments[0], context, "while evaluating the argument passed to builtins.getContext")
    found: dict = {}
    for element in sorted(context):
        if element.startswith("="):
            found.setdefault(element[1:], {})["allOutputs"] = True
        elif element.startswith("!"):
            output, _, path = element[1:].partition("!")
            if "!" in path:
                path = state.effects.built_derivation("!" + path)
            found.setdefault(path, {}).setdefault("outputs", []).append(output)
        else:
            found.setdefault(element, {})["path"] = True
    return attrs_from_dict({path: attrs_from_dict(info) for path, info in found.items()})


def is_store_path(state, text):
    prefix = state.settings.store_dir + "/"
    if not text.startswith(prefix):
        return False
    import re

    return re.fullmatch(STORE_OBJECT, text[len(prefix) :]) is not None


def failure(state, message, pos):
    return EvalError(message, pos=pos, positions=state.positions)


def builtin_append_context(state: State, arguments: list):
    context: set = set()
    text = force_string(arguments[0], context, "while evaluating the first argument passed to builtins.appendContext")
    attrs: Attrs = force_attrs(arguments[1], "while evaluating the second argument passed to builtins.appendContext")
    ensure_path = getattr(state.effects, "ensure_path", None)
    for path, info in attrs.items():
        where: cython.Py_ssize_t = attrs.position(path)
        if not is_store_path(state, path):
            raise failure(state, f"context key '{show_name(path)}' is not a store path", where)
        if ensure_path is not None:
            ensure_path(path)
        add_elements(state, path, force_attrs(info, "while evaluating the value of a string context"), where, context)
    return with_context(text, context)


def flag(state, info, name):
    """A Boolean that may be missing; errors say where it is written."""
    attrs: Attrs = info
    found = attrs.lookup(name)
    if found is MISSING:
        return False
    try:
        return force_bool(found, f"while evaluating the `{name}` attribute of a string context")
    except EvalBaseError as error:
        where = attrs.position(name)
        error.positions = state.positions
        if isinstance(error, TypeMismatch) and error.pos == 0 and len(error.frames) == 1:
            error.pos = where
        if error.frames:
            error.frames[-1] = (where, error.frames[-1][1], None)
        raise


@cython.cfunc
def add_elements(state: State, path: str, info: Attrs, where: cython.Py_ssize_t, context: set):
    if flag(state, info, "path"):
        context.add(path)
    if flag(state, info, "allOutputs"):
        if not path.endswith(".drv"):
            raise failure(
                state,
                f"tried to add all-outputs context of {show_name(path)}, which is not a derivation, to a string",
                where,
            )
        context.add("=" + path)
    found = info.lookup("outputs")
    if found is MISSING:
        return
    outputs: list = force_list(found, "while evaluating the `outputs` attribute of a string context")
    if len(outputs) and not path.endswith(".drv"):
        raise failure(
            state,
            f"tried to add derivation output context of {show_name(path)}, which is not a derivation, to a string",
            where,
        )
    for output in outputs:
        name = force_string_no_context(output, "while evaluating an output name within a string context")
        context.add(f"!{name}!{path}")


def builtin_placeholder(state: State, arguments: list):
    output = force_string_no_context(arguments[0], "while evaluating the first argument passed to builtins.placeholder")
    state_of_hash = new_hash("sha256")
    state_of_hash.update(f"nix-output:{output}".encode("latin-1"))
    return "/" + encode_base32(state_of_hash.digest())


BUILTINS = [
    BuiltinSpec(
        "addDrvOutputDependencies",
        1,
        builtin_add_drv_output_dependencies,
        documentation="Makes a string that refers to a store derivation refer to its outputs and closure as well.",
        argument_names=("s",),
    ),
    BuiltinSpec(
        "appendContext",
        2,
        builtin_append_context,
        documentation="Adds to a string's context what a set describes in the form that `getContext` gives.",
    ),
    BuiltinSpec(
        "getContext",
        1,
        builtin_get_context,
        documentation="What a string refers to: store paths, each with `path`, `allOutputs` or `outputs`.",
        argument_names=("s",),
    ),
    BuiltinSpec(
        "hasContext",
        1,
        builtin_has_context,
        documentation="Whether a string refers to anything in the store.",
        argument_names=("s",),
    ),
    BuiltinSpec(
        "placeholder",
        1,
        builtin_placeholder,
        documentation="A text that stands for an output's path inside its own derivation.",
        argument_names=("output",),
    ),
    BuiltinSpec(
        "unsafeDiscardOutputDependency",
        1,
        builtin_unsafe_discard_output_dependency,
        documentation="Makes a string that refers to derivations with their closures refer to just their files.",
        argument_names=("s",),
    ),
    BuiltinSpec(
        "unsafeDiscardStringContext",
        1,
        builtin_unsafe_discard_string_context,
        documentation="The text of a string without what it refers to.",
        argument_names=("s",),
    ),
]
