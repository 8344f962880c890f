"""All builtins of the language, assembled from the `BUILTINS` tables of the `builtins_…` modules."""

from __future__ import annotations

from frazil.lang.registry import BuiltinSpec


def all_builtins() -> list[BuiltinSpec]:
    return []
