"""Writing and reading tar: round trips, other programs, hostile archives."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.packages.oci.errors import BadImage, OciError
from frazil.packages.oci.tar import BLOCK, END, Entry, TarWriter, encode_header
from frazil.packages.oci.tar_reader import TarReader, safe_name

part = st.binary(min_size=1, max_size=60).filter(lambda b: not set(b) & set(b"/\0") and b not in (b".", b".."))
names = st.lists(part, min_size=1, max_size=6).map(b"/".join)
numbers = st.one_of(st.integers(0, 2**21 - 1), st.integers(0, 2**40))
xattrs = st.dictionaries(st.from_regex(r"user\.[a-z]{1,9}", fullmatch=True), st.binary(max_size=40), max_size=3)


@st.composite
def entries(draw: st.DrawFn) -> tuple[Entry, bytes]:
    kind = draw(st.sampled_from(["file", "dir", "symlink", "link", "fifo", "char"]))
    content = draw(st.binary(max_size=1500)) if kind == "file" else b""
    target = b""
    if kind == "symlink":
        target = draw(st.binary(min_size=1, max_size=300).filter(lambda b: b"\0" not in b))
    elif kind == "link":
        target = draw(names)
    device = draw(st.integers(0, 255)) if kind == "char" else 0
    return (
        Entry(
            draw(names),
            kind,
            draw(st.integers(0, 0o7777)),
            draw(numbers),
            draw(numbers),
            len(content),
            draw(st.integers(0, 2**35)),
            target,
            draw(st.from_regex(rb"[a-z]{0,20}", fullmatch=True)),
            b"",
            device,
            device,
            tuple(sorted(draw(xattrs).items())),
        ),
        content,
    )


def pack(items: list[tuple[Entry, bytes]]) -> bytes:
    out = io.BytesIO()
    tar = TarWriter(out.write)
    for entry, content in items:
        tar.add(entry, [content])
    tar.finish()
    return out.getvalue()


@given(st.lists(entries(), max_size=4))
def test_what_is_written_is_read(items: list[tuple[Entry, bytes]]) -> None:
    reader = TarReader(io.BytesIO(pack(items)))
    assert [(entry, b"".join(reader.chunks())) for entry in reader] == items


@given(st.binary(max_size=3000))
def test_garbage_is_an_error_or_nothing(data: bytes) -> None:
    try:
        for _ in TarReader(io.BytesIO(data)):
            pass
    except BadImage:
        pass


@given(st.lists(entries(), min_size=1, max_size=3), st.data())
def test_damage_never_leads_out(items: list[tuple[Entry, bytes]], data: st.DataObject) -> None:
    raw = bytearray(pack(items))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        for entry in TarReader(io.BytesIO(bytes(raw))):
            assert b".." not in entry.name.split(b"/")
            assert not entry.name.startswith(b"/")
    except (BadImage, OciError):
        pass


def test_others_read_it() -> None:
    long = "d" * 90 + "/" + "é" * 80
    items = [
        (Entry(b"bin", "dir", 0o755), b""),
        (Entry(long.encode(), size=3, mode=0o555, uid=70000000, xattrs=(("user.a", b"v"),)), b"abc"),
        (Entry(b"l", "symlink", target=b"x" * 200), b""),
        (Entry(b"h", "link", target=long.encode()), b""),
    ]
    with tarfile.open(fileobj=io.BytesIO(pack(items))) as tar:
        members = {member.name: member for member in tar}
        assert members["bin"].isdir()
        assert members[long].uid == 70000000
        assert members[long].pax_headers["SCHILY.xattr.user.a"] == "v"
        assert members["l"].linkname == "x" * 200
        assert members["h"].linkname == long
        file = tar.extractfile(members[long])
        assert file is not None and file.read() == b"abc"


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_it_reads_others(format: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        member = tarfile.TarInfo("./a/" + "b" * 99 + ("" if format == tarfile.USTAR_FORMAT else "c" * 40))
        member.size = 2
        tar.addfile(member, io.BytesIO(b"hi"))
    out.seek(0)
    reader = TarReader(out)
    entry = next(iter(reader))
    assert entry.name == member.name.encode()[2:]
    assert b"".join(reader.chunks()) == b"hi"


def test_a_file_that_changes_is_an_error() -> None:
    tar = TarWriter(lambda _: None)
    with pytest.raises(OciError, match="changed while it was read"):
        tar.add(Entry(b"a", size=3), [b"ab"])
    with pytest.raises(OciError, match="changed while it was read"):
        tar.add(Entry(b"a", size=3), [b"abcd"])


@pytest.mark.parametrize("name", [b"../x", b"a/../../x", b"/../x", b"a/.."])
def test_names_that_lead_out_are_refused(name: bytes) -> None:
    with pytest.raises(BadImage, match="leads out"):
        safe_name(name)
    with pytest.raises(BadImage, match="leads out"):
        list(TarReader(io.BytesIO(encode_header(Entry(name)) + END)))


def test_absolute_names_are_taken_from_the_root() -> None:
    assert safe_name(b"/etc//./passwd/") == b"etc/passwd"


def test_extensions_are_bounded() -> None:
    header = bytearray(encode_header(Entry(b"x", size=1 << 30)))
    header[156:157] = b"x"
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(BadImage, match="at most"):
        list(TarReader(io.BytesIO(bytes(header) + bytes(BLOCK))))


def test_sparse_files_are_refused() -> None:
    header = bytearray(encode_header(Entry(b"x")))
    header[156:157] = b"S"
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(BadImage, match="of a kind"):
        list(TarReader(io.BytesIO(bytes(header))))
