"""What is put into a binary cache through the store that evaluation wants, and what a cache cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from frazil.store.config import StoreConfig, StoreSettings
from frazil.store.errors import UnsupportedOperation
from frazil.store.forwarding import ForwardingStore
from frazil.store.garbage import Options
from frazil.store.local import LocalStore
from frazil.store.opening import open_store

from .conftest import RecordingReporter


@pytest.fixture
def forwarding(tmp_path: Path) -> ForwardingStore:
    address = f"file://{tmp_path}/cache?compression=none"
    target = open_store(address, StoreSettings(), RecordingReporter(), {})
    return ForwardingStore(StoreConfig.computing(target.directory.path, {}), target, address)


def test_what_is_added_comes_to_the_cache(forwarding: ForwardingStore, tmp_path: Path) -> None:
    path = forwarding.add_text("x", b"text")
    forwarding.flush()
    assert forwarding.query_all_valid() == {path}
    assert (tmp_path / "cache" / f"{path.hash_part}.narinfo").exists()


def test_what_a_cache_cannot_do(forwarding: ForwardingStore, store: LocalStore, tmp_path: Path) -> None:
    """It is said, and nothing else is taken instead: not the machine's own store."""
    path = forwarding.add_text("x", b"text")
    forwarding.flush()
    for collecting in (
        lambda: forwarding.collect_garbage(Options()),
        lambda: forwarding.find_roots(),
        lambda: forwarding.delete([path], ignore_liveness=True),
    ):
        with pytest.raises(UnsupportedOperation, match="Garbage collection not supported by store 'file:"):
            collecting()
    assert forwarding.verify(check_contents=True)
    assert "no database to verify" in str(forwarding.reporter.lines)  # type: ignore[attr-defined]
    with pytest.raises(UnsupportedOperation, match="queryReferrers"):
        forwarding.query_referrers(path)
    with pytest.raises(UnsupportedOperation, match="Registering"):
        forwarding.require_writable()
    forwarding.optimise()
    assert (tmp_path / "cache" / f"{path.hash_part}.narinfo").exists()
