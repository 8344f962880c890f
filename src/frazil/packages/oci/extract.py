"""Unpacking layers into a folder, one over the other, as a container's file system would show them.

Layers are hostile: names stay in the folder, also through links; a file that is in the way goes first; whiteouts
(`.wh.NAME`, `.wh..wh..opq`) remove what lies below. Devices are made where the system allows it (under fakeroot it
does), else left out and counted.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field

from .errors import BadImage, OciError
from .tar import Entry
from .tar_reader import TarReader
from .zstd_frames import Reader

_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
LARGEST_COUNT = 5_000_000
DEEPEST = 250
"""Folders in one another, links on the way followed: whoever goes through the image goes down so far."""


@dataclass(slots=True)
class Extractor:
    """`root`: an existing folder. `owners`: whether to set them."""

    root: bytes
    owners: bool = True
    limit: int = 1 << 40
    left_out: int = 0
    _modes: dict[bytes, int] = field(default_factory=dict)
    """Of folders, by their paths on disk."""

    def apply(self, source: Reader) -> None:
        """One layer."""
        made: set[bytes] = set()
        tar = TarReader(source)
        for count, entry in enumerate(tar):
            if count > LARGEST_COUNT:
                raise BadImage("a layer has more entries than any layer does")
            if not entry.name:
                continue
            folder, _, base = entry.name.rpartition(b"/")
            if base == _OPAQUE:
                self._clear(self._folder(folder), folder, made)
            elif base.startswith(_WHITEOUT):
                self._whiteout(folder, base[len(_WHITEOUT) :])
            else:
                self._make(entry, tar, self._folder(folder), base)
                made.add(entry.name)

    def finish(self) -> None:
        """Folders get their modes and times last, so that what is in them could be made."""
        for path in sorted(self._modes, reverse=True):
            self._set_mode(path[len(self.root) + 1 :], self._modes[path])
        self._modes.clear()

    def _set_mode(self, name: bytes, mode: int) -> None:
        """Of a folder, unless something else took its place, or that of one above it: what is a link now leads out."""
        place = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in name.split(b"/"):
                try:
                    below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
                except (FileNotFoundError, NotADirectoryError):
                    return
                except OSError as error:
                    if error.errno == errno.ELOOP:
                        return
                    raise
                os.close(place)
                place = below
            os.fchmod(place, mode)
        finally:
            os.close(place)

    def _folder(self, name: bytes) -> bytes:
        """The folder on disk, made where absent. Links on the way are followed as if the image's root were the root of
        everything, as in a container; one that leads nowhere, and a file, make way for a folder."""
        pending = [part for part in reversed(name.split(b"/")) if part]
        stack: list[bytes] = []
        hops = 0
        while pending:
            part = pending.pop()
            if part in (b"", b"."):
                continue
            if part == b"..":
                del stack[-1:]
                continue
            path = b"/".join((self.root, *stack, part))
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:
                os.mkdir(path, 0o755)
                mode = stat.S_IFDIR
            if stat.S_ISLNK(mode):
                target = os.readlink(path)
                hops += 1
                if hops > 40:
                    raise BadImage(f"the links on the way to '{name.decode(errors='replace')}' go round in circles")
                if target.startswith(b"/"):
                    stack.clear()
                pending.extend(reversed(target.split(b"/")))
                continue
            if not stat.S_ISDIR(mode):
                os.unlink(path)
                os.mkdir(path, 0o755)
            stack.append(part)
            if len(stack) > DEEPEST:
                raise BadImage(f"the image has more than {DEEPEST} folders in one another")
        return b"/".join((self.root, *stack))

    def _whiteout(self, folder: bytes, base: bytes) -> None:
        if base in (b"", b".", b"..") or base.startswith(b".wh."):
            raise BadImage(f"the whiteout '{(folder + b'/' + base).decode(errors='replace')}' makes no sense")
        _remove(self._folder(folder) + b"/" + base)

    def _clear(self, path: bytes, folder: bytes, made: set[bytes]) -> None:
        prefix = folder + b"/" if folder else b""
        for base in os.listdir(path):
            if prefix + base not in made:
                _remove(path + b"/" + base)

    def _make(self, entry: Entry, tar: TarReader, folder: bytes, base: bytes) -> None:
        path = folder + b"/" + base
        if entry.kind == "dir":
            if not _is_folder(path):
                _remove(path)
                os.mkdir(path, 0o755)
            os.chmod(path, entry.mode | 0o700)
            self._modes[path] = entry.mode
        else:
            _remove(path)
            if not self._place(entry, tar, path):
                self.left_out += 1
                return
        if self.owners and entry.kind != "link":
            os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
            if entry.kind == "file" and entry.mode & 0o6000:
                os.chmod(path, entry.mode)  # a change of owner takes these bits away

    def _place(self, entry: Entry, tar: TarReader, path: bytes) -> bool:
        if entry.kind == "file":
            self.limit -= entry.size
            if self.limit < 0:
                raise BadImage("the image unpacks to more than any image does")
            with open(path, "xb") as file:
                for chunk in tar.chunks():
                    file.write(chunk)
            os.chmod(path, entry.mode)
        elif entry.kind == "symlink":
            os.symlink(entry.target, path)
        elif entry.kind == "link":
            folder, _, base = entry.target.rpartition(b"/")
            source = self._folder(folder) + b"/" + base
            if not base or not os.path.lexists(source) or _is_folder(source):
                raise BadImage(f"'{entry.name.decode(errors='replace')}' is a link to a file that is not there")
            os.link(source, path, follow_symlinks=False)
        elif entry.kind == "fifo":
            os.mkfifo(path, entry.mode)
        else:
            kind = stat.S_IFCHR if entry.kind == "char" else stat.S_IFBLK
            try:
                os.mknod(path, kind | entry.mode, os.makedev(entry.major, entry.minor))
            except PermissionError:
                return False
        for name, value in entry.xattrs:
            try:
                os.setxattr(path, name, value, follow_symlinks=False)
            except OSError:  # not every file system or user may; the layer itself keeps them
                self.left_out += 1
        return True


def _is_folder(path: bytes) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _remove(path: bytes) -> None:
    if _is_folder(path):
        _writable(path)
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def _writable(path: bytes) -> None:
    os.chmod(path, 0o700)
    for folder, names, _ in os.walk(path):
        for name in names:
            below = os.path.join(folder, name)
            if not os.path.islink(below):
                os.chmod(below, 0o700)


def unpack_image(layers: Iterable[Reader], folder: str, *, owners: bool = True) -> int:
    """All layers, lowest first. Returns how many devices and attributes could not be made."""
    extractor = Extractor(os.fsencode(folder), owners)
    try:
        for layer in layers:
            extractor.apply(layer)
        extractor.finish()
    except OSError as error:
        name = os.fsdecode(error.filename or b"")
        raise OciError(f"cannot unpack the image: {name}: {error.strerror}") from None
    return extractor.left_out
