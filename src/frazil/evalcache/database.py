"""The file that answers are kept in: SQLite, one a user, shared by all processes.

In and out: rows. Nothing that is wrong with the file is an error: a busy or unwritable one is an empty one, a damaged
one is moved away and begun anew. Every row carries a checksum, so that half a row is no row. A process may be killed
at any point: the journal undoes what it had begun.
"""

from __future__ import annotations

import os
import time
import zlib

from frazil.cache_folder import cache_folder as cache_folder
from frazil.cache_folder import file_identity, make_optional_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, NamedTuple

    class Row(NamedTuple):
        number: int
        question: bytes
        root: str
        bound: str
        recorded: int
        used: int
        answer: bytes
        groups: bytes
        description: str
        program: str
        subject: bytes
        detail: str

    class Group(NamedTuple):
        """Facts that the same answers rest on."""

        facts: bytes
        stamps: Sequence[str]

    class Entry(NamedTuple):
        """`program`: which computed it. `subject`, `detail`: what was asked (`Subject.digest`, JSON), for people."""

        question: bytes
        root: str
        bound: str
        answer: bytes
        groups: bytes
        description: str
        program: str
        subject: bytes
        detail: str

    class About(NamedTuple):
        """What a subject is about, and digests of its parts, to say later what is different: see `subject.py`."""

        about: str
        parts: str
else:
    from frazil.record import named_tuple

    Row = named_tuple(
        "Row", "number question root bound recorded used answer groups description program subject detail"
    )
    Group = named_tuple("Group", "facts stamps")
    Entry = named_tuple("Entry", "question root bound answer groups description program subject detail")
    About = named_tuple("About", "about parts")

SCHEMA_VERSION = 3
ID_SIZE = 32
DEFAULT_LIMIT = 512 << 20
_SCHEMA = """
CREATE TABLE IF NOT EXISTS Facts (id BLOB PRIMARY KEY, facts BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS Stamps (facts BLOB NOT NULL, root TEXT NOT NULL, stamps BLOB NOT NULL,
  PRIMARY KEY (facts, root)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS Entries (
  number INTEGER PRIMARY KEY, question BLOB NOT NULL, root TEXT NOT NULL, bound TEXT NOT NULL,
  recorded INTEGER NOT NULL, used INTEGER NOT NULL, answer BLOB NOT NULL, facts BLOB NOT NULL,
  checksum BLOB NOT NULL, description TEXT NOT NULL, program TEXT NOT NULL, subject BLOB NOT NULL,
  detail TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS ByQuestion ON Entries (question, root);
CREATE TABLE IF NOT EXISTS Subjects (id BLOB PRIMARY KEY, about TEXT NOT NULL, parts TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS Programs (stamp TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;
"""
_TEXT = "CAST(? AS TEXT)"
"""Binds `_encoded` text: names of folders may be no UTF-8, which sqlite3 refuses in a string."""
_PUT_STAMPS = f"INSERT OR REPLACE INTO Stamps VALUES (?, {_TEXT}, ?)"
_COLUMNS = (
    "number, question, root, bound, recorded, used, answer, facts, description, program, subject, detail, checksum"
)
KEPT_ALTERNATIVES = 8
"""Answers to one question that are kept for one root: of branches one goes back and forth between, say."""
_MAX_BLOB = 256 << 20
_USED_GRAIN = 3600
_SMALL = 2048
_COMPANIONS = ("-journal", "-wal", "-shm")


def default_path(cache_directory: str) -> str:
    return os.path.join(cache_directory, f"evaluations-v{SCHEMA_VERSION}.sqlite")


def drop_older_files(path: str) -> None:
    """Databases of earlier schemas, beside the one of this."""
    folder = os.path.dirname(path)
    for version in range(1, SCHEMA_VERSION):
        for suffix in ("", *_COMPANIONS, ".damaged"):
            try:
                os.unlink(os.path.join(folder, f"evaluations-v{version}.sqlite{suffix}"))
            except OSError:
                pass  # there is none, or it cannot be deleted: it does no harm


def group_id(facts: bytes) -> bytes:
    from frazil.evalcache.hashing import sha256

    return sha256(facts).digest()


def split_ids(groups: bytes) -> list[bytes]:
    return [groups[start : start + ID_SIZE] for start in range(0, len(groups), ID_SIZE)]


def _checksum(
    question: bytes, root: str, bound: str, answer: bytes, groups: bytes, program: str, subject: bytes
) -> bytes:
    from frazil.evalcache.hashing import sha256

    state = sha256(question)
    for part in (_encoded(root), _encoded(bound), answer, groups, _encoded(program), subject):
        state.update(len(part).to_bytes(8, "little") + part)
    return state.digest()[:16]


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def pack(data: bytes) -> bytes:
    """For `inflate`. Most are small: a window that is as small takes no time to clear."""
    if len(data) > _SMALL:
        return zlib.compress(data, 1)
    machine = zlib.compressobj(1, zlib.DEFLATED, 11, 1)
    return machine.compress(data) + machine.flush()


def inflate(data: bytes) -> bytes:
    """Raises ValueError for what is damaged or too large."""
    machine = zlib.decompressobj()
    try:
        text = machine.decompress(data, _MAX_BLOB)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not machine.eof:
        raise ValueError("damaged or too large")
    return text


def _entry_row(entry: Entry, now: int) -> tuple[object, ...]:
    """The columns after the number. Raises ValueError for what is no text."""
    question, root, bound, answer, groups, description, program, subject, detail = entry
    checksum = _checksum(question, root, bound, answer, groups, program, subject)
    said, asked = _encoded(description), (program, subject, _encoded(detail))
    return (question, _encoded(root), _encoded(bound), now, now, answer, groups, said, *asked, checksum)


class Database:
    """`limit`: bytes that answers may take before the least recently used go."""

    def __init__(self, path: str, limit: int = DEFAULT_LIMIT) -> None:
        self.path = path
        self.limit = limit
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._usable = True
        self.trouble: str | None = None
        """Why the file cannot be used, for those who want to know."""

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # -- asking ----------------------------------------------------------------------------------------------------

    def find(self, question: bytes, root: str) -> list[Row]:
        """Answers for a root, newest first; then those of other roots that do not depend on where it is."""
        rows = self._run(
            f"SELECT {_COLUMNS} FROM Entries WHERE question = ? AND (root IN ({_TEXT}, '') OR bound = '') "
            f"ORDER BY root = {_TEXT} DESC, number DESC LIMIT ?",
            (question, _encoded(root), _encoded(root), 2 * KEPT_ALTERNATIVES),
        )
        # A damaged index leads to whole rows of other questions.
        return [
            row
            for row in map(self._row, rows)
            if row is not None and row.question == question and (row.root in (root, "") or not row.bound)
        ]

    def every(self) -> list[Row]:
        rows = self._run(f"SELECT {_COLUMNS} FROM Entries ORDER BY number")
        return [row for row in map(self._row, rows) if row is not None]

    def _row(self, values: Sequence[Any]) -> Row | None:
        """None for a row that is not whole."""
        number, question, root, bound, recorded, used, answer, groups, said, program, subject, detail, checksum = values
        if not all(isinstance(part, bytes) for part in (answer, groups, question, subject)):
            return None
        if not all(isinstance(part, str) for part in (root, bound, program)):
            return None
        if not (isinstance(recorded, int) and isinstance(used, int)):
            return None
        if checksum != _checksum(question, root, bound, answer, groups, program, subject):
            return None
        return Row(
            number, question, root, bound, recorded, used, answer, groups, str(said), program, subject, str(detail)
        )

    def related(self, root: str) -> list[tuple[Row, About]]:
        """All that is remembered for a root, or came from elsewhere (nobody knows what that is about), newest first."""
        rows = self._run(
            f"SELECT {_COLUMNS}, about, parts FROM Entries LEFT JOIN Subjects ON id = subject "
            f"WHERE root IN ({_TEXT}, '') AND detail != '' ORDER BY number DESC",
            (_encoded(root),),
        )
        found = [(self._row(row[:-2]), About(str(row[-2] or ""), str(row[-1] or ""))) for row in rows]
        return [(row, about) for row, about in found if row is not None]

    def group(self, name: bytes) -> bytes | None:
        """Its facts; None where they are missing or damaged."""
        rows = self._run("SELECT facts FROM Facts WHERE id = ?", (name,))
        if not rows:
            return None
        try:
            text = inflate(rows[0][0])
            return text if group_id(text) == name else None
        except (ValueError, TypeError):
            return None

    def stamps(self, group: bytes, root: str) -> list[str]:
        rows = self._run(f"SELECT stamps FROM Stamps WHERE facts = ? AND root = {_TEXT}", (group, _encoded(root)))
        try:
            return inflate(rows[0][0]).decode("ascii").split("\n") if rows else []
        except (ValueError, TypeError):
            return []

    def program(self, stamp: str) -> str | None:
        rows = self._run("SELECT digest FROM Programs WHERE stamp = ?", (stamp,))
        return str(rows[0][0]) if rows else None

    # -- keeping ---------------------------------------------------------------------------------------------------

    def put_program(self, stamp: str, digest: str) -> None:
        self._run("INSERT OR REPLACE INTO Programs VALUES (?, ?)", (stamp, digest))

    def put_stamps(self, group: bytes, root: str, stamps: Sequence[str]) -> None:
        self._run(_PUT_STAMPS, (group, _encoded(root), pack("\n".join(stamps).encode("ascii"))))

    def put(
        self, groups: Mapping[bytes, Group], entries: Sequence[Entry], subjects: Mapping[bytes, About] | None = None
    ) -> None:
        """All of it or nothing. `groups` and `subjects`: by their ids. Raises ValueError for what is no text."""
        rows = [_entry_row(entry, int(time.time())) for entry in entries]
        self._run("BEGIN IMMEDIATE")
        new = [(name, pack(group.facts)) for name, group in groups.items() if not self._has_group(name)]
        self._run_all("INSERT OR REPLACE INTO Facts VALUES (?, ?)", new)
        stamps = [(name, pack("\n".join(group.stamps).encode("ascii"))) for name, group in groups.items()]
        for root in {_encoded(entry.root) for entry in entries}:
            self._run_all(_PUT_STAMPS, [(name, root, data) for name, data in stamps])
        about = [(name, *row) for name, row in (subjects or {}).items()]
        self._run_all("INSERT OR IGNORE INTO Subjects VALUES (?, ?, ?)", about)
        self._put_entries(entries, rows)
        self._run("COMMIT")

    def _has_group(self, name: bytes) -> bool:
        return bool(self._run("SELECT 1 FROM Facts WHERE id = ?", (name,)))

    def _put_entries(self, entries: Sequence[Entry], rows: Sequence[tuple[object, ...]]) -> None:
        self._run_all(
            f"DELETE FROM Entries WHERE question = ? AND root = {_TEXT} AND facts = ? AND bound = {_TEXT}",
            [(entry.question, _encoded(entry.root), entry.groups, _encoded(entry.bound)) for entry in entries],
        )
        marks = f"?, {_TEXT}, {_TEXT}, ?, ?, ?, ?, {_TEXT}, ?, ?, {_TEXT}, ?"
        self._run_all(f"INSERT INTO Entries ({_COLUMNS}) VALUES (NULL, {marks})", rows)
        places = {(entry.question, _encoded(entry.root)) for entry in entries}
        self._run_all(
            f"DELETE FROM Entries WHERE question = ? AND root = {_TEXT} AND number NOT IN (SELECT number FROM Entries "
            f"WHERE question = ? AND root = {_TEXT} ORDER BY number DESC LIMIT ?)",
            [(*place, *place, KEPT_ALTERNATIVES) for place in places],
        )

    def touch(self, row: Row) -> None:
        """It was used; noted about once an hour."""
        now = int(time.time())
        if abs(row.used - now) > _USED_GRAIN:  # the clock may have been set back, too
            self._run("UPDATE Entries SET used = ? WHERE number = ?", (now, row.number))

    def forget(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._run("DELETE FROM Entries WHERE number = ?", (number,))

    # -- size ------------------------------------------------------------------------------------------------------

    def statistics(self) -> dict[str, int]:
        """Entries, groups of facts, and the bytes of the file."""
        entries = self._run("SELECT count(*), coalesce(min(recorded), 0), coalesce(max(used), 0) FROM Entries")
        groups = self._run("SELECT count(*) FROM Facts")
        count, oldest, newest = entries[0] if entries else (0, 0, 0)
        return {
            "entries": count,
            "groups": groups[0][0] if groups else 0,
            "bytes": self._size(),
            "oldest": oldest,
            "lastUsed": newest,
        }

    def _size(self) -> int:
        rows = self._run("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
        return int(rows[0][0]) if rows else 0

    def _content_size(self) -> int:
        rows = self._run(
            "SELECT (page_count - freelist_count) * page_size "
            "FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()"
        )
        return int(rows[0][0]) if rows else 0

    def collect(self, limit: int | None = None, older_than: int | None = None, program: str | None = None) -> int:
        """Deletes answers of all programs but one, those unused since a time, then the least recently used until the
        rest fits. -> how many."""
        before = self.statistics()["entries"]
        if program is not None:
            self._run("DELETE FROM Entries WHERE program != ?", (program,))
            self._run("DELETE FROM Programs WHERE digest != ?", (program,))
        if older_than is not None:
            self._run("DELETE FROM Entries WHERE used < ?", (older_than,))
        self._drop_orphans()
        bound = self.limit if limit is None else limit
        while self._content_size() > bound:
            rows = self._run("SELECT count(*) FROM Entries")
            count = rows[0][0] if rows else 0
            if not count:
                break
            self._run(
                "DELETE FROM Entries WHERE number IN (SELECT number FROM Entries ORDER BY used, number LIMIT ?)",
                (max(1, count // 8),),
            )
            self._drop_orphans()
        self._run("VACUUM")
        return int(before - self.statistics()["entries"])

    def collect_if_large(self) -> None:
        """Called after something was added."""
        if self._size() > self.limit:
            self.collect(self.limit * 3 // 4)

    def _drop_orphans(self) -> None:
        """Facts that no answer rests on."""
        used = {name for (groups,) in self._run("SELECT facts FROM Entries") for name in split_ids(groups)}
        for (name,) in self._run("SELECT id FROM Facts"):
            if name not in used:
                self._run("DELETE FROM Facts WHERE id = ?", (name,))
        self._run("DELETE FROM Stamps WHERE facts NOT IN (SELECT id FROM Facts)")
        self._run("DELETE FROM Subjects WHERE id NOT IN (SELECT subject FROM Entries)")

    # -- the file --------------------------------------------------------------------------------------------------

    def _run(self, statement: str, values: tuple[object, ...] = ()) -> list[Any]:
        """The rows; none where the file cannot be used."""
        return self._attempt(lambda connection: connection.execute(statement, values).fetchall())

    def _run_all(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        """A statement for each of these."""
        if rows:
            self._attempt(lambda connection: connection.executemany(statement, rows).fetchall())

    def _attempt(self, work: Callable[[sqlite3.Connection], list[Any]]) -> list[Any]:
        if not self._usable:
            return []
        from frazil.plain_sqlite import sqlite3

        for attempt in (1, 2):
            try:
                return work(self._open())
            except sqlite3.OperationalError as error:
                # Busy, read-only, full, no such folder: do without, nothing is lost. A schema of nobody's is damage.
                if "no such" in str(error) or "has no column" in str(error):
                    self._discard(last=attempt == 2)
                else:
                    self._give_up(str(error))
            except (sqlite3.DatabaseError, UnicodeDecodeError):  # messages quote what is damaged
                self._discard(last=attempt == 2)
            if self._connection is None and attempt == 2:
                break
        return []

    def _give_up(self, why: str) -> None:
        self._usable = False
        self.trouble = why
        self.close()

    def _discard(self, *, last: bool) -> None:
        """The file is damaged: move it away (one such is kept), and begin anew, once."""
        self.close()
        self._usable = not last
        if self._file != file_identity(self.path):  # somebody else found it first
            return
        try:
            os.replace(self.path, self.path + ".damaged")
            for suffix in _COMPANIONS:
                if os.path.exists(self.path + suffix):
                    os.unlink(self.path + suffix)
        except FileNotFoundError:
            pass
        except OSError:
            self._usable = False

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        from frazil.plain_sqlite import sqlite3

        try:
            make_optional_folder(os.path.dirname(self.path))
        except OSError as error:
            raise sqlite3.OperationalError(str(error)) from error
        connection = sqlite3.connect(self.path, timeout=2, isolation_level=None, check_same_thread=False)
        self._file = file_identity(self.path)
        connection.text_factory = _decoded
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != SCHEMA_VERSION:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")
            connection.execute("PRAGMA synchronous = OFF")
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection
