"""All builtins of the language, assembled from the `BUILTINS` tables of the `builtins_…` modules."""

from __future__ import annotations

import sys

from frazil.lang.registry import BuiltinSpec

MODULES = (
    "builtins_control",
    "builtins_math",
    "builtins_sets",
    "builtins_lists",
    "builtins_strings",
    "builtins_context",
    "builtins_convert",
    "builtins_files",
)


def all_builtins() -> list[BuiltinSpec]:
    """In the order of the modules; a later one replaces an earlier one of the same name."""
    specs: list[BuiltinSpec] = []
    for name in MODULES:
        __import__(f"frazil.lang.{name}")  # `importlib` would import `warnings`
        specs += sys.modules[f"frazil.lang.{name}"].BUILTINS
    return specs
