"""The generated reference pages are up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from frazil.cli.reference import PAGES

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), (
        "run: python -m frazil.cli.reference docs/reference"
    )
