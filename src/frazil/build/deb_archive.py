"""Debian binary packages: the outer `ar` archive and the `data.tar` within, as untrusted input.

In: a seekable file. Out: `Entry` values (bytes names, relative and without `..`), with contents as a stream that is
valid until the next entry. Source of truth: deb(5), ar(5), POSIX ustar/pax. Sizes and counts are bounded.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from frazil.errors import FrazilError

AR_MAGIC = b"!<arch>\n"
AR_HEADER = 60
MAX_MEMBERS = 64
MAX_ENTRIES = 2_000_000
MAX_TOTAL = 32 << 30


class BadArchive(FrazilError):
    """A file that is no well-formed Debian package."""


@dataclass(frozen=True, slots=True)
class ArMember:
    """One member of an `ar` archive: its name and where its bytes are."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a package's file system.

    `kind` is "file", "directory", "symlink" or "hardlink"; `target` is a link's (for hard links a normalised name).
    """

    name: bytes
    kind: str
    executable: bool
    size: int
    target: bytes
    stream: IO[bytes] | None


class _Window(io.RawIOBase):
    """A read-only window on a part of a file."""

    def __init__(self, file: IO[bytes], offset: int, size: int) -> None:
        self._file, self._offset, self._left = file, offset, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        want = min(len(buffer), self._left)
        if want == 0:
            return 0
        self._file.seek(self._offset)
        data = self._file.read(want)
        if not data:
            raise BadArchive("package is truncated")
        buffer[: len(data)] = data
        self._offset += len(data)
        self._left -= len(data)
        return len(data)


def ar_members(file: IO[bytes]) -> list[ArMember]:
    """The members of a common `ar` archive, in order."""
    file.seek(0, io.SEEK_END)
    end = file.tell()
    file.seek(0)
    if file.read(len(AR_MAGIC)) != AR_MAGIC:
        raise BadArchive("not a Debian package: it does not begin as an ar archive")
    members: list[ArMember] = []
    position = len(AR_MAGIC)
    while position < end:
        header = file.read(AR_HEADER)
        if len(header) != AR_HEADER or header[58:60] != b"`\n":
            raise BadArchive(f"damaged ar header at byte {position}")
        size_text = header[48:58].rstrip(b" ")
        if not size_text.isdigit():
            raise BadArchive(f"damaged ar member size at byte {position}")
        size = int(size_text)
        start = position + AR_HEADER
        if start + size > end:
            raise BadArchive(f"ar member at byte {position} reaches past the end of the file")
        if len(members) == MAX_MEMBERS:
            raise BadArchive(f"more than {MAX_MEMBERS} members in an ar archive")
        name = header[:16].rstrip(b" ").removesuffix(b"/").decode("latin-1")
        members.append(ArMember(name, start, size))
        position = start + size + (size & 1)
        file.seek(position)
    return members


def _decompressed(name: str, raw: io.RawIOBase) -> IO[bytes]:
    buffered = io.BufferedReader(raw, 1 << 18)
    match name.removeprefix("data.tar"):
        case "":
            return buffered
        case ".xz" | ".lzma":
            import lzma

            return lzma.open(buffered)
        case ".gz":
            import gzip

            return gzip.open(buffered)  # type: ignore[return-value]
        case ".bz2":
            import bz2

            return bz2.open(buffered)
        case ".zst":
            import zstandard

            return zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(buffered)
    raise BadArchive(f"unknown compression of '{name}'")


def safe_name(name: bytes) -> bytes:
    """A tar entry's name as a relative path without `.` and empty parts; b"" is the root."""
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts or b"\0" in name:
        raise BadArchive(f"unsafe name in package: {name!r}")
    if any(len(part) > 255 for part in parts) or len(name) > 4096:
        raise BadArchive(f"name in package is too long: {name[:80]!r}…")
    return b"/".join(parts)


def _entry(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    name = safe_name(member.name.encode("utf-8", "surrogateescape"))
    target = member.linkname.encode("utf-8", "surrogateescape")
    executable = bool(member.mode & 0o111)
    if member.isdir():
        return Entry(name, "directory", True, 0, b"", None)
    if member.issym():
        if not target or b"\0" in target or len(target) > 4095:
            raise BadArchive(f"bad symbolic link in package: {name!r}")
        return Entry(name, "symlink", False, 0, target, None)
    if member.islnk():
        return Entry(name, "hardlink", executable, 0, safe_name(target), None)
    if member.isreg():
        return Entry(name, "file", executable, member.size, b"", archive.extractfile(member))
    raise BadArchive(f"entry {name!r} is neither file, directory nor link")


def read_package(file: IO[bytes]) -> Iterator[Entry]:
    """The entries of a `.deb` file's `data.tar`, in the archive's order; raises BadArchive."""
    data = [m for m in ar_members(file) if m.name.startswith("data.tar")]
    if len(data) != 1:
        raise BadArchive("a Debian package holds exactly one data.tar")
    stream = _decompressed(data[0].name, _Window(file, data[0].offset, data[0].size))
    count = total = 0
    try:
        with tarfile.open(
            fileobj=stream, mode="r|", bufsize=1 << 16, encoding="utf-8", errors="surrogateescape"
        ) as archive:
            for member in archive:
                count += 1
                total += max(member.size, 0)
                if count > MAX_ENTRIES or total > MAX_TOTAL:
                    raise BadArchive("package is unreasonably large")
                yield _entry(archive, member)
    except FrazilError:
        raise
    except Exception as error:
        # The decompressors and tarfile raise many kinds for damaged input; none of them is a bug of ours.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise BadArchive(f"damaged data.tar: {error}") from error
