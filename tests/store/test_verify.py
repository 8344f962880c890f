"""Verification finds what is wrong and says so."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from frazil.store.errors import StoreError
from frazil.store.local import LocalStore
from frazil.store.path import StorePath

from .conftest import RecordingReporter, open_store


def errors(store: LocalStore) -> list[str]:
    assert isinstance(store.reporter, RecordingReporter)
    return store.reporter.errors


def test_modified_contents(store: LocalStore) -> None:
    path = store.add_text("x", b"good")
    real = Path(store.real_path(path))
    real.chmod(0o644)
    real.write_bytes(b"evil")
    assert store.verify()
    assert not store.verify(check_contents=True)
    assert [text.partition(", got")[0] for text in errors(store)] == [
        f"path '{store.show(path)}' was modified! expected hash '{store.query_info(path).nar_hash}'"
    ]


def test_vanished_paths(store: LocalStore) -> None:
    one = store.add_text("one", b"1")
    two = store.add_text("two", b"2", [one])
    three = store.add_text("three", b"3")
    os.unlink(store.real_path(three))
    assert store.verify()
    assert store.query_all_valid() == {one, two}
    os.unlink(store.real_path(one))
    assert not store.verify()
    assert errors(store) == [f"path '{store.show(one)}' disappeared, but it still has valid referrers!"]
    os.unlink(store.real_path(two))
    assert store.verify()
    assert store.query_all_valid() == set()


def test_a_chain_of_vanished_paths_goes_in_one_sweep(store: LocalStore) -> None:
    """However long: each path is looked at once for each of its referrers."""
    paths: list[StorePath] = []
    with store.deferred_registration():
        for number in range(300):
            paths.append(store.add_text(f"p{number}", b"%d" % number, paths[-1:]))
    for path in paths[10:]:
        os.unlink(store.real_path(path))
    assert store.verify()
    assert store.query_all_valid() == set(paths[:10])


def test_damaged_links(store: LocalStore) -> None:
    store.open()
    link = Path(store.config.real_store_dir, ".links", "0" * 52)
    link.write_bytes(b"x")
    assert not store.verify(check_contents=True)
    assert store.verify(check_contents=True, repair=True)
    assert not link.exists()


def test_missing_sizes_are_filled_in(store: LocalStore) -> None:
    path = store.add_text("x", b"x")
    with store.database.transaction() as connection:
        connection.execute("update ValidPaths set narSize = null, hash = 'sha256:' || ?", ("0" * 64,))
    assert store.verify(check_contents=True)
    assert store.query_info(path).nar_size == 120
    assert any(store.query_info(path).nar_hash.digest)


def test_repairing(store: LocalStore) -> None:
    path = store.add_text("x", b"good")
    real = Path(store.real_path(path))

    def damage() -> None:
        real.chmod(0o644)
        real.write_bytes(b"evil")

    def again(damaged: StorePath) -> None:
        assert damaged == path
        real.write_bytes(b"good")
        real.chmod(0o444)

    def cannot(damaged: StorePath) -> None:
        raise StoreError("cannot repair")

    damage()
    assert not store.verify(check_contents=True, repair_path=again)
    assert not store.verify(check_contents=True, repair=True)
    assert not store.verify(check_contents=True, repair=True, repair_path=cannot)
    assert store.verify(check_contents=True, repair=True, repair_path=again)
    assert store.verify(check_contents=True)


@pytest.mark.parametrize("evil", [b"evil", b"longer"])
def test_what_is_repaired_is_not_linked_to_damaged_contents(root: Path, tree: Path, evil: bytes) -> None:
    with open_store(root, auto_optimise_store=True) as store:
        path = store.add_path("tree", str(tree))
        pieces: list[bytes] = []
        store.dump_nar(path, pieces.append)
        real = Path(store.real_path(path), "a.txt")
        assert real.stat().st_nlink == 2 and real.read_bytes() == b"text"
        real.chmod(0o644)
        real.write_bytes(evil)
        real.chmod(0o444)
        store.add_nar(store.query_info(path), io.BytesIO(b"".join(pieces)).read, repair=True)
        assert real.read_bytes() == b"text"
        assert store.verify(check_contents=True)
