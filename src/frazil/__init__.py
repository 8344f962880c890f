"""frazil: flakes from a development shell to production machines, without root, daemon or installed Nix.

For Python programs:

    import frazil

    frazil.evaluate("map (x: x * 2) [ 1 2 3 ]")          # a list, evaluated as it is looked at
    frazil.evaluate("f 20 + 1", scope={"f": lambda x: 2 * x})
    frazil.get_flake(".").packages["x86_64-linux"].default.build()

These use one session for the whole process; `frazil.Session` makes others, with settings of their own. Everything is
imported when it is first used.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.api.default import close, evaluate, evaluate_file, get_flake, realise, to_nix
    from frazil.api.session import Session
    from frazil.api.values import AttrSet, Derivation, Function, List, Output, String
    from frazil.build.errors import BuildFailed
    from frazil.errors import FrazilError
    from frazil.lang.errors import EvalError, MissingAttribute, ParseError, ThrownError, UndefinedVariable

__all__ = [
    "AttrSet",
    "BuildFailed",
    "Derivation",
    "EvalError",
    "FrazilError",
    "Function",
    "List",
    "MissingAttribute",
    "Output",
    "ParseError",
    "Session",
    "String",
    "ThrownError",
    "UndefinedVariable",
    "close",
    "evaluate",
    "evaluate_file",
    "get_flake",
    "realise",
    "to_nix",
]

_PLACES = {
    **dict.fromkeys(("close", "evaluate", "evaluate_file", "get_flake", "realise", "to_nix"), "api.default"),
    **dict.fromkeys(("AttrSet", "Derivation", "Function", "List", "Output", "String"), "api.values"),
    **dict.fromkeys(("EvalError", "MissingAttribute", "ParseError", "ThrownError", "UndefinedVariable"), "lang.errors"),
    "Session": "api.session",
    "BuildFailed": "build.errors",
    "FrazilError": "errors",
}


def __getattr__(name: str) -> object:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'frazil' has no attribute '{name}'")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f"frazil.{place}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
