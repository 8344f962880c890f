"""Copies of store objects under the address of their contents."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from frazil.digest import Hash
from frazil.store.addressing import make_content_addressed
from frazil.store.config import StoreConfig
from frazil.store.errors import InvalidPath
from frazil.store.local import LocalStore
from frazil.store.nar import dump_path, hash_path
from frazil.store.path import StorePath
from frazil.store.path_info import PathInfo


def add(store: LocalStore, tmp_path: Path, name: str, text: str, references: set[StorePath]) -> StorePath:
    """An input-addressed object; `@` in the text is its own path."""
    path = StorePath(Hash.of("sha1", name.encode()).base32, name)
    file = tmp_path / name
    file.write_text(text.replace("@", store.show(path)))
    own = {path} if "@" in text else set()
    archive = io.BytesIO()
    dump_path(str(file), archive.write)
    archive.seek(0)
    store.add_nar(PathInfo(path, *hash_path(str(file)), references=frozenset(references | own)), archive.read)
    return path


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(StoreConfig.from_uri(f"local?root={tmp_path}/root", {}))


def test_a_closure_is_rewritten_from_its_leaves(store: LocalStore, tmp_path: Path) -> None:
    leaf = add(store, tmp_path, "leaf", "me @", set())
    top = add(store, tmp_path, "top", f"{store.show(leaf)} and {leaf.hash_part}", {leaf})
    told: list[tuple[StorePath, StorePath]] = []
    moved = make_content_addressed(store, store, [top], lambda old, new: told.append((old, new)))
    assert told == [(leaf, moved[leaf]), (top, moved[top])]
    assert Path(store.real_path(moved[leaf])).read_text() == f"me {store.show(moved[leaf])}"
    # Only whole store paths are references to rewrite.
    assert Path(store.real_path(moved[top])).read_text() == f"{store.show(moved[leaf])} and {leaf.hash_part}"
    for old, new in moved.items():
        info = store.query_info(new)
        assert old != new
        assert info.is_content_addressed(store.directory)
    assert store.query_info(moved[top]).references == {moved[leaf]}
    assert store.query_info(moved[leaf]).references == {moved[leaf]}
    assert store.verify(check_contents=True)
    assert make_content_addressed(store, store, [moved[top]])[moved[top]] == moved[top]


def test_where_it_refers_to_itself_counts(store: LocalStore, tmp_path: Path) -> None:
    zeros = "0" * 32
    one = add(store, tmp_path, "same", "@ @", set())
    other = add(store, tmp_path, "other", f"@ {store.directory.path}/{zeros}-same", set())
    moved = make_content_addressed(store, store, [one, other])
    assert moved[one].hash_part != moved[other].hash_part


def test_into_another_store(store: LocalStore, tmp_path: Path) -> None:
    leaf = add(store, tmp_path, "leaf", "text", set())
    with LocalStore(StoreConfig.from_uri(f"local?root={tmp_path}/second", {})) as target:
        new = make_content_addressed(store, target, [leaf])[leaf]
        assert target.is_valid(new)
        assert not store.is_valid(new)


def test_what_is_not_there(store: LocalStore) -> None:
    with pytest.raises(InvalidPath):
        make_content_addressed(store, store, [StorePath("0" * 32, "gone")])
