"""Fetching instead of building: many paths, bad caches, two processes at once, sudden deaths."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from frazil.activity import Verbosity
from frazil.build.errors import BuildFailed
from frazil.build.missing import query_missing
from frazil.build.result import Status
from frazil.build.scheduler import realise
from frazil.build.settings import BuildSettings
from frazil.build.substituters import Substituters
from frazil.build.substitution import substitute_paths
from frazil.build.worker import Worker
from frazil.digest import Hash
from frazil.store.config import LookupSettings, StoreConfig, StoreSettings, TransferSettings
from frazil.store.copying import copy_paths
from frazil.store.derived_path import DerivedPath
from frazil.store.errors import StoreError
from frazil.store.local import LocalStore
from frazil.store.metadata import delete_tree
from frazil.store.opening import open_store
from frazil.store.path import StorePath

from .conftest import RecordingReporter
from .http_server import Handler, Server, serving

COUNT = 60


def local(root: Path, **changes: object) -> LocalStore:
    settings = StoreSettings(
        reserved_space=4096,
        transfer=TransferSettings(retry_delay=1, retry_delay_rate_limited=1, attempts=2, stalled_timeout=5),
        lookup=LookupSettings(directory=str(root.parent / f"{root.name}-lookups")),
        **{"require_signatures": False, **changes},  # type: ignore[arg-type]
    )
    return LocalStore(StoreConfig.from_uri(f"local?root={root}", {}), settings, RecordingReporter())


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[tuple[Server, list[StorePath]]]:
    """A cache of texts that refer to earlier ones, served."""
    with local(tmp_path / "origin") as store:
        paths: list[StorePath] = []
        for number in range(COUNT):
            others = {paths[number // 2], paths[number - 1]} if number else set()
            text = f"text {number}\n" + "".join(f"{store.show(path)}\n" for path in sorted(others))
            paths.append(store.add_text(f"text-{number}", text.encode() * 20, others))
        cache = open_store(f"file://{tmp_path / 'cache'}?compression=zstd", store.settings, RecordingReporter(), {})
        copy_paths(store, cache, paths, RecordingReporter(), check_signatures=False)
    with serving(tmp_path / "cache") as server:
        yield server, paths
    for name in ("origin", "target"):
        if (tmp_path / name).exists():
            delete_tree(str(tmp_path / name))


@pytest.fixture
def target(tmp_path: Path) -> Iterator[LocalStore]:
    with local(tmp_path / "target") as store:
        yield store


def settings(*addresses: str, **changes: object) -> BuildSettings:
    return BuildSettings(substituters=addresses, sandbox="false", **changes)  # type: ignore[arg-type]


def fetch(store: LocalStore, paths: list[StorePath], chosen: BuildSettings) -> RecordingReporter:
    reporter = RecordingReporter()
    realise(store, [DerivedPath(path) for path in paths], chosen, reporter)
    return reporter


def messages(store: LocalStore, reporter: RecordingReporter, level: Verbosity) -> str:
    assert isinstance(store.reporter, RecordingReporter)
    return "\n".join(text for at, text in [*reporter.lines, *store.reporter.lines] if at == level)


def test_a_whole_closure(origin: tuple[Server, list[StorePath]], target: LocalStore) -> None:
    server, paths = origin
    results = realise(target, [DerivedPath(paths[-1])], settings(server.url), RecordingReporter())
    assert [result.status for result in results] == [Status.SUBSTITUTED]
    assert target.closure([paths[-1]]) == set(paths)
    assert target.verify(check_contents=True)
    assert server.count("GET", ".zst") == COUNT and server.count("GET", ".narinfo") == COUNT
    assert not [name for name in os.listdir(target.config.real_store_dir) if name.endswith(".lock")]
    assert fetch(target, paths, settings(server.url)).errors == []
    assert server.count("GET", ".zst") == COUNT


def test_what_is_missing(origin: tuple[Server, list[StorePath]], target: LocalStore) -> None:
    server, paths = origin
    substituters = Substituters(settings(server.url), target.settings, RecordingReporter())
    unknown = StorePath("0" * 32, "unknown")
    missing = query_missing(target, [DerivedPath(paths[5]), DerivedPath(unknown)], substituters)
    assert set(missing.will_substitute) == set(paths[:6]) and missing.unknown == [unknown]
    assert missing.nar_size > missing.download_size > 0
    substituters.close()
    assert query_missing(target, [DerivedPath(paths[5])]).unknown == [paths[5]]
    assert target.query_all_valid() == set()


def test_the_database_is_asked_for_many_at_once(
    origin: tuple[Server, list[StorePath]], target: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, paths = origin
    single: list[StorePath] = []
    ask = target.database.is_valid
    monkeypatch.setattr(target.database, "is_valid", lambda path: single.append(path) or ask(path))
    fetch(target, paths, settings(server.url))
    assert target.query_all_valid() == set(paths) and len(single) <= 1


def test_what_comes_meanwhile_is_found(
    origin: tuple[Server, list[StorePath]], target: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process adds a path that nobody else has, after the database was asked for many."""
    server, paths = origin
    other = target.directory.make_text_path("mine", Hash.of("sha256", b"mine").digest)
    look = Worker.look_for

    def look_and_add(worker: Worker, wanted: list[StorePath]) -> None:
        look(worker, wanted)
        if not target.is_registered(other):
            with local(Path(target.config.root or "")) as second:
                assert second.add_text("mine", b"mine", ()) == other

    monkeypatch.setattr(Worker, "look_for", look_and_add)
    fetch(target, [paths[0], other], settings(server.url))
    assert target.query_all_valid() == {paths[0], other}


def test_unsigned_paths_are_refused(tmp_path: Path, origin: tuple[Server, list[StorePath]]) -> None:
    server, paths = origin
    for file in (tmp_path / "cache").glob("*.narinfo"):
        file.write_text("".join(f"{x}\n" for x in file.read_text().splitlines() if not x.startswith("CA:")))
    with local(tmp_path / "target", require_signatures=True) as store:
        reporter = RecordingReporter()
        with pytest.raises(BuildFailed, match="no substituter that can build it"):
            realise(store, [DerivedPath(paths[3])], settings(server.url), reporter)
        assert "not signed by any of the keys" in messages(store, reporter, Verbosity.WARN)
        assert store.query_all_valid() == set()
        fetch(store, [paths[3]], settings(server.url + "?trusted=1"))
        assert store.query_all_valid() == set(paths[:4])


def damaged(folder: Path, names: Callable[[str], bool]) -> None:
    for file in (folder / "nar").iterdir():
        if names(file.name):
            file.write_bytes(file.read_bytes()[:-3])


def test_a_second_cache_helps(tmp_path: Path, origin: tuple[Server, list[StorePath]], target: LocalStore) -> None:
    server, paths = origin
    shutil.copytree(tmp_path / "cache", tmp_path / "bad")
    damaged(tmp_path / "bad", lambda name: True)
    bad, good = f"file://{tmp_path / 'bad'}?priority=1", f"{server.url}?priority=2"
    reporter = fetch(target, [paths[9]], settings(good, bad))
    assert "damaged" in "\n".join(reporter.errors)
    assert target.query_all_valid() == set(paths[:10]) and target.verify(check_contents=True)


def test_a_cache_that_names_other_paths(
    tmp_path: Path, origin: tuple[Server, list[StorePath]], target: LocalStore
) -> None:
    """It is passed over, and named; what others have is taken from them."""
    server, paths = origin
    shutil.copytree(tmp_path / "cache", tmp_path / "bad")
    shutil.copy(tmp_path / f"bad/{paths[3].hash_part}.narinfo", tmp_path / f"bad/{paths[0].hash_part}.narinfo")
    bad, good = f"file://{tmp_path / 'bad'}?priority=1", f"{server.url}?priority=2"
    reporter = fetch(target, [paths[0]], settings(good, bad))
    said = messages(target, reporter, Verbosity.ERROR)
    assert said.count("but got") == 1 and target.query_all_valid() == {paths[0]}


def test_only_bad_ones(tmp_path: Path, origin: tuple[Server, list[StorePath]], target: LocalStore) -> None:
    _, paths = origin
    damaged(tmp_path / "cache", lambda name: True)
    with pytest.raises(BuildFailed, match=r"references of path|no substituter"):
        fetch(target, [paths[9]], settings(f"file://{tmp_path / 'cache'}"))
    assert target.query_all_valid() == set()
    assert [
        n
        for n in os.listdir(target.config.real_store_dir)
        if not n.startswith((".", "tmp-")) and not n.endswith(".lock")
    ] == []


def test_a_cache_that_says_nothing_good(origin: tuple[Server, list[StorePath]], target: LocalStore) -> None:
    server, paths = origin

    def trouble(handler: Handler) -> bool:
        if handler.path.endswith(".narinfo"):
            handler.answer(500, b"")
            return True
        return False

    server.trouble = trouble
    with pytest.raises(StoreError, match="HTTP error 500"):
        fetch(target, [paths[0]], settings(server.url))
    with pytest.raises(BuildFailed):
        fetch(target, [paths[0]], settings(server.url, fallback=True))
    reporter = RecordingReporter()
    with pytest.raises(BuildFailed, match="is required, but there is no substituter that can build it"):
        realise(target, [DerivedPath(paths[0])], settings("http://127.0.0.1:1", "gopher://x"), reporter)
    warned = messages(target, reporter, Verbosity.WARN)
    assert "refused" in warned and "gopher" in warned


def test_what_is_gone_is_no_failure(tmp_path: Path, origin: tuple[Server, list[StorePath]], target: LocalStore) -> None:
    server, paths = origin
    shutil.rmtree(tmp_path / "cache" / "nar")
    reporter = RecordingReporter()
    with pytest.raises(BuildFailed):
        realise(target, [DerivedPath(paths[0])], settings(server.url), reporter)
    assert "does not exist in binary cache" in messages(target, reporter, Verbosity.WARN)


def test_the_default_cache_costs_little(tmp_path: Path, origin: tuple[Server, list[StorePath]]) -> None:
    """Where it cannot be reached, it is asked once a minute, and nothing is said aloud."""
    server, _ = origin

    def trouble(handler: Handler) -> bool:
        handler.answer(503, b"")
        return True

    server.trouble = trouble
    chosen = settings(server.url, substituters_are_default=True)
    for _ in range(3):
        reporter = RecordingReporter()
        with local(tmp_path / "target") as store:
            found = Substituters(chosen, store.settings, reporter, {"HOME": str(tmp_path)})
            assert found.stores == []
        assert [level for level, _ in reporter.lines if level <= Verbosity.WARN] == []
    assert server.count() == 1
    server.trouble = lambda handler: False
    os.utime(tmp_path / ".cache" / "nix" / "unreachable-default-substituter", (0, 0))
    with local(tmp_path / "target") as store:
        found = Substituters(chosen, store.settings, RecordingReporter(), {"HOME": str(tmp_path)})
        assert len(found.stores) == 1
        found.close()


def test_as_much_as_there_is(origin: tuple[Server, list[StorePath]], target: LocalStore) -> None:
    server, paths = origin
    unknown = StorePath("0" * 32, "unknown")
    substitute_paths(target, [*paths[:4], unknown], settings(server.url), RecordingReporter())
    assert target.query_all_valid() == set(paths[:4])


PROGRAM = """
import sys
from pathlib import Path
from store.test_substitution import fetch, local, settings
from frazil.store.path import StorePath
root, address, *names = sys.argv[1:]
with local(Path(root)) as store:
    fetch(store, [StorePath.from_base(name) for name in names], settings(address))
"""


def start(tmp_path: Path, server: Server, paths: list[StorePath]) -> subprocess.Popen[bytes]:
    top = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{top / 'src'}:{top / 'tests'}"}
    words = [sys.executable, "-c", PROGRAM, str(tmp_path / "target"), server.url, *(path.base for path in paths)]
    return subprocess.Popen(words, env=environment, stderr=subprocess.PIPE)


def test_two_processes_fetch_each_path_once(tmp_path: Path, origin: tuple[Server, list[StorePath]]) -> None:
    server, paths = origin
    with local(tmp_path / "target") as store:
        store.open()
    processes = [start(tmp_path, server, order) for order in (paths, paths[::-1])]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
    with local(tmp_path / "target") as store:
        assert store.query_all_valid() == set(paths) and store.verify(check_contents=True)
    assert server.count("GET", ".zst") == COUNT


def test_sudden_deaths(tmp_path: Path, origin: tuple[Server, list[StorePath]]) -> None:
    """Whenever it dies: what is valid is whole, and the next one goes on."""
    server, paths = origin

    def slow(handler: Handler) -> bool:
        time.sleep(0.02)
        return False

    server.trouble = slow
    rng = random.Random(7)
    killed = 0
    for _ in range(6):
        asked = server.count()
        process = start(tmp_path, server, paths)
        while server.count() == asked and process.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        with local(tmp_path / "target") as store:
            assert store.verify(check_contents=True)
            for path in store.query_all_valid():
                store.closure([path])
    assert killed
    with local(tmp_path / "target") as store:
        fetch(store, paths, settings(server.url))
        assert store.query_all_valid() == set(paths) and store.verify(check_contents=True)
