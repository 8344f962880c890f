"""The cache of outputs: remembering, and surviving whatever happens to its file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from frazil.flake.cache import MAX_ROWS, OutputCache, fingerprint
from frazil.flake.flake_file import Flake
from frazil.flake.lock import LockedNode, LockFile, Node
from frazil.flake.locking import LockedFlake
from frazil.flake.reference import FlakeReference
from frazil.lang.settings import EvalSettings

HASH = "sha256-" + "A" * 43 + "="
OTHER_HASH = "sha256-" + "B" * 42 + "E="


def locked_flake(root: dict[str, str | int | bool], *inputs: FlakeReference) -> LockedFlake:
    reference = FlakeReference(root)
    nodes: dict[str, LockedNode | tuple[str, ...]] = {
        f"i{n}": LockedNode(locked=one, original=one) for n, one in enumerate(inputs)
    }
    flake = Flake(reference, reference, reference, "/nix/store/" + "a" * 32 + "-source")
    return LockedFlake(flake, LockFile(Node(nodes)), {})


def test_answers_are_remembered(tmp_path: Path) -> None:
    path = str(tmp_path / "sub" / "cache.sqlite")
    cache = OutputCache(path)
    assert cache.get("f", "q") is None
    cache.put("f", "q", {"a": [1, "x"]})
    assert cache.get("f", "q") == {"a": [1, "x"]}
    cache.put("f", "q", {"a": 2})
    cache.close()
    again = OutputCache(path)
    assert again.get("f", "q") == {"a": 2}
    assert again.get("g", "q") is None
    again.close()


@pytest.mark.parametrize("damage", [b"", b"not a database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "cache.sqlite"
    path.write_bytes(damage)
    cache = OutputCache(str(path))
    assert cache.get("f", "q") is None
    cache.put("f", "q", {"a": 1})
    assert cache.get("f", "q") == {"a": 1}
    cache.close()


def test_a_damaged_answer_is_no_answer(tmp_path: Path) -> None:
    path = str(tmp_path / "cache.sqlite")
    cache = OutputCache(path)
    cache.put("f", "q", {"a": 1})
    cache.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE answers SET answer = '[1'")
    connection.close()
    cache = OutputCache(path)
    assert cache.get("f", "q") is None
    cache.close()


def test_a_place_that_cannot_be_written_is_a_miss(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = OutputCache(str(tmp_path / "file" / "cache.sqlite"))
    cache.put("f", "q", {"a": 1})
    assert cache.get("f", "q") is None


def test_a_locked_database_is_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "cache.sqlite")
    first = OutputCache(path)
    first.put("f", "q", {"a": 1})
    first.close()
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **named: real(*args, **{**named, "timeout": 0.01}))
    holder = real(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    second = OutputCache(path)
    assert second.get("f", "q") is None
    second.close()
    holder.rollback()
    holder.close()


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    path = str(tmp_path / "cache.sqlite")
    cache = OutputCache(path)
    cache.put("f", "q", {})
    cache.close()
    with sqlite3.connect(path) as connection:
        rows = ((f"f{n}", "q", "{}", n + (1 << 40)) for n in range(MAX_ROWS))
        connection.executemany("INSERT INTO answers VALUES (?, ?, ?, ?)", rows)
    connection.close()
    cache = OutputCache(path)
    assert cache.get(f"f{MAX_ROWS - 1}", "q") == {}
    assert cache.get("f0", "q") is None
    cache.close()


def test_the_fingerprint_follows_contents() -> None:
    pure = EvalSettings(pure=True)
    root: dict[str, str | int | bool] = {"type": "git", "url": "file:///x", "narHash": HASH}
    base = fingerprint(locked_flake(root), pure)
    assert base is not None
    assert base == fingerprint(locked_flake(root), pure)
    assert base != fingerprint(locked_flake({**root, "narHash": OTHER_HASH}), pure)
    assert base != fingerprint(locked_flake({**root, "dirtyRev": "x-dirty"}), pure)
    assert base != fingerprint(locked_flake(root), EvalSettings(pure=True, experimental_features=frozenset({"x"})))
    pinned = FlakeReference({"type": "path", "path": "/y", "narHash": HASH})
    assert base != fingerprint(locked_flake(root, pinned), pure)


def test_what_has_no_hash_is_not_remembered() -> None:
    pure = EvalSettings(pure=True)
    root: dict[str, str | int | bool] = {"type": "git", "url": "file:///x", "narHash": HASH}
    assert fingerprint(locked_flake(root), EvalSettings()) is None
    assert fingerprint(locked_flake({"type": "path", "path": "/x"}), pure) is None
    unpinned = FlakeReference({"type": "path", "path": "/y"})
    assert fingerprint(locked_flake(root, unpinned), pure) is None
    assert fingerprint(locked_flake(root, FlakeReference({"type": "path", "path": "./y"})), pure) is not None
