"""One contract over stores of all kinds; what binary caches must not get away with; C++ Nix reading ours, we its."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frazil.activity import Verbosity
from frazil.errors import FrazilError
from frazil.store import nar, tree
from frazil.store.binary_cache import BinaryCache
from frazil.store.compression import compress
from frazil.store.config import LookupSettings, StoreSettings, TransferSettings
from frazil.store.copying import copy_closure, copy_paths, copy_realisations
from frazil.store.errors import (
    FormatError,
    HashMismatch,
    InvalidPath,
    StoreError,
    SubstituteGone,
    UnsupportedOperation,
    UnsupportedStore,
)
from frazil.store.interface import Store
from frazil.store.local import LocalStore
from frazil.store.metadata import delete_tree
from frazil.store.opening import open_store
from frazil.store.path import StorePath
from frazil.store.realisation import Realisation, parse_value
from frazil.store.signatures import SecretKey

from .conftest import RecordingReporter
from .conftest import open_store as open_local
from .http_server import Handler, Server, serving
from .test_local import derivation

KEY = SecretKey.generate("test-1")


def opened(address: str, tmp_path: Path, **changes: object) -> Store:
    transfer = TransferSettings(retry_delay=1, retry_delay_rate_limited=1, attempts=2, stalled_timeout=2)
    lookup = LookupSettings(directory=str(tmp_path / "lookups"))
    chosen = StoreSettings(reserved_space=4096, transfer=transfer, lookup=lookup, **changes)  # type: ignore[arg-type]
    return open_store(address, chosen, RecordingReporter(), {"HOME": str(tmp_path)})


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text(str(KEY))
    return file


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "cache").mkdir()
    with serving(tmp_path / "cache") as made:
        yield made


@pytest.fixture
def paths(store: LocalStore, tree: Path) -> list[StorePath]:
    """References first."""
    source = store.add_path("tree", str(tree))
    text = store.add_text("text", store.show(source).encode(), [source])
    drv = store.write_derivation(derivation(store, "x"))
    return [source, text, drv]


@pytest.fixture(params=["local", "file", "http"])
def other(request: pytest.FixtureRequest, tmp_path: Path, key_file: Path) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "local":
        with opened(f"local?root={tmp_path / 'other'}", tmp_path) as store:
            yield store
        delete_tree(str(tmp_path / "other"))
        return
    cache = f"?secret-key={key_file}&write-nar-listing=1"
    if request.param == "file":
        with opened(f"file://{tmp_path / 'cache'}{cache}", tmp_path) as store:
            yield store
        return
    with serving(tmp_path / "cache") as server:
        (tmp_path / "cache").mkdir()
        with opened(server.url + cache, tmp_path) as store:
            yield store


# ----------------------------------------------------------------------------------------------------------- contract


def test_contract(store: LocalStore, other: Store, paths: list[StorePath], tmp_path: Path, tree: Path) -> None:
    source, text, drv = paths
    reporter = RecordingReporter()
    assert other.valid_among(paths) == set() and not other.is_valid(text)
    with pytest.raises(InvalidPath):
        other.query_info(text)
    with pytest.raises(InvalidPath):
        other.dump_nar(text, lambda data: None)
    assert copy_closure(store, other, [text, drv], reporter, check_signatures=False) == 3
    assert copy_closure(store, other, [text, drv], reporter, check_signatures=False) == 0
    other.close()  # whatever was remembered
    assert other.valid_among(paths) == set(paths)
    assert other.closure([text]) == {source, text}
    assert other.topological([text, source]) == [source, text]
    assert other.query_references(text) == {source}
    for path in paths:
        ours, theirs = store.query_info(path), other.query_info(path)
        assert (ours.nar_hash, ours.nar_size, ours.references, ours.content_address) == (
            theirs.nar_hash,
            theirs.nar_size,
            theirs.references,
            theirs.content_address,
        )
        counter = nar.CountingHash("sha256")
        other.dump_nar(path, counter.write)
        assert counter.result() == (ours.nar_hash, ours.nar_size)
    assert other.read_derivation(drv) == store.read_derivation(drv)
    assert other.query_from_hash_part(text.hash_part) == text
    assert other.query_from_hash_part("0" * 32) is None
    other.add_signatures(text, [str(KEY.sign(b"x"))])
    assert str(KEY.sign(b"x")) in other.query_info(text).signatures
    assert other.build_log(drv) is None
    other.add_build_log(drv, b"said much")
    assert other.build_log(drv) == b"said much"
    with opened(f"local?root={tmp_path / 'third'}", tmp_path) as third:
        assert copy_closure(other, third, [text], reporter, check_signatures=False) == 2
        assert third.query_info(text).references == {source}
    delete_tree(str(tmp_path / "third"))


def test_looking_into_objects(store: LocalStore, other: Store, paths: list[StorePath]) -> None:
    copy_paths(store, other, paths, RecordingReporter(), check_signatures=False)
    for which in (store, other):
        looked = which.tree(paths[0])
        listed = tree.listing(looked, "", deep=True)
        for entries in (listed["entries"], listed["entries"]["bin"]["entries"]):  # type: ignore[index]
            for node in entries.values():  # type: ignore[attr-defined]
                node.pop("narOffset", None)
        assert listed["entries"]["link"] == {"type": "symlink", "target": "bin/run"}  # type: ignore[index]
        run = looked.node("/bin/run")
        assert run is not None and run.executable and run.size == 18
        assert b"".join(looked.contents("/bin/run")) == b"#!/bin/sh\necho hi\n"
        assert tree.listing(looked, "bin", deep=False) == {"type": "directory", "entries": {"run": {}}}
        for nowhere in ("/nothing", "/link/x", "/a.txt/x", "/../x"):
            assert looked.node(nowhere) is None
        looked.close()


def test_build_traces(store: LocalStore, other: Store, paths: list[StorePath]) -> None:
    _, text, drv = paths
    store.add_realisation(Realisation(drv, "out", text).signed(KEY))
    assert other.realisation(drv, "out") is None
    other.close()
    copy_realisations(store, other, [(drv, "out")], check_signatures=False)
    assert other.realisation(drv, "out") is None  # not without the path
    copy_closure(store, other, [text], RecordingReporter(), check_signatures=False)
    copy_realisations(store, other, [(drv, "out")], check_signatures=False)
    assert other.realisation(drv, "out") == store.realisation(drv, "out")


# -------------------------------------------------------------------------------------------------------------- caches


@pytest.fixture
def cache(tmp_path: Path, store: LocalStore, paths: list[StorePath]) -> Iterator[BinaryCache]:
    """Holds `paths`, archives as they are."""
    with opened(f"file://{tmp_path / 'cache'}?compression=none", tmp_path) as made:
        assert isinstance(made, BinaryCache)
        copy_paths(store, made, paths, RecordingReporter(), check_signatures=False)
        yield made


def fresh(tmp_path: Path, address: str = "") -> BinaryCache:
    """The same cache, without memories."""
    made = opened(address or f"file://{tmp_path / 'cache'}", tmp_path)
    assert isinstance(made, BinaryCache)
    return made


def edit(tmp_path: Path, path: StorePath, old: str, new: str) -> None:
    file = tmp_path / "cache" / f"{path.hash_part}.narinfo"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def fetch(tmp_path: Path, source: Store, path: StorePath, **changes: object) -> LocalStore:
    target = open_local(tmp_path / "target", **changes)
    copy_paths(source, target, [path], RecordingReporter())
    return target


def test_lies_are_refused(cache: BinaryCache, paths: list[StorePath], tmp_path: Path) -> None:
    source = paths[0]
    info = cache.narinfo(source)
    assert info is not None
    archive = tmp_path / "cache" / info.url
    good = archive.read_bytes()

    def refused(error: type[FrazilError], match: str) -> None:
        with pytest.raises(error, match=match):
            fetch(tmp_path, fresh(tmp_path), source)
        with open_local(tmp_path / "target") as target:
            assert not target.is_registered(source)
            assert not os.path.lexists(target.real_path(source))

    archive.write_bytes(good[:-8])
    refused(StoreError, "unexpected end")
    archive.write_bytes(good + b"more")
    refused(HashMismatch, "size mismatch")
    archive.write_bytes(good.replace(b"echo hi", b"echo ho"))
    refused(HashMismatch, "hash mismatch")
    archive.write_bytes(b"")
    refused(StoreError, "Nix archive")
    archive.unlink()
    refused(SubstituteGone, "does not exist in binary cache")
    archive.write_bytes(good)
    edit(tmp_path, source, f"NarSize: {info.info.nar_size}", f"NarSize: {info.info.nar_size - 8}")
    refused(HashMismatch, "size mismatch")
    edit(tmp_path, source, f"NarSize: {info.info.nar_size - 8}", f"NarSize: {info.info.nar_size}")
    edit(tmp_path, source, "Compression: none", "Compression: xz")
    refused(FormatError, "damaged")
    edit(tmp_path, source, "Compression: xz", "Compression: none")
    edit(tmp_path, source, "URL: nar/", "URL: ../../nar/")
    refused(StoreError, "must not contain")
    edit(tmp_path, source, "URL: ../../nar/", "URL: nar/")
    fetch(tmp_path, fresh(tmp_path), source).close()


def test_a_path_of_another_name(cache: BinaryCache, paths: list[StorePath], tmp_path: Path) -> None:
    source, text, _ = paths
    renamed = StorePath(source.hash_part, "other")
    assert fresh(tmp_path).query_info_or_none(renamed) is None
    shutil.copy(tmp_path / f"cache/{text.hash_part}.narinfo", tmp_path / f"cache/{source.hash_part}.narinfo")
    liar = fresh(tmp_path)
    with pytest.raises(InvalidPath):
        liar.query_info(source)
    assert not liar.is_valid(source) and liar.query_from_hash_part(source.hash_part) is None
    assert isinstance(liar.reporter, RecordingReporter)
    said = [text for level, text in liar.reporter.lines if level == Verbosity.ERROR]
    assert len(said) == 1 and "but got" in said[0]


def test_signatures_are_required(store: LocalStore, tmp_path: Path, key_file: Path, tree: Path) -> None:
    path = store.add_path("tree", str(tree))
    info = store.query_info(path).with_(content_address=None)
    address = f"file://{tmp_path / 'cache'}"
    with opened(address, tmp_path) as cache, store.open_nar(path) as read:
        cache.add_nar(info, read)
    with pytest.raises(StoreError, match="lacks a signature"):
        fetch(tmp_path, fresh(tmp_path), path)
    with opened(f"{address}?secret-keys={key_file}", tmp_path) as cache, store.open_nar(path) as read:
        cache.add_nar(info, read, repair=True)
    with pytest.raises(StoreError, match="lacks a signature"):
        fetch(tmp_path, fresh(tmp_path), path, trusted_public_keys=(str(SecretKey.generate("test-1").public),))
    fetch(tmp_path, fresh(tmp_path), path, trusted_public_keys=(str(KEY.public),)).close()


def test_no_narinfo_before_its_references(store: LocalStore, paths: list[StorePath], tmp_path: Path) -> None:
    with opened(f"file://{tmp_path / 'cache'}", tmp_path) as cache:
        with pytest.raises(StoreError, match="is not valid"):
            copy_paths(store, cache, [paths[1]], RecordingReporter(), check_signatures=False)
        assert not list((tmp_path / "cache").glob("*.narinfo"))


def test_what_a_cache_says_of_itself(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    with opened(f"file://{folder}", tmp_path) as cache:
        assert (cache.priority, cache.wants_mass_query, cache.is_trusted) == (50, False, False)
    assert (folder / "nix-cache-info").read_text() == "StoreDir: /nix/store\n"
    (folder / "nix-cache-info").write_text("StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 7\nWhat: ever\n")
    with opened(f"file://{folder}?trusted=1", tmp_path) as cache:
        assert (cache.priority, cache.wants_mass_query, cache.is_trusted) == (7, True, True)
    with opened(f"file://{folder}?priority=3&want-mass-query=false", tmp_path) as cache:
        assert (cache.priority, cache.wants_mass_query) == (3, False)
    (folder / "nix-cache-info").write_text("StoreDir: /elsewhere\n")
    with pytest.raises(UnsupportedStore, match="prefix '/elsewhere'"):
        opened(f"file://{folder}", tmp_path).open()
    (folder / "nix-cache-info").write_text("Priority: 1e9\n")
    with pytest.raises(FormatError, match="priority"):
        opened(f"file://{folder}", tmp_path).open()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=200))
def test_any_cache_info(tmp_path: Path, text: str) -> None:
    (tmp_path / "any").mkdir(exist_ok=True)
    (tmp_path / "any" / "nix-cache-info").write_text(text, encoding="utf-8", newline="")
    try:
        opened(f"file://{tmp_path / 'any'}", tmp_path).open()
    except FrazilError:
        pass


@given(st.text(max_size=100) | st.from_regex(r'\{"(root|type|entries|version)":.{0,60}\}'))
def test_any_listing(text: str) -> None:
    for parse in (lambda: tree.parse_listing(text.encode("utf-8", "replace")), lambda: parse_value(text, DRV, "out")):
        try:
            parse()  # type: ignore[no-untyped-call]
        except FrazilError:
            pass


DRV = StorePath("0" * 32, "x.drv")


def test_listings_are_checked() -> None:
    good = {"type": "directory", "entries": {"a": {"type": "regular", "size": 1, "narOffset": 8}}}
    assert tree.parse_listing(json.dumps({"version": 1, "root": good}).encode()) == good
    for bad in (
        {"version": 2, "root": good},
        {"type": "directory"},
        {"type": "directory", "entries": {"..": {"type": "symlink", "target": "x"}}},
        {"type": "regular", "size": -1},
        {"type": "symlink"},
        {"type": "socket"},
        [],
    ):
        with pytest.raises(FormatError):
            tree.parse_listing(json.dumps(bad).encode())
    with pytest.raises(FormatError):
        tree.parse_listing(b'{"type":"directory","entries":{"a":' * 100_000)


def test_local_archive_cache(cache: BinaryCache, paths: list[StorePath], tmp_path: Path) -> None:
    address = f"file://{tmp_path / 'cache'}?local-nar-cache={tmp_path / 'kept'}"

    def look() -> bytes:
        looked = fresh(tmp_path, address).tree(paths[0])
        contents = b"".join(looked.contents("a.txt"))
        looked.close()
        return contents

    assert look() == b"text"
    shutil.rmtree(tmp_path / "cache" / "nar")
    assert look() == b"text"
    for file in (tmp_path / "kept").glob("*.ls"):
        file.write_text("{")
    assert look() == b"text"


def test_wrong_parameters(tmp_path: Path) -> None:
    for bad in ("compression=rar", "compression=zstd&compression-level=99x", "priority=x", "trusted=maybe"):
        with pytest.raises(FrazilError):
            opened(f"file:///{tmp_path}/c?{bad}", tmp_path)
    cache = opened(f"file://{tmp_path / 'c'}?colour=red", tmp_path)
    assert isinstance(cache.reporter, RecordingReporter)
    assert "unknown store setting 'colour'" in [text for _, text in cache.reporter.lines]
    with pytest.raises(UnsupportedOperation, match="queryReferrers"):
        cache.query_referrers(DRV)


# ---------------------------------------------------------------------------------------------------------------- http


def test_answers_are_remembered(store: LocalStore, paths: list[StorePath], tmp_path: Path, server: Server) -> None:
    with opened(server.url, tmp_path) as cache:
        copy_paths(store, cache, paths[:2], RecordingReporter(), check_signatures=False)
    server.requests.clear()
    with opened(server.url, tmp_path) as cache:
        assert cache.valid_among(paths) == set(paths[:2])
    assert server.count("GET") == 1  # only what is not there was not known yet
    with opened(server.url, tmp_path) as cache:
        assert cache.valid_among(paths) == set(paths[:2])
    assert server.count() == 1
    (tmp_path / "lookups" / "binary-cache-v8.sqlite").write_bytes(b"not a database")
    with opened(server.url, tmp_path) as cache:
        assert cache.valid_among(paths) == set(paths[:2])


def test_narinfos_may_be_packed(store: LocalStore, paths: list[StorePath], tmp_path: Path, server: Server) -> None:
    with opened(f"{server.url}?narinfo-compression=zstd&log-compression=br", tmp_path) as cache:
        copy_paths(store, cache, paths[:1], RecordingReporter(), check_signatures=False)
        cache.add_build_log(paths[2], b"log")
    file = tmp_path / "cache" / f"{paths[0].hash_part}.narinfo"
    assert file.read_bytes()[:4] == b"\x28\xb5\x2f\xfd"
    assert (tmp_path / "cache" / f"{paths[0].hash_part}.narinfo.encoding").read_text() == "zstd"
    assert (tmp_path / "cache" / "log" / f"{paths[2].base}").read_bytes() == compress(b"log", "br")


def test_a_server_that_is_no_cache(tmp_path: Path, server: Server) -> None:
    def trouble(handler: Handler) -> bool:
        handler.answer(403 if handler.command == "PUT" else 404, b"")
        return True

    server.trouble = trouble
    with (
        opened(server.url, tmp_path) as cache,
        pytest.raises(UnsupportedStore, match="does not appear to be a binary cache"),
    ):
        cache.open()


def test_what_fails_is_left_alone_with_fallback(tmp_path: Path, server: Server) -> None:
    (tmp_path / "cache" / "nix-cache-info").write_text("StoreDir: /nix/store\n")
    cache = opened(server.url, tmp_path, fallback=True).open()

    def trouble(handler: Handler) -> bool:
        handler.answer(500, b"")
        return True

    server.trouble = trouble
    with pytest.raises(StoreError, match="HTTP error 500"):
        cache.is_valid(DRV)
    with pytest.raises(StoreError, match="is disabled"):
        cache.is_valid(DRV)
    cache.close()


# -------------------------------------------------------------------------------------------------------------- oracle


needs_nix = pytest.mark.skipif(shutil.which("nix-store") is None, reason="C++ Nix is not installed")


def nix(tmp_path: Path, *words: str) -> str:
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "NIX_CONFIG": "experimental-features = nix-command\nsubstituters =\nbuild-users-group =",
        "NIX_REMOTE": f"local?root={tmp_path / 'theirs'}",
    }
    done = subprocess.run(["nix", *words], capture_output=True, env=environment, timeout=60, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_nix
@pytest.mark.parametrize("compression", ["none", "xz", "zstd", "bzip2", "gzip", "br"])
def test_its_hands(store: LocalStore, paths: list[StorePath], tmp_path: Path, key_file: Path, compression: str) -> None:
    """It reads what we wrote and we read what it wrote; of archives as they are, every byte is equal."""
    paths = paths[:2]  # by a derivation it means the outputs
    ours, theirs = tmp_path / "ours", tmp_path / "its"
    query = f"compression={compression}&secret-key={key_file}&write-nar-listing=1"
    with opened(f"file://{ours}?{query}", tmp_path) as cache:
        copy_paths(store, cache, paths, RecordingReporter(), check_signatures=False)
    try:
        nix(tmp_path, "copy", "--from", f"file://{ours}", "--no-check-sigs", *map(store.show, paths))
        nix(tmp_path, "store", "verify", "--trusted-public-keys", str(KEY.public), *map(store.show, paths))
        nix(tmp_path, "copy", "--to", f"file://{theirs}?{query}", *map(store.show, paths))
        for path in paths:
            name = f"{path.hash_part}.narinfo"
            mine, its = (ours / name).read_text().splitlines(), (theirs / name).read_text().splitlines()
            skipped = ("URL", "FileHash", "FileSize") if compression not in ("none", "xz") else ()
            assert [line for line in mine if not line.startswith(skipped)] == [
                line for line in its if not line.startswith(skipped)
            ]
        assert (ours / "nix-cache-info").read_bytes() == (theirs / "nix-cache-info").read_bytes()
        with open_local(tmp_path / "back", trusted_public_keys=(str(KEY.public),)) as back:
            copy_closure(fresh(tmp_path, f"file://{theirs}"), back, paths, RecordingReporter())
            assert back.valid_among(paths) == set(paths)
    finally:
        delete_tree(str(tmp_path / "theirs"))
