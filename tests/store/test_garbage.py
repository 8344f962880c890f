"""What is a root, what is garbage, and what happens to those who add paths meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from frazil.store import roots
from frazil.store.errors import PathInUse, StoreError
from frazil.store.garbage import DELETE_DEAD, RETURN_DEAD, RETURN_LIVE, Options, RootServer, render_size
from frazil.store.local import LocalStore
from frazil.store.path import StorePath

from .conftest import RecordingReporter, open_store
from .test_local import derivation


def fill(root: Path) -> tuple[StorePath, StorePath, StorePath]:
    """Two paths that refer to each other and one alone, with nothing holding them."""
    with open_store(root) as store:
        one = store.add_text("one", b"1" * 5000)
        return one, store.add_text("two", b"2", [one]), store.add_text("three", b"3" * 5000)


def test_roots_keep_their_closure(root: Path, tmp_path: Path) -> None:
    one, two, three = fill(root)
    with open_store(root) as store:
        roots.make_symlink(store.config.state_dir + "/gcroots/mine", store.show(two))
        live = store.collect_garbage(Options(RETURN_LIVE))
        dead = store.collect_garbage(Options(RETURN_DEAD))
        assert live.paths == sorted([store.show(one), store.show(two)])
        assert dead.paths == [store.show(three)]
        deleted = store.collect_garbage(Options(DELETE_DEAD))
        assert deleted.paths == [store.show(three)] and deleted.bytes_freed == 5000
        assert store.query_all_valid() == {one, two}
        assert store.verify(check_contents=True)
        os.unlink(store.config.state_dir + "/gcroots/mine")
        assert len(store.collect_garbage(Options()).paths) == 2
        assert os.listdir(store.config.real_store_dir) == [".links"]


def test_every_kind_of_root(root: Path, tmp_path: Path) -> None:
    one, two, three = fill(root)
    link = str(tmp_path / "result")
    with open_store(root) as store:
        state = store.config.state_dir
        assert store.add_permanent_root(two, link) == link
        roots.make_symlink(state + "/profiles/per-user/u/profile-1-link", store.show(three))
        Path(state, "gcroots", one.base).write_bytes(b"")
        Path(state, "gcroots", "nonsense").write_bytes(b"")
        os.symlink("/nowhere", state + "/gcroots/stranger")
    with open_store(root) as store:
        assert store.find_roots() == {
            one: {f"{state}/gcroots/{one.base}"},
            two: {link},
            three: {f"{state}/profiles/per-user/u/profile-1-link"},
        }
        os.unlink(link)
        assert set(store.find_roots()) == {one, three}
        assert os.listdir(state + "/gcroots/auto") == []
        assert os.path.islink(state + "/gcroots/stranger")
        store.add_temporary_roots([one, three])
        assert f"{{temp:{os.getpid()}}}" in store.find_roots()[one]
        temporary = store.add_text("temporary", b"")
        assert store.find_roots()[temporary] == {f"{{temp:{os.getpid()}}}"}
        assert store.find_roots(censor=True)[temporary] == {"{censored}"}


def test_permanent_roots_clobber_nothing(store: LocalStore, tmp_path: Path) -> None:
    path = store.add_text("x", b"")
    (tmp_path / "file").write_bytes(b"precious")
    (tmp_path / "foreign").symlink_to("/etc")
    for name in ("file", "foreign"):
        with pytest.raises(StoreError, match="already exists") as caught:
            store.add_permanent_root(path, str(tmp_path / name))
        assert caught.value.hint
    link = store.add_permanent_root(path, str(tmp_path / "result"))
    other = store.add_text("y", b"")
    store.add_permanent_root(other, link)
    assert os.readlink(link) == store.show(other)
    with pytest.raises(StoreError, match="is forbidden"):
        store.add_permanent_root(path, "/nix/store/result")


def test_running_processes_are_roots(root: Path) -> None:
    one, two, three = fill(root)
    with open_store(root) as store, open(store.real_path(one)) as held:
        environment = {**os.environ, "USED": f"a:{store.show(two)}/bin:b"}
        with subprocess.Popen(["sleep", "60"], env=environment) as child:
            try:
                # The kernel closes what tells us that the program began before its environment can be read.
                while b"USED" not in Path(f"/proc/{child.pid}/environ").read_bytes():
                    time.sleep(0.01)
                found = roots.find_runtime_roots(store)
                assert f"/proc/{os.getpid()}/fd/{held.fileno()}" in found[one]
                assert f"/proc/{child.pid}/environ" in found[two]
                assert three not in found
                assert store.collect_garbage(Options()).paths == [store.show(three)]
            finally:
                child.kill()


def test_processes_deep_below(root: Path, tmp_path: Path) -> None:
    """A working folder whose path is longer than the kernel tells, in a store object and elsewhere."""
    deep = "import os, sys\nfor _ in range(40): os.mkdir('x' * 150); os.chdir('x' * 150)\nprint(flush=True); input()"
    source = tmp_path / "source"
    source.mkdir()
    with open_store(root) as store:
        used, other = store.add_path("used", str(source)), store.add_text("other", b"")
        real = Path(store.real_path(used))
        real.chmod(0o755)
        for folder, paths in ((source, set()), (real, {used})):
            child = subprocess.Popen(
                [sys.executable, "-c", deep], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            with child:
                assert child.stdout is not None
                child.stdout.readline()
                with pytest.raises(OSError, match="name too long"):
                    os.readlink(f"/proc/{child.pid}/cwd")
                found = roots.find_runtime_roots(store)
                place = f"/proc/{child.pid}/cwd"
                assert {path for path, holders in found.items() if place in holders} == paths
                child.kill()
        assert other not in found


def test_deriver_and_output_links(root: Path) -> None:
    with open_store(root) as store:
        drv = derivation(store, "d")
        path = store.write_derivation(drv)
        output = drv.output_paths(store.directory)["out"]
        assert output is not None
        Path(store.real_path(output)).write_bytes(b"built")
        digest, size = garbage_info(store, output)
        store.register([digest.with_(nar_size=size, deriver=path)])
        roots.make_symlink(store.config.state_dir + "/gcroots/r", store.show(output))
    for keep, expected in ((True, {path, output}), (False, {output})):
        with open_store(root, keep_derivations=keep) as store:
            live = store.collect_garbage(Options(RETURN_LIVE)).paths
            assert live == sorted(map(store.show, expected))
    with open_store(root) as store:
        roots.make_symlink(store.config.state_dir + "/gcroots/r", store.show(path))
    for keep, expected in ((True, {path, output}), (False, {path})):
        with open_store(root, keep_outputs=keep) as store:
            assert store.collect_garbage(Options(RETURN_LIVE)).paths == sorted(map(store.show, expected))


def test_outputs_of_floating_derivations_are_kept_like_others(root: Path) -> None:
    from frazil.store.derivation import Derivation, Floating

    with open_store(root) as store:
        drv = Derivation("d", {"out": Floating("nar", "sha256")}, {}, frozenset(), "x", "y", (), {"out": ""})
        path = store.write_derivation(drv)
        output = store.add_text("out", b"made")
        store.register_own_realisation(path, "out", output)
        roots.make_symlink(store.config.state_dir + "/gcroots/r", store.show(path))
    for keep, expected in ((True, {path, output}), (False, {path})):
        with open_store(root, keep_outputs=keep) as store:
            assert store.collect_garbage(Options(RETURN_LIVE)).paths == sorted(map(store.show, expected))


def garbage_info(store: LocalStore, path: StorePath):  # type: ignore[no-untyped-def]
    from frazil.store import nar
    from frazil.store.metadata import canonicalise
    from frazil.store.path_info import PathInfo

    canonicalise(store.real_path(path))
    digest, size = nar.hash_path(store.real_path(path))
    return PathInfo(path, digest, size), size


def test_limits(root: Path) -> None:
    with open_store(root) as store:
        for number in range(10):
            store.add_text("t", b"%d" % number + b"." * 1000)
    with open_store(root) as store:
        assert store.collect_garbage(Options(max_freed=0)).paths == []
        some = store.collect_garbage(Options(max_freed=2500))
        assert len(some.paths) == 3 and 2500 < some.bytes_freed < 3100
        assert len(store.query_all_valid()) == 7
        assert store.verify(check_contents=True)


def test_leftovers_are_collected(root: Path) -> None:
    one, _, _ = fill(root)
    with open_store(root) as store:
        place = Path(store.open().config.real_store_dir)
        (place / ("0" * 32 + "-unregistered")).mkdir()
        (place / "stray file").write_bytes(b"")
        (place / "tmp-99-abandoned").mkdir()
        (place / (one.base + ".lock")).write_bytes(b"")
        mine = Path(store.working_path("x"))
        mine.write_bytes(b"in use")
        store.collect_garbage(Options())
        assert sorted(os.listdir(place)) == sorted([".links", mine.parent.name])
        assert mine.exists()


def test_deleting(root: Path) -> None:
    one, two, three = fill(root)
    with open_store(root) as store:
        with pytest.raises(PathInUse, match="since it is still alive"):
            store.delete([one])
        assert store.delete([three]).paths == [store.show(three)]
        assert set(store.delete([one, two]).paths) == {store.show(one), store.show(two)}
        path = store.add_text("mine", b"")
        with pytest.raises(PathInUse):
            store.delete([path], ignore_liveness=True)
    with open_store(root) as store:
        roots.make_symlink(store.config.state_dir + "/gcroots/r", store.show(path))
        with pytest.raises(PathInUse):
            store.delete([path])
        assert store.delete([path], ignore_liveness=True).paths == [store.show(path)]
        assert store.delete([]).paths == []


def test_who_asks_during_a_collection_waits_and_wins(root: Path) -> None:
    one, _, three = fill(root)
    with open_store(root) as collector, open_store(root) as user:
        collector.open()
        user.open()
        from frazil.store.locks import FileLock

        with FileLock(collector.config.state_dir + "/gc.lock", exclusive=True), RootServer(collector) as server:
            user.add_temporary_root(one)
            assert one.hash_part in server.hash_parts
            assert server.claim([one, three]) == [three]
            done = threading.Event()
            asking = threading.Thread(target=lambda: (user.add_temporary_root(three), done.set()))
            asking.start()
            assert not done.wait(0.3)
            server.release()
            assert done.wait(10)
            asking.join()


def test_deleting_what_can_be_deleted(root: Path) -> None:
    one, two, three = fill(root)
    with open_store(root) as store:
        roots.make_symlink(store.config.state_dir + "/gcroots/r", store.show(three))
        assert store.delete([one, three], skip_alive=True).paths == []
        with pytest.raises(PathInUse):
            store.delete([one, three], also_referrers=True)
        deleted = store.delete([one, three], skip_alive=True, also_referrers=True)
        assert set(deleted.paths) == {store.show(one), store.show(two)}
        assert store.query_all_valid() == {three}


ADDER = """
import sys
from frazil.store.local import LocalStore
from frazil.store.config import StoreConfig, StoreSettings
store = LocalStore(StoreConfig.from_uri(f"local?root={sys.argv[1]}", {}), StoreSettings(reserved_space=4096))
print("ready", flush=True)
for number in range(40):
    previous = store.add_text("base", b"base %d" % number)
    path = store.add_text("user", b"user %d" % number, [previous])
    assert open(store.real_path(previous)).read() == f"base {number}"
    assert open(store.real_path(path)).read() == f"user {number}"
assert store.verify(check_contents=True)
sys.stdin.read()
"""


def test_adding_while_another_process_collects(root: Path) -> None:
    command = [sys.executable, "-c", ADDER, str(root)]
    with (
        open_store(root) as store,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child,
    ):
        store.open()
        assert child.stdout is not None and child.stdin is not None and child.stderr is not None
        assert child.stdout.readline() == b"ready\n"
        for _ in range(15):
            store.collect_garbage(Options())
        child.stdin.close()
        assert child.wait(60) == 0, child.stderr.read().decode()
        store.collect_garbage(Options())
        assert store.query_all_valid() == set()


def test_sizes() -> None:
    assert [render_size(n) for n in (0, 512, 1024, 1536 * 1024, -(10**10))] == [
        "0.0 KiB",
        "0.5 KiB",
        "1.0 KiB",
        "1.5 MiB",
        "-9.3 GiB",
    ]


def test_a_folder_that_a_dead_optimiser_left_open_is_closed(root: Path, tree: Path) -> None:
    with open_store(root) as store:
        real = Path(store.real_path(store.add_path("tree", str(tree))))
        real.chmod(0o755)
        store.optimise()
        assert real.stat().st_mode & 0o777 == 0o555
        assert real.stat().st_mtime == 1


def test_linking_and_unlinking(root: Path, tree: Path) -> None:
    (tree / "same").write_bytes(b"text")
    with open_store(root) as store:
        path = store.add_path("tree", str(tree))
        statistics = store.optimise()
        assert statistics.files_linked == 1 and statistics.bytes_freed == 4
        real = Path(store.real_path(path))
        assert (real / "same").stat().st_ino == (real / "a.txt").stat().st_ino
        assert real.stat().st_mtime == 1
        assert store.optimise().files_linked == 0
        assert store.verify(check_contents=True)
        link = Path(store.config.real_store_dir, ".links").glob("*")
        victim = next(p for p in link if p.is_file() and p.read_bytes() == b"text")
        victim.chmod(0o644)
        victim.write_bytes(b"bad!")
        assert not store.verify(check_contents=True)
    with open_store(root) as store:
        store.collect_garbage(Options())
        assert os.listdir(store.config.real_store_dir) == [".links"]
        assert os.listdir(store.config.real_store_dir + "/.links") == []


def test_linking_while_adding(root: Path, tree: Path) -> None:
    (tree / "same").write_bytes(b"text")
    with open_store(root, auto_optimise_store=True) as store:
        real = Path(store.real_path(store.add_path("tree", str(tree))))
        assert (real / "same").stat().st_nlink == 3
        assert store.verify(check_contents=True)


def test_what_a_collection_says(store: LocalStore) -> None:
    path = store.add_text("x", b"x")
    store.close()
    assert isinstance(store.reporter, RecordingReporter)

    def said(options: Options) -> list[str]:
        assert isinstance(store.reporter, RecordingReporter)
        store.reporter.lines.clear()
        store.collect_garbage(options)
        return [text for _, text in store.reporter.lines]

    assert "determining live/dead paths..." in said(Options(action=RETURN_DEAD))
    chosen = Options(paths=frozenset({path}), skip_alive=True)
    assert "deleting garbage within specified paths..." in said(chosen)
