"""Between values of the language and those of Python.

| Nix | Python |
|---|---|
| null, Boolean, integer, float | `None`, `bool`, `int`, `float` |
| string | `str`; with a context `frazil.String`, a `str` that keeps it |
| path | `pathlib.PurePosixPath` |
| list | `frazil.List`, a sequence; from any list, tuple or other iterable |
| attribute set | `frazil.AttrSet`, a mapping; from any mapping |
| derivation | `frazil.Derivation`, an `AttrSet` that can be built |
| function | `frazil.Function`, callable; from any callable |

Text is UTF-8; bytes that are none become lone surrogates, as in file names (`os.fsdecode`).
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any

from frazil.api.values import AttrSet, Derivation, Function, List, String, View
from frazil.lang.runtime import is_derivation
from frazil.lang.values import Attrs, ContextString, Lambda, PathValue, Primop, PrimopApplication

if TYPE_CHECKING:
    from frazil.api.session import Session

SMALLEST, LARGEST = -(1 << 63), (1 << 63) - 1


def text_of(byte_string: str) -> str:
    """Ordinary text for a string of the language."""
    if byte_string.isascii():
        return byte_string
    return byte_string.encode("latin-1").decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> str:
    """A string of the language for ordinary text."""
    return str(text) if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def to_python(session: Session, value: Any) -> Any:
    """A forced value as Python sees it. Runs in the session's thread."""
    kind = type(value)
    if value is None or kind in (bool, int, float):
        return value
    if kind is str:
        return text_of(value)
    if kind is ContextString:
        return String(text_of(value.text), value.context)
    if kind is PathValue:
        return PurePosixPath(text_of(value.text))
    if kind is list:
        return List(session, value)
    if kind is Attrs:
        return (Derivation if is_derivation(value) else AttrSet)(session, value)
    if kind in (Lambda, Primop, PrimopApplication):
        return Function(session, value)
    raise TypeError(f"a value of an unknown kind: {kind.__name__}")


def to_nix(session: Session, value: Any) -> Any:
    """A Python value as one of the language. What is in mappings and sequences is converted when it is looked at.

    Raises TypeError for what has no counterpart, OverflowError for integers of more than 64 bits.
    """
    if value is None or value is True or value is False or type(value) is float:
        return value
    if isinstance(value, View):
        if value._session is not session:
            raise ValueError("this value belongs to another session")
        return value._value
    if isinstance(value, String):
        return ContextString(bytes_of(value), value.context) if value.context else bytes_of(value)
    if isinstance(value, str):
        return bytes_of(str(value))
    if isinstance(value, int):
        if not SMALLEST <= value <= LARGEST:
            raise OverflowError(f"{value} does not fit in the 64 bits of an integer of Nix")
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("latin-1")
    if isinstance(value, PurePath):
        return PathValue(os.fsencode(os.path.abspath(value)).decode("latin-1"))
    if isinstance(value, Mapping):
        return _attrs(session, value)
    if callable(value):
        return _function(session, value)
    if isinstance(value, Iterable):
        return [_delayed(session, item) for item in value]
    raise TypeError(f"a Python value of type '{type(value).__name__}' has no counterpart in Nix")


def _delayed(session: Session, value: Any) -> Any:
    """Plain values as they are, containers when somebody looks at them: they may be large, or contain themselves."""
    if isinstance(value, str | int | float | bytes | View) or value is None:
        return to_nix(session, value)
    return session.evaluator.lazy(lambda: to_nix(session, value))


def _attrs(session: Session, mapping: Mapping[Any, Any]) -> Any:
    table: dict[str, Any] = {}
    for name in mapping:
        if not isinstance(name, str):
            raise TypeError(f"attribute names are strings, not '{type(name).__name__}'")
        # The mapping itself may compute its values.
        table[bytes_of(name)] = session.evaluator.lazy(partial(_item, session, mapping, name))
    return session.evaluator.make_attrs(table)


def _item(session: Session, mapping: Mapping[Any, Any], name: str) -> Any:
    return to_nix(session, mapping[name])


def _function(session: Session, function: Callable[..., Any]) -> Any:
    """`f(a, b)` becomes `a: b: …`; a function of keyword arguments only takes an attribute set."""
    count, named = _parameters(function)
    name = bytes_of(getattr(function, "__name__", type(function).__name__))

    def call(evaluator: Any, arguments: list[Any]) -> Any:
        given = [to_python(session, evaluator.force(argument)) for argument in arguments]
        if not named:
            return to_nix(session, function(*given))
        if not isinstance(given[0], AttrSet):
            raise TypeError(f"{text_of(name)}() takes an attribute set")
        return to_nix(session, function(**dict(given[0].items())))

    return session.evaluator.primop(name, count, call)


def _parameters(function: Callable[..., Any]) -> tuple[int, bool]:
    """(how many arguments it takes one after the other, whether it takes named ones instead)."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):  # some built-in functions do not say
        return 1, False
    required = [
        p
        for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is inspect.Parameter.empty
    ]
    if required:
        return len(required), False
    takes_one = any(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL) for p in parameters)
    return 1, not takes_one
