"""The reader of squashfs against `mksquashfs`, and against damage."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.portable.sample import IMAGE, NUMBERS, PROGRAM

from frazil.portable.errors import BadImage
from frazil.portable.squashfs import Squashfs

BLOCK = 4096


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files around the borders of blocks, a folder with many names, deep ones, links, holes."""
    folder = tmp_path_factory.mktemp("tree")
    noise = random.Random(1)
    for size in (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 17, 200_000):
        (folder / f"noise-{size}").write_bytes(noise.randbytes(size))
        (folder / f"text-{size}").write_bytes((b"frazil " * (size // 7 + 1))[:size])
    (folder / "hole").write_bytes(bytes(10 * BLOCK) + b"end")
    many = folder / "many"
    many.mkdir()
    for number in range(700):
        (many / f"{number:03}-{'n' * (number % 90)}").write_bytes(b"%d" % number)
    deep = folder
    for number in range(60):
        deep = deep / f"level{number}"
        deep.mkdir()
    (deep / "bottom").write_text("here")
    (folder / "to-bottom").symlink_to("/" + str((deep / "bottom").relative_to(folder)))
    (folder / "up").symlink_to("many/../many")
    (folder / "around").symlink_to("around")
    (folder / "umläut").write_text("ü")
    (folder / "empty").mkdir()
    os.mkfifo(folder / "pipe")
    return folder


def make(tree: Path, image: Path, *options: str) -> Path:
    if shutil.which("mksquashfs") is None:
        pytest.skip("there is no mksquashfs")
    done = subprocess.run(
        ["mksquashfs", str(tree), str(image), "-quiet", "-no-progress", "-noappend", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    if "not supported" in done.stderr + done.stdout or "Invalid compressor" in done.stderr + done.stdout:
        pytest.skip(f"mksquashfs does not know {options}")
    assert done.returncode == 0, done.stderr
    return image


@pytest.mark.parametrize(
    "options",
    [
        ("-comp", "gzip", "-b", "4096"),
        ("-comp", "xz", "-b", "1M", "-Xdict-size", "100%"),
        ("-comp", "zstd", "-b", "128K"),
        ("-comp", "lz4", "-b", "4096", "-no-fragments"),
        ("-comp", "gzip", "-b", "8192", "-noI", "-noD", "-noF"),
        ("-comp", "lzma", "-b", "4096"),
    ],
    ids=" ".join,
)
def test_all_is_as_it_was_packed(tree: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    with Squashfs(str(make(tree, tmp_path / "image", *options))) as image:
        found = {os.fsdecode(path): node for path, node in image.walk(image.root)}
        expected = {str(path.relative_to(tree)) for path in tree.rglob("*")}
        assert set(found) == expected
        for name, node in found.items():
            place = tree / name
            if place.is_symlink():
                assert node.kind == "symlink" and node.target == os.fsencode(os.readlink(place))
            elif place.is_dir():
                assert node.kind == "directory"
            elif place.is_file():
                assert image.read(node, 1 << 20) == place.read_bytes(), name
            else:
                assert node.kind == "pipe"
        for path, text in (("to-bottom", b"here"), ("/up/005-nnnnn", b"5"), ("empty/../umläut", "ü".encode())):
            node = image.find(path)
            assert node is not None and image.read(node, 100) == text
        for path in ("around", "nothing", "noise-1/x", "many/none"):
            assert image.find(path) is None


def test_lzo_is_refused(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="compressed with lzo, which cannot be read here"):
        Squashfs(str(make(tree, tmp_path / "image", "-comp", "lzo")))


def walk(path: Path) -> None:
    with Squashfs(str(path)) as image:
        for _, node in image.walk(image.root):
            if node.kind == "regular" and node.size < 1 << 20:
                image.read(node, 1 << 20)
        image.find(f"{PROGRAM}/link")


def test_limits(tmp_path: Path) -> None:
    place = tmp_path / "image"
    place.write_bytes(IMAGE)
    with Squashfs(str(place)) as image:
        node = image.find(f"{PROGRAM}/web")
        assert node is not None and image.read(node, len(NUMBERS)) == NUMBERS
        with pytest.raises(BadImage, match="larger than it may be"):
            image.read(node, len(NUMBERS) - 1)


@pytest.mark.parametrize("length", [0, 3, 50, 95, 96, 200, len(IMAGE) - 1])
def test_cut_off(tmp_path: Path, length: int) -> None:
    place = tmp_path / "image"
    place.write_bytes(IMAGE[:length])
    with pytest.raises(BadImage, match=r"no squashfs image|cut off"):
        walk(place)


def test_a_folder_within_itself(tmp_path: Path) -> None:
    """The entry for `etc` is made to lead to the root's own inode."""
    place = tmp_path / "image"
    tree = tmp_path / "tree"
    (tree / "inner").mkdir(parents=True)
    (tree / "inner/file").write_text("x")
    data = bytearray(make(tree, place, "-noI", "-comp", "gzip", "-no-xattrs").read_bytes())
    root = int.from_bytes(data[32:40], "little")
    table = int.from_bytes(data[72:80], "little")
    entry = data.index(b"inner", table) - 8
    data[entry : entry + 2] = (root & 0xFFFF).to_bytes(2, "little")
    place.write_bytes(data)
    with pytest.raises(BadImage, match="a folder within itself"):
        walk(place)


@given(
    st.lists(
        st.tuples(st.integers(0, len(IMAGE) - 1), st.binary(min_size=1, max_size=8)),
        min_size=1,
        max_size=6,
    )
)
def test_damage_is_found_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, bytes]]
) -> None:
    data = bytearray(IMAGE)
    for position, new in changes:
        data[position : position + len(new)] = new
    place = tmp_path_factory.getbasetemp() / "damaged"
    place.write_bytes(data)
    try:
        walk(place)
    except BadImage:
        pass


@given(st.integers(0, 95), st.binary(min_size=1, max_size=8))
def test_damaged_superblocks(tmp_path_factory: pytest.TempPathFactory, position: int, new: bytes) -> None:
    data = bytearray(IMAGE)
    data[position : position + len(new)] = new
    place = tmp_path_factory.getbasetemp() / "damaged-head"
    place.write_bytes(data)
    try:
        walk(place)
    except BadImage:
        pass
