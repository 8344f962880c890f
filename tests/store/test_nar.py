"""Archives: round trips, the exact format, and everything a hostile one may try."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.digest import Hash
from frazil.store import nar
from frazil.store.errors import BadArchive, StoreError


def pack(*texts: bytes) -> bytes:
    return b"".join(map(nar.pack, texts))


def regular(contents: bytes, *, executable: bool = False) -> bytes:
    mark = pack(b"executable", b"") if executable else b""
    return pack(b"(", b"type", b"regular") + mark + pack(b"contents", contents, b")")


def directory(*entries: tuple[bytes, bytes]) -> bytes:
    inner = b"".join(pack(b"entry", b"(", b"name", name, b"node") + node + pack(b")") for name, node in entries)
    return pack(b"(", b"type", b"directory") + inner + pack(b")")


def symlink(target: bytes) -> bytes:
    return pack(b"(", b"type", b"symlink", b"target", target, b")")


def archive(node: bytes) -> bytes:
    return pack(b"nix-archive-1") + node


def dump(path: Path, **options: nar.Filter) -> bytes:
    out = io.BytesIO()
    nar.dump_path(str(path), out.write, **options)
    return out.getvalue()


def check(data: bytes) -> None:
    nar.parse(nar.BufferedSource(io.BytesIO(data).read), nar.Check())


entry_names = st.binary(min_size=1, max_size=12).filter(lambda n: n not in (b".", b"..") and not set(n) & {0, 47})
trees = st.recursive(
    st.one_of(
        st.builds(lambda data, x: regular(data, executable=x), st.binary(max_size=40), st.booleans()),
        st.binary(min_size=1, max_size=20).filter(lambda t: 0 not in t).map(symlink),
    ),
    lambda inner: st.dictionaries(entry_names, inner, max_size=4).map(lambda d: directory(*sorted(d.items()))),
    max_leaves=8,
)


@given(trees)
def test_restored_trees_dump_to_the_same_bytes(tmp_path_factory: pytest.TempPathFactory, node: bytes) -> None:
    destination = tmp_path_factory.mktemp("nar") / "x"
    data = archive(node)
    nar.restore(io.BytesIO(data).read, str(destination))
    assert dump(destination) == data


@given(trees, st.data())
def test_damage_is_an_error_of_ours_or_harmless(node: bytes, data: st.DataObject) -> None:
    damaged = bytearray(archive(node))
    start = data.draw(st.integers(0, len(damaged)))
    damaged[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    try:
        check(bytes(damaged))
    except BadArchive:
        pass


@given(trees, st.integers(1, 7))
def test_small_reads_make_no_difference(node: bytes, step: int) -> None:
    stream = io.BytesIO(archive(node) + b"after")
    copied: list[bytes] = []
    source = nar.Source(lambda size: stream.read(min(size, step)))
    nar.parse(nar.TeeSource(source, copied.append), nar.Check())
    assert b"".join(copied) == archive(node)
    assert stream.read() == b"after"


def test_format(tree: Path) -> None:
    expected = directory(
        (b"a-b", regular(b"")),
        (b"a.txt", regular(b"text")),
        (b"bin", directory((b"run", regular(b"#!/bin/sh\necho hi\n", executable=True)))),
        (b"dangling", symlink(b"/nowhere/at/all")),
        (b"empty", directory()),
        (b"link", symlink(b"bin/run")),
        ("über".encode(), regular("grüße".encode())),
    )
    assert dump(tree) == archive(expected)
    digest, size = nar.hash_path(str(tree))
    assert size == len(archive(expected)) and size % 8 == 0
    assert digest.algorithm == "sha256"


def test_large_files_go_in_chunks(tmp_path: Path) -> None:
    contents = os.urandom(1_000_003)
    (tmp_path / "f").write_bytes(contents)
    data = dump(tmp_path / "f")
    assert data == archive(regular(contents))
    nar.restore(io.BytesIO(data).read, str(tmp_path / "g"))
    assert (tmp_path / "g").read_bytes() == contents


def test_filter(tree: Path) -> None:
    asked: list[tuple[str, str]] = []

    def keep(path: str, kind: str) -> bool:
        asked.append((path, kind))
        return not path.endswith(("/bin", "/link"))

    assert b"bin" not in dump(tree, filter=keep).replace(b"nowhere", b"")
    assert (f"{tree}/empty", "directory") in asked
    assert (f"{tree}/link", "symlink") in asked
    assert (f"{tree}/bin", "directory") in asked and (f"{tree}/bin/run", "regular") not in asked
    assert str(tree) not in {path for path, _ in asked}


def test_sockets_and_pipes_cannot_be_archived(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="unsupported type"):
        dump(tmp_path)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        dump(tmp_path / "none")


BAD = {
    "empty": b"",
    "not an archive": b"hello",
    "wrong magic": pack(b"nix-archive-2") + regular(b""),
    "no node": pack(b"nix-archive-1"),
    "unknown type": archive(pack(b"(", b"type", b"device", b")")),
    "huge string": archive(pack(b"(") + (1 << 62).to_bytes(8, "little")),
    "huge file": archive(pack(b"(", b"type", b"regular", b"contents") + ((1 << 63) - 1).to_bytes(8, "little")),
    "negative file": archive(pack(b"(", b"type", b"regular", b"contents") + b"\xff" * 8),
    "truncated contents": archive(regular(b"0123456789abcdef"))[:-40],
    "truncated end": archive(regular(b"x"))[:-1],
    "padding of a tag": archive(regular(b"")).replace(nar.pack(b"regular"), b"\7\0\0\0\0\0\0\0regularX"),
    "padding of contents": archive(regular(b"x")).replace(b"x" + bytes(7), b"x" + bytes(6) + b"\1"),
    "executable with value": archive(pack(b"(", b"type", b"regular", b"executable", b"yes", b"contents", b"", b")")),
    "no contents": archive(pack(b"(", b"type", b"regular", b")")),
    "empty name": archive(directory((b"", regular(b"")))),
    "dot": archive(directory((b".", regular(b"")))),
    "dot dot": archive(directory((b"..", regular(b"")))),
    "slash": archive(directory((b"a/b", regular(b"")))),
    "absolute": archive(directory((b"/etc", regular(b"")))),
    "zero byte": archive(directory((b"a\0b", regular(b"")))),
    "long name": archive(directory((b"a" * 256, regular(b"")))),
    "unsorted": archive(directory((b"b", regular(b"")), (b"a", regular(b"")))),
    "duplicate": archive(directory((b"a", symlink(b"/etc")), (b"a", regular(b"")))),
    "entry without node": archive(pack(b"(", b"type", b"directory", b"entry", b"(", b"name", b"a", b")", b")")),
    "empty target": archive(symlink(b"")),
    "target with zero": archive(symlink(b"a\0b")),
    "long target": archive(symlink(b"a" * 4096)),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_hostile_archives(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadArchive):
        check(data)
    with pytest.raises(BadArchive) as read_by_us:
        nar.restore(io.BytesIO(data).read, str(tmp_path / "x"))
    with pytest.raises(BadArchive) as read_natively:
        nar.unpack(io.BytesIO(data).read, str(tmp_path / "y"))
    assert read_natively.value.message == read_by_us.value.message


def in_steps(data: bytes, step: int) -> nar.Read:
    stream = io.BytesIO(data)
    return lambda size: stream.read(min(size, step))


@given(trees, st.integers(1, 600))
def test_unpacking_natively_is_the_same(tmp_path_factory: pytest.TempPathFactory, node: bytes, step: int) -> None:
    destination = tmp_path_factory.mktemp("nar") / "x"
    data = archive(node)
    digest, size = nar.unpack(in_steps(data, step), str(destination))
    assert (digest, size) == (Hash.of("sha256", data), len(data))
    assert dump(destination) == data
    for place in (destination, *destination.rglob("*")):
        status = place.lstat()
        assert status.st_mtime == 1
        if not stat.S_ISLNK(status.st_mode):
            assert stat.S_IMODE(status.st_mode) in ((0o444, 0o555) if stat.S_ISREG(status.st_mode) else (0o555,))


@given(trees, st.data())
def test_damage_is_the_same_error_natively(
    tmp_path_factory: pytest.TempPathFactory, node: bytes, data: st.DataObject
) -> None:
    damaged = bytearray(archive(node))
    start = data.draw(st.integers(0, len(damaged)))
    damaged[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    folder = tmp_path_factory.mktemp("nar")
    messages: list[str | None] = []
    for unpack in (nar.restore, nar.unpack):
        try:
            unpack(in_steps(bytes(damaged), data.draw(st.integers(1, 40))), f"{folder}/x")
            messages.append(None)
        except StoreError as error:
            messages.append(error.message)
        subprocess.run(["rm", "-rf", f"{folder}/x"], check=True)
    if messages[1] != "bad archive: something follows its end":  # of which the other takes no notice
        assert messages[0] == messages[1]


def test_unpacking_natively_stops_at_what_was_promised(tmp_path: Path) -> None:
    data = archive(regular(b"abc"))
    with pytest.raises(nar.TooLong):
        nar.unpack(io.BytesIO(data).read, str(tmp_path / "a"), promised=len(data) - 1)
    with pytest.raises(nar.TooLong):
        nar.unpack(io.BytesIO(data).read, str(tmp_path / "b"), promised=len(data) - 1, whole=False)
    with pytest.raises(BadArchive, match="something follows"):
        nar.unpack(io.BytesIO(data + b"x").read, str(tmp_path / "c"))
    bad = b"x" * len(data)
    with pytest.raises(BadArchive, match="doesn't look like"):
        nar.unpack(io.BytesIO(bad).read, str(tmp_path / "e"), promised=len(bad), whole=False)
    stream = io.BytesIO(data + b"rest")
    assert nar.unpack(stream.read, str(tmp_path / "d"), promised=len(data), whole=False)[1] == len(data)
    assert stream.read() == b"rest"


def test_unpacking_natively_says_where_it_failed(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "x").symlink_to(tmp_path / "victim")
    for node, doing in (
        (directory((b"f", regular(b""))), "creating directory"),
        (regular(b""), "creating file"),
        (symlink(b"to"), "creating symlink from"),
    ):
        with pytest.raises(StoreError, match=f'{doing} "{tmp_path}/x".*: File exists'):
            nar.unpack(io.BytesIO(archive(node)).read, str(tmp_path / "x"))
    assert not list((tmp_path / "victim").iterdir())
    with pytest.raises(StoreError, match="opening parent directory"):
        nar.unpack(io.BytesIO(archive(regular(b""))).read, str(tmp_path / "none" / "x"))
    wrong = archive(directory((b"d", directory((b"ab", regular(b"")), (b"a", regular(b""))))))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(BadArchive, match="not sorted"):
        nar.unpack(io.BytesIO(wrong).read, str(tmp_path / "y"))
    assert len(os.listdir("/proc/self/fd")) == before


def test_nesting_is_bounded(tmp_path: Path) -> None:
    node = regular(b"")
    for _ in range(nar.MAXIMUM_DEPTH - 1):
        node = directory((b"d", node))
    check(archive(node))
    nar.unpack(io.BytesIO(archive(node)).read, str(tmp_path / "x"))
    with pytest.raises(BadArchive, match="nesting"):
        check(archive(directory((b"d", node))))
    with pytest.raises(BadArchive, match="nesting"):
        nar.unpack(io.BytesIO(archive(directory((b"d", node)))).read, str(tmp_path / "y"))


def test_deep_trees_are_refused_as_well(tmp_path: Path) -> None:
    inner = tmp_path
    for _ in range(nar.MAXIMUM_DEPTH):
        inner = inner / "d"
    inner.mkdir(parents=True)
    with pytest.raises(StoreError, match="maximum NAR directory depth"):
        dump(tmp_path)


def test_restoring_never_goes_through_links(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "x").symlink_to(tmp_path / "victim")
    for node in (directory((b"f", regular(b""))), regular(b"")):
        with pytest.raises(StoreError, match="File exists"):
            nar.restore(io.BytesIO(archive(node)).read, str(tmp_path / "x"))
    assert not list((tmp_path / "victim").iterdir())


def test_canonical_restoring(tmp_path: Path, tree: Path) -> None:
    destination = tmp_path / "x"
    nar.restore(io.BytesIO(dump(tree)).read, str(destination), canonical=True)
    modes = {
        p.name: stat.S_IMODE(p.lstat().st_mode) for p in [destination, *destination.rglob("*")] if not p.is_symlink()
    }
    assert modes == {
        "x": 0o555,
        "bin": 0o555,
        "run": 0o555,
        "empty": 0o555,
        "a.txt": 0o444,
        "a-b": 0o444,
        "über": 0o444,
    }
    assert {p.lstat().st_mtime for p in [destination, *destination.rglob("*")]} == {1.0}
    assert dump(destination) == dump(tree)
    subprocess.run(["chmod", "-R", "u+w", destination], check=True)


def test_listing(tree: Path) -> None:
    data = dump(tree)
    listing = nar.list_archive(io.BytesIO(data).read)
    node = nar.find_node(listing, "bin/run")
    assert node is not None and node["executable"] is True
    offset, size = node["narOffset"], node["size"]
    assert isinstance(offset, int) and isinstance(size, int)
    assert data[offset : offset + size] == b"#!/bin/sh\necho hi\n"
    assert nar.find_node(listing, "/link") == {"type": "symlink", "target": "bin/run"}
    assert nar.find_node(listing, "a.txt/x") is None
    assert nar.find_node(listing, "none") is None


def test_single_files(tmp_path: Path) -> None:
    out: list[bytes] = []
    nar.dump_file(b"abc", out.append, executable=True)
    assert b"".join(out) == archive(regular(b"abc", executable=True))
    (tmp_path / "f").write_bytes(b"abc")
    assert nar.hash_path(str(tmp_path / "f")) == nar.hash_file_archive(b"abc")
    with pytest.raises(StoreError, match="not a regular file"):
        nar.hash_flat(str(tmp_path), "sha256")


def test_bad_destinations(tmp_path: Path) -> None:
    data = archive(regular(b""))
    for destination, message in (
        ("", "destination path is empty"),
        (f"{tmp_path}/.", r"ends in '\.', which is not a valid filename"),
        (f"{tmp_path}/..", r"ends in '\.\.', which is not a valid filename"),
        (f"{tmp_path}/none/x", "opening parent directory"),
    ):
        with pytest.raises(StoreError, match=message):
            nar.restore(io.BytesIO(data).read, destination)


def test_errors_name_the_path(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(StoreError, match=f'creating directory "{tmp_path}/x": File exists'):
        nar.restore(io.BytesIO(archive(directory())).read, str(tmp_path / "x"))


def test_case_hack(tmp_path: Path) -> None:
    data = archive(directory((b"A", regular(b"1")), (b"AA", regular(b"")), (b"a", directory((b"B", regular(b"2"))))))
    nar.restore(io.BytesIO(data).read, str(tmp_path / "x"), case_hack=True)
    assert sorted(os.listdir(tmp_path / "x")) == ["A", "AA", "a~nix~case~hack~1"]
    out = io.BytesIO()
    nar.dump_path(str(tmp_path / "x"), out.write, case_hack=True)
    assert out.getvalue() == data
    (tmp_path / "x" / "A~nix~case~hack~9").touch()
    with pytest.raises(StoreError, match="file name collision"):
        nar.hash_path(str(tmp_path / "x"), case_hack=True)
    names = (b"Test", b"Test~nix~case~hack~1", b"test")
    bad = archive(directory(*((name, regular(b"")) for name in names)))
    with pytest.raises(BadArchive, match="collides with case-hacked file name"):
        nar.restore(io.BytesIO(bad).read, str(tmp_path / "y"), case_hack=True)


def test_dumping_to_descriptors_and_functions(tmp_path: Path, tree: Path) -> None:
    (tree / "big").write_bytes(os.urandom(300_000))
    (tree / "huge").write_bytes(os.urandom(3_000_000))
    whole: list[bytes] = []
    nar.dump_path(str(tree), whole.append, filter=lambda path, kind: True)
    pieces: list[bytes] = []
    nar.dump_to(str(tree), pieces.append)
    assert b"".join(pieces) == b"".join(whole) and len(pieces) < 20
    with open(tmp_path / "archive", "wb") as file:
        nar.dump_to(str(tree), file.fileno())
    assert (tmp_path / "archive").read_bytes() == b"".join(whole)
    with open(tmp_path / "archive", "ab") as file:  # where the kernel does not pass on from file to file
        nar.dump_to(str(tree), file.fileno())
    assert (tmp_path / "archive").read_bytes() == b"".join(whole) * 2


def test_errors_of_who_takes_an_archive_are_theirs(tmp_path: Path, tree: Path) -> None:
    def refuse(data: bytes) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        nar.dump_to(str(tree), refuse)
    read_end, write_end = os.pipe()
    os.close(read_end)
    (tree / "huge").write_bytes(bytes(3_000_000))
    with pytest.raises(BrokenPipeError):
        nar.dump_to(str(tree), write_end)
    os.close(write_end)
    with pytest.raises(OSError, match="Bad file descriptor"):
        nar.dump_to(str(tree), write_end)
    with pytest.raises(TypeError):
        nar.dump_to(str(tree), None)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=f"path '{tmp_path}/none' does not exist"):
        nar.dump_to(f"{tmp_path}/none", refuse)
    os.mkfifo(tree / "pipe")
    with pytest.raises(StoreError, match="unsupported type"):
        nar.dump_to(str(tree), lambda data: None)


@pytest.mark.parametrize("size", [1 << 15, 1 << 22])
def test_an_interrupt_ends_waiting_for_who_takes_an_archive(tmp_path: Path, size: int) -> None:
    """A pipe that nobody reads, while signals come again and again."""
    for number in range(8):
        (tmp_path / f"f{number}").write_bytes(bytes(size))
    code = (
        "import os, signal, sys\n"
        "from frazil.store import nar\n"
        "signal.signal(signal.SIGALRM, signal.default_int_handler)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)\n"
        "try:\n"
        "    nar.dump_to(sys.argv[1], os.pipe()[1])\n"
        "except KeyboardInterrupt:\n"
        "    os._exit(7)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=300).returncode == 7
