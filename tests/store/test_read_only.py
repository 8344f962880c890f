"""Stores that were opened for reading: every question answered, nothing written, not even a lock."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from frazil.errors import UsageError
from frazil.store import garbage, nar
from frazil.store.config import StoreConfig, StoreSettings
from frazil.store.errors import ReadOnlyStore, StoreError
from frazil.store.local import LocalStore
from frazil.store.path import StorePath

from .conftest import RecordingReporter, open_store


def snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            status = os.lstat(os.path.join(parent, name))
            found[os.path.join(parent, name)] = (status.st_mode, status.st_size, status.st_mtime_ns)
    return found


@pytest.fixture
def filled(root: Path, tree: Path) -> dict[str, StorePath]:
    with open_store(root) as store:
        one = store.add_text("one", b"1")
        paths = {"one": one, "two": store.add_text("two", b"2", [one]), "tree": store.add_path("tree", str(tree))}
        store.add_permanent_root(one, str(root / "result"))
    return paths


@pytest.fixture
def store(root: Path, filled: dict[str, StorePath]) -> Iterator[LocalStore]:
    config = StoreConfig.from_uri(f"local?root={root}&read-only=true", {})
    with LocalStore(config, StoreSettings(), RecordingReporter()) as opened:
        yield opened


def test_questions_leave_no_trace(root: Path, store: LocalStore, filled: dict[str, StorePath], tree: Path) -> None:
    before = snapshot(root)
    assert store.query_all_valid() == set(filled.values())
    assert store.closure([filled["two"]]) == {filled["one"], filled["two"]}
    assert store.verify(check_contents=True)
    assert store.find_roots() == {filled["one"]: {str(root / "result")}}
    dead = store.collect_garbage(garbage.Options(action=garbage.RETURN_DEAD)).paths
    assert dead == sorted([store.show(filled["two"]), store.show(filled["tree"])])
    live = store.collect_garbage(garbage.Options(action=garbage.RETURN_LIVE)).paths
    assert live == [store.show(filled["one"])]
    # What is there already needs no writing.
    assert store.add_text("one", b"1") == filled["one"]
    assert store.add_path("tree", str(tree)) == filled["tree"]
    store.add_temporary_root(filled["one"])
    store.close()
    assert snapshot(root) == before


def archive() -> nar.Read:
    out = io.BytesIO()
    nar.dump_file(b"new", out.write)
    return io.BytesIO(out.getvalue()).read


CHANGES: dict[str, Callable[[LocalStore, StorePath, Path], object]] = {
    "add_text": lambda store, one, tree: store.add_text("new", b"new"),
    "add_bytes": lambda store, one, tree: store.add_bytes("new", b"new"),
    "add_path": lambda store, one, tree: store.add_path("new", str(tree / "a.txt")),
    "add_path (tree)": lambda store, one, tree: store.add_path("new", str(tree)),
    "add_from_nar": lambda store, one, tree: store.add_from_nar("new", archive()),
    "add_nar": lambda store, one, tree: store.add_nar(
        store.query_info(one).with_(path=StorePath("0" * 32, "new")), archive()
    ),
    "register": lambda store, one, tree: store.register([store.query_info(one)]),
    "path_locks": lambda store, one, tree: store.path_locks([one]),
    "working_path": lambda store, one, tree: store.working_path("x"),
    "invalidate": lambda store, one, tree: store.invalidate(one),
    "add_signatures": lambda store, one, tree: store.add_signatures(one, ["key:AAAA"]),
    "register_realisation": lambda store, one, tree: store.register_realisation(one, "out", one),
    "collect": lambda store, one, tree: store.collect_garbage(garbage.Options()),
    "delete": lambda store, one, tree: store.delete([one], ignore_liveness=True),
    "optimise": lambda store, one, tree: store.optimise(),
    "add_permanent_root": lambda store, one, tree: store.add_permanent_root(one, str(tree / "result")),
    "add_indirect_root": lambda store, one, tree: store.add_indirect_root(str(tree / "result")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_are_refused(
    root: Path, store: LocalStore, filled: dict[str, StorePath], tree: Path, change: str
) -> None:
    before = snapshot(root)
    with pytest.raises(ReadOnlyStore, match="attempt to write a readonly database"):
        CHANGES[change](store, filled["one"], tree)
    assert snapshot(root) == before


def test_the_database_itself_refuses(store: LocalStore) -> None:
    with pytest.raises(StoreError, match="readonly database"), store.database.transaction() as connection:
        connection.execute("delete from ValidPaths")


def test_a_vanished_path_is_an_error(root: Path, store: LocalStore, filled: dict[str, StorePath]) -> None:
    Path(store.real_path(filled["two"])).unlink()
    before = snapshot(root)
    assert not store.verify()
    assert snapshot(root) == before


def test_no_database(root: Path) -> None:
    with (
        LocalStore(StoreConfig.from_uri(f"local?root={root}&read-only=1", {})) as store,
        pytest.raises(StoreError, match="database does not exist, and cannot be created in read-only mode"),
    ):
        store.query_all_valid()
    assert not list(root.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folders_without_the_right_to_write(root: Path, store: LocalStore) -> None:
    folder = Path(store.config.real_store_dir)
    folder.chmod(0o555)
    try:
        with pytest.raises(ReadOnlyStore, match="Permission denied"):
            store.add_text("new", b"new")
    finally:
        folder.chmod(0o755)


def test_parameters_are_checked(root: Path) -> None:
    for parameter in ("read-only", "require-sigs", "ignore-gc-delete-failure"):
        with pytest.raises(UsageError, match=f"Boolean setting '{parameter}' has invalid value 'perhaps'"):
            LocalStore(StoreConfig.from_uri(f"local?root={root}&{parameter}=perhaps", {}))
    assert StoreConfig.from_uri(f"local?root={root}&use-roots-daemon=true", {}).asks_for_roots
    config = StoreConfig.from_uri(f"local?root={root}&require-sigs=false", {})
    assert not LocalStore(config, StoreSettings(require_signatures=True)).settings.require_signatures
