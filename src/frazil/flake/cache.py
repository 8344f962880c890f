"""Remembered results of evaluating a flake, so that entering a development shell again evaluates nothing.

In: a fingerprint (a hash over everything that pure evaluation can see) and a question (attribute paths). Out: the
answer as plain JSON data, or None. A dirty tree is keyed by the NAR hash of its tracked files, so an edit misses.
A damaged or busy database only means a miss. `fingerprint` is the one place that decides what an answer depends on: a
cache that follows single files replaces it alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3

    from frazil.flake.locking import LockedFlake

FORMAT = 1
MAX_ROWS = 20_000
KEEP_SECONDS = 60 * 24 * 3600


def fingerprint(locked: LockedFlake, settings: Any) -> str | None:
    """None where an answer could depend on anything else: impure evaluation, or an input without a hash."""
    import hashlib
    import json

    import frazil
    from frazil.fetch.inputs import is_locked

    flake = locked.flake
    attributes = flake.locked.cheap_attributes()
    if not settings.pure or not isinstance(attributes.get("narHash"), str):
        return None
    for node in locked.lock_file.nodes():
        own = node.locked
        if own.relative_path is None and "narHash" not in own.attributes and not is_locked(dict(own.attributes)):
            return None
    if flake.force_dirty:
        attributes["forceDirty"] = True
    facts = {
        "format": FORMAT,
        "version": frazil.__version__,
        "root": attributes,
        "folder": flake.folder,
        "subdirectory": flake.locked.subdirectory,
        "lock": locked.lock_file.to_json()[0],
        "features": sorted(settings.experimental_features),
        "nix": settings.nix_version,
        "importFromDerivation": settings.allow_import_from_derivation,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()


def default_path(cache_directory: str) -> str:
    return os.path.join(cache_directory, f"outputs-v{FORMAT}.sqlite")


class OutputCache:
    """A table from (fingerprint, question) to answer. Never raises for what is wrong with its file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._usable = True

    def get(self, fingerprint: str, question: str) -> Mapping[str, Any] | None:
        import json

        rows = self._run("SELECT answer FROM answers WHERE fingerprint = ? AND question = ?", (fingerprint, question))
        if not rows:
            return None
        try:
            answer = json.loads(rows[0][0])
        except (ValueError, TypeError, RecursionError):
            return None
        if not isinstance(answer, dict):
            return None
        self._run(
            "UPDATE answers SET used = ? WHERE fingerprint = ? AND question = ? AND used < ?",
            (int(time.time()), fingerprint, question, int(time.time()) - 86400),
        )
        return answer

    def put(self, fingerprint: str, question: str, answer: Mapping[str, Any]) -> None:
        import json

        self._run(
            "INSERT OR REPLACE INTO answers (fingerprint, question, answer, used) VALUES (?, ?, ?, ?)",
            (fingerprint, question, json.dumps(answer, sort_keys=True), int(time.time())),
        )

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        import sqlite3

        for attempt in (1, 2):
            if not self._usable:
                return []
            try:
                return self._open().execute(statement, values).fetchall()
            except sqlite3.OperationalError:
                # Busy, read-only, no such folder: do without, nothing is lost.
                self._usable = False
            except sqlite3.DatabaseError:
                self._discard(last=attempt == 2)
        return []

    def _discard(self, *, last: bool) -> None:
        """The file is no database (any more): start anew, once."""
        self.close()
        self._usable = not last
        try:
            os.unlink(self.path)
        except OSError:
            self._usable = False

    def _open(self) -> sqlite3.Connection:
        import sqlite3

        if self._connection is not None:
            return self._connection
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
        except OSError as error:
            raise sqlite3.OperationalError(str(error)) from error
        connection = sqlite3.connect(self.path, timeout=2, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = TRUNCATE")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS answers (fingerprint TEXT NOT NULL, question TEXT NOT NULL, "
                "answer TEXT NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (fingerprint, question)) WITHOUT ROWID"
            )
            self._prune(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _prune(self, connection: sqlite3.Connection) -> None:
        """Keeps the file small; the count is cheap beside what it guards."""
        (count,) = connection.execute("SELECT count(*) FROM answers").fetchone()
        if count > MAX_ROWS:
            connection.execute("DELETE FROM answers WHERE used < ?", (int(time.time()) - KEEP_SECONDS,))
            connection.execute(
                "DELETE FROM answers WHERE (fingerprint, question) IN "
                "(SELECT fingerprint, question FROM answers ORDER BY used DESC LIMIT -1 OFFSET ?)",
                (MAX_ROWS // 2,),
            )
