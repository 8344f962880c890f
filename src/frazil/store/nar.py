"""NAR, the archive format whose bytes depend on nothing but contents, executable bits, link targets and names.

In: files, or an archive as a stream (always treated as hostile). Out: an archive as a stream of bytes, files, hashes,
listings. Source of truth: the manual's `protocols/nix-archive`.
"""

from __future__ import annotations

import os
import stat
import time

from frazil import digest
from frazil._native import Archive, Unfit, Unpacker, Unsound, archive, dump, sha256
from frazil.digest import Hash
from frazil.record import Record
from frazil.store.errors import BadArchive, StoreError, from_os_error, unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    Write = Callable[[bytes], object]
    Send = Callable[[Write], None]
    """Writes contents or an archive to where it is told."""
    Read = Callable[[int], bytes]
    """Up to so many bytes, as a file's `read`; nothing at the end."""
    Filter = Callable[[str, str], bool]
    """(full path, "regular" | "directory" | "symlink" | "unknown") → whether to keep."""
else:
    Protocol = object

MAXIMUM_DEPTH = 64
MAXIMUM_NAME = 255
MAXIMUM_TARGET = 4095
CASE_HACK = b"~nix~case~hack~"
"""Marks names that were changed because they differ from another in case only (the setting `use-case-hack`)."""
_MAXIMUM_TAG = 32
_CHUNK = 1 << 18
MAGIC = b"nix-archive-1"


def pack(data: bytes) -> bytes:
    """A string of the wire format: length, bytes, zeros up to a multiple of 8."""
    return len(data).to_bytes(8, "little") + data + bytes(-len(data) % 8)


_OPEN = pack(b"(")
_CLOSE = pack(b")")
_HEAD = pack(MAGIC)
_REGULAR = _OPEN + pack(b"type") + pack(b"regular") + pack(b"contents")
_EXECUTABLE = _OPEN + pack(b"type") + pack(b"regular") + pack(b"executable") + pack(b"") + pack(b"contents")
_DIRECTORY = _OPEN + pack(b"type") + pack(b"directory")
_SYMLINK = _OPEN + pack(b"type") + pack(b"symlink") + pack(b"target")
_ENTRY = pack(b"entry") + _OPEN + pack(b"name")
_NODE = pack(b"node")


# --------------------------------------------------------------------------------------------------------- writing


class _Buffer:
    """Gathers small pieces so that the consumer is called seldom."""

    __slots__ = ("pieces", "size", "write")

    def __init__(self, write: Write) -> None:
        self.write = write
        self.pieces: list[bytes] = []
        self.size = 0

    def add(self, data: bytes) -> None:
        self.pieces.append(data)
        self.size += len(data)
        if self.size >= _CHUNK:
            self.flush()

    def flush(self) -> None:
        if self.pieces:
            self.write(b"".join(self.pieces))
            self.pieces = []
            self.size = 0


def dump_path(path: str, write: Write, *, filter: Filter | None = None, case_hack: bool = False) -> None:
    """Writes the archive of a file tree. `filter` is asked for everything below `path`, not for `path` itself.

    `case_hack`: names get back what `restore` with the same changed.

    Raises StoreError for what an archive cannot hold (sockets, devices) and for files that change meanwhile.
    """
    if filter is None and not case_hack:
        dump_to(path, write)
        return
    out = _Buffer(write)
    out.add(_HEAD)
    raw = os.fsencode(path)
    try:
        _dump_node(raw, stat.S_IFMT(os.lstat(raw).st_mode), _Dump(out, filter, case_hack), 0)
    except OSError as error:
        named = os.fsdecode(error.filename) if error.filename is not None else path
        raise unreadable(error, named) from error
    out.flush()


def dump_to(path: str, to: int | Write) -> None:
    """As `dump_path`, of the whole tree; `to` may be a descriptor. What `to` raises is passed on."""
    try:
        dump(path, to)
    except Unfit as error:
        reason, place = error.args
        raise StoreError(_UNFIT[reason].format(place)) from error
    except OSError as error:
        if error.filename is None:
            raise
        raise unreadable(error, os.fsdecode(error.filename)) from error


class _Dump(Record):
    out: _Buffer
    filter: Filter | None
    case_hack: bool


def _dump_node(path: bytes, kind: int, to: _Dump, depth: int) -> None:
    if depth >= MAXIMUM_DEPTH:
        raise StoreError(f"path '{os.fsdecode(path)}' exceeds maximum NAR directory depth of {MAXIMUM_DEPTH}")
    if kind == stat.S_IFREG:
        _dump_regular(path, to.out)
    elif kind == stat.S_IFDIR:
        _dump_directory(path, to, depth)
    elif kind == stat.S_IFLNK:
        to.out.add(_SYMLINK + pack(os.readlink(path)) + _CLOSE)
    else:
        raise StoreError(f"file '{os.fsdecode(path)}' has an unsupported type")


def _dump_directory(path: bytes, to: _Dump, depth: int) -> None:
    out, filter, case_hack = to.out, to.filter, to.case_hack
    out.add(_DIRECTORY)
    with os.scandir(path) as found:
        entries = sorted([(entry.name, _kind(entry), entry.name) for entry in found])
    if case_hack:
        entries = _without_case_hack(path, entries)
    for name, kind, on_disk in entries:
        inner = path.rstrip(b"/") + b"/" + on_disk
        if filter is not None and not filter(os.fsdecode(inner), _KIND_NAMES.get(kind, "unknown")):
            continue
        out.add(_ENTRY + pack(name) + _NODE)
        _dump_node(inner, kind, to, depth + 1)
        out.add(_CLOSE)
    out.add(_CLOSE)


def _without_case_hack(path: bytes, entries: list[tuple[bytes, int, bytes]]) -> list[tuple[bytes, int, bytes]]:
    """Sorted by the names the archive has. Raises StoreError where two come out equal."""
    found: dict[bytes, tuple[bytes, int, bytes]] = {}
    for _, kind, on_disk in entries:
        name = on_disk.partition(CASE_HACK)[0]
        if name in found:
            one, other = (os.fsdecode(path + b"/" + n) for n in (found[name][2], on_disk))
            raise StoreError(f"file name collision between '{one}' and '{other}'")
        found[name] = (name, kind, on_disk)
    return sorted(found.values())


_KIND_NAMES = {stat.S_IFREG: "regular", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}


def _kind(entry: os.DirEntry[bytes]) -> int:
    """The file type bits, for most file systems without another system call."""
    if entry.is_file(follow_symlinks=False):
        return stat.S_IFREG
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    if entry.is_symlink():
        return stat.S_IFLNK
    return 0


def _dump_regular(path: bytes, out: _Buffer) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"file '{os.fsdecode(path)}' changed while it was read")
        size = status.st_size
        out.add((_EXECUTABLE if status.st_mode & 0o100 else _REGULAR) + size.to_bytes(8, "little"))
        left = size
        while left:
            data = os.read(descriptor, min(left, _CHUNK))
            if not data:
                raise StoreError(f"file '{os.fsdecode(path)}' became shorter while it was read")
            out.add(data)
            left -= len(data)
    finally:
        os.close(descriptor)
    out.add(bytes(-size % 8) + _CLOSE)


def dump_file(contents: bytes, write: Write, *, executable: bool = False) -> None:
    """The archive of a single regular file with these contents."""
    head = _EXECUTABLE if executable else _REGULAR
    write(_HEAD + head + pack(contents) + _CLOSE)


def begin_file(size: int, write: Write) -> None:
    """The archive of a plain file up to its contents, which `size` bytes must follow, then `end_file`."""
    write(_HEAD + _REGULAR + size.to_bytes(8, "little"))


def end_file(size: int, write: Write) -> None:
    write(bytes(-size % 8) + _CLOSE)


class CountingHash:
    """A hash object that also counts: `write` to it, then take `result()`."""

    __slots__ = ("_state", "_update", "algorithm", "size")

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self._state = digest.new(algorithm)
        self._update = self._state.update
        self.size = 0

    def write(self, data: bytes) -> None:
        self._update(data)
        self.size += len(data)

    def result(self) -> tuple[Hash, int]:
        return Hash(self.algorithm, self._state.digest()), self.size


def hash_path(
    path: str, algorithm: str = "sha256", *, filter: Filter | None = None, case_hack: bool = False
) -> tuple[Hash, int]:
    """The hash and the size in bytes of a file tree's archive."""
    if algorithm == "sha256" and filter is None and not case_hack:
        packed = pack_tree(path)
        return Hash(algorithm, packed.digest), packed.size
    counter = CountingHash(algorithm)
    dump_path(path, counter.write, filter=filter, case_hack=case_hack)
    return counter.result()


_UNFIT = {
    "depth": f"path '{{}}' exceeds maximum NAR directory depth of {MAXIMUM_DEPTH}",
    "type": "file '{}' has an unsupported type",
    "changed": "file '{}' changed while it was read",
    "shorter": "file '{}' became shorter while it was read",
}


def pack_tree(path: str | bytes, keep: int = 0) -> Archive:
    """A file tree's archive and its SHA-256, made without Python's objects. `keep`: see `_native`.

    Raises StoreError as `dump_path`.
    """
    try:
        return archive(path, keep)
    except Unfit as error:
        reason, place = error.args
        raise StoreError(_UNFIT[reason].format(place)) from error
    except OSError as error:
        named = path if error.filename is None else error.filename
        raise unreadable(error, os.fsdecode(named)) from error


def hash_file_archive(contents: bytes, *, executable: bool = False) -> tuple[Hash, int]:
    """As `hash_path`, with SHA-256, of a single file that need not exist."""
    size = len(contents)
    head = _HEAD + (_EXECUTABLE if executable else _REGULAR) + size.to_bytes(8, "little")
    end = bytes(-size % 8) + _CLOSE
    return Hash("sha256", sha256(head, contents, end)), len(head) + size + len(end)


def hash_flat(path: str, algorithm: str) -> tuple[Hash, int]:
    """The hash and size of a regular file's own bytes."""
    counter = CountingHash(algorithm)
    copy_flat(path, counter.write)
    return counter.result()


def copy_flat(path: str, write: Write) -> None:
    """A regular file's bytes. Raises StoreError for anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StoreError(f"path '{path}' is not a regular file")
            while data := file.read(_CHUNK):
                write(data)
    except IsADirectoryError as error:
        raise StoreError(f"path '{path}' is not a regular file") from error
    except OSError as error:
        raise unreadable(error, path) from error


# --------------------------------------------------------------------------------------------------------- reading


class Visitor(Protocol):
    """Hears of an archive's nodes in order. `name` is None for the root; names are checked."""

    def enter_directory(self, name: bytes | None) -> None: ...

    def leave_directory(self) -> None: ...

    def regular(
        self, name: bytes | None, executable: bool, size: int, offset: int, chunks: Iterator[bytes]
    ) -> None: ...

    def symlink(self, name: bytes | None, target: bytes) -> None: ...


class Source:
    """A stream with look-ahead-free exact reads; `offset` counts the bytes taken."""

    __slots__ = ("_at", "_buffer", "_read", "_start")

    def __init__(self, read: Read) -> None:
        self._read = read
        self._buffer = b""
        self._at = 0
        self._start = 0

    @property
    def offset(self) -> int:
        return self._start + self._at

    def _fill(self, wanted: int) -> None:
        """At least `wanted` bytes into the buffer, never reading more than asked of the stream below."""
        have = len(self._buffer) - self._at
        pieces = [self._buffer[self._at :]] if have else []
        self._start += self._at
        while have < wanted:
            data = self._read(wanted - have)
            if not data:
                self._buffer, self._at = b"".join(pieces), 0
                raise BadArchive("unexpected end of archive")
            pieces.append(data)
            have += len(data)
        self._buffer, self._at = b"".join(pieces), 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._buffer):
            self._fill(size)
            end = size
        data = self._buffer[self._at : end]
        self._at = end
        return data

    def number(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def string(self, maximum: int) -> bytes:
        """Bounded before anything is read. Raises BadArchive."""
        size = self.number()
        if size > maximum:
            raise BadArchive(f"string is too long: {size} bytes where at most {maximum} are allowed")
        padded = self.take(size + (-size % 8))
        if size & 7 and padded.count(0, size) != len(padded) - size:
            raise BadArchive("non-zero padding")
        return padded[:size]

    def ahead(self, packed: bytes) -> bool:
        """Takes exactly these bytes where they are known to come next; else nothing happens, and the caller looks."""
        return False

    def padding(self, size: int) -> None:
        rest = -size % 8
        if rest and any(self.take(rest)):
            raise BadArchive("non-zero padding")

    def chunks(self, size: int) -> Iterator[bytes]:
        left = size
        while left:
            have = len(self._buffer) - self._at
            if have:
                data = self.take(min(have, left))
            else:
                data = self._read(min(left, 2 * _CHUNK))
                if not data:
                    raise BadArchive("unexpected end of archive")
                self._start += len(data)
            left -= len(data)
            yield data


class BufferedSource(Source):
    """As `Source`, but free to read ahead: for a stream that holds nothing but this archive."""

    __slots__ = ()

    def ahead(self, packed: bytes) -> bool:
        if self._buffer.startswith(packed, self._at):
            self._at += len(packed)
            return True
        return False

    def _fill(self, wanted: int) -> None:
        pieces = [self._buffer[self._at :]]
        have = len(pieces[0])
        self._start += self._at
        while have < wanted:
            data = self._read(max(wanted - have, 65536))
            if not data:
                self._buffer, self._at = b"".join(pieces), 0
                raise BadArchive("unexpected end of archive")
            pieces.append(data)
            have += len(data)
        self._buffer, self._at = b"".join(pieces), 0


class TeeSource(Source):
    """Reads from another source and shows every byte taken to `write`."""

    __slots__ = ("_from", "_write")

    def __init__(self, source: Source, write: Write) -> None:
        super().__init__(lambda size: b"")
        self._from = source
        self._write = write

    @property
    def offset(self) -> int:
        return self._from.offset

    def take(self, size: int) -> bytes:
        data = self._from.take(size)
        self._write(data)
        return data

    def chunks(self, size: int) -> Iterator[bytes]:
        for data in self._from.chunks(size):
            self._write(data)
            yield data


def parse(source: Source, visitor: Visitor) -> None:
    """Walks one archive, checking everything; stops right after it. Raises BadArchive."""
    try:
        magic = source.string(len(MAGIC))
    except BadArchive:
        magic = b""
    if magic != MAGIC:
        raise BadArchive("input doesn't look like a Nix archive")
    _parse_node(source, visitor, None, 0)


def _bad_tag(expected: str, found: bytes) -> BadArchive:
    return BadArchive(f"bad archive: expected tag '{expected}', got '{found.decode('utf-8', 'replace')}'")


def _expect(source: Source, tag: bytes) -> None:
    found = source.string(_MAXIMUM_TAG)
    if found != tag:
        raise _bad_tag(tag.decode(), found)


def _parse_node(source: Source, visitor: Visitor, name: bytes | None, depth: int) -> None:
    if depth >= MAXIMUM_DEPTH:
        raise BadArchive(f"bad archive: NAR directory nesting exceeds maximum depth of {MAXIMUM_DEPTH}")
    if source.ahead(_REGULAR):
        _parse_contents(source, visitor, name, False)
        return
    if source.ahead(_DIRECTORY):
        _parse_directory(source, visitor, name, depth)
        return
    _expect(source, b"(")
    _expect(source, b"type")
    kind = source.string(_MAXIMUM_TAG)
    if kind == b"regular":
        _parse_regular(source, visitor, name)
    elif kind == b"directory":
        _parse_directory(source, visitor, name, depth)
    elif kind == b"symlink":
        _expect(source, b"target")
        target = source.string(MAXIMUM_TARGET)
        if not target or b"\0" in target:
            raise BadArchive("bad archive: NAR contains invalid symlink target")
        visitor.symlink(name, target)
        _expect(source, b")")
    else:
        raise BadArchive(f"bad archive: unknown file type '{kind.decode('utf-8', 'replace')}'")


def _parse_regular(source: Source, visitor: Visitor, name: bytes | None) -> None:
    tag = source.string(_MAXIMUM_TAG)
    executable = tag == b"executable"
    if executable:
        if source.string(_MAXIMUM_TAG):
            raise BadArchive("bad archive: executable marker has non-empty value")
        tag = source.string(_MAXIMUM_TAG)
    if tag != b"contents":
        raise _bad_tag("contents", tag)
    _parse_contents(source, visitor, name, executable)


def _parse_contents(source: Source, visitor: Visitor, name: bytes | None, executable: bool) -> None:
    size = source.number()
    if size >= 1 << 63:
        raise BadArchive(f"bad archive: a file of {size} bytes")
    offset = source.offset
    chunks = source.chunks(size)
    visitor.regular(name, executable, size, offset, chunks)
    for _ in chunks:  # what the visitor did not want
        pass
    source.padding(size)
    if not source.ahead(_CLOSE):
        _expect(source, b")")


def _parse_directory(source: Source, visitor: Visitor, name: bytes | None, depth: int) -> None:
    visitor.enter_directory(name)
    previous = b""
    while True:
        if not source.ahead(_ENTRY):
            tag = source.string(_MAXIMUM_TAG)
            if tag == b")":
                break
            if tag != b"entry":
                raise BadArchive(f"bad archive: expected tag 'entry' or ')', got '{tag.decode('utf-8', 'replace')}'")
            _expect(source, b"(")
            _expect(source, b"name")
        inner = source.string(MAXIMUM_NAME)
        if inner in (b"", b".", b"..") or b"/" in inner or b"\0" in inner:
            raise BadArchive(f"bad archive: NAR contains invalid file name '{inner.decode('utf-8', 'replace')}'")
        if inner <= previous:
            raise BadArchive("bad archive: NAR directory is not sorted")
        previous = inner
        if not source.ahead(_NODE):
            _expect(source, b"node")
        _parse_node(source, visitor, inner, depth + 1)
        if not source.ahead(_CLOSE):
            _expect(source, b")")
    visitor.leave_directory()


class Check:
    """A visitor that keeps nothing: parsing with it only checks."""

    def enter_directory(self, name: bytes | None) -> None:
        pass

    def leave_directory(self) -> None:
        pass

    def regular(self, name: bytes | None, executable: bool, size: int, offset: int, chunks: Iterator[bytes]) -> None:
        pass

    def symlink(self, name: bytes | None, target: bytes) -> None:
        pass


# -------------------------------------------------------------------------------------------------------- restoring


class _Restore:
    """Creates what it hears of below `directory`, never following a link.

    With `canonical`, modes and times come out as the store wants them (0444, 0555, time 1).
    """

    def __init__(self, directory: int, destination: bytes, canonical: bool, sync: bool, case_hack: bool) -> None:
        self.destination = destination
        self.root = os.path.basename(destination)
        self.canonical = canonical
        self.sync = sync
        self.case_hack = case_hack
        self.stack: list[int] = [directory]
        self.path: list[bytes] = []
        self.seen: list[dict[bytes, tuple[bytes, int]]] = []
        self.times = (time.time_ns(), 1_000_000_000)

    def close(self) -> None:
        while len(self.stack) > 1:
            os.close(self.stack.pop())

    def _name(self, name: bytes | None) -> bytes:
        if name is None:
            return self.root
        return self._hacked(name) if self.case_hack else name

    def _hacked(self, name: bytes) -> bytes:
        """A name that differs from those before it in more than case."""
        seen = self.seen[-1]
        before = seen.get(name.lower())
        if before is None:
            seen[name.lower()] = (name, 0)
            return name
        count = before[1] + 1
        seen[name.lower()] = (before[0], count)
        hacked = name + CASE_HACK + b"%d" % count
        if hacked.lower() in seen:
            raise BadArchive(
                f"bad archive: NAR contains file name '{os.fsdecode(name)}' that collides with case-hacked file name "
                f"'{os.fsdecode(seen[hacked.lower()][0])}'"
            )
        return hacked

    def _error(self, error: OSError, doing: str, name: bytes, after: str = "") -> StoreError:
        shown = os.fsdecode(b"/".join([self.destination, *self.path[1:], *([name] if self.path else [])]))
        return from_os_error(error, f'{doing} "{shown}"{after}')

    def enter_directory(self, name: bytes | None) -> None:
        name = self._name(name)
        above = self.stack[-1]
        try:
            os.mkdir(name, 0o755 if self.canonical else 0o777, dir_fd=above)
            self.stack.append(os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above))
        except OSError as error:
            raise self._error(error, "creating directory", name) from error
        self.path.append(name)
        self.seen.append({})

    def leave_directory(self) -> None:
        descriptor = self.stack.pop()
        self.path.pop()
        self.seen.pop()
        try:
            if self.canonical:
                os.fchmod(descriptor, 0o555)
                os.utime(descriptor, ns=self.times)
            if self.sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def regular(self, name: bytes | None, executable: bool, size: int, offset: int, chunks: Iterator[bytes]) -> None:
        name = self._name(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        mode = 0o600 if self.canonical else (0o777 if executable else 0o666)
        try:
            descriptor = os.open(name, flags, mode, dir_fd=self.stack[-1])
        except OSError as error:
            raise self._error(error, "creating file", name) from error
        try:
            for data in chunks:
                write_all(descriptor, data)
            if self.canonical:
                os.fchmod(descriptor, 0o555 if executable else 0o444)
                os.utime(descriptor, ns=self.times)
            if self.sync:
                os.fsync(descriptor)
        except OSError as error:
            raise self._error(error, "writing file", name) from error
        finally:
            os.close(descriptor)

    def symlink(self, name: bytes | None, target: bytes) -> None:
        name = self._name(name)
        try:
            os.symlink(target, name, dir_fd=self.stack[-1])
            if self.canonical:
                os.utime(name, ns=self.times, dir_fd=self.stack[-1], follow_symlinks=False)
        except OSError as error:
            raise self._error(error, "creating symlink from", name, f" -> '{os.fsdecode(target)}'") from error


def write_all(descriptor: int, data: bytes) -> None:
    """`os.write` until everything is written."""
    done = os.write(descriptor, data)
    if done < len(data):
        view = memoryview(data)
        while done < len(data):
            done += os.write(descriptor, view[done:])


def restore_from(
    source: Source, destination: str, *, canonical: bool = False, sync: bool = False, case_hack: bool = False
) -> None:
    """Unpacks one archive to `destination`, which must not exist; what was made before an error stays.

    `case_hack`: names that differ in case only are changed.
    """
    if not destination:
        raise StoreError("restore destination path is empty")
    raw = os.fsencode(destination)
    if len(raw) > 1:
        raw = raw.rstrip(b"/")
    parent, name = os.path.split(raw)
    if name in (b".", b".."):
        raise StoreError(
            f"restore destination '{destination}' ends in '{os.fsdecode(name)}', which is not a valid filename"
        )
    try:
        directory = os.open(parent or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise from_os_error(error, f"opening parent directory of '{destination}'") from error
    visitor = _Restore(directory, raw, canonical, sync, case_hack)
    try:
        parse(source, visitor)
    except OSError as error:
        raise from_os_error(error, f"unpacking an archive to '{destination}'") from error
    finally:
        visitor.close()
        os.close(directory)


def restore(
    read: Read, destination: str, *, canonical: bool = False, sync: bool = False, case_hack: bool = False
) -> None:
    """As `restore_from`, for a stream that holds more than the archive: reads not a byte further."""
    restore_from(Source(read), destination, canonical=canonical, sync=sync, case_hack=case_hack)


def unpack(read: Read, destination: str, *, promised: int | None = None, whole: bool = True) -> tuple[Hash, int]:
    """Unpacks as the store keeps files, and tells hash (SHA-256) and size; other threads go on meanwhile.

    As `restore_from(…, canonical=True)`. `promised`: so many bytes at most, else TooLong. `whole`: the stream holds
    nothing but this archive; else just what was promised is taken of it.
    """
    parent, name = os.path.split(os.fsencode(destination).rstrip(b"/"))
    try:
        unpacker = Unpacker(parent or b".", name, _UNLIMITED if promised is None else promised)
    except OSError as error:
        raise from_os_error(error, f"opening parent directory of '{destination}'") from error
    left = _CHUNK if whole or promised is None else promised
    try:
        while left and (data := read(min(left, _CHUNK))):
            unpacker.feed(data)
            if not whole:
                left -= len(data)
        digest, size = unpacker.finish()
    except Unsound as error:
        reason, message = error.args
        raise (TooLong if reason == "longer" or not left else BadArchive)(message) from error
    except OSError as error:
        doing, after = unpacker.doing
        if not doing:
            raise  # it is the stream that failed
        raise from_os_error(error, f'{doing} "{os.fsdecode(error.filename)}"{os.fsdecode(after)}') from error
    finally:
        unpacker.close()
    return Hash("sha256", digest), size


class TooLong(StoreError):
    """An archive of more bytes than were promised."""


_UNLIMITED = (1 << 63) - 1


# --------------------------------------------------------------------------------------------------------- listing


class _Listing:
    def __init__(self) -> None:
        self.root: dict[str, object] = {}
        self.stack: list[dict[str, object]] = []

    def _put(self, name: bytes | None, node: dict[str, object]) -> None:
        if name is None:
            self.root = node
        else:
            self.stack[-1][os.fsdecode(name)] = node

    def enter_directory(self, name: bytes | None) -> None:
        entries: dict[str, object] = {}
        self._put(name, {"type": "directory", "entries": entries})
        self.stack.append(entries)

    def leave_directory(self) -> None:
        self.stack.pop()

    def regular(self, name: bytes | None, executable: bool, size: int, offset: int, chunks: Iterator[bytes]) -> None:
        node: dict[str, object] = {"type": "regular", "size": size, "narOffset": offset}
        node["executable"] = executable
        self._put(name, node)

    def symlink(self, name: bytes | None, target: bytes) -> None:
        self._put(name, {"type": "symlink", "target": os.fsdecode(target)})


def list_archive(read: Read) -> dict[str, object]:
    """The tree of an archive as `nix nar ls --json --recursive` shows it; names through `os.fsdecode`."""
    listing = _Listing()
    parse(BufferedSource(read), listing)
    return listing.root


def find_node(listing: dict[str, object], path: str) -> dict[str, object] | None:
    """The node at `path` (`/` separated, from the root) of what `list_archive` gave; None where there is none."""
    node = listing
    for part in path.split("/"):
        if part in ("", "."):
            continue
        entries = node.get("entries")
        found = entries.get(part) if isinstance(entries, dict) else None
        if not isinstance(found, dict):
            return None
        node = found
    return node
