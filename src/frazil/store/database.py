"""The store's database: which paths are valid, what they refer to, where they came from.

SQLite, Nix's schema 10 to the letter, so that C++ Nix opens the same store. Writers take turns; every change is one
transaction. Source of truth: C++ Nix's `schema.sql` and local store.
"""

from __future__ import annotations

import fcntl
import os
import time
from _thread import RLock
from contextlib import contextmanager

from frazil.digest import DigestError, Hash
from frazil.errors import TraceFrame
from frazil.plain_sqlite import sqlite3
from frazil.store import locks
from frazil.store.changes import Changes
from frazil.store.config import StoreSettings
from frazil.store.content_address import ContentAddress
from frazil.store.errors import (
    BadStorePath,
    CorruptDatabase,
    DiskFull,
    FormatError,
    InvalidPath,
    StoreError,
    StoreLocked,
    from_os_error,
)
from frazil.store.path import StoreDirectory, StorePath
from frazil.store.path_info import PathInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Any, TypeVar

    T = TypeVar("T")

SCHEMA_VERSION = 10
_CHUNK = 500
"""Paths asked for at once: SQLite limits the parameters of a statement (to 999 in old versions)."""
_MANY = 1000
"""Paths; where more are asked for, and they are most of what there is, everything is read."""
BUSY_SECONDS = 3600.0
_QUESTIONS_BEFORE_REMEMBERING = 8
_REMEMBERED = 1 << 14
"""Answers at most."""

_SCHEMA = """
create table if not exists ValidPaths (
    id               integer primary key autoincrement not null,
    path             text unique not null,
    hash             text not null,
    registrationTime integer not null,
    deriver          text,
    narSize          integer,
    ultimate         integer,
    sigs             text,
    ca               text
);
create table if not exists Refs (
    referrer  integer not null,
    reference integer not null,
    primary key (referrer, reference),
    foreign key (referrer) references ValidPaths(id) on delete cascade,
    foreign key (reference) references ValidPaths(id) on delete restrict
);
create index if not exists IndexReference on Refs(reference);
create trigger if not exists DeleteSelfRefs before delete on ValidPaths
  begin
    delete from Refs where referrer = old.id and reference = old.id;
  end;
create table if not exists DerivationOutputs (
    drv  integer not null,
    id   text not null,
    path text not null,
    primary key (drv, id),
    foreign key (drv) references ValidPaths(id) on delete cascade
);
create index if not exists IndexDerivationOutputs on DerivationOutputs(path);
create table if not exists SchemaMigrations (migration text primary key not null);
"""
_DROP_REFERRER_INDEX = "20260309-drop-redundant-indexreferrer"
_BUILD_TRACE = "20251017-ca-derivations"
_BUILD_TRACE_SCHEMA = (
    "create table if not exists BuildTraceV3 ("
    " id integer primary key autoincrement not null, drvPath text not null, outputName text not null,"
    " outputPath text not null, signatures text)",
    "create index if not exists IndexBuildTraceV3 on BuildTraceV3(drvPath, outputName)",
)
_OLDEST = 6
_LATER_COLUMNS = {"ultimate": "integer", "sigs": "text", "ca": "text"}
"""Of ValidPaths; schemas 6 to 9 lack some or all."""
_NOT_OURS = (
    "This command may have been run as non-root in a single-user Nix installation,\nor the Nix daemon may have crashed."
)
_INFO_COLUMNS = "id, hash, registrationTime, deriver, narSize, ultimate, sigs, ca"


DAMAGE = (sqlite3.Error, UnicodeError)
"""Of a damaged database even the error messages may be no text; nor need be what others want recorded."""


def translate(error: Exception, path: str) -> StoreError:
    """A StoreError that says what to do."""
    if isinstance(error, UnicodeEncodeError):
        shown = error.object.encode("utf-8", "backslashreplace").decode()
        return StoreError(f"cannot record '{shown}' in the store's database: it is not valid UTF-8")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return DiskFull(
            f"writing the store's database '{path}': the disk is full",
            hint="free some space (for example by `frazil store gc`) and try again; the store itself is consistent",
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
        return StoreLocked(f"SQLite database '{path}' is busy", hint="another process is writing to it; try again")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return StoreError(
            f"cannot use SQLite database '{path}': {error}",
            hint="check the rights on that folder, or choose another store with `--store`",
        )
    if code == sqlite3.SQLITE_IOERR:
        return StoreError(
            f"input or output error in SQLite database '{path}': {error}",
            hint="is the disk full or failing? Free some space and try again",
        )
    return CorruptDatabase(
        f"the store's database '{path}' is corrupt: {error}",
        hint="move it aside together with `schema` beside it and rebuild it from a dump by `nix-store --load-db`, "
        "or restore it from a backup",
    )


class Database:
    """An open database. Not shared across `fork`: a child opens its own. Threads take turns."""

    def __init__(
        self,
        folder: str,
        directory: StoreDirectory,
        settings: StoreSettings | None = None,
        *,
        read_only: bool = False,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.folder = folder
        self.path = os.path.join(folder, "db.sqlite")
        self.directory = directory
        self.settings = settings or StoreSettings()
        self.read_only = read_only
        self._warn = warn
        self._lock = RLock()
        self._big_lock = -1
        self._has_build_trace = False
        self._depth = 0
        self._questions = 0
        self._changes = None if read_only else Changes(folder, "db.sqlite")
        self._mark: bytes | None = None
        self._remembered_valid: dict[StorePath, bool] = {}
        self._remembered_infos: dict[StorePath, PathInfo | None] = {}
        self._connection = self._open()

    # ------------------------------------------------------------------------------------------------ opening

    def _open(self) -> sqlite3.Connection:
        try:
            if not self.read_only:
                self._take_big_lock()
            version = self._schema_version()
            if version > SCHEMA_VERSION:
                raise StoreError(
                    f"current Nix store schema is version {version}, but I only support {SCHEMA_VERSION}",
                    hint="this store was made by a newer program",
                )
            if self.read_only and version < SCHEMA_VERSION:
                raise StoreError(
                    "database does not exist, and cannot be created in read-only mode"
                    if version == 0
                    else "database schema needs migrating, but this cannot be done in read-only mode"
                )
            if 0 < version < _OLDEST:
                raise StoreError(
                    f"the store's database has the old format {version}, which is no longer supported",
                    hint="open the store with an older Nix first",
                )
            try:
                return self._connect(version)
            except DAMAGE as error:
                raise translate(error, self.path) from error
        except BaseException:
            self._let_go()
            raise

    def _let_go(self) -> None:
        """After the connection is closed."""
        if self._changes is not None:
            changes, self._changes = self._changes, None
            changes.close()
        self._release_big_lock()

    def _take_big_lock(self) -> None:
        try:
            self._big_lock = locks.open_lock_file(os.path.join(self.folder, "big-lock"))
        except StoreError as error:
            if isinstance(error.__cause__, PermissionError):
                error.trace.append(TraceFrame(_NOT_OURS, always=True))
            raise
        if not locks.flock(self._big_lock, fcntl.LOCK_SH, wait=False):
            self._warn("waiting for the big Nix store lock...")
            locks.flock(self._big_lock, fcntl.LOCK_SH)

    def _release_big_lock(self) -> None:
        if self._big_lock >= 0:
            os.close(self._big_lock)
            self._big_lock = -1

    def _schema_version(self) -> int:
        path = os.path.join(self.folder, "schema")
        try:
            with open(path, "rb") as file:
                text = file.read(64).strip()
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise from_os_error(error, f"reading '{path}'") from error
        if not text.isdigit():
            raise CorruptDatabase(
                f"'{path}' is corrupt",
                hint=f"it should hold the number {SCHEMA_VERSION} and nothing else",
            )
        return int(text)

    def _connect(self, version: int) -> sqlite3.Connection:
        mode = "ro&immutable=1" if self.read_only else "rwc" if version == 0 else "rw"
        connection = sqlite3.connect(
            f"file:{_in_uri(self.path)}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("pragma foreign_keys = 1")
            if not self.read_only:
                self._prepare(connection, version)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection, version: int) -> None:
        connection.execute(f"pragma synchronous = {'normal' if self.settings.fsync_metadata else 'off'}")
        wanted = "wal" if self.settings.use_sqlite_wal else "truncate"
        if connection.execute("pragma main.journal_mode").fetchone()[0] != wanted:
            connection.execute(f"pragma main.journal_mode = {wanted}")
        if wanted == "wal":
            connection.execute("pragma main.journal_size_limit = 1099511627776")
            connection.execute("pragma wal_autocheckpoint = 40000")
        if version == 0:
            self._create(connection)
        elif version < SCHEMA_VERSION:
            self._upgrade(connection)
        self._migrate(connection)

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.execute("begin immediate")
        for statement in _statements(_SCHEMA):
            connection.execute(statement)
        connection.execute("insert or ignore into SchemaMigrations values (?)", (_DROP_REFERRER_INDEX,))
        connection.execute("commit")
        self._write_schema_version()

    def _write_schema_version(self) -> None:
        """Whole or not at all: a reader may come at any time, and so may death."""
        path = os.path.join(self.folder, "schema")
        temporary = f"{path}.tmp-{os.getpid()}-{os.urandom(4).hex()}"
        try:
            with open(temporary, "wb") as file:
                file.write(b"%d" % SCHEMA_VERSION)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, path)
        except OSError as error:
            raise from_os_error(error, f"writing '{path}'") from error

    def _upgrade(self, connection: sqlite3.Connection) -> None:
        """Schemas 6 to 9 → 10, alone with the store. Whoever did so may have died before it was written down."""
        if not locks.flock(self._big_lock, fcntl.LOCK_EX, wait=False):
            self._warn("waiting for exclusive access to the Nix store...")
            locks.flock(self._big_lock, fcntl.LOCK_UN)
            locks.flock(self._big_lock, fcntl.LOCK_EX)
        if self._schema_version() < SCHEMA_VERSION:
            connection.execute("begin immediate")
            present = {row[1] for row in connection.execute("pragma table_info(ValidPaths)")}
            for name, kind in _LATER_COLUMNS.items():
                if name not in present:
                    connection.execute(f"alter table ValidPaths add column {name} {kind}")
            connection.execute("drop table if exists FailedPaths")
            connection.execute("commit")
        self._write_schema_version()
        locks.flock(self._big_lock, fcntl.LOCK_SH)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        done: set[str] | None = None
        if connection.execute("select 1 from sqlite_master where name = 'SchemaMigrations'").fetchone():
            done = {row[0] for row in connection.execute("select migration from SchemaMigrations")}
        wanted: dict[str, tuple[str, ...]] = {_DROP_REFERRER_INDEX: ("drop index if exists IndexReferrer",)}
        if self.settings.use_content_addressed_derivations:
            wanted[_BUILD_TRACE] = _BUILD_TRACE_SCHEMA
        self._has_build_trace = done is not None and _BUILD_TRACE in done
        missing = [name for name in wanted if done is None or name not in done]
        if not missing:
            return
        connection.execute("begin immediate")
        connection.execute("create table if not exists SchemaMigrations (migration text primary key not null)")
        for name in missing:
            for statement in wanted[name]:
                connection.execute(statement)
            connection.execute("insert or ignore into SchemaMigrations values (?)", (name,))
        connection.execute("commit")
        self._has_build_trace = self._has_build_trace or _BUILD_TRACE in missing

    def close(self) -> None:
        with self._lock:
            self._connection.close()
            self._let_go()

    # --------------------------------------------------------------------------------------------- statements

    def rows(self, statement: str, parameters: Sequence[object] = ()) -> list[Any]:
        with self._lock:
            try:
                return self._connection.execute(statement, parameters).fetchall()
            except DAMAGE as error:
                raise translate(error, self.path) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; nested ones belong to the outermost."""
        with self._lock:
            connection = self._connection
            if self._depth:
                self._depth += 1
                try:
                    yield connection
                finally:
                    self._depth -= 1
                return
            try:
                connection.execute("begin immediate")
                self._depth = 1
                try:
                    yield connection
                    connection.execute("commit")
                finally:
                    self._depth = 0
                    if connection.in_transaction:
                        connection.execute("rollback")
            except DAMAGE as error:
                raise translate(error, self.path) from error

    def retry(self, action: Callable[[], T]) -> T:
        """Again and again while others keep the database busy."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return action()
            except StoreLocked:
                if time.monotonic() > deadline:
                    raise
                time.sleep(os.urandom(1)[0] / 2560)

    # ------------------------------------------------------------------------------------------------ queries

    def _path(self, text: str) -> StorePath:
        try:
            if not isinstance(text, str):
                raise BadStorePath("it is no text")
            return self.directory.parse(text)
        except BadStorePath as error:
            raise CorruptDatabase(
                f"the store's database '{self.path}' holds the invalid path '{text}': {error.message}",
                hint="was this store made for another store directory (NIX_STORE_DIR)?",
            ) from error

    def _paths(self, texts: Sequence[str]) -> list[StorePath]:
        """As `_path` for many."""
        found = self.directory.parse_each(texts)
        return [self._path(text) if path is None else path for text, path in zip(texts, found)]

    def _may_remember(self) -> bool:
        """Whether answers may be remembered, and only such are that still hold: nobody committed anything since."""
        if self._changes is None:
            return False
        if self._questions < _QUESTIONS_BEFORE_REMEMBERING:
            self._questions += 1
            if self._questions == _QUESTIONS_BEFORE_REMEMBERING:
                self._changes.look()
        mark = self._changes.mark()
        if mark is None or self._depth:
            return False
        if mark != self._mark or len(self._remembered_infos) + len(self._remembered_valid) > _REMEMBERED:
            self._remembered_valid.clear()
            self._remembered_infos.clear()
            self._mark = mark
        return True

    def is_valid(self, path: StorePath) -> bool:
        with self._lock:
            remember = self._may_remember()
            if remember and (known := self._remembered_valid.get(path)) is not None:
                return known
            found = bool(self.rows("select 1 from ValidPaths where path = ?", (self.directory.show(path),)))
            if remember:
                self._remembered_valid[path] = found
            return found

    def valid_among(self, paths: Collection[StorePath]) -> set[StorePath]:
        if self._is_most(len(paths)):
            parsed = {self.directory.show(path): path for path in paths}
            there = [text for (text,) in self.rows("select path from ValidPaths")]
            return {parsed[text] for text in there if text in parsed}
        with self._lock:
            try:
                return set(self._identifiers(self._connection, paths))
            except DAMAGE as error:
                raise translate(error, self.path) from error

    def _is_most(self, count: int) -> bool:
        """Whether reading all there is takes less than looking each of so many paths up."""
        return count > _MANY and 2 * count > int(self.rows("select count(*) from ValidPaths")[0][0])

    def valid_among_texts(self, paths: Sequence[str]) -> set[str]:
        """As `valid_among`, for whole paths as texts."""
        found: set[str] = set()
        for chunk in _chunks(list(paths)):
            marks = ",".join("?" * len(chunk))
            found.update([row[0] for row in self.rows(f"select path from ValidPaths where path in ({marks})", chunk)])
        return found

    def all_valid(self) -> set[StorePath]:
        return set(self._paths([text for (text,) in self.rows("select path from ValidPaths")]))

    def info(self, path: StorePath) -> PathInfo | None:
        with self._lock:
            if not self._may_remember():
                return self._ask_for_info(path)
            known = self._remembered_infos.get(path)
            if known is None and path not in self._remembered_infos:
                known = self._remembered_infos[path] = self._ask_for_info(path)
            return known

    def _ask_for_info(self, path: StorePath) -> PathInfo | None:
        rows = self.rows(f"select {_INFO_COLUMNS} from ValidPaths where path = ?", (self.directory.show(path),))
        if not rows:
            return None
        found = self.rows("select path from Refs join ValidPaths on reference = id where referrer = ?", rows[0][:1])
        return self._make_info(path, rows[0], frozenset([self._path(text) for (text,) in found]))

    def infos(self, paths: Iterable[StorePath]) -> Iterator[PathInfo]:
        """Of the valid ones among `paths`, in that order: many at once, and never all in memory."""
        wanted = [(self.directory.show(path), path) for path in paths]
        parsed = {text: path for text, path in wanted}
        for chunk in _chunks(wanted):
            marks = ",".join("?" * len(chunk))
            texts = [text for text, _ in chunk]
            columns = {
                row[0]: row[1:]
                for row in self.rows(f"select path, {_INFO_COLUMNS} from ValidPaths where path in ({marks})", texts)
            }
            references = self._references_by_number([row[0] for row in columns.values()], parsed)
            for text, path in chunk:
                if text in columns:
                    row = columns[text]
                    yield self._make_info(path, row, frozenset(references.get(row[0], ())))

    def nar_hashes(self, paths: Iterable[StorePath]) -> Iterator[tuple[StorePath, Hash]]:
        """As `infos`, of which it is a part."""
        show = self.directory.show
        for chunk in _chunks(list(paths)):
            texts = [show(path) for path in chunk]
            marks = ",".join("?" * len(chunk))
            found = dict(self.rows(f"select path, hash from ValidPaths where path in ({marks})", texts))
            for text, path in zip(texts, chunk):
                if text in found:
                    yield path, self._parse_hash(path, found[text])

    def _parse_hash(self, path: StorePath, text: object) -> Hash:
        try:
            return Hash.parse(text if isinstance(text, str) else repr(text))
        except DigestError as error:
            raise self._broken(path, error) from error

    def _broken(self, path: StorePath, error: Exception) -> CorruptDatabase:
        return CorruptDatabase(
            f"invalid-path entry for '{self.directory.show(path)}': {error}",
            hint="check the store with `frazil store verify --check-contents --repair`",
        )

    def _references_by_number(self, numbers: list[int], parsed: dict[str, StorePath]) -> dict[int, list[StorePath]]:
        """Of those that have any. `parsed`: texts that are known to be paths; those that are met here are added."""
        rows = self.rows(
            "select referrer, path from Refs join ValidPaths on id = reference"
            f" where referrer in ({','.join('?' * len(numbers))})",
            numbers,
        )
        found: dict[int, list[StorePath]] = {}
        for referrer, text in rows:
            path = parsed.get(text)
            if path is None:
                path = parsed[text] = self._path(text)
            found.setdefault(referrer, []).append(path)
        return found

    def references_of(self, paths: Iterable[StorePath]) -> dict[StorePath, set[StorePath]]:
        """As `references` for many, without those that are not valid."""
        return {path: set(references) for path, (_, references) in self.sizes_of(paths).items()}

    def sizes_of(self, paths: Iterable[StorePath]) -> dict[StorePath, tuple[int, Sequence[StorePath]]]:
        """Archives' sizes, and references, of many paths, without those that are not valid."""
        parsed = {self.directory.show(path): path for path in paths}
        texts = list(parsed)
        if self._is_most(len(texts)):
            return self._all_sizes(parsed)
        found: dict[StorePath, tuple[int, Sequence[StorePath]]] = {}
        for chunk in _chunks(texts):
            marks = ",".join("?" * len(chunk))
            rows = self.rows(f"select id, path, narSize from ValidPaths where path in ({marks})", chunk)
            references = self._references_by_number([number for number, _, _ in rows], parsed)
            for number, text, size in rows:
                path = parsed[text]
                found[path] = self._size(path, size), references.get(number, ())
        return found

    def _all_sizes(self, parsed: dict[str, StorePath]) -> dict[StorePath, tuple[int, Sequence[StorePath]]]:
        """As `sizes_of` where that is most of what there is: without looking each of them up."""
        with self._lock:
            inner = self._connection.in_transaction
            if not inner:
                self.rows("begin")  # what is read belongs together
            try:
                rows = self.rows("select id, path, narSize from ValidPaths")
                pairs = self.rows("select referrer, reference from Refs")
            finally:
                if not inner:
                    self.rows("rollback")
        wanted = [(number, parsed[text], size) for number, text, size in rows if text in parsed]
        references: dict[int, list[StorePath]] = {}
        if pairs:
            texts = {number: text for number, text, _ in rows}
            for number, other in pairs:
                if (text := texts.get(other)) is None:
                    continue
                if (path := parsed.get(text)) is None:
                    path = parsed[text] = self._path(text)
                references.setdefault(number, []).append(path)
        return {path: (self._size(path, size), references.get(number, ())) for number, path, size in wanted}

    def _size(self, path: StorePath, size: object) -> int:
        if size is None or type(size) is int:
            return size or 0
        raise self._broken(path, ValueError(f"its size is '{size!r}'"))

    def _make_info(self, path: StorePath, columns: Sequence[Any], references: frozenset[StorePath]) -> PathInfo:
        _, digest, registered, deriver, size, ultimate, signatures, address = columns
        try:
            if bytes in map(type, columns):
                raise ValueError("it holds what is no text")
            return PathInfo(
                path,
                Hash.parse(str(digest)),
                int(size or 0),
                references,
                self._path(deriver) if deriver else None,
                int(registered),
                ultimate == 1,
                frozenset(signatures.split()) if signatures else frozenset(),
                ContentAddress.parse(address) if address else None,
            )
        except (DigestError, FormatError, ValueError, TypeError) as error:
            raise self._broken(path, error) from error

    def references(self, path: StorePath) -> set[StorePath] | None:
        """Cheaper than `info`; None for an invalid path."""
        rows = self.rows("select id from ValidPaths where path = ?", (self.directory.show(path),))
        if not rows:
            return None
        found = self.rows("select path from Refs join ValidPaths on reference = id where referrer = ?", rows[0])
        return {self._path(text) for (text,) in found}

    def referrers(self, path: StorePath) -> set[StorePath]:
        rows = self.rows(
            "select path from Refs join ValidPaths on referrer = id"
            " where reference = (select id from ValidPaths where path = ?)",
            (self.directory.show(path),),
        )
        return {self._path(text) for (text,) in rows}

    def valid_derivers(self, path: StorePath) -> set[StorePath]:
        rows = self.rows(
            "select v.path from DerivationOutputs d join ValidPaths v on d.drv = v.id where d.path = ?",
            (self.directory.show(path),),
        )
        return {self._path(text) for (text,) in rows}

    def from_hash_part(self, hash_part: str) -> StorePath | None:
        prefix = f"{self.directory.path}/{hash_part}"
        rows = self.rows("select path from ValidPaths where path >= ? limit 1", (prefix,))
        return self._path(rows[0][0]) if rows and rows[0][0].startswith(prefix) else None

    # ----------------------------------------------------------------------------------------------- changes

    def register(
        self,
        infos: Sequence[PathInfo],
        outputs_of: Callable[[StorePath], Mapping[str, str]],
    ) -> None:
        """All of `infos` valid, in one transaction. `outputs_of`: a derivation's known output paths, as whole texts.

        Raises InvalidPath for a reference that is neither valid nor among `infos`.
        """
        with self.transaction() as connection:
            mentioned = {info.path for info in infos}.union(*[info.references for info in infos])
            identifiers = self._identifiers(connection, mentioned)
            fresh: list[PathInfo] = []
            following = self._next_identifier(connection)
            for info in {info.path: info for info in infos}.values():
                if info.path in identifiers:
                    self._update(connection, info)
                else:
                    identifiers[info.path] = following + len(fresh)
                    fresh.append(info)
            self._insert(connection, ((identifiers[info.path], info) for info in fresh))
            connection.executemany(
                "insert or replace into DerivationOutputs (drv, id, path) values (?, ?, ?)",
                [
                    (identifiers[info.path], name, output)
                    for info in fresh
                    if info.path.is_derivation
                    for name, output in outputs_of(info.path).items()
                ],
            )
            pairs = ((identifiers[info.path], identifiers[path]) for info in infos for path in info.references)
            try:
                connection.executemany("insert or replace into Refs (referrer, reference) values (?, ?)", pairs)
            except KeyError as error:
                raise InvalidPath(f"path '{self.directory.show(error.args[0])}' is not valid") from error

    def _identifiers(self, connection: sqlite3.Connection, paths: Iterable[StorePath]) -> dict[StorePath, int]:
        """The numbers of those that are valid."""
        show = self.directory.show
        found: dict[StorePath, int] = {}
        for chunk in _chunks(list(paths)):
            by_text = {show(path): path for path in chunk}
            marks = ",".join("?" * len(by_text))
            statement = f"select path, id from ValidPaths where path in ({marks})"
            for text, identifier in connection.execute(statement, [*by_text]):
                found[by_text[text]] = identifier
        return found

    @staticmethod
    def _next_identifier(connection: sqlite3.Connection) -> int:
        """As SQLite would choose it: higher than any that ever was."""
        (used,) = connection.execute("select max(seq) from sqlite_sequence where name = 'ValidPaths'").fetchone()
        (highest,) = connection.execute("select max(id) from ValidPaths").fetchone()
        return max(used or 0, highest or 0) + 1

    def _insert(self, connection: sqlite3.Connection, infos: Iterable[tuple[int, PathInfo]]) -> None:
        show = self.directory.show
        now = int(time.time())
        connection.executemany(
            "insert into ValidPaths (id, path, hash, registrationTime, deriver, narSize, ultimate, sigs, ca)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    identifier,
                    show(info.path),
                    f"sha256:{info.nar_hash.base16}",
                    info.registration_time or now,
                    show(info.deriver) if info.deriver else None,
                    info.nar_size or None,
                    1 if info.ultimate else None,
                    " ".join(sorted(info.signatures)) or None,
                    str(info.content_address) if info.content_address else None,
                )
                for identifier, info in infos
            ),
        )

    def _update(self, connection: sqlite3.Connection, info: PathInfo) -> None:
        connection.execute(
            "update ValidPaths set narSize = ?, hash = ?, ultimate = ?, sigs = ?, ca = ? where path = ?",
            (
                info.nar_size or None,
                f"sha256:{info.nar_hash.base16}",
                1 if info.ultimate else None,
                " ".join(sorted(info.signatures)) or None,
                str(info.content_address) if info.content_address else None,
                self.directory.show(info.path),
            ),
        )

    def update(self, info: PathInfo) -> None:
        with self.transaction() as connection:
            self._update(connection, info)

    def invalidate(self, path: StorePath) -> None:
        """Raises PathInUse's cause as a StoreError where others still refer to it (the caller checks first)."""
        with self.transaction() as connection:
            connection.execute("delete from ValidPaths where path = ?", (self.directory.show(path),))

    def vacuum(self) -> None:
        self.rows("vacuum")

    # --------------------------------------------------------------------------- outputs of floating derivations

    def _need_build_trace(self) -> bool:
        if not self._has_build_trace:
            rows = self.rows("select 1 from sqlite_master where name = 'BuildTraceV3'")
            self._has_build_trace = bool(rows)
        return self._has_build_trace

    def realisation(self, derivation: StorePath, output: str) -> tuple[StorePath, frozenset[str]] | None:
        """Where an output of a floating derivation went, with signatures."""
        if not self._need_build_trace():
            return None
        rows = self.rows(
            "select outputPath, signatures from BuildTraceV3 where drvPath = ? and outputName = ?",
            (derivation.base, output),
        )
        if not rows:
            return None
        return self._path(rows[0][0]), frozenset((rows[0][1] or "").split())

    def realised(self) -> list[tuple[StorePath, StorePath]]:
        """(derivation, output) of all that floating derivations made."""
        if not self._need_build_trace():
            return []
        rows = self.rows("select drvPath, outputPath from BuildTraceV3")
        return [(StorePath.from_base(drv), self._path(path)) for drv, path in rows]

    def register_realisation(
        self, derivation: StorePath, output: str, path: StorePath, signatures: frozenset[str] = frozenset()
    ) -> None:
        """Raises StoreError where another path is registered already."""
        with self.transaction() as connection:
            if not self._need_build_trace():
                for statement in _BUILD_TRACE_SCHEMA:
                    connection.execute(statement)
                connection.execute("insert or ignore into SchemaMigrations values (?)", (_BUILD_TRACE,))
            known = self.realisation(derivation, output)
            if known is None:
                connection.execute(
                    "insert into BuildTraceV3 (drvPath, outputName, outputPath, signatures) values (?, ?, ?, ?)",
                    (derivation.base, output, self.directory.show(path), " ".join(sorted(signatures))),
                )
            elif known[0] == path:
                connection.execute(
                    "update BuildTraceV3 set signatures = ? where drvPath = ? and outputName = ?",
                    (" ".join(sorted(known[1] | signatures)), derivation.base, output),
                )
            else:
                raise StoreError(
                    f"Trying to register a realisation of '{derivation.base}^{output}', but we already have another "
                    f"one locally.\nLocal:  {self.directory.show(known[0])}\nRemote: {self.directory.show(path)}"
                )

    def delete_realisation(self, derivation: StorePath, output: str) -> None:
        if self._need_build_trace():
            with self.transaction() as connection:
                connection.execute(
                    "delete from BuildTraceV3 where drvPath = ? and outputName = ?", (derivation.base, output)
                )


_PLAIN_IN_URIS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-"


def _in_uri(path: str) -> str:
    """`urllib.parse.quote` takes longer to import than a database to open."""
    return "".join([chr(byte) if byte in _PLAIN_IN_URIS else f"%{byte:02X}" for byte in os.fsencode(path)])


def _chunks(items: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]


def _statements(script: str) -> list[str]:
    """Splits the schema at statement ends, keeping a trigger's body whole."""
    statements, current = [], ""
    for line in script.strip().splitlines():
        current += line + "\n"
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements
