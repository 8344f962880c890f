"""The table of builtins that need a store, a network or flakes; handed to the evaluator by `Session`."""

from __future__ import annotations

import os

from frazil.instantiate.context import show_element
from frazil.lang.errors import CALL_SITE, EvalBaseError, EvalError, InvalidStorePath
from frazil.lang.registry import BuiltinSpec
from frazil.lang.runtime import coerce_to_string, force_list, force_string, force_string_no_context
from frazil.lang.values import ContextString, make_string
from frazil.store.path import unknown_output_placeholder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from frazil.instantiate.effects import StoreEffects
    from frazil.lang.settings import EvalSettings

INTERNAL_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "internal")


def internal_expression(evaluator: Any, name: str) -> Any:
    """The value of one of our own expressions; parsed at most once an evaluator."""
    cache: dict[str, Any] = evaluator.effects.internal_expressions
    if name not in cache:
        with open(os.path.join(INTERNAL_FOLDER, name), "rb") as file:
            text = file.read()
        cache[name] = evaluator.eval_string(text, "/", f"«nix-internal»/{name}".encode().decode("latin-1"))
    return cache[name]


def derivation_function(evaluator: Any, arguments: list[Any]) -> Any:
    return internal_expression(evaluator, "derivation-internal.nix")


def output_of(evaluator: Any, arguments: list[Any]) -> Any:
    """`outputOf DRV OUTPUT`: an output of a derivation that may itself be an output."""
    effects: StoreEffects = evaluator.effects
    element = _single_reference(effects, arguments[0], "while evaluating the first argument to builtins.outputOf")
    output = force_string_no_context(arguments[1], "while evaluating the second argument to builtins.outputOf")
    if element.startswith("!"):
        path, chain = _chain(effects, element)
        return make_string(unknown_output_placeholder(path, *chain, output), (f"!{output}{element}",))
    path = effects.directory.parse(element)
    known = _output_paths(effects, element).get(output, "")
    if known == "":
        raise EvalError(f"derivation '{element}' does not have output '{output}'", pos=CALL_SITE)
    shown = effects.directory.show(known) if known else unknown_output_placeholder(path, output)
    return make_string(shown, (f"!{output}!{element}",))


def _output_paths(effects: StoreEffects, derivation: str) -> dict[str, Any]:
    path = effects.directory.parse(derivation)
    if not path.is_derivation:
        raise EvalError(
            f"error parsing derivation '{derivation}': store path '{path.base}' is not a valid derivation path",
            pos=CALL_SITE,
        )
    return effects.instantiator.read(path).output_paths(effects.directory)


def _chain(effects: StoreEffects, element: str) -> tuple[Any, tuple[str, ...]]:
    """The derivation that an element `!OUTPUT!…` begins at, and the outputs to go through."""
    from frazil.instantiate.context import parse_built

    inner = parse_built(element)
    return effects.directory.parse(inner.derivation), (*inner.through, inner.output)


def _single_reference(effects: StoreEffects, value: Any, trace: str) -> str:
    """The one element of the context of a string, which must be the text that stands for it."""
    context: set[str] = set()
    text = force_string(value, context, trace)
    message = ""
    element = next(iter(context), "")
    if len(context) != 1:
        message = f"string '{text}' has {len(context)} entries in its context. It should only have exactly one entry"
    elif element.startswith("="):
        message = (
            f"string '{text}' has a context which refers to a complete source and binary closure. "
            "This is not supported at this time"
        )
    elif element.startswith("!"):
        message = _wrong_output_text(effects, text, element)
    elif text != element:
        message = f"path string '{text}' has context with the different path '{element}'"
    if message:
        error = EvalError(message, pos=CALL_SITE)
        error.add_trace(0, trace)
        raise error
    return element


def _wrong_output_text(effects: StoreEffects, text: str, element: str) -> str:
    """What is wrong with the text of a string that refers to an output, if anything."""
    path, chain = _chain(effects, element)
    known = None
    if len(chain) == 1:
        known = _output_paths(effects, effects.directory.show(path)).get(chain[0])
    expected = effects.directory.show(known) if known else unknown_output_placeholder(path, *chain)
    if text == expected:
        return ""
    origin, _, output = show_element(element).rpartition("^")
    return (
        f"string '{text}' has context with the output '{output}' from derivation '{origin}', but the string is not "
        f"the right placeholder for this derivation output. It should be '{expected}'"
    )


def exec_program(evaluator: Any, arguments: list[Any]) -> Any:
    """`exec [ PROGRAM ARGUMENT… ]`: the value of the expression that a program prints."""
    items = force_list(arguments[0], "while evaluating the first argument passed to builtins.exec")
    if not items:
        raise EvalError("at least one argument to 'exec' required", pos=CALL_SITE)
    context: set[str] = set()
    words = []
    trace = "while evaluating the first element of the argument passed to builtins.exec"
    for item in items:
        words.append(coerce_to_string(evaluator, item, context, trace, False, False))
        trace = "while evaluating an element of the argument passed to builtins.exec"
    if context:
        try:
            evaluator.effects.realise_context(frozenset(context))
        except InvalidStorePath as error:
            message = f"cannot execute '{words[0]}', since store path '{error.raw_message}' is not valid"
            raise EvalError(message, pos=CALL_SITE) from error
    text = _output_of_program([word.encode("latin-1") for word in words])
    try:
        parsed = evaluator.parse_string(text, "/")
    except EvalBaseError as error:
        error.add_trace(0, f"while parsing the output from '{words[0]}'")
        raise
    try:
        return evaluator.evaluate(parsed)
    except EvalBaseError as error:
        error.add_trace(0, f"while evaluating the output from '{words[0]}'")
        raise


def _output_of_program(words: list[bytes]) -> bytes:
    import subprocess

    shown = words[0].decode("latin-1")
    if any(b"\0" in word for word in words):
        raise EvalError(f"an argument of program '{shown}' contains a null byte", pos=CALL_SITE)
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    except OSError as error:
        raise EvalError(f"executing '{shown}': {error.strerror}", pos=CALL_SITE) from error
    if done.returncode < 0:
        raise EvalError(f'program "{shown}" failed due to signal {-done.returncode}', pos=CALL_SITE)
    if done.returncode:
        raise EvalError(f'program "{shown}" failed with exit code {done.returncode}', pos=CALL_SITE)
    return done.stdout


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
            found = loaded[name] = getattr(__import__(f"frazil.instantiate.{module}", fromlist=(name,)), name)
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
    BuiltinSpec("fetchClosure", 1, _later("closure", "fetch_closure"), experimental="fetch-closure"),
    BuiltinSpec("outputOf", 2, output_of, experimental="dynamic-derivations"),
]

NATIVE_BUILTINS = [BuiltinSpec("exec", 1, exec_program)]
"""Where the setting `allow-unsafe-native-code-during-evaluation` is on. (`importNative`, which loads code that was
compiled against C++ Nix, there is none.)"""


def builtins_for(settings: EvalSettings) -> list[BuiltinSpec]:
    if settings.allow_unsafe_native_code_during_evaluation:
        return [*BUILTINS, *NATIVE_BUILTINS]
    return BUILTINS
