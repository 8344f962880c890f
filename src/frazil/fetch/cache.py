"""What fetching has found out before: small JSON values by key, in SQLite, with the time they were found.

In: a domain (`"git-tree"`), a key (any JSON), a value (attributes). Out: the value, perhaps marked as expired. A cache
is never trusted to be whole: each row carries a checksum, a damaged database is started anew, and no failure of it is
an error. Whether a store path still exists is for the caller to check.
"""

from __future__ import annotations

import os

from frazil.cache_folder import file_identity
from frazil.fetch.settings import FetchSettings, shared_cache_directory
from frazil.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any

_SCHEMA = """
create table if not exists Entries (
    domain text not null, key blob not null, value text not null, checksum blob not null, timestamp integer not null,
    primary key (domain, key)
) without rowid;
"""
_SCHEMA_VERSION = 1
_MAXIMUM_VALUE = 1 << 20
_MAXIMUM_SIZE = 64 << 20
_FILE_NAME = "fetcher-cache-frazil-v1.sqlite"


class CacheEntry(Record):
    value: dict[str, Any]
    timestamp: int
    expired: bool


def _blake2b(data: bytes, *, digest_size: int) -> Any:
    try:
        from _blake2 import blake2b  # what `hashlib` itself uses, and it loads OpenSSL besides
    except ImportError:
        from hashlib import blake2b
    return blake2b(data, digest_size=digest_size)


def _checksum(domain: str, key: bytes, value: str, timestamp: int) -> bytes:
    state = _blake2b(f"{domain}\0{timestamp}\0".encode(), digest_size=12)
    state.update(key)
    state.update(value.encode("utf-8", "surrogateescape"))
    return bytes(state.digest())


class FetchCache:
    """One per process is enough; opened on first use. `ttl`: seconds until an entry counts as expired."""

    def __init__(self, path: str, ttl: int, *, offline: bool = False) -> None:
        self.path = path
        self.ttl = ttl
        self.offline = offline
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._failed = False

    @classmethod
    def open(cls, settings: FetchSettings) -> FetchCache:
        ttl = 0 if settings.refresh else settings.tarball_ttl
        return cls(os.path.join(shared_cache_directory(settings), _FILE_NAME), ttl, offline=settings.offline)

    def with_ttl(self, ttl: int, *, offline: bool = False) -> FetchCache:
        """The same database looked at with another patience."""
        other = FetchCache(self.path, ttl, offline=offline)
        other._connection, other._file = self._connection, self._file
        return other

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def lookup(self, domain: str, key: Any) -> CacheEntry | None:
        """The newest value for a key, or None; never raises for a damaged cache."""
        raw_key = _encode_key(key)
        row = self._run("select value, checksum, timestamp from Entries where domain = ? and key = ?", domain, raw_key)
        if not row:
            return None
        value, checksum, timestamp = row[0]
        if not isinstance(value, str) or not isinstance(timestamp, int):
            return None
        if checksum != _checksum(domain, raw_key, value, timestamp):
            return None
        return self._entry(value, timestamp)

    def _entry(self, value: str, timestamp: int) -> CacheEntry | None:
        import time

        from frazil import plain_json

        try:
            decoded = plain_json.loads(value)
        except (ValueError, RecursionError):
            return None
        if not isinstance(decoded, dict):
            return None
        now = time.time()
        expired = not self.offline and (self.ttl == 0 or not timestamp <= now < timestamp + self.ttl)
        return CacheEntry(decoded, timestamp, expired)

    def get(self, domain: str, key: Any) -> dict[str, Any] | None:
        """As `lookup`, for values that never expire."""
        entry = self.lookup(domain, key)
        return entry.value if entry else None

    def put(self, domain: str, key: Any, value: dict[str, Any]) -> None:
        import time

        from frazil import plain_json

        text = plain_json.dumps(value)
        if len(text) > _MAXIMUM_VALUE:
            return
        raw_key, now = _encode_key(key), int(time.time())
        self._run(
            "insert or replace into Entries (domain, key, value, checksum, timestamp) values (?, ?, ?, ?, ?)",
            domain,
            raw_key,
            text,
            _checksum(domain, raw_key, text, now),
            now,
        )

    def _run(self, statement: str, *arguments: object) -> list[Any]:
        """The rows; on damage the database is begun anew, once. An unusable cache is an empty one."""
        from frazil.plain_sqlite import sqlite3

        for attempt in (1, 2):
            if self._failed:
                return []
            try:
                if self._connection is None:
                    self._connection = self._connect()
                return self._connection.execute(statement, arguments).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error) and "no such column" not in str(error):
                    self._failed = "locked" not in str(error) and "busy" not in str(error)
                    return []
                self._discard()
            except (sqlite3.Error, UnicodeDecodeError, OverflowError):  # damage shows in odd ways
                self._discard()
            except OSError:
                self._failed = True
            if attempt == 2:
                self._failed = True
        return []

    def _connect(self) -> sqlite3.Connection:
        from frazil.plain_sqlite import sqlite3

        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
        self._file = file_identity(self.path)
        try:
            connection.execute("pragma synchronous = off")
            connection.execute("pragma journal_mode = truncate")
            (version,) = connection.execute("pragma user_version").fetchone()
            if version == _SCHEMA_VERSION:
                _bound(connection)
            else:  # several may be the first at once: each makes sure that all of it is there
                connection.executescript(f"begin immediate; {_SCHEMA} pragma user_version = {_SCHEMA_VERSION}; commit;")
        except BaseException:
            connection.close()
            raise
        return connection

    def _discard(self) -> None:
        """Deletes the file that was found damaged, and no other that somebody has begun in its place."""
        self.close()
        if self._file is None or self._file != file_identity(self.path):
            return
        for suffix in ("", "-wal", "-shm", "-journal"):
            try:
                os.unlink(self.path + suffix)
            except FileNotFoundError:
                pass
            except OSError:
                self._failed = True


def _bound(connection: sqlite3.Connection) -> None:
    """Of too much the older half goes; the freed pages are used again."""
    pages, free, size = (
        int(connection.execute(f"pragma {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    if (pages - free) * size > _MAXIMUM_SIZE:
        ((middle,),) = connection.execute(
            "select timestamp from Entries order by timestamp limit 1 offset (select count(*) / 2 from Entries)"
        ).fetchall() or ((0,),)
        connection.execute("delete from Entries where timestamp <= ?", (middle,))


def _encode_key(key: Any) -> bytes:
    """A digest of the key's JSON: keys may hold long lists or text that is no UTF-8."""
    from frazil import plain_json
    from frazil.digest import new

    state = new("sha256")
    state.update(plain_json.dumps(key).encode())
    return bytes(state.digest())
