"""The database: what it keeps, what it refuses, and what it says when it is broken."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from frazil.digest import Hash
from frazil.store.config import StoreSettings
from frazil.store.content_address import ContentAddress
from frazil.store.database import Database
from frazil.store.errors import CorruptDatabase, InvalidPath, StoreError
from frazil.store.path import StoreDirectory, StorePath
from frazil.store.path_info import PathInfo

DIRECTORY = StoreDirectory()


def path(number: int, name: str = "x") -> StorePath:
    return StorePath(f"{number:032d}", name)


def info(number: int, *references: int, name: str = "x") -> PathInfo:
    return PathInfo(
        path(number, name), Hash.of("sha256", b"%d" % number), 8 * number, frozenset(map(path, references)), None, 5
    )


def no_outputs(asked: StorePath) -> dict[str, str]:
    return {}


def open_database(folder: Path, **options: bool) -> Database:
    return Database(str(folder), DIRECTORY, StoreSettings(), **options)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path)
    yield opened
    opened.close()


def test_what_goes_in_comes_out(database: Database, tmp_path: Path) -> None:
    full = PathInfo(
        path(2, "y"),
        Hash.of("sha256", b"y"),
        2**40,
        frozenset([path(1), path(2, "y")]),
        path(9, "d.drv"),
        123,
        True,
        frozenset(["a:AAAA", "b:BBBB"]),
        ContentAddress("nar", Hash.of("sha1", b"")),
    )
    database.register([full, info(1)], no_outputs)
    assert database.info(path(2, "y")) == full
    assert database.info(path(1)) == info(1)
    assert database.info(path(3)) is None
    assert database.references(path(2, "y")) == {path(1), path(2, "y")}
    assert database.referrers(path(1)) == {path(2, "y")}
    assert database.all_valid() == {path(1), path(2, "y")}
    assert database.valid_among([path(1), path(7)]) == {path(1)}
    assert database.from_hash_part(path(2).hash_part) == path(2, "y")
    assert database.from_hash_part(path(7).hash_part) is None
    assert (tmp_path / "schema").read_bytes() == b"10"


def test_registering_is_all_or_nothing(database: Database) -> None:
    with pytest.raises(InvalidPath, match="is not valid"):
        database.register([info(1), info(2, 3)], no_outputs)
    assert database.all_valid() == set()


def test_registering_again_updates(database: Database) -> None:
    database.register([info(1)], no_outputs)
    database.register([info(1).with_(nar_size=99, ultimate=True)], no_outputs)
    found = database.info(path(1))
    assert found is not None and found.nar_size == 99 and found.ultimate


def test_outputs(database: Database) -> None:
    drv = path(1, "a.drv")
    database.register(
        [info(1, name="a.drv")], lambda asked: {"out": DIRECTORY.show(path(5)), "dev": DIRECTORY.show(path(6))}
    )
    rows = database.rows("select d.id, d.path from DerivationOutputs d join ValidPaths v on d.drv = v.id")
    assert dict(rows) == {"out": DIRECTORY.show(path(5)), "dev": DIRECTORY.show(path(6))}
    assert database.valid_derivers(path(5)) == {drv}
    database.invalidate(drv)
    assert database.valid_derivers(path(5)) == set()


def test_self_references_do_not_hinder_deletion(database: Database) -> None:
    database.register([info(1, 1), info(2, 1)], no_outputs)
    with pytest.raises(StoreError):
        database.invalidate(path(1))
    database.invalidate(path(2))
    database.invalidate(path(1))
    assert database.all_valid() == set()


def test_realisations(database: Database) -> None:
    drv = path(1, "a.drv")
    assert database.realisation(drv, "out") is None
    database.delete_realisation(drv, "out")
    database.register_realisation(drv, "out", path(2), frozenset(["k:s"]))
    database.register_realisation(drv, "out", path(2), frozenset(["l:s"]))
    assert database.realisation(drv, "out") == (path(2), frozenset(["k:s", "l:s"]))
    with pytest.raises(StoreError, match="already have another"):
        database.register_realisation(drv, "out", path(3))
    database.delete_realisation(drv, "out")
    assert database.realisation(drv, "out") is None


def test_reopening(tmp_path: Path) -> None:
    first = open_database(tmp_path)
    first.register([info(1)], no_outputs)
    second = open_database(tmp_path)
    assert second.is_valid(path(1))
    second.register([info(2)], no_outputs)
    assert first.is_valid(path(2))
    first.close()
    second.close()
    reader = open_database(tmp_path, read_only=True)
    assert reader.all_valid() == {path(1), path(2)}
    reader.close()


@pytest.mark.parametrize("schema", ["6", "7", "8", "9", "killed"])
def test_old_schemas_are_upgraded(tmp_path: Path, schema: str) -> None:
    """`killed`: somebody did so, and died before it was written down."""
    with sqlite3.connect(tmp_path / "db.sqlite") as old:
        old.execute(
            "create table ValidPaths (id integer primary key autoincrement not null, path text unique not null,"
            " hash text not null, registrationTime integer not null, deriver text, narSize integer)"
        )
        old.execute("create table Refs (referrer integer, reference integer, primary key (referrer, reference))")
        old.execute("create index IndexReferrer on Refs(referrer)")
        old.execute("create table FailedPaths (path text)")
        old.execute("create table DerivationOutputs (drv integer, id text, path text, primary key (drv, id))")
        row = (DIRECTORY.show(path(1)), "sha256:" + Hash.of("sha256", b"1").base16, 5, 8)
        old.execute("insert into ValidPaths (path, hash, registrationTime, narSize) values (?, ?, ?, ?)", row)
        if schema in ("8", "9", "killed"):
            old.execute("alter table ValidPaths add column ultimate integer")
            old.execute("alter table ValidPaths add column sigs text")
        if schema in ("9", "killed"):
            old.execute("drop table FailedPaths")
        if schema == "killed":
            old.execute("alter table ValidPaths add column ca text")
    old.close()
    (tmp_path / "schema").write_text("7" if schema == "killed" else schema)
    database = open_database(tmp_path)
    assert database.info(path(1)) == info(1)
    names = {row[0] for row in database.rows("select name from sqlite_master")}
    assert "FailedPaths" not in names and "IndexReferrer" not in names
    database.close()
    assert (tmp_path / "schema").read_text() == "10"


@pytest.mark.parametrize(
    ("schema", "kind", "message"),
    [
        ("11", StoreError, "version 11, but I only support 10"),
        ("5", StoreError, "old format 5"),
        ("ten", CorruptDatabase, "is corrupt"),
        ("", CorruptDatabase, "is corrupt"),
    ],
)
def test_schema_files(tmp_path: Path, schema: str, kind: type[StoreError], message: str) -> None:
    open_database(tmp_path).close()
    (tmp_path / "schema").write_text(schema)
    with pytest.raises(kind, match=message) as caught:
        open_database(tmp_path)
    assert caught.value.hint
    with pytest.raises(kind):
        open_database(tmp_path)


def damage(folder: Path, contents: bytes) -> None:
    open_database(folder).close()
    for name in ("db.sqlite", "db.sqlite-wal", "db.sqlite-shm"):
        (folder / name).unlink(missing_ok=True)
    (folder / "db.sqlite").write_bytes(contents)


@pytest.mark.parametrize("contents", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4096, b""])
def test_corrupt_files(tmp_path: Path, contents: bytes) -> None:
    damage(tmp_path, contents)
    with pytest.raises(CorruptDatabase) as caught:
        database = open_database(tmp_path)
        try:
            database.all_valid()
        finally:
            database.close()
    assert caught.value.hint and "corrupt" in caught.value.message


def test_missing_file(tmp_path: Path) -> None:
    open_database(tmp_path).close()
    (tmp_path / "db.sqlite").unlink()
    with pytest.raises(StoreError) as caught:
        open_database(tmp_path)
    assert caught.value.hint


def test_corrupt_rows(database: Database) -> None:
    database.register([info(1), info(2, 1)], no_outputs)
    with database.transaction() as connection:
        connection.execute("update ValidPaths set hash = 'sha256:zz' where path = ?", (DIRECTORY.show(path(1)),))
        connection.execute("insert into ValidPaths (path, hash, registrationTime) values ('/elsewhere', 'x', 0)")
    with pytest.raises(CorruptDatabase, match="invalid-path entry"):
        database.info(path(1))
    with pytest.raises(CorruptDatabase, match="invalid path '/elsewhere'"):
        database.all_valid()


def test_nothing_is_created_for_reading(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be created in read-only mode"):
        open_database(tmp_path, read_only=True)
    assert not os.path.exists(tmp_path / "db.sqlite")


def test_more_paths_than_a_statement_takes(database: Database) -> None:
    infos = [info(0), *[info(number, number - 1, 0) for number in range(1, 1300)]]
    database.register(infos[:2], no_outputs)
    database.invalidate(path(1))
    database.register(infos, no_outputs)
    assert database.valid_among([path(number) for number in range(2000)]) == {path(number) for number in range(1300)}
    assert database.references(path(1299)) == {path(0), path(1298)}
    # Numbers are never used again, as SQLite's own would not be.
    assert database.rows("select min(id), max(id), count(*) from ValidPaths") == [(1, 1301, 1300)]


def test_a_path_named_twice(database: Database) -> None:
    twice = info(1).with_(nar_size=99)
    database.register([info(1), twice], no_outputs)
    found = database.info(path(1))
    assert found is not None
    assert found.nar_size == 99


def test_hashes_alone(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    infos = [info(number) for number in range(1, 5)]
    database.register(infos, no_outputs)
    wanted = [infos[2].path, path(9), infos[0].path]
    assert list(database.nar_hashes(wanted)) == [(infos[n].path, infos[n].nar_hash) for n in (2, 0)]
    with database.transaction() as connection:
        connection.execute("update ValidPaths set hash = ?", (b"\xff",))
    with pytest.raises(CorruptDatabase):
        list(database.nar_hashes(wanted))
    database.close()


def test_what_is_no_text_is_not_recorded(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    database.register([info(1)], no_outputs)
    foreign = info(2).with_(signatures=frozenset(["key:\udce0AA"]))
    with pytest.raises(StoreError, match="not valid UTF-8"):
        database.register([foreign], no_outputs)
    assert database.all_valid() == {path(1)}
    database.close()
