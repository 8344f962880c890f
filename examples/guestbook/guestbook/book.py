"""The entries, kept in SQLite."""

import sqlite3
import threading
from dataclasses import asdict, dataclass

LONGEST_NAME = 80
LONGEST_TEXT = 2000


@dataclass(frozen=True)
class Entry:
    name: str
    text: str

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= LONGEST_NAME:
            raise ValueError(f"a name has 1 to {LONGEST_NAME} characters")
        if not 0 < len(self.text) <= LONGEST_TEXT:
            raise ValueError(f"a text has 1 to {LONGEST_TEXT} characters")

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class Book:
    def __init__(self, database: str) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(database, check_same_thread=False)
        with self._connection as connection:
            connection.execute("create table if not exists entries (id integer primary key, name text, text text)")

    def sign(self, entry: Entry) -> None:
        with self._lock, self._connection as connection:
            connection.execute("insert into entries (name, text) values (?, ?)", (entry.name, entry.text))

    def entries(self) -> list[Entry]:
        """Newest first."""
        with self._lock:
            rows = self._connection.execute("select name, text from entries order by id desc").fetchall()
        return [Entry(*row) for row in rows]

    def close(self) -> None:
        self._connection.close()
