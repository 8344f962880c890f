"""Noticing commits without asking the database, and what is remembered because of it."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from frazil.store import changes
from frazil.store.changes import Changes
from frazil.store.config import StoreConfig
from frazil.store.database import Database
from frazil.store.local import LocalStore
from frazil.store.path import StorePath


def opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("create table if not exists t (x)")
    return connection


def test_each_commit_gives_another_mark(tmp_path: Path) -> None:
    file = tmp_path / "db"
    ours, theirs = opened(file), opened(file)
    watch = Changes(str(tmp_path), "db")
    assert watch.mark() is None
    watch.look()
    marks = [watch.mark()]
    for number in range(5):
        theirs.execute("insert into t values (?)", (number,))
        marks.append(watch.mark())
        assert ours.execute("select count(*) from t").fetchone() == (number + 1,)
        assert watch.mark() == marks[-1]
    assert len(set(marks)) == 6
    theirs.execute("begin")
    theirs.execute("insert into t values (9)")
    assert watch.mark() == marks[-1]
    theirs.execute("rollback")
    assert watch.mark() == marks[-1]
    theirs.execute("pragma wal_checkpoint(truncate)")
    theirs.execute("insert into t values (10)")
    assert watch.mark() not in marks
    for connection in (ours, theirs):
        connection.close()
    watch.close()


def test_what_is_no_such_index(tmp_path: Path) -> None:
    (tmp_path / "empty-shm").write_bytes(b"")
    (tmp_path / "other-shm").write_bytes(bytes(8192))
    for name in ("absent", "empty", "other"):
        watch = Changes(str(tmp_path), name)
        watch.look()
        assert watch.mark() is None
        watch.close()


def _is_locked(path: str) -> bool:
    """Whether another process holds SQLite's lock on the index that says: in use."""
    import fcntl
    import struct

    with open(path, "rb+") as file:
        flock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 128, 1, 0)
        found: int = struct.unpack("hhqqi", fcntl.fcntl(file, fcntl.F_GETLK, flock))[0]
        return found != fcntl.F_UNLCK


def test_closing_one_leaves_the_locks_of_others(tmp_path: Path) -> None:
    """Also where the other never looked."""
    file = tmp_path / "db"
    os.symlink(tmp_path, tmp_path / "link")
    connection = opened(file)
    first, second = Changes(str(tmp_path), "db"), Changes(str(tmp_path / "link"), "db")
    first.look()
    assert first.mark()
    first.close()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_is_locked, (f"{file}-shm",))
    connection.close()
    second.close()


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(StoreConfig.from_uri(f"local?root={tmp_path}", {}))


def asked(store: LocalStore, path: StorePath) -> tuple[bool, bool]:
    """Often enough that answers are remembered."""
    for _ in range(12):
        found = (store.is_registered(path), store.query_info_or_none(path) is not None)
    return found


def test_remembered_answers_hold_while_nothing_is_committed(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.add_text("thing", b"contents")
    assert asked(store, path) == (True, True)
    questions: list[str] = []
    rows = Database.rows

    def counted(database: Database, statement: str, parameters: Sequence[object] = ()) -> list[Any]:
        questions.append(statement)
        return rows(database, statement, parameters)

    monkeypatch.setattr(Database, "rows", counted)
    assert asked(store, path) == (True, True)
    assert not questions
    with LocalStore(StoreConfig.from_uri(f"local?root={tmp_path}", {})) as other:
        later = other.directory.make_text_path("later", hashlib.sha256(b"x").digest())
        assert asked(store, later) == (False, False)
        other.add_text("later", b"x")
        assert asked(store, later) == (True, True)
        other.database.invalidate(later)
        assert asked(store, later) == (False, False)
        assert asked(store, path) == (True, True)
        other.add_signatures(path, ["key:AAAA"])
    info = store.query_info(path)
    assert info.signatures == {"key:AAAA"}
    store.close()


def test_within_a_transaction_nothing_is_remembered(store: LocalStore) -> None:
    path = store.add_text("thing", b"contents")
    assert asked(store, path) == (True, True)
    shown = store.directory.show(path)
    with store.database.transaction() as connection:
        connection.execute("delete from ValidPaths where path = ?", (shown,))
        assert not store.database.is_valid(path)
        connection.execute("rollback")
        connection.execute("begin immediate")
    assert asked(store, path) == (True, True)
    store.close()


def test_a_closed_store_leaves_no_mapping(store: LocalStore) -> None:
    asked(store, store.add_text("thing", b"contents"))
    before = len(changes._databases)
    store.close()
    assert len(changes._databases) == before - 1
