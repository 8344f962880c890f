from __future__ import annotations

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from frazil.fetch.cache import FetchCache


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "deep/cache.sqlite")


def test_values(path: str) -> None:
    cache = FetchCache(path, 3600)
    assert cache.lookup("d", "k") is None
    cache.put("d", {"k": ["\udcff", 1]}, {"v": "\udcff"})
    assert cache.get("d", {"k": ["\udcff", 1]}) == {"v": "\udcff"}
    assert cache.get("e", {"k": ["\udcff", 1]}) is None
    entry = FetchCache(path, 3600).lookup("d", {"k": ["\udcff", 1]})
    assert entry is not None and not entry.expired
    cache.close()


def test_expiry(path: str) -> None:
    FetchCache(path, 3600).put("d", "k", {})
    for ttl, offline, expired in ((0, False, True), (0, True, False), (3600, False, False)):
        entry = FetchCache(path, ttl, offline=offline).lookup("d", "k")
        assert entry is not None and entry.expired is expired


@pytest.mark.parametrize("damage", [b"", b"nonsense" * 1000, b"SQLite format 3\0" + b"\xff" * 4000])
def test_damaged_database_is_begun_anew(path: str, damage: bytes) -> None:
    cache = FetchCache(path, 3600)
    cache.put("d", "k", {"v": 1})
    cache.close()
    Path(path).write_bytes(damage)
    cache = FetchCache(path, 3600)
    assert cache.get("d", "k") is None
    cache.put("d", "k", {"v": 2})
    assert cache.get("d", "k") == {"v": 2}
    cache.close()


def test_altered_rows_are_not_believed(path: str) -> None:
    cache = FetchCache(path, 3600)
    cache.put("d", "k", {"v": 1})
    cache.close()
    with sqlite3.connect(path) as connection:
        connection.execute("update Entries set value = ?", ('{"v":2}',))
    connection.close()
    assert FetchCache(path, 3600).get("d", "k") is None


def test_pages_overwritten_anywhere(path: str) -> None:
    cache = FetchCache(path, 3600)
    for number in range(50):
        cache.put("d", number, {"v": number})
    cache.close()
    good = Path(path).read_bytes()
    for at in range(0, len(good), 97):
        Path(path).write_bytes(good[:at] + os.urandom(64) + good[at + 64 :])
        cache = FetchCache(path, 3600)
        for number in (0, 25, 49):
            assert cache.get("d", number) in (None, {"v": number})
        cache.close()


def test_unusable_place() -> None:
    cache = FetchCache("/dev/null/cache.sqlite", 3600)
    cache.put("d", "k", {})
    assert cache.get("d", "k") is None


def test_file_that_somebody_is_creating(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    with sqlite3.connect(path) as other:
        other.execute("pragma journal_mode = truncate")
        cache = FetchCache(path, 3600)
        cache.put("d", "k", {"v": 1})
        assert cache.get("d", "k") == {"v": 1}
    assert FetchCache(path, 3600).get("d", "k") == {"v": 1}


def test_only_the_damaged_file_is_deleted(path: str) -> None:
    first, second = FetchCache(path, 3600), FetchCache(path, 3600)
    first.put("d", "k", {})
    second.put("d", "k", {})
    os.truncate(path, 4096)
    Path(path).write_bytes(b"nonsense" * 512)
    first.put("d", 1, {"v": 1})
    second.put("d", 2, {"v": 2})
    assert [FetchCache(path, 3600).get("d", number) for number in (1, 2)] == [{"v": 1}, {"v": 2}]


def test_many_at_once(path: str) -> None:
    def work(number: int) -> object:
        cache = FetchCache(path, 3600)
        cache.put("d", number, {"v": number})
        return cache.get("d", number)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(40))) == [{"v": number} for number in range(40)]
