"""`builtins.getFlake`, `parseFlakeRef` and `flakeRefToString`.

In: values. Out: values. Source: the manual's `language/builtins`. Whoever makes a session passes them to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from frazil.errors import FrazilError
from frazil.flake.reference import Attribute, FlakeReference
from frazil.instantiate.derivation import require_feature
from frazil.lang.errors import CALL_SITE, EvalBaseError, EvalError, as_eval_error, byte_string
from frazil.lang.registry import BuiltinSpec
from frazil.lang.runtime import force, force_attrs, force_string_no_context, show_type
from frazil.lang.values import PathValue, attrs_from_dict

if TYPE_CHECKING:
    from frazil.flake.locking import LockFlags
    from frazil.flake.tree import Trees

Value = Any


def _text(value: str) -> str:
    """A string of the language as ordinary text."""
    return value.encode("latin-1").decode("utf-8", "surrogateescape")


def _byte_string(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


@contextmanager
def _as_eval_errors() -> Iterator[None]:
    """Errors of flakes and fetchers as errors of the language, with the place of the call."""
    try:
        yield
    except EvalBaseError:
        raise
    except FrazilError as error:
        raise as_eval_error(error, CALL_SITE) from error


def _flags(trees: Trees, pure: bool) -> LockFlags:
    from frazil.flake.locking import LockFlags

    return LockFlags(
        update_lock_file=False,
        write_lock_file=False,
        use_registries=not pure and trees.use_registries,
        allow_unlocked=not pure,
    )


def get_flake(evaluator: Any, arguments: list[Any]) -> Value:
    with _as_eval_errors():
        return _get_flake(evaluator, arguments)


def parse_reference(evaluator: Any, arguments: list[Any]) -> Value:
    with _as_eval_errors():
        return _parse_reference(evaluator, arguments)


def reference_to_string(evaluator: Any, arguments: list[Any]) -> Value:
    with _as_eval_errors():
        return _reference_to_string(arguments)


BUILTINS = [
    BuiltinSpec("getFlake", 1, get_flake),
    BuiltinSpec("parseFlakeRef", 1, parse_reference),
    BuiltinSpec("flakeRefToString", 1, reference_to_string),
]


def _get_flake(evaluator: Any, arguments: list[Any]) -> Value:
    from frazil.fetch.inputs import is_locked
    from frazil.flake.call import call_flake
    from frazil.flake.locking import lock_flake
    from frazil.flake.tree import trees_of

    trees = trees_of(evaluator.effects.session)
    pure = evaluator.settings.pure
    value = force(arguments[0])
    if isinstance(value, PathValue):
        require_feature(evaluator, "flakes")
        trees.effects.path_shown(value.text)
        return _flake_at(trees, _text(value.text), pure)
    text = _text(force_string_no_context(value, "while evaluating the argument passed to builtins.getFlake"))
    reference = FlakeReference.parse(text, allow_missing=True)
    require_feature(evaluator, "flakes")
    if pure and not is_locked(dict(reference.attributes)):
        raise EvalError(
            byte_string(
                f"cannot call 'getFlake' on unlocked flake reference '{text}', at «none»:0 (use --impure to override)"
            ),
            pos=CALL_SITE,
        )
    if not is_locked(dict(reference.attributes)):
        trees.effects.not_repeatable(f"the flake '{text}' is not locked")
    path = reference.attributes.get("path") if reference.type == "path" else None
    if isinstance(path, str) and trees.is_known(path):
        # A flake's own `outPath` with its context dropped: its files may not be in the store yet.
        return _flake_at(trees, f"{path}/{reference.subdirectory}" if reference.subdirectory else path, pure)
    return call_flake(trees, lock_flake(trees, reference, _flags(trees, pure)))


def _flake_at(trees: Trees, path: str, pure: bool) -> Value:
    """The flake in a folder that evaluation may read."""
    from frazil.flake.call import call_flake
    from frazil.flake.flake_file import read_flake
    from frazil.flake.locking import lock

    path = trees.in_store(path)
    placeholder = FlakeReference({"type": "indirect", "id": "get-flake"})
    flake = read_flake(trees, (placeholder, placeholder, placeholder), path, "", ())
    return call_flake(trees, lock(trees, placeholder, flake, _flags(trees, pure)))


def _parse_reference(evaluator: Any, arguments: list[Any]) -> Value:
    text = force_string_no_context(arguments[0], "while evaluating the argument passed to builtins.parseFlakeRef")
    reference = FlakeReference.parse(_text(text), allow_missing=True, warn=evaluator.effects.warn)
    attributes = reference.to_attributes()
    return attrs_from_dict(
        {
            _byte_string(name): _byte_string(value) if isinstance(value, str) else value
            for name, value in attributes.items()
        }
    )


def _reference_to_string(arguments: list[Any]) -> Value:
    attrs = force_attrs(arguments[0], "while evaluating the argument passed to builtins.flakeRefToString")
    attributes: dict[str, Attribute] = {}
    for name, item in attrs.items():
        value = force(item)
        if isinstance(value, int) and not isinstance(value, bool) and value < 0:
            raise EvalError(f"negative value given for flake ref attr {name}: {value}", pos=CALL_SITE)
        if isinstance(value, str) or hasattr(value, "context"):
            attributes[_text(name)] = _text(value if isinstance(value, str) else value.text)
        elif isinstance(value, bool | int):
            attributes[_text(name)] = value
        else:
            raise EvalError(
                "flake reference attribute sets may only contain integers, Booleans, and strings, but attribute "
                f"'{name}' is {show_type(value)}",
                pos=CALL_SITE,
            )
    return _byte_string(str(FlakeReference.from_attributes(attributes)))
