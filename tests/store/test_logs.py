from __future__ import annotations

import bz2
from pathlib import Path

import zstandard

from frazil.store import logs
from frazil.store.local import LocalStore
from frazil.store.path import StorePath

DRV = StorePath("0123456789abcdfghijklmnpqrsvwxyz", "a.drv")


def test_every_compression(tmp_path: Path) -> None:
    assert logs.read_log(str(tmp_path), DRV) is None
    folder = tmp_path / "drvs" / "01"
    folder.mkdir(parents=True)
    base = folder / DRV.base[2:]
    for ending, contents in ((".zst", zstandard.compress(b"z")), (".bz2", bz2.compress(b"b")), ("", b"plain")):
        Path(str(base) + ending).write_bytes(contents)
        assert logs.read_log(str(tmp_path), DRV) == {".zst": b"z", ".bz2": b"b", "": b"plain"}[ending]


def test_damaged_logs_count_as_none(tmp_path: Path) -> None:
    folder = tmp_path / "drvs" / "01"
    folder.mkdir(parents=True)
    for ending in (".bz2", ".zst"):
        (folder / (DRV.base[2:] + ending)).write_bytes(b"junk")
    assert logs.read_log(str(tmp_path), DRV) is None


def test_writing_and_finding(store: LocalStore) -> None:
    logs.write_log(store.config.log_dir, DRV, b"first")
    logs.write_log(store.config.log_dir, DRV, b"second")
    assert store.build_log(DRV) == b"first"
    assert store.build_log(store.add_text("x", b"")) is None
    assert store.build_log(StorePath(DRV.hash_part, "unknown")) is None
