from __future__ import annotations

import hashlib
import os
import struct
from array import array
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frazil.fetch.errors import GitError
from frazil.fetch.git_index import (
    INTENT_TO_ADD,
    SKIP_WORKTREE,
    Index,
    IndexEntry,
    UnsupportedIndex,
    has_required_extension,
    parse_index,
    write_tree,
)
from frazil.fetch.git_worktree import stat_all

NAMES = st.text("abcdefg.-_é", min_size=1, max_size=6).filter(lambda n: n not in (".", "..") and n != ".git")
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join).map(str.encode)


@st.composite
def entries(draw: st.DrawFn, version: int) -> list[IndexEntry]:
    found = []
    for path in sorted(draw(st.sets(PATHS, max_size=12))):
        mode = draw(st.sampled_from([0o100644, 0o100755, 0o120000, 0o160000]))
        flags = min(len(path), 0xFFF)
        if version > 2 and draw(st.booleans()):
            flags |= 0x4000 | draw(st.sampled_from([SKIP_WORKTREE, INTENT_TO_ADD]))
        numbers = draw(st.lists(st.integers(0, 0xFFFFFFFF), min_size=10, max_size=10))
        numbers[6] = mode
        found.append(IndexEntry(path, mode, draw(st.binary(min_size=20, max_size=20)), flags, tuple(numbers)))
    return found


def varint(value: int) -> bytes:
    """Git's offset encoding."""
    out = [value & 0x7F]
    value >>= 7
    while value:
        value -= 1
        out.append(0x80 | value & 0x7F)
        value >>= 7
    return bytes(reversed(out))


def dump(found: list[IndexEntry], version: int, extensions: bytes = b"") -> bytes:
    data = b"DIRC" + struct.pack(">II", version, len(found))
    previous = b""
    for entry in found:
        head = struct.pack(">10I20sH", *entry.stamp, entry.oid, entry.flags & 0xFFFF)
        if entry.flags & 0x4000:
            head += struct.pack(">H", entry.flags >> 16)
        if version == 4:
            pairs = zip(previous, entry.path)
            common = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(previous), len(entry.path)))
            data += head + varint(len(previous) - common) + entry.path[common:] + b"\0"
        else:
            size = len(head) + len(entry.path)
            data += head + entry.path + bytes(8 - size % 8)
        previous = entry.path
    data += extensions
    return data + hashlib.sha1(data).digest()


@pytest.mark.parametrize("version", [2, 3, 4])
@given(data=st.data())
def test_round_trip(version: int, data: st.DataObject) -> None:
    found = data.draw(entries(version))
    assert parse_index(dump(found, version)).entries == found


@given(entries(2), st.data())
def test_damage_is_refused(found: list[IndexEntry], data: st.DataObject) -> None:
    good = dump(found, 2)
    at = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(GitError):
        parse_index(bytes(bad))
    with pytest.raises(GitError):
        parse_index(good[: data.draw(st.integers(0, len(good) - 1))])


@given(st.binary(max_size=300), st.sampled_from([2, 3, 4]), st.integers(0, 5))
def test_hostile_contents(body: bytes, version: int, count: int) -> None:
    data = b"DIRC" + struct.pack(">II", version, count) + body
    try:
        parse_index(data + hashlib.sha1(data).digest())
    except GitError:
        pass


def one(path: bytes, mode: int = 0o100644, flags: int = 0) -> IndexEntry:
    return IndexEntry(path, mode, bytes(20), flags or min(len(path), 0xFFF), (0, 0, 0, 0, 0, 0, mode, 0, 0, 0))


@pytest.mark.parametrize(
    "path", [b"/etc/passwd", b"../x", b"a/../b", b".git/config", b"a//b", b"a/", b"./a", b".GIT/x"]
)
def test_paths_that_leave_the_tree(path: bytes) -> None:
    with pytest.raises(GitError):
        parse_index(dump([one(path)], 2))


def test_other_kinds_are_told_apart() -> None:
    with pytest.raises(UnsupportedIndex):
        parse_index(dump([], 2, b"link" + struct.pack(">I", 20) + bytes(20)))
    with pytest.raises(UnsupportedIndex):
        parse_index(dump([one(b"a", 0o040000)], 3))
    with pytest.raises(UnsupportedIndex):
        parse_index(dump([], 5))
    parse_index(dump([], 2, b"UNTR" + struct.pack(">I", 3) + b"abc"))


def test_required_extensions_are_seen() -> None:
    plain = dump([], 2, b"UNTR" + struct.pack(">I", 3) + b"abc")
    assert not has_required_extension(plain, 12, 20)
    assert has_required_extension(dump([], 2, b"link" + bytes(4)), 12, 20)


def test_long_paths_and_flags() -> None:
    long = b"d/" * 3000 + b"f"
    found = parse_index(dump([one(long), one(b"z", flags=1 | 0x4000 | INTENT_TO_ADD)], 3)).entries
    assert found[0].path == long
    assert found[1].intent_to_add and not found[1].flags & SKIP_WORKTREE


def test_tree_of_an_index_as_git_writes_it() -> None:
    """The empty tree, and `a`, `b/c` with the empty blob, as `git write-tree` names them."""
    assert write_tree(Index([], {}, b"")).hex() == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    blob = bytes.fromhex("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
    found = [one(b"a")._replace(oid=blob), one(b"b/c")._replace(oid=blob)]
    inner = hashlib.sha1(b"tree 29\x00100644 c\0" + blob).digest()
    body = b"100644 a\0" + blob + b"40000 b\0" + inner
    assert write_tree(Index(found, {}, b"")) == hashlib.sha1(b"tree %d\0" % len(body) + body).digest()
    assert write_tree(Index(found, {b"b": inner}, b"")) == write_tree(Index(found, {}, b""))


@pytest.mark.parametrize("version", [2, 4])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(data=st.data())
def test_native_stamps_agree(version: int, tmp_path: Path, data: st.DataObject) -> None:
    native = pytest.importorskip("frazil.fetch._worktree")
    found = data.draw(entries(version))
    folder = tmp_path / str(data.draw(st.integers(0, 1 << 60)))
    folder.mkdir(exist_ok=True)
    for entry in found:
        kind = data.draw(st.sampled_from(["file", "none", "link parent"]))
        path = os.path.join(os.fsencode(folder), entry.path)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if kind == "file":
                with open(path, "wb"):
                    pass
            elif kind == "link parent":
                os.symlink(".", path)
        except OSError:
            pass
    raw, newest, end = native.stamps(dump(found, version), 20, os.fsencode(folder))
    numbers = array("q")
    numbers.frombytes(raw)
    assert (numbers, newest) == stat_all(str(folder), found)
    assert end == len(dump(found, version)) - 20


@given(st.binary(max_size=400), st.sampled_from([2, 3, 4]), st.integers(0, 6))
def test_native_code_takes_anything(body: bytes, version: int, count: int) -> None:
    native = pytest.importorskip("frazil.fetch._worktree")
    data = b"DIRC" + struct.pack(">II", version, count) + body + bytes(20)
    try:
        native.stamps(data, 20, b"/")
    except ValueError:
        pass
