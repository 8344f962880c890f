"""Death at any instant, and a full disk: what remains is a store that verifies."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from frazil.store.errors import DiskFull
from frazil.store.local import LocalStore

from .conftest import RecordingReporter, open_store

WRITER = """
import sys, itertools
from pathlib import Path
from frazil.store import garbage
from frazil.store.local import LocalStore
from frazil.store.config import StoreConfig, StoreSettings
root, tree, seed, collect = sys.argv[1:]
store = LocalStore(StoreConfig.from_uri(f"local?root={root}", {}), StoreSettings(reserved_space=4096))
print("ready", flush=True)
last = []
for number in itertools.count():
    Path(tree, "number").write_text(f"{seed} {number}")
    with store.deferred_registration():
        last = [store.add_text("text", f"{seed} {number} {i}".encode(), last) for i in range(3)]
    last.append(store.add_path("tree", tree))
    if collect == "yes" and number % 3 == 2:
        other = LocalStore(store.config, store.settings)
        other.collect_garbage(garbage.Options())
"""


def run_and_kill(root: Path, tree: Path, seed: int, delay: float, *, collect: bool = False) -> None:
    command = [sys.executable, "-c", WRITER, str(root), str(tree), str(seed), "yes" if collect else "no"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stderr is not None
        assert child.stdout.readline() == b"ready\n", child.stderr.read()
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, child.stderr.read()


def check(root: Path) -> int:
    """Everything registered is whole, right after a death, before anything could have repaired it."""
    with open_store(root) as store:
        for path in store.query_all_valid():
            assert store.query_references(path) <= store.query_all_valid()
            assert os.path.lexists(store.real_path(path)), path
        assert store.verify(check_contents=True)
        assert isinstance(store.reporter, RecordingReporter)
        assert not store.reporter.errors
        return len(store.query_all_valid())


@pytest.mark.parametrize("collect", [False, True])
def test_kill_at_random_moments(root: Path, tree: Path, collect: bool) -> None:
    chance = random.Random(7)
    registered = 0
    for seed in range(8):
        run_and_kill(root, tree, seed, chance.random() * 0.12, collect=collect)
        registered = max(registered, check(root))
    delay = 0.2
    while not registered:  # a machine that has much else to do
        run_and_kill(root, tree, 8, delay, collect=collect)
        registered, delay = check(root), 2 * delay
    assert registered
    with open_store(root) as store:
        from frazil.store import garbage

        store.collect_garbage(garbage.Options())
        left = set(os.listdir(store.config.real_store_dir)) - {".links"}
        assert left == set() and not store.query_all_valid()


def test_two_writers_at_once(root: Path, tree: Path, tmp_path: Path) -> None:
    """The same paths at the same time, by processes that know nothing of each other."""
    program = WRITER.replace("itertools.count()", "range(12)")
    command = [sys.executable, "-c", program, str(root), str(tree), "same", "no"]
    children = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(3)]
    for child in children:
        _, errors = child.communicate(timeout=60)
        assert child.returncode == 0, errors.decode()
    assert check(root) >= 36


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    if sys.platform != "linux":
        pytest.skip("mounting a tmpfs needs Linux")
    return tmp_path / "disk"


FULL_DISK = """
import os, sys
from pathlib import Path
from frazil.store import garbage
from frazil.store.errors import DiskFull
from frazil.store.local import LocalStore
from frazil.store.config import StoreConfig, StoreSettings
store = LocalStore(StoreConfig.from_uri("local?root={root}", {{}}), StoreSettings(reserved_space=65536))
full = 0
for number in range(400):
    try:
        if number % 2:
            store.add_text("text", os.urandom(20000))
        else:
            Path({source!r}).write_bytes(os.urandom(30000))
            store.add_path("tree", {source!r})
    except DiskFull as error:
        assert error.hint and "No space" in error.message or "full" in error.message, error
        full += 1
        if full > 20:
            break
assert full > 20, full
store.close()
store = LocalStore(store.config, store.settings)
assert store.verify(check_contents=True)
before = len(store.query_all_valid())
assert before > 5
results = store.collect_garbage(garbage.Options())
assert results.bytes_freed > 100000
assert not store.query_all_valid()
store.add_text("text", os.urandom(20000))
assert store.verify(check_contents=True)
print("fine", before)
"""


def test_full_disk(small_disk: Path) -> None:
    """In a mount namespace of its own, so that nothing stays mounted."""
    small_disk.mkdir()
    program = FULL_DISK.format(source=str(small_disk.parent / "source"), root=f"{small_disk}/root")
    script = f'mount -t tmpfs -o size=1536k none "{small_disk}" && exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, sys.executable, program], capture_output=True, text=True, timeout=60
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("fine")


def test_full_disk_error_is_one_of_ours(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskFull) as caught:
        store.add_text("x", b"data")
    assert caught.value.hint
    monkeypatch.undo()
    assert store.add_text("x", b"data") in store.query_all_valid()
