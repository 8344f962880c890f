"""A session in a store of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import frazil


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; everything frazil writes goes below the one above it."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("NIX_CONF_DIR", str(tmp_path / "no-configuration"))
    monkeypatch.setenv("NIX_REMOTE", f"local?root={tmp_path}/root")
    for name in ("NIX_CONFIG", "NIX_PATH"):
        monkeypatch.delenv(name, raising=False)
    return work


@pytest.fixture
def session(place: Path) -> Iterator[frazil.Session]:
    with frazil.Session() as made:
        yield made
