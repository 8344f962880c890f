"""Archives into a folder: tar (plain, gzip, bzip2, xz, zstandard) and zip, always taken as hostile.

In: an archive file. Out: files below an empty folder, and the newest modification time in it. Nothing is ever written
outside the folder, through a link, or beyond the bounds. Source of truth: POSIX pax interchange format with GNU's long
names; zip's APPNOTE; what Nix makes of members (`unpackTarfileToSink`): later members replace earlier ones, hard links
are copies, only the owner's executable bit counts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import IO, Any

from frazil.fetch.errors import BadArchive

_CHUNK = 1 << 18
_MAXIMUM_MEMBERS = 5_000_000
_MAXIMUM_NAME = 4096
_MAXIMUM_DEPTH = 250
_MAXIMUM_HEADER = 1 << 20
_RATIO = 400
_RATIO_FREE = 256 << 20
"""Unpacked bytes that no ratio is asked of."""

_FILE, _LINK, _DIRECTORY = "file", "link", "directory"


class Unpacker:
    """Makes members below `destination`, which must be empty. Names are bytes, relative, with slashes."""

    def __init__(self, destination: str, limit: int) -> None:
        self.base = os.fsencode(destination)
        self.limit = limit
        self.written = 0
        self.members = 0
        self.modified = 0
        self.kinds: dict[bytes, str] = {}
        self.children: dict[bytes, int] = {}
        self.hard_links: list[tuple[bytes, bytes]] = []

    def name(self, raw: bytes) -> bytes:
        """The canonical relative name; empty for the root. Raises BadArchive for one that leads out."""
        self.members += 1
        if self.members > _MAXIMUM_MEMBERS:
            raise BadArchive(f"archive has more than {_MAXIMUM_MEMBERS} members")
        if len(raw) > _MAXIMUM_NAME or b"\0" in raw:
            raise BadArchive(f"archive member has an invalid name: '{_show(raw[:100])}'")
        parts = [part for part in raw.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise BadArchive(f"archive member '{_show(raw)}' leads out of the archive")
        if len(parts) > _MAXIMUM_DEPTH or any(len(part) > 255 for part in parts):
            raise BadArchive(f"archive member has an invalid name: '{_show(raw[:100])}'")
        return b"/".join(parts)

    def time(self, seconds: float) -> None:
        if 0 < seconds < 1 << 40:
            self.modified = max(self.modified, int(seconds))

    def _prepare(self, name: bytes, kind: str) -> bytes | None:
        """The path to make, parents made and what was there removed; None for a directory that is there already."""
        if not name:
            if kind == _DIRECTORY:
                return None
            raise BadArchive("archive holds a file in place of its root")
        parent = name.rpartition(b"/")[0]
        if parent and self.kinds.get(parent) != _DIRECTORY:
            if parent in self.kinds:
                raise BadArchive(f"parent of '{_show(name)}' is not a directory")
            self.directory(parent)
        path = self.base + b"/" + name
        before = self.kinds.get(name)
        if before == _DIRECTORY:
            if kind == _DIRECTORY:
                return None
            if self.children.get(name):
                raise BadArchive(f"cannot create '{_show(name)}', conflicting non-empty directory")
            os.rmdir(path)
        elif before is not None:
            os.unlink(path)
        else:
            self.children[parent] = self.children.get(parent, 0) + 1
        self.kinds[name] = kind
        return path

    def directory(self, name: bytes) -> None:
        path = self._prepare(name, _DIRECTORY)
        if path is not None:
            os.mkdir(path, 0o755)

    def symlink(self, name: bytes, target: bytes) -> None:
        if not target or b"\0" in target or len(target) > 4095:
            raise BadArchive(f"archive member '{_show(name)}' is a link with an invalid target")
        path = self._prepare(name, _LINK)
        assert path is not None
        os.symlink(target, path)

    def hard_link(self, name: bytes, target: bytes) -> None:
        if name and target:
            self.hard_links.append((name, target))

    def file(self, name: bytes, executable: bool, chunks: Iterator[bytes]) -> None:
        path = self._prepare(name, _FILE)
        assert path is not None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with open(os.open(path, flags, 0o755 if executable else 0o644), "wb", buffering=0) as file:
            for chunk in chunks:
                self.written += len(chunk)
                if self.written > self.limit:
                    raise BadArchive(f"archive unpacks to more than {self.limit} bytes")
                file.write(chunk)

    def finish(self) -> None:
        """Hard links last: a target may come after its link."""
        for name, target in self.hard_links:
            if target not in self.kinds:
                raise BadArchive(f"hard link '{_show(name)}' to '{_show(target)}', which is not in the archive")
            if self.kinds[target] == _DIRECTORY:
                raise BadArchive("cannot create a hard link to a directory")
            if name != target:
                path = self._prepare(name, self.kinds[target])
                assert path is not None
                os.link(self.base + b"/" + target, path, follow_symlinks=False)


def _show(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def unpack(path: str, destination: str, limit: int) -> int:
    """Unpacks an archive file into an empty folder; returns the newest time in it, seconds. Raises BadArchive."""
    unpacker = Unpacker(destination, limit)
    try:
        with open(path, "rb") as file:
            head = file.read(6)
            file.seek(0)
            if head[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
                _unpack_zip(file, unpacker)
            else:
                _unpack_tar(_Stream(_decompressed(file, head), os.fstat(file.fileno()).st_size, limit), unpacker)
        unpacker.finish()
    except OSError as error:
        from frazil.store.errors import from_os_error

        raise from_os_error(error, f"unpacking '{path}'") from error
    return unpacker.modified


def top_directory(folder: str) -> str:
    """The only entry of a folder if that is a directory, else the folder itself."""
    with os.scandir(folder) as entries:
        found = list(entries)
    return found[0].path if len(found) == 1 and found[0].is_dir(follow_symlinks=False) else folder


# ----------------------------------------------------------------------------------------------------- compression


def _decompressed(file: IO[bytes], head: bytes) -> Callable[[int], bytes]:
    """A `read` of what the file holds uncompressed, by its first bytes."""
    if head[:2] == b"\x1f\x8b":
        import gzip

        return gzip.GzipFile(fileobj=file, mode="rb").read
    if head[:3] == b"BZh":
        import bz2

        return bz2.BZ2File(file, "rb").read
    if head == b"\xfd7zXZ\0" or head[:3] == b"]\0\0":
        return _xz_reader(file)
    if head[:4] == b"\x28\xb5\x2f\xfd":
        import zstandard

        decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 30)
        return decompressor.stream_reader(file, read_across_frames=True).read
    return file.read


def _xz_reader(file: IO[bytes]) -> Callable[[int], bytes]:
    """With a bound of the memory that a hostile dictionary size may take."""
    import lzma

    def new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(memlimit=1 << 30)

    decompressor = new()
    pending = b""

    def read(size: int) -> bytes:
        nonlocal decompressor, pending
        while True:
            if decompressor.eof:
                pending = decompressor.unused_data.lstrip(b"\0") or file.read(_CHUNK).lstrip(b"\0")
                if not pending:
                    return b""
                decompressor = new()
            elif decompressor.needs_input and not pending:
                pending = file.read(_CHUNK)
                if not pending:
                    raise EOFError("compressed data ends too early")
            data = decompressor.decompress(pending, size)
            pending = b""
            if data:
                return data

    return read


class _Stream:
    """Exact reads over a decompressing `read`, with the bounds enforced."""

    def __init__(self, read: Callable[[int], bytes], compressed: int, limit: int) -> None:
        self._read = read
        self._rest = b""
        self._total = 0
        self._limit = min(limit + (1 << 30), max(_RATIO_FREE, compressed * _RATIO))

    def _more(self) -> bytes:
        import lzma
        import zlib

        errors: tuple[type[BaseException], ...] = (OSError, EOFError, zlib.error, lzma.LZMAError)
        try:
            data = self._read(_CHUNK)
        except errors as error:
            raise BadArchive(f"Failed to open archive (damaged compressed data: {error})") from error
        except Exception as error:
            if type(error).__name__ == "ZstdError":
                raise BadArchive(f"Failed to open archive (damaged compressed data: {error})") from error
            raise
        self._total += len(data)
        if self._total > self._limit:
            raise BadArchive("archive unpacks to an implausible size", hint="a decompression bomb?")
        return data

    def read_upto(self, size: int) -> bytes:
        """Some bytes, at most `size`; none at the end."""
        if not self._rest:
            self._rest = self._more()
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def read_exactly(self, size: int) -> bytes:
        """Raises BadArchive where the stream ends first; `size` must be bounded by the caller."""
        if len(self._rest) >= size:
            data, self._rest = self._rest[:size], self._rest[size:]
            return data
        parts = []
        left = size
        while left:
            data = self.read_upto(left)
            if not data:
                raise BadArchive("Failed to open archive (truncated)")
            parts.append(data)
            left -= len(data)
        return b"".join(parts)

    def skip(self, size: int) -> None:
        for _ in self.chunks(size):
            pass

    def chunks(self, size: int) -> Iterator[bytes]:
        """`size` bytes piece by piece."""
        while size:
            data = self.read_upto(min(size, _CHUNK))
            if not data:
                raise BadArchive("Failed to open archive (truncated)")
            size -= len(data)
            yield data


# ------------------------------------------------------------------------------------------------------------- tar

_BLOCK = 512
_DIRECTORY_TYPE, _SYMLINK_TYPE, _HARD_LINK_TYPE = b"5", b"2", b"1"


def _number(field: bytes) -> int:
    """Octal digits, or base 256 where the first bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (len(field) * 8 - 1)) - 1)
        return value - (1 << (len(field) * 8 - 1)) if field[0] & 0x40 else value
    text = field.split(b"\0")[0].strip()
    if not text:
        return 0
    try:
        return int(text, 8)
    except ValueError as error:
        raise BadArchive("Failed to open archive (damaged tar header)") from error


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _check_header(block: bytes) -> None:
    wanted = _number(block[148:156])
    blank = block[:148] + b" " * 8 + block[156:]
    unsigned = sum(blank)
    signed = unsigned - 256 * sum(1 for byte in blank if byte > 127)
    if wanted not in (unsigned, signed):
        raise _unrecognized()


def _unrecognized() -> BadArchive:
    return BadArchive(
        "Failed to open archive (Unrecognized archive format)",
        hint="expected a tar archive (plain or compressed by gzip, bzip2, xz or zstd) or a zip archive",
    )


def _unpack_tar(stream: _Stream, unpacker: Unpacker) -> None:
    shared: dict[str, bytes] = {}
    own: dict[str, bytes] = {}
    long_name = long_target = None
    first = True
    while True:
        block = _next_block(stream, first)
        if block is None:
            return
        first = False
        size, kind = _number(block[124:136]), block[156:157]
        if size < 0:
            raise BadArchive("Failed to open archive (damaged tar header)")
        if kind in (b"x", b"g", b"X", b"L", b"K"):
            data = _header_data(stream, size)
            if kind == b"L":
                long_name = _text(data)
            elif kind == b"K":
                long_target = _text(data)
            else:
                (shared if kind == b"g" else own).update(_pax_records(data))
            continue
        fields = {**shared, **own}
        if long_name is not None:
            fields.setdefault("path", long_name)
        if long_target is not None:
            fields.setdefault("linkpath", long_target)
        _unpack_member(stream, unpacker, block, kind, size, fields)
        own, long_name, long_target = {}, None, None


def _next_block(stream: _Stream, first: bool) -> bytes | None:
    """The next header; None at the end mark or the end of the stream."""
    data = stream.read_upto(_BLOCK)
    if not data:
        if first:
            raise BadArchive("Failed to open archive (it is empty)")
        return None
    try:
        block = data + stream.read_exactly(_BLOCK - len(data)) if len(data) < _BLOCK else data
    except BadArchive as error:
        raise _unrecognized() if first else error from None
    if not any(block):
        return None
    _check_header(block)
    return block


def _header_data(stream: _Stream, size: int) -> bytes:
    if size > _MAXIMUM_HEADER:
        raise BadArchive("Failed to open archive (tar header too large)")
    data = stream.read_exactly(size)
    stream.skip(-size % _BLOCK)
    return data


def _pax_records(data: bytes) -> dict[str, bytes]:
    """`LENGTH NAME=VALUE\\n`, repeated."""
    records: dict[str, bytes] = {}
    position = 0
    while position < len(data) and data[position] != 0:
        blank = data.find(b" ", position, position + 20)
        digits = data[position:blank] if blank > 0 else b""
        if not digits.isdigit():
            raise BadArchive("Failed to open archive (damaged pax header)")
        end = position + int(digits)
        name, mark, value = data[blank + 1 : end - 1].partition(b"=")
        if not mark or end > len(data) or end <= blank or data[end - 1 : end] != b"\n":
            raise BadArchive("Failed to open archive (damaged pax header)")
        records[name.decode("utf-8", "replace")] = value
        position = end
    return records


def _unpack_member(
    stream: _Stream, unpacker: Unpacker, block: bytes, kind: bytes, size: int, fields: dict[str, bytes]
) -> None:
    raw, is_ustar = _text(block[:100]), block[257:263] == b"ustar\0"
    prefix = _text(block[345:500]) if is_ustar else b""
    raw = fields.get("path", prefix + b"/" + raw if prefix else raw)
    if "size" in fields:
        if not fields["size"].isdigit() or len(fields["size"]) > 20:
            raise BadArchive("Failed to open archive (damaged pax header)")
        size = int(fields["size"])
    if kind == b"S" or any(name.startswith("GNU.sparse") for name in fields):
        raise BadArchive(f"file '{_show(raw)}' in tarball is stored as a sparse file, which is not supported")
    unpacker.time(_member_time(block, fields))
    if kind == b"V":
        stream.skip(size + -size % _BLOCK)
        return
    name = unpacker.name(raw)
    target = fields.get("linkpath", _text(block[157:257]))
    if kind == _DIRECTORY_TYPE or (kind in (b"0", b"\0") and raw.endswith(b"/")):
        unpacker.directory(name)
        if kind == _DIRECTORY_TYPE:
            size = 0
    elif kind == _SYMLINK_TYPE:
        unpacker.symlink(name, target)
        size = 0
    elif kind == _HARD_LINK_TYPE:
        unpacker.hard_link(name, unpacker.name(target))
        size = 0 if "size" not in fields else size
    elif kind in (b"3", b"4", b"6"):
        raise BadArchive(f"file '{_show(raw)}' in tarball has unsupported file type {int(kind)}")
    else:
        unpacker.file(name, bool(_number(block[100:108]) & 0o100), stream.chunks(size))
        stream.skip(-size % _BLOCK)
        return
    stream.skip(size + -size % _BLOCK)


def _member_time(block: bytes, fields: dict[str, bytes]) -> float:
    text = fields.get("mtime")
    if text is None:
        return _number(block[136:148])
    try:
        return float(text.partition(b".")[0])
    except ValueError as error:
        raise BadArchive("Failed to open archive (damaged pax header)") from error


# ------------------------------------------------------------------------------------------------------------- zip


def _unpack_zip(file: IO[bytes], unpacker: Unpacker) -> None:
    import lzma
    import struct
    import zipfile
    import zlib

    damaged = (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        struct.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OverflowError,
    )
    try:
        with zipfile.ZipFile(file) as archive:
            compressed = max(1, os.fstat(file.fileno()).st_size)
            unpacker.limit = min(unpacker.limit, max(_RATIO_FREE, compressed * _RATIO))
            for member in archive.infolist():
                _unpack_zip_member(archive, member, unpacker)
    except damaged as error:
        raise BadArchive(f"failed to open archive: {error}") from error


def _unpack_zip_member(archive: Any, member: Any, unpacker: Unpacker) -> None:
    raw = os.fsencode(member.filename) if member.flag_bits & 0x800 else member.filename.encode("cp437", "replace")
    name = unpacker.name(raw)
    mode = member.external_attr >> 16 if member.create_system == 3 else 0
    unpacker.time(_zip_time(member))
    if raw.endswith(b"/") or stat.S_ISDIR(mode):
        unpacker.directory(name)
        return
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFLNK):
        raise BadArchive(f"file '{_show(raw)}' in archive has unsupported file type")
    with archive.open(member) as source:
        if stat.S_ISLNK(mode):
            unpacker.symlink(name, source.read(4096))
        else:
            unpacker.file(name, bool(mode & 0o100), iter(lambda: source.read(_CHUNK), b""))


def _zip_time(member: Any) -> float:
    """The extended time stamp if there is one (UTC), else DOS time (local)."""
    import time

    extra, position = member.extra, 0
    while position + 4 <= len(extra):
        kind = int.from_bytes(extra[position : position + 2], "little")
        size = int.from_bytes(extra[position + 2 : position + 4], "little")
        if kind == 0x5455 and size >= 5 and extra[position + 4] & 1:
            return int.from_bytes(extra[position + 5 : position + 9], "little", signed=True)
        position += 4 + size
    try:
        return time.mktime((*member.date_time, 0, 0, -1))
    except (OverflowError, ValueError):
        return 0
