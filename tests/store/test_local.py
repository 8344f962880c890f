"""The store in the file system."""

from __future__ import annotations

import io
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from frazil.digest import Hash
from frazil.store import nar
from frazil.store.config import StoreConfig
from frazil.store.content_address import ContentAddress
from frazil.store.derivation import Deferred, Derivation, fill_in_output_paths
from frazil.store.errors import (
    BadArchive,
    BadStorePath,
    FormatError,
    HashMismatch,
    InvalidPath,
    PathInUse,
    ReferenceCycle,
    StoreError,
)
from frazil.store.local import LocalStore
from frazil.store.metadata import delete_tree
from frazil.store.path import StorePath
from frazil.store.path_info import PathInfo

from .conftest import RecordingReporter, open_store


def derivation(store: LocalStore, name: str, inputs: dict[StorePath, frozenset[str]] | None = None) -> Derivation:
    environment = {"name": name, "out": "", "builder": "/bin/sh", "system": "x86_64-linux"}
    drv = Derivation(name, {"out": Deferred()}, inputs or {}, frozenset(), "x86_64-linux", "/bin/sh", (), environment)
    return fill_in_output_paths(drv, store.directory, store.modulo)


def test_opening_is_lazy(root: Path) -> None:
    with open_store(root):
        pass
    assert not list(root.iterdir())


def test_text(store: LocalStore) -> None:
    one = store.add_text("one", b"1")
    two = store.add_text("two", store.show(one).encode(), [one])
    assert store.query_info(two).references == {one}
    assert store.query_referrers(one) == {two}
    assert store.closure([two]) == {one, two}
    assert store.closure([one], reverse=True) == {one, two}
    assert store.topological([two, one]) == [one, two]
    assert Path(store.real_path(one)).read_bytes() == b"1"
    assert store.add_text("one", b"1") == one
    assert store.verify(check_contents=True)
    with pytest.raises(InvalidPath):
        store.add_text("bad", b"", [replace_name(one, "other")])


def replace_name(path: StorePath, name: str) -> StorePath:
    return StorePath(path.hash_part, name)


@pytest.mark.parametrize(("method", "algorithm"), [("nar", "sha256"), ("nar", "sha1"), ("git", "sha1"), ("nar", "md5")])
def test_trees(store: LocalStore, tree: Path, method: str, algorithm: str) -> None:
    path = store.add_path("tree", str(tree), method, algorithm)
    assert path == store.compute_path("tree", str(tree), method, algorithm)[0]
    info = store.query_info(path)
    assert info.is_content_addressed(store.directory)
    assert (info.nar_hash, info.nar_size) == nar.hash_path(str(tree))
    assert stat.S_IMODE(os.stat(store.real_path(path)).st_mode) == 0o555
    assert store.verify(check_contents=True)


def test_flat_files_lose_the_executable_bit(store: LocalStore, tree: Path) -> None:
    path = store.add_path("run", str(tree / "bin" / "run"), "flat", "sha256")
    assert stat.S_IMODE(os.stat(store.real_path(path)).st_mode) == 0o444
    assert store.add_bytes("run", (tree / "bin" / "run").read_bytes()) == path
    assert store.verify(check_contents=True)
    with pytest.raises(StoreError, match="not a regular file"):
        store.add_path("x", str(tree), "flat", "sha256")


def test_filters_are_asked_once_a_path(store: LocalStore, tree: Path) -> None:
    asked: list[str] = []

    def keep(path: str, kind: str) -> bool:
        asked.append(path)
        return not path.endswith("bin")

    path = store.add_path("tree", str(tree), filter=keep)
    assert len(asked) == len(set(asked))
    assert not os.path.exists(store.real_path(path) + "/bin")


def test_large_trees(root: Path, tree: Path) -> None:
    with open_store(root, nar_buffer_size=16) as store:
        check_large_trees(store, tree)


def check_large_trees(store: LocalStore, tree: Path) -> None:
    expected = store.compute_path("tree", str(tree))[0]
    assert store.add_path("tree", str(tree)) == expected
    flat = store.add_path("run", str(tree / "bin" / "run"), "flat", "sha256")
    assert flat == store.compute_path("run", str(tree / "bin" / "run"), "flat")[0]
    assert store.verify(check_contents=True)
    os.mkfifo(tree / "zz")
    with pytest.raises(StoreError, match="unsupported type"):
        store.add_path("other", str(tree))


def test_derivations(store: LocalStore) -> None:
    first = derivation(store, "first")
    path = store.write_derivation(first)
    second = derivation(store, "second", {path: frozenset(["out"])})
    other = store.write_derivation(second)
    assert store.read_derivation(other) == second
    assert store.query_derivation_outputs(path) == first.output_paths(store.directory)
    output = first.output_paths(store.directory)["out"]
    assert output is not None and store.query_valid_derivers(output) == {path}
    lying = second.with_(environment={**second.environment, "x": "y"})
    with pytest.raises(StoreError, match="incorrect output"):
        store.write_derivation(lying)
    with pytest.raises(InvalidPath):
        store.read_derivation(StorePath(path.hash_part, "none.drv"))
    with pytest.raises(BadStorePath, match="not a valid derivation path"):
        store.read_derivation(store.add_text("x", b""))


def test_imported_derivations_are_checked(store: LocalStore) -> None:
    """A lying derivation file is no valid path, even with the right hash."""
    lying = derivation(store, "a").unparse(store.directory).replace(b"x86_64", b"x86_65", 1)
    with pytest.raises(StoreError, match="incorrect output"):
        store.add_text("a.drv", lying)
    with pytest.raises(FormatError, match="error parsing derivation"):
        store.add_text("b.drv", b"Derive(")
    assert store.query_all_valid() == set()


def test_trusted_outputs_spare_the_check(store: LocalStore) -> None:
    drv = derivation(store, "a")
    contents, path = drv.unparse(store.directory), drv.store_path(store.directory)
    output = drv.output_paths(store.directory)["out"]
    assert output is not None
    store.trust_outputs(path, {"out": store.show(output)})
    assert store.add_text("a.drv", contents) == path
    assert store.query_valid_derivers(output) == {path}


def test_deferred_registration(root: Path) -> None:
    with open_store(root) as store, open_store(root) as other:
        with store.deferred_registration():
            one = store.add_text("one", b"1")
            two = store.add_text("two", b"2", [one])
            drv = store.write_derivation(derivation(store, "d"))
            assert store.is_valid(two) and not other.is_registered(two)
            assert store.closure([two]) == {one, two}
            assert store.read_derivation(drv).name == "d"
        assert other.is_registered(two) and other.is_registered(drv)


def test_registration_checks(store: LocalStore) -> None:
    one, two = (StorePath(f"{i}" * 32, "x") for i in (1, 2))
    digest = Hash.of("sha256", b"")
    with pytest.raises(ReferenceCycle, match="cycle detected"):
        store.register([PathInfo(one, digest, 8, frozenset([two])), PathInfo(two, digest, 8, frozenset([one]))])
    with pytest.raises(StoreError, match="claims to be content-addressed but isn't"):
        store.register([PathInfo(one, digest, 8, content_address=ContentAddress("nar", digest))])
    assert store.query_all_valid() == set()


def archive(contents: bytes) -> bytes:
    out: list[bytes] = []
    nar.dump_file(contents, out.append)
    return b"".join(out)


def test_archives(store: LocalStore) -> None:
    data = archive(b"abc")
    digest = Hash.of("sha256", data)
    path = StorePath("1" * 32, "x")
    good = PathInfo(path, digest, len(data))
    for bad, kind in (
        (good.with_(nar_hash=Hash.of("sha256", b"")), HashMismatch),
        (good.with_(nar_size=1), HashMismatch),
        (good.with_(content_address=ContentAddress("nar", digest)), StoreError),
    ):
        with pytest.raises(kind):
            store.add_nar(bad, io.BytesIO(data).read)
        assert not os.path.exists(store.real_path(path)) or not store.is_registered(path)
    with pytest.raises(BadArchive, match=f"cannot import path '.*{path.base}': unexpected end of archive"):
        store.add_nar(good, io.BytesIO(data[:-8]).read)
    with pytest.raises(StoreError, match="lacks a signature"):
        store.add_nar(good, io.BytesIO(data).read, check_signatures=True)
    stream = io.BytesIO(data + b"rest")
    store.add_nar(good, stream.read)
    assert stream.read() == b"rest"
    again = io.BytesIO(data + b"rest")
    store.add_nar(good, again.read)
    assert again.read() == b"rest"
    assert store.verify(check_contents=True)
    out = io.BytesIO()
    store.dump_nar(path, out.write)
    assert out.getvalue() == data


@pytest.mark.parametrize(
    ("method", "algorithm"), [("nar", "sha256"), ("nar", "sha512"), ("flat", "sha256"), ("git", "sha1")]
)
def test_archives_that_name_themselves(store: LocalStore, method: str, algorithm: str, tmp_path: Path) -> None:
    path = store.add_from_nar("x", io.BytesIO(archive(b"abc")).read, method, algorithm)
    (tmp_path / "f").write_bytes(b"abc")
    assert path == store.compute_path("x", str(tmp_path / "f"), method, algorithm)[0]
    assert store.verify(check_contents=True)


def test_leftovers_are_replaced(store: LocalStore, tree: Path) -> None:
    """A process that died left something at a path that is not registered."""
    expected = store.compute_path("tree", str(tree))[0]
    text = store.directory.make_text_path("t", Hash.of("sha256", b"t").digest)
    store.open()
    for path in (expected, text):
        os.makedirs(f"{store.config.real_store_dir}/{path.base}/junk", mode=0o555)
    assert store.add_path("tree", str(tree)) == expected
    assert store.add_text("t", b"t") == text
    assert store.verify(check_contents=True)


def test_computing_only(root: Path, tree: Path) -> None:
    with open_store(root) as store, LocalStore(StoreConfig.from_uri("dummy://", {})) as dummy:
        drv = derivation(store, "d")
        assert dummy.add_text("t", b"t") == store.add_text("t", b"t")
        path = dummy.add_path("tree", str(tree))
        assert path == store.add_path("tree", str(tree))
        assert dummy.to_real(dummy.show(path) + "/a.txt") == f"{tree}/a.txt"
        assert dummy.add_bytes("b", b"b") == store.add_bytes("b", b"b")
        written = dummy.write_derivation(drv)
        assert written == store.write_derivation(drv)
        assert dummy.read_derivation(written) == drv
        assert dummy.is_valid(written) and not dummy.is_valid(StorePath("1" * 32, "x"))
    with LocalStore(StoreConfig.from_uri(f"local?root={root}/other", {}), compute_only=True) as computing:
        computing.add_text("t", b"t")
        assert not computing.is_valid(StorePath("1" * 32, "x"))
    assert not (root / "other").exists()


def test_links_into_the_store(store: LocalStore, tmp_path: Path) -> None:
    path = store.add_text("x", b"")
    (tmp_path / "b").symlink_to(store.show(path))
    (tmp_path / "a").symlink_to("b")
    assert store.follow_links_to_store_path(str(tmp_path / "a")) == path
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(BadStorePath, match="too many symbolic links"):
        store.follow_links(str(tmp_path / "loop"))
    with pytest.raises(BadStorePath, match="is not in the Nix store"):
        store.follow_links(str(tmp_path))


def test_the_store_may_not_lie_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with open_store(tmp_path / "link") as store, pytest.raises(StoreError, match="is a symlink") as caught:
        store.open()
    assert caught.value.hint
    with open_store(tmp_path / "link", allow_symlinked_store=True) as store:
        store.open()


def test_invalidate(store: LocalStore) -> None:
    one = store.add_text("one", b"1")
    store.add_text("two", b"2", [one])
    with pytest.raises(PathInUse, match="because it is in use by"):
        store.invalidate(one)


def test_unwritable_places(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with open_store(tmp_path / "file") as store, pytest.raises(StoreError, match="creating directory"):
        store.open()


def test_threads(store: LocalStore) -> None:
    failures: list[BaseException] = []

    def work(start: int) -> None:
        try:
            for number in range(start, start + 20):
                store.add_text("t", b"%d" % number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i * 10,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(store.query_all_valid()) == 50
    assert store.verify(check_contents=True)


def test_children_open_their_own_database(store: LocalStore) -> None:
    store.add_text("parent", b"")
    child = os.fork()
    if child == 0:
        try:
            store.add_text("child", b"")
            store.close()
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert {path.name for path in store.query_all_valid()} == {"parent", "child"}
    assert store.add_text("parent", b"2")


def test_many_texts_at_once(store: LocalStore) -> None:
    one = b"1"
    first = store.directory.make_text_path("one", Hash.of("sha256", one).digest)
    two = store.show(first).encode()
    second = store.directory.make_text_path("two", Hash.of("sha256", two).digest, [first])
    batch = [(first, one, frozenset[str]()), (second, two, frozenset([store.show(first)]))]
    with store.deferred_registration():
        store.add_texts(batch)
        assert store.is_valid(second)
        assert not store.database.is_valid(second)
    assert store.database.all_valid() == {first, second}
    assert store.query_references(second) == {first}
    assert stat.S_IMODE(os.stat(store.real_path(first)).st_mode) == 0o444
    store.add_texts(batch)
    assert store.verify(check_contents=True)


def test_what_fails_is_not_registered(store: LocalStore) -> None:
    with pytest.raises(ZeroDivisionError), store.deferred_registration():
        path = store.add_text("x", b"x")
        raise ZeroDivisionError
    assert not store.is_valid(path)
    assert store.add_text("x", b"x") == path
    assert store.verify(check_contents=True)


def test_modes_do_not_depend_on_the_umask(root: Path, tree: Path) -> None:
    before = os.umask(0o077)
    try:
        with open_store(root) as store:
            paths = [store.add_text("x", b"x"), store.add_path("run", str(tree / "bin" / "run"))]
            modes = [stat.S_IMODE(os.stat(store.real_path(path)).st_mode) for path in paths]
            assert modes == [0o444, 0o555]
            assert store.verify(check_contents=True)
    finally:
        os.umask(before)


def test_single_files_are_optimised_too(root: Path) -> None:
    with open_store(root, auto_optimise_store=True) as store:
        real = [store.real_path(store.add_text(name, b"the same")) for name in ("one", "two")]
    assert os.stat(real[0]).st_ino == os.stat(real[1]).st_ino


def test_many_at_once_say_the_same_as_one_by_one(store: LocalStore) -> None:
    paths: list[StorePath] = []
    with store.deferred_registration():
        for number in range(1100):
            paths.append(
                store.add_text(f"p{number}", b"%d" % number, {*paths[-1:], *paths[number // 2 : number // 2 + 1]})
            )
    assert list(store.query_infos(paths[::-1])) == [store.query_info(path) for path in paths[::-1]]
    assert store.database.references_of(paths) == {path: store.query_references(path) for path in paths}
    infos = {path: store.query_info(path) for path in paths}
    for some in (paths, paths[:7]):  # most of what there is, and a few
        found = store.query_sizes(some)
        assert {p: (n, frozenset(r)) for p, (n, r) in found.items()} == {
            path: (infos[path].nar_size, infos[path].references) for path in some
        }
        assert store.database.valid_among(some) == set(some)
    assert store.closure(paths[-1:]) == set(paths)
    assert store.closure([paths[5], paths[3]]) == store.closure([paths[5]])
    stranger = replace_name(paths[0], "stranger")
    assert store.database.references_of([stranger]) == {}
    assert store.database.valid_among([*paths, stranger]) == set(paths)
    assert stranger not in store.database.sizes_of([*paths, stranger])
    with store.database.transaction(), pytest.raises(InvalidPath, match="stranger"):
        store.query_sizes([*paths, stranger])
    with pytest.raises(InvalidPath, match="stranger"):
        list(store.query_infos([paths[0], stranger, paths[1]]))
    with pytest.raises(InvalidPath, match="stranger"):
        list(store.query_infos([paths[0], stranger]))
    with pytest.raises(InvalidPath, match="stranger"):
        store.closure([paths[0], stranger])


def test_large_paths_are_worth_a_warning(root: Path, tree: Path) -> None:
    for threshold, warned in ((1, True), (1 << 30, False)):
        with open_store(root, warn_large_path_threshold=threshold) as store:
            store.add_path("tree", str(tree))
            assert isinstance(store.reporter, RecordingReporter)
            text = f"copied large path '{tree}' to the store ("
            assert any(line.startswith(text) for _, line in store.reporter.lines) == warned


def _bad(store: LocalStore, path: StorePath, contents: bytes, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Another process that has the path's lock, and an archive that is not what was promised."""
    sink = io.BytesIO()
    nar.dump_file(contents, sink.write)
    info = store_info(path, sink.getvalue())
    data = io.BytesIO(sink.getvalue().replace(contents, contents[::-1]))

    def read(size: int) -> bytes:
        meanwhile()
        return data.read(size)

    with pytest.raises(HashMismatch):
        store.add_nar(info, read)


def store_info(path: StorePath, archive: bytes) -> PathInfo:
    return PathInfo(path, Hash.of("sha256", archive), len(archive))


@pytest.mark.parametrize("when", ["before", "meanwhile", "placed"])
def test_files_without_a_lock_survive_who_has_it(root: Path, when: str) -> None:
    with open_store(root) as ours, open_store(root) as theirs:
        path = ours.directory.make_text_path("t", Hash.of("sha256", b"text").digest, frozenset())
        done: list[StorePath] = []

        def add() -> None:
            if not done:
                done.append(ours.add_text("t", b"text"))

        if when == "meanwhile":
            _bad(theirs, path, b"text", add)
        elif when == "before":
            with ours.deferred_registration():
                add()
                _bad(theirs, path, b"text")
        else:
            with ours.deferred_registration():
                add()
                delete_tree(ours.real_path(path))  # as one that died in the middle
        assert done == [path] and Path(ours.real_path(path)).read_bytes() == b"text"
        assert ours.verify(check_contents=True) and theirs.is_registered(path)
