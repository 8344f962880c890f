"""Writing ahead: what a thread wrote is registered when it is asked for, and nothing else ever is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from frazil.digest import Hash
from frazil.store import ahead, nar
from frazil.store.ahead import Ahead
from frazil.store.config import StoreConfig, StoreSettings
from frazil.store.local import LocalStore
from frazil.store.path import StorePath


def open_store(root: Path, **settings: object) -> LocalStore:
    return LocalStore(
        StoreConfig.from_uri(f"local?root={root}", {}),
        StoreSettings(reserved_space=4096, **settings),  # type: ignore[arg-type]
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with open_store(tmp_path / "root") as store:
        yield store


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    place = tmp_path / "tree"
    (place / "inner").mkdir(parents=True)
    (place / "inner/a").write_text("a")
    (place / "b").symlink_to("inner")
    return place


def begin(store: LocalStore) -> Ahead:
    made = Ahead.over(store)
    assert made is not None
    return made


def add_tree(made: Ahead, store: LocalStore, tree: Path) -> StorePath:
    packed = nar.pack_tree(str(tree), made.keeps)
    path = store.directory.make_fixed_output_path("nar", Hash("sha256", packed.digest), tree.name)
    made.add_archive(path.base, packed)
    return path


def add_text(made: Ahead, store: LocalStore, name: str, contents: bytes) -> StorePath:
    path = store.directory.make_text_path(name, Hash.of("sha256", contents).digest)
    made.add_text(path.base, contents)
    return path


def bring(made: Ahead, store: LocalStore, paths: list[StorePath]) -> set[StorePath]:
    assert made.protect([store.show(path) for path in paths]) == set()
    made.finish()
    return made.place_archives(paths)


def leftovers(store: LocalStore) -> list[str]:
    return [name for name in os.listdir(store.config.real_store_dir) if name.startswith("tmp-")]


def test_trees_and_texts(store: LocalStore, tree: Path) -> None:
    made = begin(store)
    path, text = add_tree(made, store, tree), add_text(made, store, "t", b"text")
    file, link = add_tree(made, store, tree / "inner/a"), add_tree(made, store, tree / "b")
    assert not store.is_valid(path)
    assert not os.path.lexists(store.real_path(path))
    assert bring(made, store, [file, path, link]) == {path, file, link}
    made.add_texts([(text, b"text", frozenset([store.show(path)]))])
    made.close()
    assert store.valid_among([path, text, file, link]) == {path, text, file, link}
    assert store.query_references(text) == {path}
    assert str(store.query_info(text).content_address).startswith("text:sha256:")
    assert str(store.query_info(path).content_address).startswith("fixed:r:sha256:")
    assert Path(store.real_path(path), "b/a").read_text() == "a"
    assert store.verify(check_contents=True)


def test_what_is_there_is_left_alone(store: LocalStore, tree: Path) -> None:
    path = store.add_path("tree", str(tree))
    made = begin(store)
    assert made.keeps
    for _ in range(5):
        assert add_tree(made, store, tree) == path
    assert not made.keeps  # all seems to be there
    assert made.protect([store.show(path)]) == {store.show(path)}
    made.close()
    assert not leftovers(store)


def test_an_archive_that_is_too_large_is_copied_in_the_ordinary_way(
    store: LocalStore, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "MOST_KEPT", 16)
    made = begin(store)
    assert bring(made, store, [add_tree(made, store, tree)]) == set()
    made.close()


def test_many_trees_are_locked_in_turns(store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "LOCKED_AT_ONCE", 2)
    made = begin(store)
    paths = []
    for number in range(5):
        folder = tmp_path / f"t{number}"
        folder.mkdir()
        paths.append(add_tree(made, store, folder))
    with store.deferred_registration():
        assert bring(made, store, paths) == set(paths)
    made.close()
    assert store.verify(check_contents=True)
    assert not [name for name in os.listdir(store.config.real_store_dir) if name.endswith(".lock")]


def test_garbage_in_the_way(store: LocalStore, tree: Path) -> None:
    made = begin(store)
    path, text = add_tree(made, store, tree), add_text(made, store, "t", b"text")
    for place in (store.real_path(path), store.real_path(text)):
        os.makedirs(f"{place}/half")
    assert bring(made, store, [path]) == set()
    made.add_texts([(text, b"text", frozenset())])
    assert store.add_path("tree", str(tree)) == path
    made.close()
    assert store.verify(check_contents=True)
    assert store.valid_among([path, text]) == {path, text}


def test_somebody_else_was_faster(store: LocalStore, tree: Path, tmp_path: Path) -> None:
    made = begin(store)
    path = add_tree(made, store, tree)
    assert made.protect([store.show(path)]) == set()
    with open_store(tmp_path / "root") as other:
        other.add_path("tree", str(tree))
    inode = os.stat(store.real_path(path)).st_ino
    made.finish()
    assert made.place_archives([path]) == {path}
    assert os.stat(store.real_path(path)).st_ino == inode
    made.close()


def test_a_collector_that_does_not_know_our_folder(store: LocalStore, tree: Path) -> None:
    made = begin(store)
    path, text = add_tree(made, store, tree), add_text(made, store, "t", b"text")
    made.finish()
    for name in leftovers(store):
        shutil.rmtree(os.path.join(store.config.real_store_dir, name))
    assert bring(made, store, [path]) == set()
    made.add_texts([(text, b"text", frozenset())])
    assert store.is_valid(text)
    made.close()


def test_closing_leaves_nothing(store: LocalStore, tree: Path) -> None:
    made = begin(store)
    path = add_tree(made, store, tree)
    made.finish()
    assert os.listdir(os.path.join(store.config.real_store_dir, leftovers(store)[0]))
    made.close()
    assert not os.listdir(os.path.join(store.config.real_store_dir, leftovers(store)[0]))
    assert not store.is_valid(path)
    again = begin(store)
    add_tree(again, store, tree)
    store.close()
    assert not leftovers(store)
    assert not store.ahead


def test_stores_that_are_no_plain_files(tmp_path: Path, store: LocalStore) -> None:
    assert Ahead.over(LocalStore(store.config, compute_only=True)) is None
    assert Ahead.over(open_store(tmp_path / "one", auto_optimise_store=True)) is None
    assert Ahead.over(open_store(tmp_path / "two", fsync_store_paths=True)) is None
    assert not (tmp_path / "one").exists()
    read_only = StoreConfig.from_uri(f"local?root={tmp_path / 'root'}&read-only=true", {})
    assert Ahead.over(LocalStore(read_only)) is None
