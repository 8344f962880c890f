"""The table of builtins that need a store, a network or flakes; handed to the evaluator by `Session`."""

from __future__ import annotations

import os

from frazil.lang.errors import CALL_SITE, EvalError
from frazil.lang.registry import BuiltinSpec
from frazil.lang.runtime import force_string_no_context
from frazil.lang.values import ContextString, make_string
from frazil.store.path import unknown_output_placeholder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from frazil.instantiate.effects import StoreEffects

INTERNAL_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nix")


def internal_expression(evaluator: Any, name: str) -> Any:
    """The value of one of our own expressions; parsed at most once an evaluator."""
    cache: dict[str, Any] = evaluator.effects.internal_expressions
    if name not in cache:
        with open(os.path.join(INTERNAL_FOLDER, name), "rb") as file:
            text = file.read()
        cache[name] = evaluator.eval_string(text, "/", f"«nix-internal»/{name}".encode().decode("latin-1"))
    return cache[name]


def derivation_function(evaluator: Any, arguments: list[Any]) -> Any:
    return internal_expression(evaluator, "derivation.nix")


def output_of(evaluator: Any, arguments: list[Any]) -> Any:
    """`outputOf DRV OUTPUT`: an output of a derivation that may itself be an output."""
    context: set[str] = set()
    from frazil.lang.runtime import force_string

    text = force_string(arguments[0], context, "while evaluating the first argument to builtins.outputOf")
    output = force_string_no_context(arguments[1], "while evaluating the second argument to builtins.outputOf")
    if len(context) != 1:
        raise EvalError(
            f"string '{text}' has {len(context)} entries in its context. It should only have exactly one entry",
            pos=CALL_SITE,
        )
    (element,) = context
    effects: StoreEffects = evaluator.effects
    if element.startswith("="):
        raise EvalError(
            f"string '{text}' has a context which refers to a complete source and binary closure. "
            "This is not supported at this time",
            pos=CALL_SITE,
        )
    if element.startswith("!"):
        return _output_of_output(effects, text, element, output)
    return _output_of_path(effects, text, element, output)


def _output_of_path(effects: StoreEffects, text: str, element: str, output: str) -> Any:
    if text != element:
        raise EvalError(f"path string '{text}' has context with the different path '{element}'", pos=CALL_SITE)
    path = effects.directory.parse(element)
    if not path.is_derivation:
        raise EvalError(f"store path '{element}' is not a derivation", pos=CALL_SITE)
    outputs = effects.instantiator.read(path).output_paths(effects.directory)
    if output not in outputs:
        raise EvalError(f"derivation '{element}' does not have output '{output}'", pos=CALL_SITE)
    known = outputs[output]
    shown = effects.directory.show(known) if known else unknown_output_placeholder(path, output)
    return make_string(shown, (f"!{output}!{element}",))


def _output_of_output(effects: StoreEffects, text: str, element: str, output: str) -> Any:
    from frazil.instantiate.context import parse_built

    inner = parse_built(element)
    path = effects.directory.parse(inner.derivation)
    shown = unknown_output_placeholder(path, *inner.through, inner.output, output)
    return make_string(shown, (f"!{output}{element}",))


def import_derivation(evaluator: Any, path: str) -> Any:
    """What `import` of a store derivation gives."""
    effects: StoreEffects = evaluator.effects
    own = effects.directory.parse(path)
    drv = effects.instantiator.read(own)
    outputs = drv.output_paths(effects.directory)
    table: dict[str, Any] = {
        "drvPath": ContextString(path, frozenset(("=" + path,))),
        "name": drv.environment.get("name", ""),
        "outputs": sorted(outputs),
    }
    for name, known in outputs.items():
        shown = effects.directory.show(known) if known else unknown_output_placeholder(own, name)
        table[name] = ContextString(shown, frozenset((f"!{name}!{path}",)))
    return evaluator.call(internal_expression(evaluator, "imported-derivation.nix"), evaluator.make_attrs(table))


def _later(module: str, name: str) -> Callable[[Any, list[Any]], Any]:
    """A builtin whose module is imported when it is first called: most evaluations need none of them."""
    loaded: dict[str, Any] = {}

    def function(evaluator: Any, arguments: list[Any]) -> Any:
        found = loaded.get(name)
        if found is None:
            from importlib import import_module

            found = loaded[name] = getattr(import_module(f"frazil.instantiate.{module}"), name)
        return found(evaluator, arguments)

    return function


BUILTINS: list[BuiltinSpec] = [
    BuiltinSpec("derivation", 0, derivation_function),
    BuiltinSpec("derivationStrict", 1, _later("derivation", "derivation_strict")),
    BuiltinSpec("path", 1, _later("paths", "path")),
    BuiltinSpec("filterSource", 2, _later("paths", "filter_source")),
    BuiltinSpec("toFile", 2, _later("paths", "to_file")),
    BuiltinSpec("storePath", 1, _later("paths", "store_path")),
    BuiltinSpec("fetchurl", 1, _later("fetchers", "fetchurl")),
    BuiltinSpec("fetchTarball", 1, _later("fetchers", "fetch_tarball")),
    BuiltinSpec("fetchGit", 1, _later("fetchers", "fetch_git")),
    BuiltinSpec("fetchTree", 1, _later("fetchers", "fetch_tree_builtin"), experimental="fetch-tree"),
    BuiltinSpec("fetchFinalTree", 1, _later("fetchers", "fetch_final_tree"), internal=True),
    BuiltinSpec("fetchMercurial", 1, _later("fetchers", "fetch_mercurial")),
    BuiltinSpec("fetchClosure", 1, _later("fetchers", "fetch_closure"), experimental="fetch-closure"),
    BuiltinSpec("outputOf", 2, output_of, experimental="dynamic-derivations"),
]
