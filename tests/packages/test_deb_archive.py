"""Debian packages as untrusted input."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.packages.debs import Item, ar_of, compressed, deb_of, tar_of

from frazil.build.deb_archive import BadArchive, ar_members, read_package, safe_name

names = st.text("abcXYZ09._+-", min_size=1, max_size=12).filter(lambda name: name not in (".", ".."))


def entries(data: bytes) -> list[tuple[bytes, str, bytes]]:
    found = []
    for entry in read_package(io.BytesIO(data)):
        found.append((entry.name, entry.kind, entry.stream.read() if entry.stream else entry.target))
    return found


@pytest.mark.parametrize("suffix", ["", ".xz", ".gz", ".zst"])
def test_every_compression(suffix: str) -> None:
    items: list[Item] = [("./usr/", None, 0o755), ("./usr/a", b"text", 0o644), ("./usr/b", "a", 0o1)]
    assert entries(deb_of(items, suffix)) == [
        (b"usr", "directory", b""),
        (b"usr/a", "file", b"text"),
        (b"usr/b", "symlink", b"a"),
    ]


@given(st.dictionaries(names, st.binary(max_size=200), max_size=8), st.sampled_from(["", ".xz", ".gz", ".zst"]))
@settings(max_examples=40, deadline=None)
def test_round_trip(files: dict[str, bytes], suffix: str) -> None:
    items: list[Item] = [(f"./{name}", data, 0o644) for name, data in files.items()]
    assert entries(deb_of(items, suffix)) == [(name.encode(), "file", data) for name, data in files.items()]


@given(st.lists(st.tuples(names, st.binary(max_size=50)), max_size=6))
@settings(max_examples=40, deadline=None)
def test_ar_round_trip(members: list[tuple[str, bytes]]) -> None:
    data = ar_of(members)
    found = ar_members(io.BytesIO(data))
    assert [(m.name, data[m.offset : m.offset + m.size]) for m in found] == members


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(BadArchive):
        list(read_package(io.BytesIO(data)))


@given(st.integers(8, 400), st.integers(0, 255))
@settings(max_examples=100, deadline=None)
def test_one_changed_byte_never_escapes(position: int, value: int) -> None:
    data = bytearray(deb_of([("./a", b"x" * 50, 0o644)]))
    data[position % len(data)] = value
    try:
        found = entries(bytes(data))
    except BadArchive:
        return
    assert all(not name.startswith(b"/") and b".." not in name.split(b"/") for name, _, _ in found)


@pytest.mark.parametrize(
    "name", [b"../x", b"a/../../b", b"a\0b", b"x" * 300, b"/".join([b"y"] * 3000)], ids=lambda name: repr(name[:12])
)
def test_unsafe_names(name: bytes) -> None:
    with pytest.raises(BadArchive):
        safe_name(name)


def test_absolute_names_become_relative() -> None:
    assert safe_name(b"//usr/./bin//x/") == b"usr/bin/x"


def test_truncated() -> None:
    data = deb_of([("./a", b"x" * 5000, 0o644)], "")
    with pytest.raises(BadArchive):
        entries(data[:-2000])


def test_size_beyond_the_end() -> None:
    data = ar_of([("data.tar", b"x")]).replace(b"1         `", b"9999999999`")
    with pytest.raises(BadArchive, match="past the end"):
        entries(data)


def test_two_payloads() -> None:
    payload = compressed(tar_of([]), ".gz")
    with pytest.raises(BadArchive, match="exactly one"):
        entries(ar_of([("data.tar.gz", payload), ("data.tar.gz", payload)]))


def test_devices_are_refused() -> None:
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("dev/null")
        info.type = tarfile.CHRTYPE
        archive.addfile(info)
    with pytest.raises(BadArchive, match="neither"):
        entries(ar_of([("data.tar", out.getvalue())]))
