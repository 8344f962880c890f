"""What binary caches said of paths, kept on disk for some time: C++ Nix's own database, which both programs share.

In: a cache's address, hash parts. Out: `NarInfo`, "it does not have that", or nothing known. Nothing here is needed: a
database that cannot be opened or written is done without. Source of truth: the settings `narinfo-cache-…-ttl`; schema 8
of `binary-cache-v8.sqlite`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from frazil.cache_folder import file_identity, make_optional_folder
from frazil.digest import DigestError, Hash
from frazil.record import Record
from frazil.store.config import LookupSettings
from frazil.store.content_address import ContentAddress
from frazil.store.errors import StoreError
from frazil.store.narinfo import NarInfo
from frazil.store.path import StorePath
from frazil.store.path_info import PathInfo
from frazil.store.realisation import Realisation

if TYPE_CHECKING:
    import sqlite3

_SCHEMA = (
    "create table if not exists BinaryCaches (id integer primary key autoincrement not null, url text unique not null,"
    " timestamp integer not null, storeDir text not null, wantMassQuery integer not null, priority integer not null)",
    "create table if not exists NARs (cache integer not null, hashPart text not null, namePart text, url text,"
    " compression text, fileHash text, fileSize integer, narHash text, narSize integer, refs text, deriver text,"
    " sigs text, ca text, timestamp integer not null, present integer not null, primary key (cache, hashPart),"
    " foreign key (cache) references BinaryCaches(id) on delete cascade)",
    "create table if not exists BuildTrace (cache integer not null, drvPath text not null, outputName text not null,"
    " outputPath text, sigs text, timestamp integer not null, primary key (cache, drvPath, outputName),"
    " foreign key (cache) references BinaryCaches(id) on delete cascade)",
    "create table if not exists LastPurge (dummy text primary key, value integer)",
)
_FILE_NAME = "binary-cache-v8.sqlite"
_PURGE_INTERVAL = 24 * 3600
_LEAST_NEGATIVE = 3600
_LEAST_POSITIVE = 30 * 24 * 3600
_PENDING = 256
_AT_ONCE = 500


def _damage() -> tuple[type[Exception], ...]:
    """What a database that cannot be used raises: even its error messages may be no text."""
    import sqlite3

    return sqlite3.Error, UnicodeDecodeError


class CacheFacts(Record):
    """What `nix-cache-info` said, and the number of the cache here."""

    identifier: int
    store_dir: str
    wants_mass_query: bool
    priority: int


def default_directory(environment: Mapping[str, str]) -> str:
    if environment.get("NIX_CACHE_HOME"):
        return environment["NIX_CACHE_HOME"]
    base = environment.get("XDG_CACHE_HOME") or os.path.join(
        environment.get("HOME") or os.path.expanduser("~"), ".cache"
    )
    return f"{base}/nix"


class InfoCache:
    """For all threads. Answers are written together, some time after they were given."""

    def __init__(self, settings: LookupSettings, environment: Mapping[str, str]) -> None:
        self.settings = settings
        self._folder = settings.directory or default_directory(environment)
        self._mutex = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._process = 0
        self._broken = False
        self._pending: list[tuple[str, tuple[Any, ...]]] = []
        self._traces: dict[tuple[int, StorePath, str], Realisation | None] = {}
        """What was noted of build traces and may not be written yet."""

    # ----------------------------------------------------------------------------------------------------- database

    def _open(self) -> sqlite3.Connection | None:
        if self._process != os.getpid():
            self._connection, self._process = None, os.getpid()
            self._pending = []
        if self._connection is None and not self._broken:
            import sqlite3

            try:
                make_optional_folder(self._folder)
                path = f"{self._folder}/{_FILE_NAME}"
                connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
                self._file = file_identity(path)
                connection.execute("pragma synchronous = off")
                connection.execute("pragma journal_mode = wal")
                for statement in _SCHEMA:
                    connection.execute(statement)
                self._connection = connection
                self._purge(connection)
            except (OSError, TypeError, UnicodeDecodeError, sqlite3.Error) as error:
                self._give_up(error)
        return self._connection

    def _give_up(self, error: Exception) -> None:
        """A damaged file is deleted: the next program begins another one."""
        import sqlite3

        self._broken, self._connection = True, None
        damaged = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        path = f"{self._folder}/{_FILE_NAME}"
        is_damaged = isinstance(error, UnicodeDecodeError) or getattr(error, "sqlite_errorcode", 0) & 0xFF in damaged
        if is_damaged and self._file == file_identity(path):
            for ending in ("", "-wal", "-shm"):
                try:
                    os.unlink(path + ending)
                except OSError:
                    pass

    def _purge(self, connection: sqlite3.Connection) -> None:
        now = int(time.time())
        row = connection.execute("select value from LastPurge").fetchone()
        if row is not None and row[0] >= now - _PURGE_INTERVAL:
            return
        negative = now - max(self.settings.negative_ttl, _LEAST_NEGATIVE)
        positive = now - max(self.settings.positive_ttl, _LEAST_POSITIVE)
        connection.execute(
            "delete from NARs where (present = 0 and timestamp < ?) or (present = 1 and timestamp < ?)",
            (negative, positive),
        )
        connection.execute("insert or replace into LastPurge(dummy, value) values ('', ?)", (now,))

    def _rows(self, statement: str, parameters: Iterable[object]) -> list[Any]:

        with self._mutex:
            connection = self._open()
            if connection is None:
                return []
            try:
                return connection.execute(statement, tuple(parameters)).fetchall()
            except _damage() as error:
                self._give_up(error)
                return []

    def _note(self, statement: str, values: tuple[Any, ...]) -> None:
        if not _is_text("".join([value for value in values if isinstance(value, str)])):
            return  # a cache may say anything; what no database can hold is asked for again
        with self._mutex:
            self._pending.append((statement, values))
            if len(self._pending) >= _PENDING:
                self.flush()

    def flush(self) -> None:
        """Writes what was noted. Whoever keeps the database busy for long makes us forget it."""

        with self._mutex:
            connection = self._open()
            pending, self._pending = self._pending, []
            if connection is None or not pending:
                return
            try:
                connection.execute("begin immediate")
                try:
                    for statement, group in groupby(pending, lambda noted: noted[0]):
                        connection.executemany(statement, [values for _, values in group])
                    connection.execute("commit")
                finally:
                    if connection.in_transaction:
                        connection.execute("rollback")
            except _damage() as error:
                self._give_up(error)

    def close(self) -> None:
        with self._mutex:
            if self._pending:
                self.flush()
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None
            self._traces.clear()

    # ------------------------------------------------------------------------------------------------------- caches

    def facts(self, uri: str, maximum_age: int | None = None) -> CacheFacts | None:
        age = self.settings.meta_ttl if maximum_age is None else maximum_age
        rows = self._rows(
            "select id, storeDir, wantMassQuery, priority from BinaryCaches where url = ? and timestamp > ?",
            (uri, int(time.time()) - age),
        )
        try:
            return CacheFacts(int(rows[0][0]), str(rows[0][1]), bool(rows[0][2]), int(rows[0][3])) if rows else None
        except (TypeError, ValueError):
            return None

    def note_facts(self, uri: str, store_dir: str, wants_mass_query: bool, priority: int) -> CacheFacts | None:
        rows = self._rows(
            "insert into BinaryCaches(url, timestamp, storeDir, wantMassQuery, priority) values (?, ?, ?, ?, ?) "
            "on conflict (url) do update set timestamp = excluded.timestamp, storeDir = excluded.storeDir, "
            "wantMassQuery = excluded.wantMassQuery, priority = excluded.priority returning id",
            (uri, int(time.time()), store_dir, wants_mass_query, priority),
        )
        return CacheFacts(rows[0][0], store_dir, wants_mass_query, priority) if rows else None

    # -------------------------------------------------------------------------------------------------------- infos

    def infos(self, cache: int, hash_parts: Iterable[str]) -> dict[str, NarInfo | None]:
        """What is known: None for those that the cache lacks."""
        found: dict[str, NarInfo | None] = {}
        wanted = list(hash_parts)
        now = int(time.time())
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            rows = self._rows(
                "select hashPart, present, namePart, url, compression, fileHash, fileSize, narHash, narSize, refs, "
                f"deriver, sigs, ca from NARs where cache = ? and hashPart in ({marks}) and "
                "((present = 0 and timestamp > ?) or (present = 1 and timestamp > ?))",
                (cache, *some, now - self.settings.negative_ttl, now - self.settings.positive_ttl),
            )
            for row in rows:
                try:
                    found[row[0]] = _info(row) if row[1] else None
                except (StoreError, DigestError, ValueError, TypeError, AttributeError):
                    continue  # as if nothing was known
        return found

    def note_info(self, cache: int, hash_part: str, found: NarInfo | None) -> None:
        now = int(time.time())
        if found is None:
            self._note(
                "insert or replace into NARs(cache, hashPart, timestamp, present) values (?, ?, ?, 0)",
                (cache, hash_part, now),
            )
            return
        info = found.info
        self._note(
            "insert or replace into NARs(cache, hashPart, namePart, url, compression, fileHash, fileSize, narHash, "
            "narSize, refs, deriver, sigs, ca, timestamp, present) values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,1)",
            (
                cache,
                hash_part,
                info.path.name,
                found.url,
                found.compression,
                str(found.file_hash) if found.file_hash else None,
                found.file_size or None,
                str(info.nar_hash),
                info.nar_size,
                " ".join([path.base for path in sorted(info.references)]),
                info.deriver.base if info.deriver else None,
                " ".join(sorted(info.signatures)),
                str(info.content_address) if info.content_address else "",
                now,
            ),
        )

    # -------------------------------------------------------------------------------------------------- build trace

    def realisation(self, cache: int, derivation: StorePath, output: str) -> tuple[bool, Realisation | None]:
        """Whether anything is known; and what."""
        key = (cache, derivation, output)
        if key in self._traces:
            return True, self._traces[key]
        now = int(time.time())
        rows = self._rows(
            "select outputPath, sigs from BuildTrace where cache = ? and drvPath = ? and outputName = ? and "
            "((outputPath is null and timestamp > ?) or (outputPath is not null and timestamp > ?))",
            (cache, derivation.base, output, now - self.settings.negative_ttl, now - self.settings.positive_ttl),
        )
        if not rows:
            return False, None
        if rows[0][0] is None:
            return True, None
        import json

        from frazil.store.realisation import parse_value

        try:
            value = {"outPath": rows[0][0], "signatures": json.loads(rows[0][1] or "[]")}
            return True, parse_value(json.dumps(value), derivation, output)
        except (StoreError, ValueError):
            return False, None

    def note_realisation(self, cache: int, derivation: StorePath, output: str, found: Realisation | None) -> None:
        import json

        now = int(time.time())
        self._traces[cache, derivation, output] = found
        path = found.path.base if found else None
        signatures = json.dumps(json.loads(found.value_json())["signatures"]) if found else None
        self._note(
            "insert or replace into BuildTrace(cache, drvPath, outputName, outputPath, sigs, timestamp) "
            "values (?, ?, ?, ?, ?, ?)",
            (cache, derivation.base, output, path, signatures, now),
        )


def _is_text(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _info(row: Any) -> NarInfo:
    if any(isinstance(value, bytes) for value in row):
        raise TypeError("the database is damaged")
    hash_part, _, name, url, compression, file_hash, file_size, nar_hash, nar_size, refs, deriver, sigs, address = row
    info = PathInfo(
        StorePath.from_base(f"{hash_part}-{name}"),
        Hash.parse(nar_hash),
        int(nar_size),
        frozenset([StorePath.from_base(base) for base in (refs or "").split()]),
        StorePath.from_base(deriver) if deriver else None,
        signatures=frozenset((sigs or "").split()),
        content_address=ContentAddress.parse(address) if address else None,
    )
    return NarInfo(info, url, compression or "bzip2", Hash.parse(file_hash) if file_hash else None, int(file_size or 0))
