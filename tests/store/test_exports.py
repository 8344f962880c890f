"""Streams of closures and registration texts."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frazil.errors import FrazilError
from frazil.store import exports, nar
from frazil.store.errors import FormatError, HashMismatch, StoreError
from frazil.store.local import LocalStore
from frazil.store.path import StorePath

from .conftest import open_store


def export(store: LocalStore, paths: set[StorePath]) -> bytes:
    out = io.BytesIO()
    store.export_paths(paths, out.write)
    return out.getvalue()


@pytest.fixture
def closure(store: LocalStore, tree: Path) -> set[StorePath]:
    one = store.add_path("tree", str(tree))
    two = store.add_text("two", store.show(one).encode(), [one])
    return {one, two}


def test_round_trip(store: LocalStore, closure: set[StorePath], tmp_path: Path) -> None:
    data = export(store, closure)
    (tmp_path / "other").mkdir()
    with open_store(tmp_path / "other") as other:
        assert set(other.import_paths(io.BytesIO(data).read)) == closure
        assert other.verify(check_contents=True)
        assert export(other, closure) == data
        assert other.query_all_valid() == closure


def test_changed_contents_are_not_exported(store: LocalStore) -> None:
    path = store.add_text("x", b"good")
    real = Path(store.real_path(path))
    real.chmod(0o644)
    real.write_bytes(b"evil")
    with pytest.raises(HashMismatch, match="has changed from"):
        export(store, {path})


def test_missing_references(store: LocalStore, closure: set[StorePath], tmp_path: Path) -> None:
    only = {path for path in closure if path.name == "two"}
    with open_store(tmp_path / "other") as other, pytest.raises(StoreError, match="is not valid"):
        other.import_paths(io.BytesIO(export(store, only)).read)


def test_signatures_can_be_demanded(store: LocalStore, closure: set[StorePath], tmp_path: Path) -> None:
    with open_store(tmp_path / "other") as other, pytest.raises(StoreError, match="lacks a signature"):
        other.import_paths(io.BytesIO(export(store, closure)).read, check_signatures=True)


@pytest.mark.parametrize("data", [b"", b"\2" + bytes(7), b"\1" + bytes(7), b"\1" + bytes(7) + b"junk" * 10])
def test_nonsense(store: LocalStore, data: bytes) -> None:
    with pytest.raises(FormatError):
        store.import_paths(io.BytesIO(data).read)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_registers_nothing_wrong(store: LocalStore, data: st.DataObject) -> None:
    path = store.add_text("x", b"contents")
    stream = bytearray(export(store, {path}))
    start = data.draw(st.integers(0, len(stream)))
    stream[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    try:
        store.import_paths(io.BytesIO(bytes(stream)).read)
    except FrazilError:
        pass
    assert store.verify(check_contents=True)


def test_too_many_references(store: LocalStore) -> None:
    out: list[bytes] = [(1).to_bytes(8, "little")]
    nar.dump_file(b"", out.append)
    path = StorePath("0" * 32, "x")
    out += [exports.EXPORT_MAGIC.to_bytes(8, "little"), nar.pack(store.show(path).encode()), b"\xff" * 8]
    with pytest.raises(FormatError, match="claims to have"):
        store.import_paths(io.BytesIO(b"".join(out)).read)


def test_database_texts(store: LocalStore, closure: set[StorePath], tmp_path: Path) -> None:
    text = exports.dump_database(store)
    lines = text.splitlines()
    assert len(lines) == 2 * 5 + 1
    store.database.close()
    for name in ("db.sqlite", "db.sqlite-wal", "db.sqlite-shm", "schema"):
        Path(store.config.state_dir, "db", name).unlink(missing_ok=True)
    with LocalStore(store.config, store.settings) as again:
        assert again.query_all_valid() == set()
        exports.load_database(again, text)
        assert again.query_all_valid() == closure
        assert again.verify(check_contents=True)


@pytest.mark.parametrize(
    "text", ["x", "/nix/store/" + "0" * 32 + "-x\n", "/nix/store/" + "0" * 32 + "-x\nzz\n1\n\n0\n"]
)
def test_bad_texts(store: LocalStore, text: str) -> None:
    with pytest.raises(FrazilError):
        exports.load_database(store, text)


def test_registering_what_lies_there(store: LocalStore) -> None:
    path = StorePath("0" * 32, "x")
    text = f"{store.show(path)}\n\n0\n"
    with pytest.raises(StoreError, match="does not exist"):
        exports.register_validity(store, text)
    store.open()
    Path(store.real_path(path)).write_bytes(b"x")
    assert [info.path for info in exports.register_validity(store, text)] == [path]
    assert exports.register_validity(store, text) == []
    assert store.verify(check_contents=True)
