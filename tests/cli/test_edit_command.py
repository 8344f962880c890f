from __future__ import annotations

from pathlib import Path

import pytest

from frazil.cli.edit_command import editor, split_position
from frazil.errors import FrazilError

from .conftest import Run

NIX = ("nix", "--extra-experimental-features", "nix-command")


def test_editors_that_take_a_line() -> None:
    assert editor("vim -R", "/f", 3) == ["vim", "-R", "+3", "/f"]
    assert editor("ed", "/f", 3) == ["ed", "/f"]
    assert editor("", "/f", 0) == ["cat", "/f"]


@pytest.mark.parametrize("text", ["", "/f", "/f:x", "f:1", "/f:-1", "/f:" + "9" * 99])
def test_bad_positions(text: str) -> None:
    with pytest.raises(FrazilError):
        split_position(text)


def test_edit(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "cat")
    file = tmp_path / "p.nix"
    file.write_text('{ a.meta.position = "${toString ./p.nix}:1"; b = { }; }')
    assert run(*NIX, "edit", "-f", str(file), "a").out == file.read_text()
    assert "cannot find position information" in run(*NIX, "edit", "-f", str(file), "b").err
    monkeypatch.setenv("EDITOR", "/no/such/program")
    assert run(*NIX, "edit", "-f", str(file), "a").status == 1
