"""docs/python.md shows what really happens."""

from __future__ import annotations

import doctest
from pathlib import Path

import frazil

PAGE = Path(__file__).parent.parent.parent / "docs/python.md"


def test_every_line_of_the_page(place: Path) -> None:
    frazil.close()
    try:
        outcome = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.REPORT_NDIFF)
    finally:
        frazil.close()
    assert outcome.attempted > 20
    assert outcome.failed == 0
