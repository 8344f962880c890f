"""Layers made in C are byte for byte those made in Python, and fail as they do."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.image import _layer, layers
from frazil.image.layers import Listed, ObjectLayer
from frazil.packages.oci.errors import OciError
from frazil.packages.oci.tar import Entry, encode_header
from frazil.packages.oci.tree import Owner, StoreLayer

TYPES = {"file": "0", "symlink": "2", "dir": "5"}
LENGTHS = st.sampled_from([1, 5, 50, 98, 99, 100, 101, 102, 154, 155, 156, 200, 255, 256, 257, 300])
NUMBERS = st.sampled_from([0, 1, 0o7777777, 0o7777777 + 1, 2**32 - 1])
TIMES = st.sampled_from([-5, 0, 1, 0o77777777777, 0o77777777777 + 1])
SIZES = st.sampled_from([0, 1, 511, 512, 0o77777777777, 0o77777777777 + 1, 1 << 50])
PIECES = [
    b"a",
    b"bc/",
    b"/",
    "é".encode(),
    "€".encode(),
    "𝄞".encode(),
    b"\xff",
    b"\xed\xa0\x80",
    b"\xc0\xaf",
    b"\xf4\x90",
]


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    alphabet = draw(st.sampled_from([PIECES[:2], PIECES[:3], PIECES[:6], PIECES]))
    pieces = draw(st.lists(st.sampled_from(alphabet), min_size=1, max_size=20))
    length = draw(LENGTHS)
    return (b"".join(pieces) * length)[:length]


@given(
    st.sampled_from(list(TYPES)),
    texts(),
    texts(),
    SIZES,
    st.tuples(NUMBERS, NUMBERS, texts(), texts(), TIMES),
    st.data(),
)
def test_headers(
    kind: str, name: bytes, target: bytes, size: int, owner: tuple[int, int, bytes, bytes, int], data: st.DataObject
) -> None:
    mode = data.draw(st.sampled_from([0o444, 0o555, 0o777, 0o7777]))
    entry = Entry(
        name,
        kind,
        mode,
        owner[0],
        owner[1],
        size if kind == "file" else 0,
        owner[4],
        target if kind == "symlink" else b"",
        owner[2],
        owner[3],
    )
    assert _layer.header(name, entry.target, TYPES[kind], mode, entry.size, owner) == encode_header(entry)


@pytest.fixture
def objects(tmp_path: Path) -> StoreLayer:
    """Two objects with all that may be in one, and one that is a file."""
    one = os.fsencode(tmp_path / "one")
    os.makedirs(one + b"/bin/" + b"d" * 120 + b"/" + b"e" * 120)
    os.mkdir(one + b"/empty")
    for name, content in (
        (b"bin/tool", b"#!"),
        (b"bin-", b""),
        (b"large", os.urandom(6_000_000)),
        (b"block", bytes(512)),
        (b"\xff\xfe", b"x"),
        ("é".encode(), b"y"),
        (b"bin/" + b"d" * 120 + b"/" + b"e" * 120 + b"/f", b"z"),
    ):
        with open(one + b"/" + name, "wb") as file:
            file.write(content)
    os.chmod(one + b"/bin/tool", 0o4755)
    os.symlink(b"t" * 300, one + b"/long")
    os.symlink("é".encode(), one + b"/link")
    (tmp_path / "two").write_text("a file\n")
    paths = ("/nix/store/" + "0" * 32 + "-one", "/nix/store/" + "1" * 32 + "-two")
    return StoreLayer(
        paths, Owner(1000, 1 << 31, "me", "us", 77), ((paths[0], os.fsdecode(one)), (paths[1], str(tmp_path / "two")))
    )


def quick(layer: StoreLayer) -> ObjectLayer:
    return ObjectLayer(layer.paths, layer.owner, layer.real)


@pytest.mark.parametrize("most", [0, 3, 100_000])
def test_the_same_bytes(objects: StoreLayer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(layers, "MOST_KEPT", most)
    wanted: list[bytes] = []
    objects.write(wanted.append)
    whole = b"".join(wanted)
    digest = hashlib.sha256(whole).hexdigest()
    found: list[bytes] = []
    listed = Listed(quick(objects))
    assert listed.size == len(whole) == objects.size()
    assert listed.write(found.append) == digest
    assert b"".join(found) == whole
    assert listed.write(None) == digest
    with open(tmp_path / "out", "wb") as file:
        assert listed.write(file.fileno()) == digest
    assert (tmp_path / "out").read_bytes() == whole


def test_little_ones(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    layer = StoreLayer(("/nix/store/x",), real=(("/nix/store/x", str(tmp_path / "x")),))
    for one in (layer, StoreLayer(())):
        wanted: list[bytes] = []
        one.write(wanted.append)
        assert Listed(quick(one)).write(None) == hashlib.sha256(b"".join(wanted)).hexdigest()


def test_what_changes_meanwhile(objects: StoreLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Path(objects.real[0][1])
    listed = Listed(quick(objects))
    (place / "bin-").write_text("")
    (place / "block").write_bytes(b"shorter")
    with pytest.raises(OciError, match="block' changed while it was read"):
        listed.write(None)
    (place / "block").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        listed.write(None)
    assert caught.value.filename == str(place / "block")
    (place / "block").symlink_to("bin-")
    with pytest.raises(OciError, match="block' changed"):
        listed.write(None)
    monkeypatch.setattr(layers, "MOST_KEPT", 0)  # listed again when it is written
    listed = Listed(quick(objects))
    (place / "new").write_text("")
    with pytest.raises(OciError, match="a layer changed"):
        listed.write(None)


def test_what_no_image_can_hold(objects: StoreLayer) -> None:
    place = os.path.join(objects.real[0][1], "s")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(place)
        with pytest.raises(OciError, match="s' is neither a file nor a folder nor a link"):
            quick(objects).size()
    missing = ObjectLayer(("/nix/store/x",), real=(("/nix/store/x", "/does/not/exist"),))
    with pytest.raises(FileNotFoundError):
        missing.size()


def test_a_full_disk_and_a_reader_that_goes(objects: StoreLayer) -> None:
    listed = Listed(quick(objects))
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space left") as caught:
        listed.write(full.fileno())
    assert caught.value.filename is None
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(BrokenPipeError):
        listed.write(write)
    os.close(write)

    def refuse(_: bytes) -> None:
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        listed.write(refuse)


def test_an_interrupt_is_heard_while_nobody_reads(objects: StoreLayer) -> None:
    listed = Listed(quick(objects))
    read, write = os.pipe()

    def interrupt() -> None:
        time.sleep(0.2)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            listed.write(write)
    finally:
        signal.signal(signal.SIGINT, before)
        thread.join()
        os.close(read)
        os.close(write)


def test_a_pipe_that_does_not_wait(objects: StoreLayer) -> None:
    listed = Listed(quick(objects))
    read, write = os.pipe()
    os.set_blocking(write, False)
    got = hashlib.sha256()

    def drain() -> None:
        while data := os.read(read, 1 << 16):
            got.update(data)

    thread = threading.Thread(target=drain)
    thread.start()
    digest = listed.write(write)
    os.close(write)
    thread.join()
    os.close(read)
    assert got.hexdigest() == digest


def test_wrong_arguments() -> None:
    owner = (0, 0, b"", b"", 1)
    with pytest.raises(TypeError):
        _layer.Layer([b"x"], [], owner, 1)  # type: ignore[list-item]
    with pytest.raises(ValueError):
        _layer.Layer([(b"x\0y", b"z")], [], owner, 1)
    with pytest.raises(ValueError):
        _layer.Layer([], [], owner, 1).write(-1)
    with pytest.raises(TypeError):
        _layer.Layer([], [], owner, 1).write("x")  # type: ignore[arg-type]


def test_folders_in_folders(tmp_path: Path) -> None:
    """What would not end, or only with the stack, ends with a message."""
    here = str(tmp_path)
    for _ in range(300):
        here += "/d"
        os.mkdir(here)
    layer = ObjectLayer(("/nix/store/x",), real=(("/nix/store/x", str(tmp_path)),))
    with pytest.raises(OciError, match="lies in more than 250 folders"):
        layer.size()
