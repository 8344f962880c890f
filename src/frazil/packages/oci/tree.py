"""Layers out of files: folders and store objects as entries of a tar archive, always in the same order.

In: paths on disk and what their owner, mode and time shall be; out: the layer's bytes, its exact size known before they
are read. Nothing of a file counts but its name, kind, executable bit (the whole mode outside a store), target and
contents: so the layer is the same on every machine, for every user, in every file system.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Protocol

from .errors import OciError
from .tar import BLOCK, END, Entry, Write, encode_header, header_size, padding

CHUNK = 1 << 20
MOST_KEPT = 20_000
"""Entries of one layer that are held in memory, some ten megabytes."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose the files of a layer are, and when they were made."""

    uid: int = 0
    gid: int = 0
    uname: str = "root"
    gname: str = "root"
    mtime: int = 1


class Direct(Protocol):
    """A layer's bytes from a faster maker than this file: the same ones."""

    @property
    def size(self) -> int: ...
    def write(self, target: int | Write | None, /) -> str:
        """To a file's number, a function, or nowhere. Returns the digest in base 16."""


def direct(layer: Any) -> Direct | None:
    """Of a layer that knows such a maker."""
    known: Callable[[], Direct | None] | None = getattr(layer, "direct", None)
    return known() if known is not None else None


def walk(path: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """A path and all below it, each folder before what it holds, names in byte order, links not followed."""
    waiting = [path]
    while waiting:
        path = waiting.pop()
        status = os.lstat(path)
        yield path, status
        if stat.S_ISDIR(status.st_mode):
            waiting += [path + b"/" + name for name in sorted(os.listdir(path), reverse=True)]


def _kind(path: bytes, mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "dir"
    if stat.S_ISLNK(mode):
        return "symlink"
    raise OciError(f"'{os.fsdecode(path)}' is neither a file nor a folder nor a link, so no image can hold it")


@dataclass(frozen=True, slots=True)
class StoreLayer:
    """Some store objects at their places. `real`: (path in the image, path on disk), the latter equal by default.

    Hard links are not kept: whether two files of a store are one depends on how that store was optimised.
    """

    paths: tuple[str, ...]
    owner: Owner = Owner()
    real: tuple[tuple[str, str], ...] = ()

    def entries(self) -> Generator[tuple[Entry, bytes], None, None]:
        owner, places = self.owner, dict(self.real)
        common = {
            "uid": owner.uid,
            "gid": owner.gid,
            "mtime": owner.mtime,
            "uname": owner.uname.encode(),
            "gname": owner.gname.encode(),
        }
        for folder in parents_of(self.paths):
            yield Entry(folder, "dir", 0o755, **common), b""  # type: ignore[arg-type]
        for path in self.paths:
            place = os.fsencode(places.get(path, path))
            inside = os.fsencode(path).lstrip(b"/")
            for file, status in walk(place):
                kind = _kind(file, status.st_mode)
                name = inside + file[len(place) :]
                mode = 0o777 if kind == "symlink" else 0o555 if kind == "dir" or status.st_mode & 0o100 else 0o444
                size = status.st_size if kind == "file" else 0
                target = os.readlink(file) if kind == "symlink" else b""
                yield Entry(name, kind, mode, size=size, target=target, **common), file  # type: ignore[arg-type]

    def write(self, write: Write) -> None:
        write_entries(self.entries(), write)

    def size(self) -> int:
        return entries_size(self.entries())


def parents_of(paths: tuple[str, ...]) -> list[bytes]:
    """`nix`, `nix/store`: the folders above the store objects, outermost first."""
    found: set[bytes] = set()
    for path in paths:
        parts = os.fsencode(path).strip(b"/").split(b"/")[:-1]
        found.update(b"/".join(parts[: count + 1]) for count in range(len(parts)))
    return sorted(found)


@dataclass(frozen=True, slots=True)
class FolderLayer:
    """What a folder holds, at the image's root: modes and hard links as they are. `owner` None: owners as they are too
    (under fakeroot those that were asked for). `extra`: folders that are there in any case, with their modes."""

    folder: str
    owner: Owner | None = Owner()
    mtime: int = 1
    keep_xattrs: bool = True
    stores: StoreLayer | None = None

    def entries(self) -> Iterator[tuple[Entry, bytes]]:
        root = os.fsencode(self.folder)
        seen: dict[tuple[int, int], bytes] = {}
        present: set[bytes] = set()
        walking = walk(root)
        next(walking)
        for file, status in walking:
            name = file[len(root) + 1 :]
            entry = self._entry(name, file, status)
            present.add(name)
            if entry.kind == "file" and status.st_nlink > 1:
                first = seen.setdefault((status.st_dev, status.st_ino), name)
                if first != name:
                    entry = Entry(name, "link", entry.mode, entry.uid, entry.gid, 0, entry.mtime, first)
            yield entry, file
        if self.stores is not None:
            for entry, file in self.stores.entries():
                if entry.name not in present:
                    yield entry, file

    def _entry(self, name: bytes, file: bytes, status: os.stat_result) -> Entry:
        mode = status.st_mode
        device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
        kind = (
            ("char" if stat.S_ISCHR(mode) else "block")
            if device
            else "fifo"
            if stat.S_ISFIFO(mode)
            else _kind(file, mode)
        )
        owner = self.owner
        return Entry(
            name,
            kind,
            0o777 if kind == "symlink" else mode & 0o7777,
            status.st_uid if owner is None else owner.uid,
            status.st_gid if owner is None else owner.gid,
            status.st_size if kind == "file" else 0,
            self.mtime,
            os.readlink(file) if kind == "symlink" else b"",
            major=os.major(status.st_rdev) if device else 0,
            minor=os.minor(status.st_rdev) if device else 0,
            xattrs=_xattrs(file) if self.keep_xattrs and kind in ("file", "dir") else (),
        )

    def write(self, write: Write) -> None:
        write_entries(self.entries(), write)

    def size(self) -> int:
        return entries_size(self.entries())


def _xattrs(path: bytes) -> tuple[tuple[str, bytes], ...]:
    """`security.capability` and `user.…`: what a program's author sets. Others say something about this machine."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:  # a file system without them
        return ()
    wanted = [name for name in sorted(names) if name == "security.capability" or name.startswith("user.")]
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in wanted)


def write_entries(entries: Iterable[tuple[Entry, bytes]], write: Write) -> None:
    """Files are read by a thread of its own, a few blocks ahead, while headers are made and blocks written."""
    for batch, contents in _read_ahead(_batches(entries)):
        for piece, data in zip(batch, contents, strict=True):
            if not piece.offset:
                write(encode_header(piece.entry))
            if data:
                write(data)
                if piece.offset + piece.size == piece.entry.size:
                    write(padding(piece.entry.size))
    write(END)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of a file; an entry without contents is one of no bytes."""

    entry: Entry
    file: bytes
    offset: int
    size: int


def _pieces(entries: Iterable[tuple[Entry, bytes]]) -> Iterator[_Piece]:
    for entry, file in entries:
        for offset in range(0, max(entry.size, 1), CHUNK):
            yield _Piece(entry, file, offset, min(CHUNK, entry.size - offset))


def _batches(entries: Iterable[tuple[Entry, bytes]]) -> Iterator[list[_Piece]]:
    """About a block of contents each."""
    batch: list[_Piece] = []
    held = 0
    for piece in _pieces(entries):
        batch.append(piece)
        held += piece.size
        if held >= CHUNK or len(batch) >= 500:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _read_ahead(batches: Iterator[list[_Piece]]) -> Iterator[tuple[list[_Piece], list[bytes]]]:
    first = next(batches, None)
    second = next(batches, None)
    if first is None:
        return
    if second is None:
        yield first, _read_batch(first)
        return
    from concurrent.futures import Future, ThreadPoolExecutor

    pool = ThreadPoolExecutor(1)
    waiting: deque[tuple[list[_Piece], Future[list[bytes]]]] = deque()
    try:
        for batch in chain((first, second), batches):
            waiting.append((batch, pool.submit(_read_batch, batch)))
            if len(waiting) > 3:
                batch, result = waiting.popleft()
                yield batch, result.result()
        while waiting:
            batch, result = waiting.popleft()
            yield batch, result.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _read_batch(batch: list[_Piece]) -> list[bytes]:
    return [_read_piece(piece) if piece.size else b"" for piece in batch]


def _read_piece(piece: _Piece) -> bytes:
    """Raises OciError where the file is not as large as it was."""
    place = os.open(piece.file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.pread(place, piece.size, piece.offset)
        while 0 < len(data) < piece.size and (
            more := os.pread(place, piece.size - len(data), piece.offset + len(data))
        ):
            data += more
        if len(data) != piece.size or os.fstat(place).st_size != piece.entry.size:
            name = piece.entry.name.decode(errors="replace")
            raise OciError(f"'{name}' changed while it was read: its size was {piece.entry.size} bytes")
        return data
    finally:
        os.close(place)


def entries_size(entries: Iterable[tuple[Entry, bytes]]) -> int:
    """How many bytes `write_entries` makes, without reading a file."""
    total = len(END)
    for entry, _ in entries:
        total += header_size(entry) + -(-entry.size // BLOCK) * BLOCK
    return total


def measured(layer: Any) -> tuple[int, Callable[[Write], object]]:
    """A layer's size, and what writes it. The files of a layer of ordinary size are listed once for both."""
    if not isinstance(layer, StoreLayer):
        return layer.size(), layer.write
    entries = layer.entries()
    first = list(islice(entries, MOST_KEPT))
    if len(first) < MOST_KEPT:
        return entries_size(first), lambda write: write_entries(first, write)
    entries.close()
    return layer.size(), layer.write
