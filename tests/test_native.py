"""The parts in C: hashes, reading, archives, the thread that writes."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil import _native
from frazil.digest import BASE32_ALPHABET, base32_length, compress, decode_base32, encode_base32
from frazil.store import nar
from frazil.store.aterm import quote, quoted_names
from frazil.store.errors import BadStorePath, StoreError
from frazil.store.metadata import delete_tree
from frazil.store.path import StorePath


@pytest.fixture(params=[True, False], ids=["plain", "instructions"])
def implementation(request: pytest.FixtureRequest) -> Iterator[bool]:
    used = _native.choose_plain(request.param)
    if not request.param and not used:
        pytest.skip("this processor has no instructions for SHA-256")
    yield used
    _native.choose_plain(False)


def test_sha256_of_every_length(implementation: bool) -> None:
    assert _native.choose_plain(not implementation) is implementation
    data = bytes(range(256)) * 2
    for size in (*range(200), 511, 512):
        expected = hashlib.sha256(data[:size]).digest()
        assert _native.sha256(data[:size]) == expected
        state = _native.Sha256(data[: size // 3])
        state.update(memoryview(data)[size // 3 : size])
        assert state.digest() == expected
        assert state.hexdigest() == expected.hex()


def test_sha256_of_much(implementation: bool) -> None:
    data = os.urandom(300_001)
    assert _native.sha256(data) == hashlib.sha256(data).digest()
    assert _native.Sha256(data).digest() == hashlib.sha256(data).digest()


@given(st.lists(st.text(st.characters(max_codepoint=255)) | st.binary()))
def test_pieces_are_byte_strings(pieces: list[str | bytes]) -> None:
    whole = b"".join(p.encode("latin-1") if isinstance(p, str) else p for p in pieces)
    digest = hashlib.sha256(whole).digest()
    assert _native.sha256(*pieces) == digest
    assert _native.sha256_hex(*pieces) == digest.hex()
    assert _native.hash_part(*pieces) == encode_base32(compress(digest, 20))


@given(st.binary(max_size=70))
def test_base32(data: bytes) -> None:
    number, text = int.from_bytes(data, "little"), _native.base32(data)
    digits = [BASE32_ALPHABET.index(character) for character in text]
    assert sum(digit << 5 * place for place, digit in enumerate(reversed(digits))) == number
    assert len(text) == base32_length(len(data)) and decode_base32(text) == data
    with pytest.raises(TypeError):
        _native.base32(bytearray(data))  # type: ignore[arg-type]


def test_other_pieces_are_errors() -> None:
    for bad in ("\u0100", 1, None, bytearray(b"x")):
        with pytest.raises(TypeError):
            _native.sha256(bad)  # type: ignore[arg-type]


def test_reading(tmp_path: Path) -> None:
    file = tmp_path / "f"
    for data in (b"", b"x", b"y" * 100_000):
        file.write_bytes(data)
        assert _native.read_file(os.fsencode(file)) == data
    assert _native.read_file(b"/proc/self/stat").startswith(str(os.getpid()).encode())
    for place, kind in ((tmp_path, IsADirectoryError), (tmp_path / "none", FileNotFoundError)):
        with pytest.raises(kind) as caught:
            _native.read_file(os.fsencode(place))
        assert caught.value.filename == os.fsencode(place)
    with pytest.raises(ValueError, match="null"):
        _native.read_file(b"a\0b")


def test_listing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    os.close(os.open(os.fsencode(tmp_path) + b"/\xff", os.O_CREAT))
    assert _native.list_folder(os.fsencode(tmp_path)) == {
        "file": "regular",
        "folder": "directory",
        "link": "symlink",
        "pipe": "unknown",
        "\xff": "regular",
    }
    with pytest.raises(NotADirectoryError):
        _native.list_folder(os.fsencode(tmp_path / "file"))
    with pytest.raises(FileNotFoundError):
        _native.list_folder(os.fsencode(tmp_path / "none"))
    assert _native.exists(os.fsencode(tmp_path / "link"))
    assert not _native.exists(os.fsencode(tmp_path / "none"))


NAMES = st.binary(min_size=1, max_size=20).filter(lambda n: n not in (b".", b"..") and not set(n) & {0, 47})
FILES = st.tuples(st.booleans(), st.binary(max_size=40)) | st.binary(min_size=1, max_size=20).filter(
    lambda t: 0 not in t
)
TREES = st.recursive(FILES, lambda inner: st.dictionaries(NAMES, inner, max_size=5), max_leaves=20)


def write_tree(place: bytes, tree: Any) -> None:
    if isinstance(tree, dict):
        os.mkdir(place)
        for name, inner in tree.items():
            write_tree(place + b"/" + name, inner)
    elif isinstance(tree, bytes):
        os.symlink(tree, place)
    else:
        executable, contents = tree
        with open(place, "wb") as file:
            file.write(contents)
        os.chmod(place, 0o755 if executable else 0o644)


def dump(place: str) -> bytes:
    pieces: list[bytes] = []
    nar.dump_path(place, pieces.append)
    return b"".join(pieces)


def metadata(place: str) -> list[tuple[str, int, int]]:
    found = []
    for folder, _, files in os.walk(place):
        for path in (folder, *(os.path.join(folder, name) for name in files)):
            status = os.lstat(path)
            found.append((path[len(place) :], status.st_mode, status.st_mtime_ns))
    return sorted(found) or [("", os.lstat(place).st_mode, os.lstat(place).st_mtime_ns)]


@given(tree=TREES)
def test_archives_are_those_of_the_archive_writer(tmp_path_factory: pytest.TempPathFactory, tree: Any) -> None:
    root = str(tmp_path_factory.mktemp("tree"))
    write_tree(os.fsencode(root) + b"/in", tree)
    expected = dump(f"{root}/in")
    packed = _native.archive(f"{root}/in", 1 << 20)
    assert (packed.contents, packed.size) == (expected, len(expected))
    assert packed.digest == hashlib.sha256(expected).digest()
    hashed = _native.archive(f"{root}/in", len(expected) - 1)
    assert (hashed.contents, hashed.size, hashed.digest) == (None, packed.size, packed.digest)

    os.mkdir(f"{root}/work")
    writer = _native.Writer(f"{root}/work")
    number = writer.add_archive(packed)
    assert packed.contents is None
    assert writer.add_archive(packed) == -1  # given away
    writer.finish()
    assert writer.written(number)
    assert writer.is_folder(number) == isinstance(tree, dict)
    writer.place(number, f"{root}/out")
    assert not os.listdir(f"{root}/work")
    assert dump(f"{root}/out") == expected
    nar.restore(iter_reader(expected), f"{root}/other", canonical=True)
    assert metadata(f"{root}/out") == metadata(f"{root}/other")
    delete_tree(f"{root}/out")
    delete_tree(f"{root}/other")


def iter_reader(data: bytes) -> nar.Read:
    import io

    return io.BytesIO(data).read


def test_archives_of_large_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/large").write_bytes(os.urandom(3_000_003))
    (tmp_path / "a/small").write_bytes(b"x")
    packed = _native.archive(str(tmp_path / "a"), 1 << 20)
    assert packed.contents is None
    assert packed.digest == hashlib.sha256(dump(str(tmp_path / "a"))).digest()
    assert _native.archive(str(tmp_path / "a"), 1 << 22).contents == dump(str(tmp_path / "a"))


def test_what_no_archive_holds(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(_native.Unfit) as unfit:
            _native.archive(str(place), 0)
        assert unfit.value.args == ("type", str(tmp_path / "pipe"))
    with pytest.raises(StoreError, match=r"file '.*/pipe' has an unsupported type"):
        nar.hash_path(str(tmp_path))
    deep = tmp_path / "deep"
    (deep / ("d/" * 63)).mkdir(parents=True)
    assert _native.archive(str(deep), 0).digest == hashlib.sha256(dump(str(deep))).digest()
    (deep / ("d/" * 64)).mkdir()
    with pytest.raises(StoreError, match="exceeds maximum NAR directory depth of 64"):
        nar.hash_path(str(deep))
    with pytest.raises(FileNotFoundError) as missing:
        _native.archive(tmp_path / "none", 0)  # type: ignore[arg-type]
    assert missing.value.filename == str(tmp_path / "none")


def test_files_are_written_and_hashed(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        writer = _native.Writer(str(tmp_path))
        texts = [b"x" * size for size in range(40)]
        numbers = [writer.add_file(text) for text in texts]
        writer.finish()
    finally:
        os.umask(before)
    for text, number in zip(texts, numbers, strict=True):
        place = tmp_path / f"placed-{number}"
        assert writer.digest(number) == nar.hash_file_archive(text)[0].digest
        writer.place(number, str(place))
        assert place.read_bytes() == text
        status = place.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o444, 1_000_000_000)
        with pytest.raises(ValueError, match="not written"):
            writer.place(number, str(place))
    with pytest.raises(IndexError):
        writer.written(len(texts))


def test_what_cannot_be_written_is_not(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    writer = _native.Writer(str(work))
    work.rmdir()
    number = writer.add_file(b"x")
    writer.finish()
    assert not writer.written(number)
    with pytest.raises(ValueError, match="not a file that was written"):
        writer.digest(number)
    with pytest.raises(FileNotFoundError):
        _native.Writer(str(work))


def test_stopping(tmp_path: Path) -> None:
    for count in range(60):  # so that it is stopped before, in and after its work
        folder = tmp_path / str(count)
        folder.mkdir()
        writer = _native.Writer(str(folder))
        numbers = [writer.add_file(bytes(10_000)) for _ in range(count)]
        writer.stop()
        writer.stop()
        writer.finish()
        assert writer.add_file(b"y") == -1
        for number in numbers:
            assert writer.written(number) == (folder / str(number)).exists()


def test_a_forked_process_has_no_thread(tmp_path: Path) -> None:
    writer = _native.Writer(str(tmp_path))
    number = writer.add_file(b"x")
    child = os.fork()
    if not child:
        status = 1
        try:
            writer.finish()
            good = not writer.written(number) and writer.add_file(b"y") == -1
            writer.stop()
            del writer
            status = 0 if good else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    writer.finish()
    assert writer.written(number)


LATIN = st.text(st.characters(max_codepoint=255))


@given(st.dictionaries(LATIN, LATIN), st.lists(LATIN, max_size=3))
def test_variables(environment: dict[str, str], blank: list[str]) -> None:
    for name in blank:
        environment[name] = "never looked at"
    names = sorted(environment)
    text, places = _native.variables(environment, names, blank)
    shown = [f"({quote(name)},{quote('' if name in blank else environment[name])})" for name in names]
    assert text == ",".join(shown).encode("latin-1")
    assert len(places) == len(set(blank))
    for place in reversed(places):
        text = _native.join(text[:place], "here", text[place:])
    shown = [f"({quote(name)},{quote('here' if name in blank else environment[name])})" for name in names]
    assert text == ",".join(shown).encode("latin-1")


def test_variables_that_are_no_byte_strings() -> None:
    with pytest.raises(KeyError, match="b"):
        _native.variables({"a": "x"}, ["a", "b"], [])
    with pytest.raises(TypeError, match="Latin-1"):
        _native.variables({"a": "\u0100"}, ["a"], [])
    with pytest.raises(TypeError):
        _native.join("\u0100")
    assert _native.join() == b""


@given(st.dictionaries(LATIN, st.sets(LATIN, max_size=4)))
def test_wanted_outputs(wanted: dict[str, set[str]]) -> None:
    shown = [f'("{path}",{quoted_names(wanted[path])})' for path in sorted(wanted)]
    assert _native.wanted(wanted) == ",".join(shown).encode("latin-1")


def test_wanted_outputs_that_are_no_byte_strings() -> None:
    with pytest.raises(TypeError, match="Latin-1"):
        _native.wanted({"a": {"\u0100"}})
    with pytest.raises(TypeError):
        _native.wanted({"a": 1})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="dict"):
        _native.wanted([])  # type: ignore[arg-type]


@given(st.text(st.sampled_from("ab.-_+=?Z09/ é\u0100"), max_size=6) | st.text(max_size=3))
def test_names_of_store_paths(name: str) -> None:
    legal = re.fullmatch(r"[0-9A-Za-z+\-._?=]{1,211}", name) and not re.match(r"\.\.?(-|\Z)", name)
    assert _native.is_name(name) == bool(legal)


def test_lengths_of_names_and_hash_parts() -> None:
    assert _native.is_name("a" * 211) and not _native.is_name("a" * 212) and not _native.is_name("")
    part = "0123456789abcdfghijklmnpqrsvwxyz"
    assert _native.is_hash_part(part)
    assert not any(map(_native.is_hash_part, ("", part[1:], part + "0", "e" + part[1:], "\u0100" * 32, "é" * 32)))


@given(st.text(st.sampled_from('aé"\\\n\r\t'), max_size=80))
def test_quoting_sixteen_characters_at_once(text: str) -> None:
    assert _native.variables({"": text}, [""], [])[0] == f"({quote('')},{quote(text)})".encode("latin-1")


@given(st.binary(max_size=70))
def test_base32_and_back(data: bytes) -> None:
    assert _native.from_base32(_native.base32(data)) == data


@given(st.text(alphabet=BASE32_ALPHABET, max_size=60))
def test_base32_as_a_number(text: str) -> None:
    size = len(text) * 5 // 8
    number = 0
    for character in text:
        number = number * 32 + BASE32_ALPHABET.index(character)
    wanted = number.to_bytes(size, "little") if number >> (size * 8) == 0 else None
    assert _native.from_base32(text) == wanted


def test_what_is_no_base32() -> None:
    for text in ("e", "0u", "\u0100", "\U0001f600", "Ab", "z"):
        assert _native.from_base32(text) is None
    assert _native.from_base32("") == b""
    with pytest.raises(TypeError):
        _native.split_base(b"bytes", 0)  # type: ignore[arg-type]


@given(st.text(max_size=8), st.text(alphabet=BASE32_ALPHABET + "eu/", min_size=31, max_size=33), st.text(max_size=6))
def test_splitting_a_store_path(before: str, hash_part: str, name: str) -> None:
    for text in (f"{hash_part}-{name}", f"{hash_part}{name}"):
        try:
            wanted = tuple(StorePath(text[:32], text[33:])) if text[32:33] == "-" else None
        except BadStorePath:
            wanted = None
        assert _native.split_base(before + text, len(before)) == wanted


# ------------------------------------------------------------------------------------------------- whole small archives


def received(folder: Path, data: bytes, digest: bytes | None = None) -> bool:
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    wanted = hashlib.sha256(data).digest() if digest is None else digest
    return _native.receive(os.fsencode(folder / "tmp"), b"1-x", os.fsencode(folder / "real"), data, wanted)


def packed(path: Path) -> bytes:
    pieces: list[bytes] = []
    nar.dump_path(str(path), pieces.append)
    return b"".join(pieces)


@pytest.mark.parametrize("kind", ["file", "program", "link", "folder"])
def test_receiving(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source"
    if kind == "folder":
        (source / "a" / "b").mkdir(parents=True)
        (source / "a" / "f").write_text("f")
        (source / "l").symlink_to("a")
    elif kind == "link":
        source.symlink_to("nowhere")
    else:
        source.write_text("contents")
        source.chmod(0o755 if kind == "program" else 0o644)
    data = packed(source)
    assert received(tmp_path, data)
    nar.restore(io.BytesIO(data).read, str(tmp_path / "expected"), canonical=True)
    assert os.listdir(tmp_path / "tmp") == []
    for name in ("", "/a", "/a/b", "/a/f", "/l") if kind == "folder" else ("",):
        found, expected = (os.lstat(f"{tmp_path}/{place}{name}") for place in ("real", "expected"))
        assert (found.st_mode, int(found.st_mtime)) == (expected.st_mode, 1)
    assert packed(tmp_path / "real") == data
    delete_tree(str(tmp_path / "real"))
    delete_tree(str(tmp_path / "expected"))


def test_what_is_not_received(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("contents")
    data = packed(source)
    folder = tmp_path / "store"
    for damaged in (data[:-8], data + b"x", b"", data.replace(b"regular", b"irregul")):
        assert not received(folder, damaged)
        delete_tree(str(folder / "tmp" / "1-x"))
    assert not received(folder, data, bytes(32))
    assert not os.path.lexists(folder / "real")
    delete_tree(str(folder / "tmp" / "1-x"))
    (folder / "real").symlink_to("nowhere")
    assert not received(folder, data)
    assert os.readlink(folder / "real") == "nowhere"
    delete_tree(str(folder / "tmp" / "1-x"))
    assert not _native.receive(os.fsencode(tmp_path / "absent"), b"x", os.fsencode(tmp_path / "y"), data, bytes(32))
    with pytest.raises(ValueError):
        _native.receive(os.fsencode(tmp_path), b"x", os.fsencode(tmp_path / "y"), data, b"short")
    assert not (tmp_path / "y").exists()
