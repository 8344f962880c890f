"""Collecting when the disk gets full."""

from __future__ import annotations

from pathlib import Path

import pytest

from frazil.store.path import StorePath

from .conftest import open_store


def garbage(root: Path) -> list[StorePath]:
    with open_store(root) as store:
        return [store.add_text("garbage", b"%d" % number + b"." * 5000) for number in range(3)]


def test_collects_below_the_limit_only(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    garbage(root)
    free = tmp_path / "free"
    monkeypatch.setenv("_NIX_TEST_FREE_SPACE_FILE", str(free))
    with open_store(root, min_free=1000, max_free=8000, min_free_check_interval=0) as store:
        free.write_text("1001")
        store.collect_if_needed()
        assert len(store.query_all_valid()) == 3
        free.write_text("999")
        store.collect_if_needed()
        assert len(store.query_all_valid()) == 1
        store.collect_if_needed()
        assert len(store.query_all_valid()) == 1


def test_in_the_background(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    garbage(root)
    free = tmp_path / "free"
    free.write_text("0")
    monkeypatch.setenv("_NIX_TEST_FREE_SPACE_FILE", str(free))
    with open_store(root, min_free=1000, min_free_check_interval=0) as store:
        store.collect_if_needed(wait=False)
        kept = store.add_text("kept", b"")
    with open_store(root) as store:
        assert store.query_all_valid() == {kept}
        assert store.verify(check_contents=True)


def test_failures_are_warnings(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_NIX_TEST_FREE_SPACE_FILE", str(tmp_path / "free"))
    (tmp_path / "free").write_text("0")
    with open_store(root, min_free=1000) as store:
        store.open()
        (root / "nix" / "store" / ".links").rmdir()
        store.collect_if_needed()
