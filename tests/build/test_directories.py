"""Build directories: private, kept, left over."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from frazil.build.directories import BuildDirectory, remove_stale
from frazil.store.errors import StoreError


def warnings_of(parent: Path) -> list[str]:
    warnings: list[str] = []
    remove_stale(str(parent), warnings.append)
    return warnings


def test_one_in_use_is_left_alone(tmp_path: Path) -> None:
    directory = BuildDirectory(str(tmp_path / "builds"), None)
    directory.write("file", b"data")
    assert stat.S_IMODE(Path(directory.top).stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(directory.temporary).stat().st_mode) == 0o1777
    assert warnings_of(tmp_path / "builds") == []
    assert (Path(directory.path) / "file").read_bytes() == b"data"
    directory.remove()
    assert list((tmp_path / "builds").iterdir()) == []


def test_what_a_dead_process_left_goes(tmp_path: Path) -> None:
    left = tmp_path / "nix-frazil-1-0"
    (left / "build").mkdir(parents=True)
    left.chmod(0o700)
    foreign = tmp_path / "nix-1-2"
    foreign.mkdir(mode=0o700)
    assert warnings_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == [foreign]
    assert warnings_of(tmp_path / "absent") == []


def test_a_kept_one_stays(tmp_path: Path) -> None:
    directory = BuildDirectory(str(tmp_path), None)
    kept = Path(directory.keep())
    assert warnings_of(tmp_path) == []
    assert kept.is_dir()
    assert BuildDirectory(str(tmp_path), None).top != directory.top


def test_a_disk_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = BuildDirectory(str(tmp_path / "builds"), None)

    def fail(*arguments: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fchmod", fail)
    with pytest.raises(StoreError, match=r"writing '.*/file': Input/output error"):
        made.write("file", b"data")
    monkeypatch.setattr(os, "chmod", fail)
    with pytest.raises(StoreError, match=r"creating the build directory '.*': Input/output error"):
        BuildDirectory(str(tmp_path / "builds"), None)
    monkeypatch.undo()
    made.remove()
    assert warnings_of(tmp_path / "builds") == []
    assert list((tmp_path / "builds").iterdir()) == []
