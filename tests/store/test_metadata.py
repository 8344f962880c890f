"""Canonical metadata and deleting trees."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from frazil.store.errors import StoreError
from frazil.store.metadata import canonicalise, delete_tree, sync_tree


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_modes_and_times(tree: Path) -> None:
    (tree / "setuid").write_bytes(b"")
    (tree / "setuid").chmod(0o6755)
    (tree / "private").write_bytes(b"")
    (tree / "private").chmod(0o600)
    (tree / "group").write_bytes(b"")
    (tree / "group").chmod(0o611)
    canonicalise(str(tree))
    assert mode(tree) == mode(tree / "bin") == mode(tree / "setuid") == mode(tree / "bin" / "run") == 0o555
    assert mode(tree / "private") == mode(tree / "a.txt") == mode(tree / "group") == 0o444
    assert {p.lstat().st_mtime_ns for p in [tree, *tree.rglob("*")]} == {1_000_000_000}
    sync_tree(str(tree))
    assert delete_tree(str(tree)) > 0
    assert not tree.exists()


def test_links_are_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "f").write_bytes(b"x")
    (victim / "f").chmod(0o640)
    top = tmp_path / "top"
    top.mkdir()
    (top / "l").symlink_to(victim)
    canonicalise(str(top))
    assert mode(victim / "f") == 0o640 and victim.stat().st_mtime > 1
    delete_tree(str(top))
    assert (victim / "f").exists()
    (tmp_path / "l").symlink_to(victim)
    delete_tree(str(tmp_path / "l"))
    assert (victim / "f").exists()


def test_extended_attributes_go(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"")
    try:
        os.setxattr(path, "user.note", b"x")
    except OSError as error:
        pytest.skip(f"no extended attributes here: {error}")
    canonicalise(str(path), ignored_attributes=frozenset(["user.note"]))
    assert os.listxattr(path) == ["user.note"]
    path.chmod(0o644)
    canonicalise(str(path))
    assert os.listxattr(path) == []


def test_odd_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="unsupported type"):
        canonicalise(str(tmp_path))


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(StoreError, match="invalid ownership"):
        canonicalise(str(tmp_path), owner_range=(4_000_000, 4_000_001))
    status = (tmp_path / "f").stat()
    canonicalise(str(tmp_path / "f"), owner_range=(4_000_000, 4_000_001), seen={(status.st_dev, status.st_ino)})


def test_very_deep_trees_can_be_deleted(tmp_path: Path) -> None:
    top = tmp_path / "deep"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    delete_tree(str(top))
    assert not top.exists()


def test_deleting_nothing_is_fine(tmp_path: Path) -> None:
    assert delete_tree(str(tmp_path / "none")) == 0
