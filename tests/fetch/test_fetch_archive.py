from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frazil.fetch import archive
from frazil.fetch.archive import top_directory, unpack
from frazil.fetch.errors import BadArchive

LIMIT = 1 << 24
Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, mode: int = 0o644, link: str = "") -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode, info.linkname, info.mtime = kind, len(data), mode, link, 1_600_000_000
    return info, data


def tar(*members: Member, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as file:
        for info, data in members:
            file.addfile(info, io.BytesIO(data))
    return out.getvalue()


def unpacked(tmp_path: Path, data: bytes, limit: int = LIMIT) -> Path:
    (tmp_path / "archive").write_bytes(data)
    target = tmp_path / "out"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    unpack(str(tmp_path / "archive"), str(target), limit)
    return target


GOOD = tar(
    member("top/", kind=tarfile.DIRTYPE, mode=0o755),
    member("top/a", b"hello"),
    member("top/run", b"#!", mode=0o755),
    member("top/group", b"g", mode=0o654),
    member("top/link", kind=tarfile.SYMTYPE, link="../../etc/passwd"),
    member("top/hard", kind=tarfile.LNKTYPE, link="top/a"),
    member("top/implied/parent/f", b"x"),
    member("top/empty", kind=tarfile.DIRTYPE, mode=0),
)


@pytest.mark.parametrize(
    "compress",
    [bytes, gzip.compress, bz2.compress, lzma.compress, lambda d: zstandard.ZstdCompressor().compress(d)],
    ids=["plain", "gzip", "bzip2", "xz", "zstd"],
)
def test_every_compression(tmp_path: Path, compress: object) -> None:
    out = unpacked(tmp_path, compress(GOOD))  # type: ignore[operator]
    top = Path(top_directory(str(out)))
    assert top == out / "top"
    assert (top / "a").read_bytes() == (top / "hard").read_bytes() == b"hello"
    assert os.readlink(top / "link") == "../../etc/passwd"
    assert [bool((top / n).stat().st_mode & stat.S_IXUSR) for n in ("a", "run", "group")] == [False, True, False]
    assert (top / "implied/parent/f").read_bytes() == b"x"
    assert (top / "empty").is_dir()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names(tmp_path: Path, form: int) -> None:
    name = "/".join(["d" * 50] * 2) + "/" + "f" * 90
    data = tar(member(name, b"x"), member("l", kind=tarfile.SYMTYPE, link="t" * 90), form=form)
    assert (unpacked(tmp_path, data) / name).read_bytes() == b"x"


def test_newest_time(tmp_path: Path) -> None:
    old, new = member("a"), member("b")
    new[0].mtime = 1_650_000_000.75
    (tmp_path / "archive").write_bytes(tar(old, new))
    (tmp_path / "out").mkdir()
    assert unpack(str(tmp_path / "archive"), str(tmp_path / "out"), LIMIT) == 1_650_000_000


def test_later_members_win(tmp_path: Path) -> None:
    out = unpacked(
        tmp_path, tar(member("a", b"1"), member("a", b"2"), member("d", kind=tarfile.DIRTYPE), member("d", b"f"))
    )
    assert (out / "a").read_bytes() == b"2" and (out / "d").read_bytes() == b"f"


HOSTILE = {
    "leads out": tar(member("../evil", b"x")),
    "leads out, inside": tar(member("a/../../evil", b"x")),
    "through a link": tar(member("l", kind=tarfile.SYMTYPE, link="/tmp"), member("l/evil", b"x")),
    "through a file": tar(member("a", b"x"), member("a/b", b"x")),
    "hard link out": tar(member("h", kind=tarfile.LNKTYPE, link="../../etc/passwd")),
    "hard link to nothing": tar(member("h", kind=tarfile.LNKTYPE, link="etc/passwd")),
    "hard link to a folder": tar(member("d", kind=tarfile.DIRTYPE), member("h", kind=tarfile.LNKTYPE, link="d")),
    "device": tar(member("dev", kind=tarfile.CHRTYPE)),
    "block device": tar(member("dev", kind=tarfile.BLKTYPE)),
    "pipe": tar(member("pipe", kind=tarfile.FIFOTYPE)),
    "file as root": tar(member(".", b"x")),
    "folder replaced": tar(member("d/f", b"x"), member("d", b"x")),
    "empty link": tar(member("l", kind=tarfile.SYMTYPE, link="")),
    "too deep": tar(member("d/" * 600 + "f", b"")),
    "long component": tar(member("f" * 300, b"")),
    "nothing": b"",
    "no archive": b"hello, world" * 100,
    "short": b"x",
    "truncated": GOOD[:1300],
    "truncated gzip": gzip.compress(os.urandom(5000) + GOOD)[:4000],
    "truncated xz": lzma.compress(os.urandom(5000) + GOOD)[:4000],
    "damaged gzip": gzip.compress(GOOD)[:60] + b"\xff" * 40,
    "damaged zstd": b"\x28\xb5\x2f\xfd" + b"\xff" * 100,
    "damaged zip": b"PK\x03\x04" + b"\xff" * 100,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadArchive):
        unpacked(tmp_path, HOSTILE[name])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["archive", "out"]


def test_absolute_names_stay_inside(tmp_path: Path) -> None:
    assert (unpacked(tmp_path, tar(member("/etc/frazil-test", b"x"))) / "etc/frazil-test").read_bytes() == b"x"


def test_hard_link_to_a_link_out_copies_the_link(tmp_path: Path) -> None:
    data = tar(member("s", kind=tarfile.SYMTYPE, link="/etc/passwd"), member("h", kind=tarfile.LNKTYPE, link="s"))
    assert os.readlink(unpacked(tmp_path, data) / "h") == "/etc/passwd"


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadArchive, match="more than 1000 bytes"):
        unpacked(tmp_path, tar(member("a", bytes(2000))), limit=1000)
    monkeypatch.setattr(archive, "_RATIO_FREE", 1 << 20)
    with pytest.raises(BadArchive, match="implausible"):
        unpacked(tmp_path, lzma.compress(tar(member("a", bytes(8 << 20)))))
    monkeypatch.setattr(archive, "_MAXIMUM_MEMBERS", 3)
    with pytest.raises(BadArchive, match="more than 3 members"):
        unpacked(tmp_path, tar(*[member(f"f{i}") for i in range(5)]))


def test_header_bombs(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = b"x", 1 << 40
    with pytest.raises(BadArchive, match="header too large"):
        unpacked(tmp_path, info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


@pytest.mark.parametrize("record", [b"9999 path=x\n", b"x path=y\n", b"8 path\n\n", b"-5 path=x\n", b"12 size=zz\n\n"])
def test_damaged_pax_records(tmp_path: Path, record: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = b"x", len(record)
    data = info.tobuf(tarfile.GNU_FORMAT) + record + bytes(-len(record) % 512) + tar(member("a", b"x"))
    with pytest.raises(BadArchive):
        unpacked(tmp_path, data)


def zipped(*files: tuple[str, bytes, int]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data, mode in files:
            info = zipfile.ZipInfo(name, (2020, 1, 2, 3, 4, 6))
            info.create_system, info.external_attr = 3, mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, data)
    return out.getvalue()


def test_zip(tmp_path: Path) -> None:
    data = zipped(
        ("t/", b"", stat.S_IFDIR | 0o755),
        ("t/a", b"a", stat.S_IFREG | 0o644),
        ("t/x", b"x", stat.S_IFREG | 0o755),
        ("t/l", b"a", stat.S_IFLNK | 0o777),
    )
    out = unpacked(tmp_path, data) / "t"
    assert (out / "a").read_bytes() == b"a" and os.access(out / "x", os.X_OK) and os.readlink(out / "l") == "a"
    assert not os.access(out / "a", os.X_OK)


@pytest.mark.parametrize(
    "data",
    [
        zipped(("../evil", b"x", 0o644)),
        zipped(("l", b"/tmp", stat.S_IFLNK | 0o777), ("l/evil", b"x", stat.S_IFREG | 0o644)),
        zipped(("p", b"", stat.S_IFIFO | 0o644)),
        zipped(("a", b"x", stat.S_IFREG | 0o644))[:-30],
    ],
)
def test_hostile_zip(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadArchive):
        unpacked(tmp_path, data)


def test_zip_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_RATIO_FREE", 1000)
    with pytest.raises(BadArchive, match="unpacks to more than"):
        unpacked(tmp_path, zipped(("a", bytes(8 << 20), stat.S_IFREG | 0o644)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.binary(max_size=600), st.integers(0, len(GOOD) - 1))
def test_random_damage_never_escapes(tmp_path: Path, noise: bytes, at: int) -> None:
    damaged = GOOD[:at] + noise + GOOD[at + len(noise) :]
    for data in (damaged, gzip.compress(GOOD)[: at % 200] + noise):
        try:
            unpacked(tmp_path, data)
        except BadArchive:
            pass
    assert {p.name for p in tmp_path.iterdir()} <= {"archive", "out"}


def test_damaged_lzma_member_of_zip(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("a", b"some text " * 100)
    good = out.getvalue()
    for position in range(30, 90):
        data = bytearray(good)
        data[position] ^= 0xFF
        try:
            unpacked(tmp_path, bytes(data))
        except BadArchive:
            pass
