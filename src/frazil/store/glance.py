"""One question to a store's database, without opening the store: for commands that end at once.

In: a store's place and texts of store paths. Out: which are valid, or None where the store has to be opened to know (it
is new, of another schema, locked, damaged): whoever opens it says what is wrong. Nothing is kept from the collector.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from frazil.store.config import StoreConfig

SCHEMA = b"10"
MAXIMUM = 900
"""Paths asked for at once: SQLite limits the parameters of a statement."""


def valid_among(config: StoreConfig, paths: Collection[str]) -> set[str] | None:
    folder = config.state_dir + "/db"
    if config.is_dummy or config.scheme != "local":
        return None
    try:
        with open(folder + "/schema", "rb") as file:
            if file.read(16).strip() != SCHEMA:
                return None
        if not os.path.getsize(folder + "/db.sqlite"):
            return None
    except OSError:
        return None
    from frazil.plain_sqlite import sqlite3

    wanted = list(paths)
    found = set()
    try:
        connection = sqlite3.connect(folder + "/db.sqlite", timeout=1)
        try:
            for start in range(0, len(wanted), MAXIMUM):
                part = wanted[start : start + MAXIMUM]
                marks = ",".join("?" * len(part))
                rows = connection.execute(f"select path from ValidPaths where path in ({marks})", part)
                found.update([row[0] for row in rows])
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError):
        return None
    return found
