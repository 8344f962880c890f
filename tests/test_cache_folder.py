"""Folders for what can be found out again."""

from __future__ import annotations

from pathlib import Path

import pytest

from frazil.cache_folder import make_optional_folder


def test_an_absent_home_stays_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "homeless-shelter"))
    with pytest.raises(FileNotFoundError):
        make_optional_folder(str(tmp_path / "homeless-shelter/.cache/frazil"))
    assert list(tmp_path.iterdir()) == []
    make_optional_folder(str(tmp_path / "elsewhere/cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    make_optional_folder(str(tmp_path / ".cache/frazil"))
    assert (tmp_path / ".cache/frazil").is_dir() and (tmp_path / "elsewhere/cache").is_dir()
