"""Builtins that add files to the store: `path`, `filterSource`, `toFile`; and `storePath`.

Source of truth: the manual's `language/builtins`.
"""

from __future__ import annotations

import os

from frazil.digest import Hash
from frazil.errors import FrazilError
from frazil.instantiate.context import show_element
from frazil.instantiate.derivation import parse_hash_allow_empty
from frazil.lang.error_text import attribute_name
from frazil.lang.errors import CALL_SITE, EvalBaseError, EvalError
from frazil.lang.runtime import (
    call2,
    coerce_to_path,
    context_order,
    force,
    force_attrs,
    force_bool,
    force_function,
    force_string,
    force_string_no_context,
)
from frazil.lang.values import make_string
from frazil.store.errors import BadStorePath
from frazil.store.path import References

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from frazil.instantiate.effects import StoreEffects
    from frazil.store.path import StorePath


def base_name(path: str) -> str:
    return path.rpartition("/")[2]


def to_file(evaluator: Any, arguments: list[Any]) -> Any:
    name = force_string_no_context(arguments[0], "while evaluating the first argument passed to builtins.toFile")
    context: set[str] = set()
    contents = force_string(arguments[1], context, "while evaluating the second argument passed to builtins.toFile")
    effects: StoreEffects = evaluator.effects
    for element in sorted(context, key=context_order):
        if not element.startswith("/"):
            raise EvalError(
                f"files created by builtins.toFile may not reference derivations, but {name} references"
                f" {element.replace(effects.store_dir + '/', '')}",
                pos=CALL_SITE,
            )
    try:
        path = effects.add_text(name, contents, frozenset(context))
    except BadStorePath as error:
        raise EvalError(error.message, pos=CALL_SITE) from error
    return make_string(path, (path,))


def store_path(evaluator: Any, arguments: list[Any]) -> Any:
    if evaluator.settings.pure:
        raise EvalError("'builtins.storePath' is not allowed in pure evaluation mode", pos=CALL_SITE)
    effects: StoreEffects = evaluator.effects
    context: set[str] = set()
    path = coerce_to_path(
        evaluator, arguments[0], context, "while evaluating the first argument passed to 'builtins.storePath'"
    )
    directory = effects.directory
    if not directory.is_store_path(path):
        path = effects.resolve_symlinks(path)
    if not directory.is_inside(path):
        raise EvalError(f"path '{path}' is not in the Nix store", pos=CALL_SITE)
    own, _ = directory.split(path)
    shown = directory.show(own)
    effects.path_shown(path)
    effects.ensure_path(shown)
    effects.allow_path(shown)
    return make_string(path, {*context, shown})


def filter_source(evaluator: Any, arguments: list[Any]) -> Any:
    context: set[str] = set()
    path = coerce_to_path(
        evaluator,
        arguments[1],
        context,
        "while evaluating the second argument (the path to filter) passed to 'builtins.filterSource'",
    )
    function = force_function(arguments[0], "while evaluating the first argument passed to builtins.filterSource")
    return add_path(evaluator, base_name(path), path, function, "nar", None, context)


def path(evaluator: Any, arguments: list[Any]) -> Any:
    attrs = force_attrs(arguments[0], "while evaluating the argument passed to 'builtins.path'")
    context: set[str] = set()
    source: str | None = None
    name, function, method = "", None, "nar"
    expected: Hash | None = None
    for key, value in attrs.items():
        try:
            if key == "path":
                source = coerce_to_path(
                    evaluator, value, context, "while evaluating the 'path' attribute passed to 'builtins.path'"
                )
            elif key == "name":
                name = force_string_no_context(value, "while evaluating the `name` attribute passed to builtins.path")
            elif key == "filter":
                function = force_function(value, "while evaluating the `filter` parameter passed to builtins.path")
            elif key == "recursive":
                wanted = force_bool(value, "while evaluating the `recursive` attribute passed to builtins.path")
                method = "nar" if wanted else "flat"
            elif key == "sha256":
                text = force_string_no_context(value, "while evaluating the `sha256` attribute passed to builtins.path")
                expected = parse_hash_allow_empty(text, "sha256", evaluator.effects)
            else:
                raise EvalError(
                    f"unsupported argument '{attribute_name(key)}' to 'builtins.path'", pos=attrs.position(key)
                )
        except EvalBaseError as error:
            error.settle_call_site(attrs.position(key))
            raise
    if source is None:
        raise EvalError("missing required 'path' attribute in the first argument to 'builtins.path'", pos=CALL_SITE)
    return add_path(evaluator, name or base_name(source), source, function, method, expected, context)


def add_path(
    evaluator: Any,
    name: str,
    source: str,
    function: Any,
    method: str,
    expected: Hash | None,
    context: set[str],
) -> Any:
    """Copies a (perhaps filtered) path; -> its store path as a string with context."""
    effects: StoreEffects = evaluator.effects
    references: frozenset[StorePath] = frozenset()
    try:
        if context and effects.directory.is_inside(source):
            source = _rewrite(source, effects.realise_context(frozenset(context)))
            references = effects.references_of_source(source)
        if expected is not None:
            wanted = effects.directory.make_fixed_output_path(method, expected, name, References(references))
            shown = effects.directory.show(wanted)
            if effects.is_known(shown):
                effects.allow_path(shown)
                return make_string(shown, (shown,))
        effects.check_path(source)
        resolved = effects.resolve_symlinks(source)
        filter = None if function is None else _path_filter(evaluator, function, resolved, source)
        found = effects.add_source(name, resolved, method=method, filter=filter, references=references)
        if expected is not None and found != shown:
            raise EvalError(f"store path mismatch in (possibly filtered) path added from '{source}'", pos=CALL_SITE)
    except EvalBaseError as error:
        error.add_trace(0, f"while adding path '{source}'")
        raise
    except FrazilError as error:
        wrapped = EvalError(error.message, hint=error.hint, exit_status=error.exit_status)
        wrapped.add_trace(0, f"while adding path '{source}'")
        raise wrapped from error
    return make_string(found, (found,))


def _rewrite(text: str, rewrites: dict[str, str]) -> str:
    for old, new in rewrites.items():
        text = text.replace(old, new)
    return text


def _path_filter(evaluator: Any, function: Any, resolved: str, source: str) -> Callable[[str, str], bool]:
    """The function as the archive writer wants it; it sees paths of the language, and is asked once for each."""
    effects: StoreEffects = evaluator.effects
    effects.path_shown(resolved)
    real = os.fsdecode(effects.real(resolved))
    verdicts: dict[str, bool] = {}

    def keep(path: str, kind: str) -> bool:
        verdict = verdicts.get(path)
        if verdict is None:
            shown = resolved + os.fsencode(path[len(real) :]).decode("latin-1")
            verdict = verdicts[path] = force_bool(
                force(call2(evaluator, function, shown, kind)),
                "while evaluating the return value of the path filter function",
            )
        return verdict

    return keep


__all__ = ["add_path", "filter_source", "path", "show_element", "store_path", "to_file"]
