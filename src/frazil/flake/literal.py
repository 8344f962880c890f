"""What of a value is written out in the source, for `flake.nix`: no code of a flake runs while its inputs are read."""

from __future__ import annotations

from frazil.lang.runtime import force
from frazil.lang.sets import is_literal
from frazil.lang.values import Lambda, Thunk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def is_thunk(value: Any) -> bool:
    """Whether the value is still to be computed."""
    return isinstance(value, Thunk)


def force_literal(value: Any) -> Any:
    """A set, list or function that is written out becomes its value; any other thunk stays."""
    return force(value) if is_literal(value) else value


def _pattern(function: Any) -> tuple[list[tuple[str, bool, int]] | None, bool, str | None]:
    if not isinstance(function, Lambda):
        return None, False, None
    expression: Any = function.expr
    pattern: tuple[list[tuple[str, bool, int]] | None, bool, str | None] = expression.pattern()
    return pattern


def formal_names(function: Any) -> list[str]:
    """The names in `{ a, b ? c, ... }:`; none for `x:` and for builtins."""
    return [name for name, _, _ in _pattern(function)[0] or ()]


def argument_name(function: Any) -> str | None:
    """The name in `name: …`; None where the function has formals."""
    formals, _, name = _pattern(function)
    return None if formals is not None else name
