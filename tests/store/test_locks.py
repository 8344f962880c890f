"""Locks between processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from frazil.store.errors import StoreLocked
from frazil.store.locks import FileLock, PathLocks


def test_file_locks(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with (
        FileLock(path, exclusive=False),
        FileLock(path, exclusive=False),
        pytest.raises(StoreLocked),
        FileLock(path, exclusive=True, wait=False),
    ):
        pass
    with FileLock(path, exclusive=True, wait=False):
        pass


def test_path_locks_exclude_each_other(tmp_path: Path) -> None:
    path = str(tmp_path / "p")
    with PathLocks([path]):
        assert not PathLocks([path], wait=False).acquire()
        assert not PathLocks([str(tmp_path / "a"), path], wait=False).acquire()
        assert PathLocks([str(tmp_path / "a")], wait=False).acquire()
    assert os.path.exists(path + ".lock")
    with PathLocks([path]) as lock:
        lock.delete_files = True
    assert not os.path.exists(path + ".lock")


def test_a_deleted_lock_file_is_no_lock(tmp_path: Path) -> None:
    """Who waited on a file that was deleted meanwhile starts over with the new one."""
    path = str(tmp_path / "p")
    first = PathLocks([path])
    first.acquire()
    waiting, got = threading.Event(), threading.Event()
    second = PathLocks([path], on_wait=waiting.set)

    def wait() -> None:
        second.acquire()
        got.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert waiting.wait(10)
    first.delete_files = True
    first.release()
    assert got.wait(10)
    thread.join()
    assert not PathLocks([path], wait=False).acquire()
    second.release()


def test_death_releases(tmp_path: Path) -> None:
    path = str(tmp_path / "p")
    program = (
        "import sys\nfrom frazil.store.locks import PathLocks\n"
        "PathLocks([sys.argv[1]]).acquire()\nprint('x', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert not PathLocks([path], wait=False).acquire()
        holder.kill()
        holder.wait()
    assert PathLocks([path], wait=False).acquire()
