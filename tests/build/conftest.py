from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .support import Lab, need_namespaces


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A store below a folder, whose builds run in a sandbox."""
    need_namespaces()
    made = Lab(tmp_path)
    with made.store:
        yield made
    assert not made.events.running


@pytest.fixture
def plain_lab(tmp_path: Path) -> Iterator[Lab]:
    """A store at its logical place, for builds without a sandbox."""
    made = Lab(tmp_path, diverted=False)
    with made.store:
        yield made
    assert not made.events.running
