"""The cache's folders stay bounded, and nothing in use is taken away."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from frazil.fetch.cache import FetchCache
from frazil.fetch.locks import locked
from frazil.fetch.prune import DAY, Rule, mark_used, prune, prune_if_due

if TYPE_CHECKING:
    from conftest import Fetcher


def put(path: Path, size: int, days: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    set_age(path, days)
    return path


def set_age(path: Path, days: float) -> None:
    moment = time.time() - days * DAY
    os.utime(path, (moment, moment))


def test_what_is_old_goes(tmp_path: Path) -> None:
    old, young = put(tmp_path / "downloads/ab/1", 1, 91), put(tmp_path / "downloads/ab/2", 1, 80)
    prune(str(tmp_path))
    assert not old.exists() and young.exists()


def test_the_oldest_of_too_much_goes(tmp_path: Path) -> None:
    files = [put(tmp_path / f"f/{n}", 100_000, 10 - n) for n in range(4)]
    prune(str(tmp_path), (Rule("f", 0, 90 * DAY, 250_000),))
    assert [file.exists() for file in files] == [False, False, True, True]


def test_what_was_used_today_stays(tmp_path: Path) -> None:
    files = [put(tmp_path / f"f/{n}", 100_000, 5) for n in range(3)]
    mark_used(str(files[0]))
    prune(str(tmp_path), (Rule("f", 0, 1, 1),))
    assert [file.exists() for file in files] == [True, False, False]


def test_trees_count_with_all_that_is_in_them(tmp_path: Path) -> None:
    big, small = tmp_path / "trees/big", tmp_path / "trees/small"
    put(big / "a/b", 300_000, 5)
    put(small / "a", 1000, 3)
    for folder, days in ((big / "a", 5), (big, 5), (small, 3)):
        set_age(folder, days)
    (big / "a").chmod(0o555)
    big.chmod(0o555)
    prune(str(tmp_path), (Rule("trees", 0, 90 * DAY, 100_000),))
    assert not big.exists() and small.exists()
    assert os.listdir(tmp_path / "trees") == ["small"]


def test_remains_of_killed_processes_go_after_a_day(tmp_path: Path) -> None:
    for name, days in (("frazil-fetch-x", 2), ("frazil-deleted-1-y", 2), ("frazil-fetch-z", 0.5)):
        put(tmp_path / "trees" / name / "inner", 1, days)
        set_age(tmp_path / "trees" / name, days)
    prune(str(tmp_path))
    assert os.listdir(tmp_path / "trees") == ["frazil-fetch-z"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside/file", 1, 500)
    (tmp_path / "trees").mkdir()
    link = tmp_path / "trees/link"
    link.symlink_to(tmp_path / "outside")
    moment = time.time() - 100 * DAY
    os.utime(link, (moment, moment), follow_symlinks=False)
    prune(str(tmp_path))
    assert outside.exists() and not link.is_symlink()


def test_once_a_day_and_by_one_process(fetcher: Fetcher, tmp_path: Path) -> None:
    settings = fetcher.context.settings
    cache = tmp_path / "cache"
    first = put(cache / "downloads/aa/1", 1, 100)
    prune_if_due(settings)
    assert not first.exists()
    second = put(cache / "downloads/aa/2", 1, 100)
    prune_if_due(settings)
    assert second.exists()
    set_age(cache / "pruned", 2)
    with (cache / "pruned").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        prune_if_due(settings)
        assert second.exists()
    prune_if_due(settings)
    assert not second.exists()


def test_a_cache_that_cannot_be_written_is_left_alone(fetcher: Fetcher, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    prune_if_due(fetcher.context.settings)


def test_adding_prunes(new_fetcher: Callable[..., Fetcher], tmp_path: Path) -> None:
    fetcher = new_fetcher(tmp_path, compute_only=True)
    old = put(tmp_path / "cache/downloads/aa/1", 1, 100)
    archive = tmp_path / "a.tar"
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("x")
    subprocess.run(["tar", "-C", tmp_path, "-cf", archive, "tree"], check=True)
    tree = fetcher.fetch(f"tarball+file://{archive}")
    assert not old.exists()
    kept = tmp_path / "cache/trees" / tree.store_path.base
    set_age(kept, 20)
    new_fetcher(tmp_path, compute_only=True).fetch(f"tarball+file://{archive}")
    assert time.time() - kept.stat().st_mtime < DAY


def test_lock_files_go_with_the_lock(fetcher: Fetcher, tmp_path: Path) -> None:
    path = tmp_path / "a"
    with locked(str(path), fetcher.context, delete=True):
        assert (tmp_path / "a.lock").exists()
    assert not (tmp_path / "a.lock").exists()


_HOLD = """
import sys, time, types
from frazil.fetch.locks import locked
context = types.SimpleNamespace(reporter=types.SimpleNamespace(log=lambda *_: None))
for _ in range(50):
    with locked(sys.argv[1], context, delete=True):
        with open(sys.argv[2], "x"):
            pass
        time.sleep(0.001)
        import os
        os.unlink(sys.argv[2])
"""


def test_deleted_lock_files_let_one_in_at_a_time(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", _HOLD, str(tmp_path / "a"), str(tmp_path / "inside")]
    processes = [
        subprocess.Popen(arguments, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}) for _ in "123"
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]


def test_the_database_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "cache.sqlite")
    cache = FetchCache(path, 60)
    now = time.time()
    for number in range(200):
        monkeypatch.setattr(time, "time", lambda number=number: now - 1000 + number)
        cache.put("d", number, {"text": "x" * 1000})
    cache.close()
    monkeypatch.setattr("frazil.fetch.cache._MAXIMUM_SIZE", 100_000)
    assert cache.get("d", 0) is None and cache.get("d", 199) is not None
    cache.close()
