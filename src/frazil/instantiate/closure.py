"""`builtins.fetchClosure`: a store object and what it needs, from a binary cache.

In: `fromStore`, `fromPath`, and `toPath` or `inputAddressed`. Out: the path as a string with context, once it is valid
here. Source of truth: the manual's `fetchClosure`; Nix's `primops/fetchClosure.cc` for order and wording.
"""

from __future__ import annotations

import os

from frazil.errors import FrazilError
from frazil.instantiate.fetchers import raise_as_eval_error
from frazil.lang.errors import CALL_SITE, EvalError
from frazil.lang.runtime import coerce_to_string, force, force_attrs, force_bool, force_string_no_context
from frazil.lang.values import make_string
from frazil.record import Record
from frazil.store.errors import BadStorePath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.instantiate.effects import StoreEffects
    from frazil.store.address import StoreReference
    from frazil.store.interface import Store
    from frazil.store.path import StorePath

_IN_TESTS = "_NIX_IN_TEST"
"""Nix's own tests fetch from folders, which is otherwise not allowed."""


class Wanted(Record):
    """`rewrite`: a content-addressed path is to be made; `to` is what the caller thinks it will be."""

    source: StoreReference
    path: StorePath
    rewrite: bool
    to: StorePath | None
    input_addressed: bool


def fetch_closure(evaluator: Any, arguments: list[Any]) -> Any:
    wanted = _read_arguments(evaluator, arguments[0])
    effects: StoreEffects = evaluator.effects
    try:
        path = _rewritten(effects, wanted) if wanted.rewrite else _copied(effects, wanted)
    except EvalError:
        raise
    except FrazilError as error:
        raise_as_eval_error(error)
    effects.ensure_path(effects.directory.show(path))
    effects.allow_closure(path)
    shown = effects.directory.show(path)
    return make_string(shown, (shown,))


def _read_arguments(evaluator: Any, argument: Any) -> Wanted:
    attrs = force_attrs(argument, "while evaluating the argument passed to builtins.fetchClosure")
    found: dict[str, Any] = {}
    for key, item in attrs.items():
        trace = f"while evaluating the attribute '{key}' passed to builtins.fetchClosure"
        if key == "fromPath":
            found[key] = _store_path(evaluator, item, trace)
        elif key == "toPath":
            found[key] = (
                None if getattr(force(item), "text", force(item)) == "" else _store_path(evaluator, item, trace)
            )
        elif key == "fromStore":
            found[key] = force_string_no_context(item, trace)
        elif key == "inputAddressed":
            found[key] = force_bool(item, trace)
        else:
            raise EvalError(f"attribute '{key}' isn't supported in call to 'fetchClosure'", pos=CALL_SITE)
    if "fromPath" not in found:
        raise EvalError("attribute 'fromPath' is missing in call to 'fetchClosure'", pos=CALL_SITE)
    input_addressed = found.get("inputAddressed", False)
    if input_addressed and "toPath" in found:
        raise EvalError(
            "attribute 'inputAddressed' is set to true, but 'toPath' is also set. Please remove one of them",
            pos=CALL_SITE,
        )
    if "fromStore" not in found:
        raise EvalError("attribute 'fromStore' is missing in call to 'fetchClosure'", pos=CALL_SITE)
    source = _reference(found["fromStore"])
    return Wanted(source, found["fromPath"], "toPath" in found, found.get("toPath"), input_addressed)


def _reference(text: str) -> StoreReference:
    from frazil.instantiate.fetchers import to_system
    from frazil.store.address import StoreReference

    try:
        reference = StoreReference.parse(to_system(text))
    except FrazilError as error:
        raise_as_eval_error(error)
    if reference.scheme not in ("http", "https") and not (reference.scheme == "file" and _IN_TESTS in os.environ):
        raise EvalError("'fetchClosure' only supports http:// and https:// stores", pos=CALL_SITE)
    if reference.parameters:
        raise EvalError(f"'fetchClosure' does not support URL query parameters (in '{text}')", pos=CALL_SITE)
    return reference


def _store_path(evaluator: Any, value: Any, trace: str) -> StorePath:
    text = coerce_to_string(evaluator, value, set(), trace, False, False)
    effects: StoreEffects = evaluator.effects
    try:
        return effects.directory.parse(text)
    except BadStorePath as error:
        failure = EvalError(f"path '{text}' is not in the Nix store")
        failure.add_trace(0, trace)
        raise failure from error


def _open_source(effects: StoreEffects, wanted: Wanted) -> Store:
    from frazil.store.opening import open_store

    return open_store(wanted.source, effects.store.settings, effects.reporter)


def _copied(effects: StoreEffects, wanted: Wanted) -> StorePath:
    """The path itself, copied with what it needs."""
    path, store = wanted.path, effects.store
    if not effects.read_only:
        store.add_temporary_root(path)
    if not store.is_valid(path):
        from frazil.store.copying import copy_closure

        with _open_source(effects, wanted) as source:
            copy_closure(source, store, [path], effects.reporter)
    shown = effects.directory.show(path)
    addressed = store.query_info(path).content_address is not None
    if not addressed and not wanted.input_addressed:
        raise EvalError(
            f"The 'fromPath' value '{shown}' is input-addressed, but 'inputAddressed' is set to 'false' (default).\n\n"
            "If you do intend to fetch an input-addressed store path, add\n\n    inputAddressed = true;\n\n"
            "to the 'fetchClosure' arguments.\n\n"
            "Note that to ensure authenticity input-addressed store paths, users must configure a trusted binary cache"
            " public key on their systems. This is not needed for content-addressed paths.",
            pos=CALL_SITE,
        )
    if addressed and wanted.input_addressed:
        raise EvalError(
            f"The store object referred to by 'fromPath' at '{shown}' is not input-addressed, but 'inputAddressed' is"
            " set to 'true'.\n\nRemove the 'inputAddressed' attribute (it defaults to 'false') to expect 'fromPath' to"
            " be content-addressed",
            pos=CALL_SITE,
        )
    return path


def _rewritten(effects: StoreEffects, wanted: Wanted) -> StorePath:
    """The content-addressed form of the path, made from what the cache has unless it is here already."""
    store, show, to = effects.store, effects.directory.show, wanted.to
    if to is not None and not effects.read_only:
        store.add_temporary_root(to)
    if to is None or not store.is_valid(to):
        from frazil.store.addressing import make_content_addressed

        with _open_source(effects, wanted) as source:
            made = make_content_addressed(source, store, [wanted.path])[wanted.path]
        yielded = f"rewriting '{show(wanted.path)}' to content-addressed form yielded '{show(made)}'"
        if to is None:
            raise EvalError(
                f"{yielded}\nUse this value for the 'toPath' attribute passed to 'fetchClosure'", pos=CALL_SITE
            )
        if made != to:
            raise EvalError(f"{yielded}, while '{show(to)}' was expected", pos=CALL_SITE)
    if store.query_info(to).content_address is None:
        raise EvalError(
            f"The 'toPath' value '{show(to)}' is input-addressed, so it can't possibly be the result of rewriting to a"
            " content-addressed path.\n\n"
            "Set 'toPath' to an empty string to make Nix report the correct content-addressed path.",
            pos=CALL_SITE,
        )
    return to
