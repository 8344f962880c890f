"""Stamps of trees: in C and in Python alike, and every change moves them."""

from __future__ import annotations

import os
import shutil
import stat
import time
from pathlib import Path
from types import ModuleType

import pytest
from tests.evalcache import walk_model as in_python

from frazil.evalcache import _walk as compiled
from frazil.evalcache.stamps import (
    MAX_NAMES,
    file_kind,
    is_as_stamped,
    listed_tree_stamp,
    settled_stamp,
    stamp,
    tree_stamp,
)

NAMES = [b"a", b"b c", b"b%20c", b"\xff\xfe", b"line\nend", b".hidden", b"a\\", "é".encode()]
LATER = 1 << 62
"""A moment by which everything is settled."""


@pytest.fixture
def tree(tmp_path: Path) -> bytes:
    top = os.fsencode(tmp_path) + b"/tree"
    os.mkdir(top)
    for place in (b"", b"/sub", b"/sub/deep", b"/sub/" + b"x" * 200):
        os.makedirs(top + place, exist_ok=True)
        for name in NAMES:
            Path(os.fsdecode(top + place + b"/" + name)).write_bytes(place + name)
    os.mkdir(top + b"/empty")
    os.symlink(b"nowhere", top + b"/link")
    os.symlink(b"sub", top + b"/link-to-folder")
    os.mkfifo(top + b"/pipe")
    return top


def verdicts_of(top: bytes) -> dict[str, tuple[str, bool]]:
    found = {}
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = folder + b"/" + name
            kept = name not in (b"deep", b"a")
            found[os.fsdecode(path[len(top) + 1 :])] = (file_kind(os.lstat(path).st_mode), kept)
    return found


@pytest.mark.parametrize("place", [b"", b"/empty", b"/a", b"/link", b"/pipe"])
@pytest.mark.parametrize("filtered", [False, True])
def test_both_agree(tree: bytes, place: bytes, filtered: bool) -> None:
    path = tree + place
    verdicts = verdicts_of(path) if filtered else None
    digest, newest, names = compiled.walk(path, verdicts)
    assert (digest, newest, names) == in_python.walk(path, verdicts)
    assert compiled.look(path, names) == in_python.look(path, names) == digest
    text = stamp(os.lstat(path))
    assert compiled.is_stamp(path, text) and in_python.is_stamp(path, text)
    assert not compiled.is_stamp(path, text + "1")


def test_both_agree_on_long_folders(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"{number:x}{'y' * (number % 180)}").touch()
    path = os.fsencode(tmp_path)
    assert compiled.walk(path, None) == in_python.walk(path, None)


def rewrite(path: Path) -> None:
    times = os.lstat(path)
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


CHANGES = {
    "added": lambda top: (top / "sub/new").touch(),
    "added in an empty folder": lambda top: (top / "empty/new").touch(),
    "removed": lambda top: (top / "sub/a").unlink(),
    "renamed": lambda top: (top / "sub/a").rename(top / "sub/z"),
    "other contents, the same time": lambda top: rewrite(top / "sub/deep/a"),
    "mode": lambda top: (top / "a").chmod(0o700),
    "a folder in place of a link": lambda top: ((top / "link").unlink(), (top / "link").mkdir()),
    "a folder gone": lambda top: shutil.rmtree(top / "sub/deep"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_every_change_is_seen(tree: bytes, what: str) -> None:
    mark, plain = listed_tree_stamp(tree, LATER), tree_stamp(tree, LATER)
    assert is_as_stamped(tree, mark) and mark.isascii() and "\n" not in mark
    time.sleep(0.02)  # the clock of files has a grain
    CHANGES[what](Path(os.fsdecode(tree)))
    assert tree_stamp(tree, LATER) != plain
    try:
        assert not is_as_stamped(tree, mark)
    except OSError:
        pass


def test_what_a_filter_left_out_may_change(tree: bytes) -> None:
    verdicts = verdicts_of(tree)
    mark = listed_tree_stamp(tree, LATER, verdicts)
    (Path(os.fsdecode(tree)) / "sub/deep/a").write_text("other")
    assert is_as_stamped(tree, mark) and listed_tree_stamp(tree, LATER, verdicts) == mark
    (Path(os.fsdecode(tree)) / "new").touch()
    assert not is_as_stamped(tree, mark)
    with pytest.raises(LookupError):
        tree_stamp(tree, LATER, verdicts)


def test_what_is_of_another_kind_has_no_verdict(tree: bytes) -> None:
    for walk in (in_python.walk, compiled.walk):
        with pytest.raises(LookupError):
            walk(tree, {**verdicts_of(tree), "link": ("regular", True)})


def test_marks_without_names_say_nothing(tree: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_NAMES > 1000
    monkeypatch.setattr("frazil.evalcache.stamps.MAX_NAMES", 10)
    mark = listed_tree_stamp(tree, LATER)
    assert mark == tree_stamp(tree, LATER) and not is_as_stamped(tree, mark)
    assert not is_as_stamped(tree, "")


def test_stamps_of_files(tree: bytes) -> None:
    path = tree + b"/a"
    mark = settled_stamp(os.lstat(path), LATER)
    assert mark and is_as_stamped(path, mark)
    assert settled_stamp(os.lstat(path), 0) == "" and tree_stamp(tree, 0) == ""
    os.chmod(path, stat.S_IRUSR)
    assert not is_as_stamped(path, mark)


@pytest.mark.parametrize("walk", [compiled, in_python])
def test_what_cannot_be_looked_at(tree: bytes, walk: ModuleType) -> None:
    with pytest.raises(FileNotFoundError):
        walk.walk(tree + b"/none", None)
    with pytest.raises(NotADirectoryError):
        walk.walk(tree + b"/a/none", None)
    with pytest.raises(FileNotFoundError):
        walk.look(tree, b"none\0")
    with pytest.raises(FileNotFoundError):
        walk.is_stamp(tree + b"/none", "")
    with pytest.raises(ValueError):
        walk.walk(tree + b"\0", None)


def test_bad_arguments(tree: bytes) -> None:
    with pytest.raises(ValueError):
        compiled.look(tree, b"without an end")
    with pytest.raises(TypeError):
        compiled.walk(tree, [])  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        compiled.walk(tree, dict.fromkeys(verdicts_of(tree), 1))  # type: ignore[arg-type]
