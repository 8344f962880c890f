"""docs/reference/builtins.md is what `tools/builtins_reference.py` makes of the tables."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from frazil.lang.evaluator import GLOBAL_NAMES

ROOT = Path(__file__).parent.parent.parent


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("builtins_reference", ROOT / "tools/builtins_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date() -> None:
    made = tool()
    page = made.reference(made.all_specs(), GLOBAL_NAMES)
    assert (ROOT / "docs/reference/builtins.md").read_text(encoding="utf-8") == page, (
        "run: python tools/builtins_reference.py > docs/reference/builtins.md"
    )


def test_every_builtin_says_what_it_does() -> None:
    for spec in tool().all_specs():
        assert spec.internal or spec.documentation, spec.name
        assert len(spec.argument_names) in (0, spec.arity) or spec.arity == 0, spec.name
