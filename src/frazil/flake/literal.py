"""What of a value is written out in the source, for `flake.nix`: no code of a flake runs while its inputs are read."""

from __future__ import annotations

from typing import Any

from frazil.lang.values import Thunk


def is_thunk(value: Any) -> bool:
    """Whether the value is still to be computed."""
    return isinstance(value, Thunk)


def force_literal(evaluator: Any, value: Any) -> Any:
    """A set, list or function that is written out becomes its value; any other thunk stays."""
    if isinstance(value, Thunk) and evaluator.is_literal(value):
        return evaluator.force(value)
    return value


def formal_names(evaluator: Any, function: Any) -> list[str]:
    """The names in `{ a, b ? c, ... }:`; none for `x:`."""
    arguments = evaluator.call(evaluator.builtins().lookup("functionArgs"), function)
    return list(arguments.names())


def argument_name(evaluator: Any, function: Any) -> str | None:
    """The name in `name: …`; None where the function has formals."""
    name: str | None = evaluator.argument_name(function)
    return name
