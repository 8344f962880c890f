"""Writing tar: one entry after another, the same bytes for the same entries on every machine.

In: entries and the bytes of files; out: POSIX ustar, with pax records only for what ustar cannot say (long or non-ASCII
names, large numbers, extended attributes). Source of truth: IEEE Std 1003.1 `pax`; `SCHILY.xattr.` as GNU tar and Go
read it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from .errors import OciError

BLOCK = 512
END = bytes(2 * BLOCK)
KINDS = {
    "file": b"0",
    "link": b"1",
    "symlink": b"2",
    "char": b"3",
    "block": b"4",
    "dir": b"5",
    "fifo": b"6",
}
_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_LARGEST = {8: 0o7777777, 12: 0o77777777777}

Write = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Entry:
    """`name`: relative, without a slash at either end. `target`: of links; of a hard link a name in the same archive.
    `mtime`: seconds since 1970. `size`: bytes that follow, of files only."""

    name: bytes
    kind: str = "file"
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 1
    target: bytes = b""
    uname: bytes = b""
    gname: bytes = b""
    major: int = 0
    minor: int = 0
    xattrs: tuple[tuple[str, bytes], ...] = field(default=())

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise OciError(f"an entry of a tar archive cannot be a {self.kind}")
        if b"\0" in self.name or b"\0" in self.target:
            raise OciError(f"the name {self.name!r} cannot be written to a tar archive")


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """(prefix, name) of ustar, or None where it does not fit."""
    if len(name) <= 100:
        return b"", name
    cut = name.find(b"/", max(0, len(name) - 101), len(name) - 1)
    if 0 < cut <= 155:
        return name[:cut], name[cut + 1 :]
    return None


def _ascii(text: bytes) -> bool:
    return text.isascii()


@lru_cache(4096)
def _octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def _pax_record(key: bytes, value: bytes) -> bytes:
    body = b" " + key + b"=" + value + b"\n"
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def _block(
    name: bytes, prefix: bytes, entry: Entry, typeflag: bytes, size: int, target: bytes, numbers: tuple[int, int, int]
) -> bytes:
    uid, gid, mtime = numbers
    fields = (
        name,
        _octal(entry.mode & 0o7777, 8),
        _octal(uid, 8),
        _octal(gid, 8),
        b"%011o\0" % size,
        _octal(mtime, 12),
        b"        ",
        typeflag,
        target,
        b"ustar\x0000",
        entry.uname[:31],
        entry.gname[:31],
        _octal(entry.major, 8),
        _octal(entry.minor, 8),
        prefix,
    )
    head = _HEADER.pack(*fields)
    return head[:148] + b"%06o\0 " % sum(b"".join(fields)) + head[156:]  # padding adds nothing to the sum


def encode_header(entry: Entry) -> bytes:
    """All that comes before an entry's bytes."""
    name = entry.name + b"/" if entry.kind == "dir" else entry.name
    records: list[tuple[bytes, bytes]] = []
    parts = _split(name) if _ascii(name) or not _is_utf8(name) else None
    if parts is None:
        records.append((b"path", name))
        parts = b"", name[-100:] if _ascii(name) else b"pax"
    target = entry.target
    if len(target) > 100 or (not _ascii(target) and _is_utf8(target)):
        records.append((b"linkpath", target))
        target = target[:100] if _ascii(target) else b"pax"
    if any(not _is_utf8(value) for _, value in records):
        records.insert(0, (b"hdrcharset", b"BINARY"))
    numbers: dict[str, int] = {}
    for key, value, width in (
        ("uid", entry.uid, 8),
        ("gid", entry.gid, 8),
        ("mtime", entry.mtime, 12),
        ("size", entry.size, 12),
    ):
        fits = 0 <= value <= _LARGEST[width]
        numbers[key] = value if fits else 0
        if not fits:
            records.append((key.encode(), str(value).encode()))
    records += [(b"SCHILY.xattr." + key.encode(), value) for key, value in sorted(entry.xattrs)]
    owner = (numbers["uid"], numbers["gid"], numbers["mtime"])
    header = _block(parts[1], parts[0], entry, KINDS[entry.kind], numbers["size"], target, owner)
    if not records:
        return header
    body = b"".join(_pax_record(key, value) for key, value in records)
    plain = Entry(b"PaxHeaders", mode=0o644)
    extension = _block(b"PaxHeaders", b"", plain, b"x", len(body), b"", (0, 0, 0))
    return extension + body + padding(len(body)) + header


def header_size(entry: Entry) -> int:
    """How long `encode_header` is, for most without making it."""
    short = len(entry.name) < 100 and len(entry.target) <= 100 and not entry.xattrs
    plain = short and entry.name.isascii() and entry.target.isascii() and entry.size <= _LARGEST[12]
    if plain and max(entry.uid, entry.gid) <= _LARGEST[8] and 0 <= entry.mtime <= _LARGEST[12]:
        return BLOCK
    return len(encode_header(entry))


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


class TarWriter:
    """`finish` must be called, or readers see a cut archive."""

    def __init__(self, write: Write) -> None:
        self.write = write

    def add(self, entry: Entry, chunks: Iterable[bytes] = ()) -> None:
        """Raises OciError where `chunks` are not `entry.size` bytes."""
        self.write(encode_header(entry))
        left = entry.size
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                break
            self.write(chunk)
        if left:
            raise OciError(
                f"'{entry.name.decode(errors='replace')}' changed while it was read: its size was {entry.size} bytes"
            )
        if tail := -entry.size % BLOCK:
            self.write(bytes(tail))

    def add_bytes(self, name: str, content: bytes, mtime: int = 1) -> None:
        self.add(Entry(name.encode(), size=len(content), mtime=mtime), (content,))

    def finish(self) -> None:
        self.write(END)
