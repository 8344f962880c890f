"""Stores on top of others. The file system is not mounted here: what is looked at is who knows and deletes what."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from frazil.activity import Reporter
from frazil.errors import UsageError
from frazil.store.config import StoreSettings
from frazil.store.errors import StoreError
from frazil.store.local import LocalStore
from frazil.store.opening import open_store
from frazil.store.overlay import LocalOverlayStore


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[LocalStore, LocalOverlayStore, Path]]:
    hook = tmp_path / "hook"
    hook.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/remounted\n')
    hook.chmod(0o755)
    upper = tmp_path / "merged/nix/store"  # one folder plays both the upper layer and the mounted overlay
    address = (
        f"local-overlay://?root={tmp_path}/merged&lower-store={tmp_path}/lower&upper-layer={upper}"
        f"&check-mount=false&remount-hook={hook}"
    )
    lower = open_store(f"{tmp_path}/lower", StoreSettings(), Reporter(), {})
    over = open_store(address, StoreSettings(), Reporter(), {})
    assert isinstance(lower, LocalStore) and isinstance(over, LocalOverlayStore)
    with lower, over:
        yield lower, over, tmp_path


def test_what_the_lower_store_has_is_had(stores: tuple[LocalStore, LocalOverlayStore, Path]) -> None:
    lower, over, _ = stores
    needed = lower.add_text("needed", b"1", ())
    path = lower.add_text("x", b"2", [needed])
    assert over.query_info(path).references == {needed}
    assert over.valid_among([path]) == {path}
    assert {path, needed} <= over.query_all_valid(), "registered above when first asked for"
    assert over.query_referrers(needed) == {path}
    assert over.query_from_hash_part(path.hash_part) == path


def test_the_lower_store_is_only_read(stores: tuple[LocalStore, LocalOverlayStore, Path]) -> None:
    lower, over, _ = stores
    below = lower.add_text("below", b"1", ())
    assert over.is_valid(below)
    above = over.add_text("above", b"2", [below])
    assert over.query_info(above).references == {below}
    assert not lower.is_valid(above)
    over.close()  # and with it what this process holds
    over.open().delete([above, below])
    assert lower.is_valid(below) and os.path.exists(lower.real_path(below))
    assert not over.is_registered(above)


def test_a_double_is_deleted_above_and_the_overlay_mounted_again(
    stores: tuple[LocalStore, LocalOverlayStore, Path],
) -> None:
    lower, over, folder = stores
    path = over.add_text("x", b"1", ())
    assert lower.add_text("x", b"1", ()) == path
    over.optimise()
    assert not os.path.exists(over.real_path(path)), "the lower one is seen instead"
    assert over.is_valid(path)
    assert (folder / "remounted").read_text() == f"{folder}/merged/nix/store\n"


def test_what_is_not_mounted_is_refused(tmp_path: Path) -> None:
    address = f"local-overlay://?root={tmp_path}/merged&lower-store={tmp_path}/lower"
    with pytest.raises(UsageError, match="upper-layer"):
        open_store(address, StoreSettings(), Reporter(), {})
    with pytest.raises(StoreError, match="mounted incorrectly"):
        open_store(f"{address}&upper-layer={tmp_path}/upper", StoreSettings(), Reporter(), {})
