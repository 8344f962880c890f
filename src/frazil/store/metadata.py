"""File metadata as the store wants it: modes 0444 and 0555, modification time 1, our own files, no attributes.

Source of truth: the manual's `store/file-system-object` and C++ Nix's canonicalisation.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from frazil.store.errors import StoreError, from_os_error

STORE_TIME = 1
"""Seconds since the epoch: every store object's modification time."""


def canonicalise(
    path: str,
    *,
    owner_range: tuple[int, int] | None = None,
    ignored_attributes: frozenset[str] = frozenset(),
    seen: set[tuple[int, int]] | None = None,
) -> None:
    """Makes a tree's metadata canonical, following no link.

    `owner_range`: user ids that may own what a builder left; anything else there is an error, except hard links to
    files this call already took over (`seen`, shared between the outputs of one build).
    Raises StoreError for sockets, devices and foreign files.
    """
    seen = set() if seen is None else seen
    now = time.time_ns()
    user, group = os.geteuid(), os.getegid()
    pending = [os.fsencode(path)]
    try:
        while pending:
            current = pending.pop()
            status = os.lstat(current)
            kind = stat.S_IFMT(status.st_mode)
            if kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
                raise StoreError(f'file "{os.fsdecode(current)}" has an unsupported type')
            identity = (status.st_dev, status.st_ino)
            if owner_range is not None and not owner_range[0] <= status.st_uid <= owner_range[1]:
                if kind == stat.S_IFDIR or identity not in seen:
                    raise StoreError(f'invalid ownership on file "{os.fsdecode(current)}"')
                continue
            seen.add(identity)
            _strip_attributes(current, ignored_attributes, status)
            _canonicalise_one(current, status, now)
            if status.st_uid != user:
                os.chown(current, user, group, follow_symlinks=False)
            if kind == stat.S_IFDIR:
                pending.extend([current + b"/" + name for name in os.listdir(current)])
    except OSError as error:
        named = os.fsdecode(error.filename) if error.filename is not None else path
        raise from_os_error(error, f"changing the metadata of '{named}'") from error


def _canonicalise_one(path: bytes, status: os.stat_result, now: int) -> None:
    is_link = stat.S_ISLNK(status.st_mode)
    if not is_link:
        is_directory = stat.S_ISDIR(status.st_mode)
        mode = stat.S_IMODE(status.st_mode)
        wanted = 0o555 if is_directory or mode & 0o100 else 0o444
        if mode != wanted and not (mode == 0o555 and not is_directory):
            os.chmod(path, wanted)
    if status.st_mtime_ns != STORE_TIME * 1_000_000_000:
        os.utime(path, ns=(now, STORE_TIME * 1_000_000_000), follow_symlinks=False)


def _strip_attributes(path: bytes, ignored: frozenset[str], status: os.stat_result) -> None:
    """Removes extended attributes, among them access control lists."""
    try:
        names = [name for name in os.listxattr(path, follow_symlinks=False) if name not in ignored]
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENODATA):
            return
        raise
    if not names:
        return
    mode = stat.S_IMODE(status.st_mode)
    locked = not mode & 0o200 and not stat.S_ISLNK(status.st_mode)
    if locked:
        os.chmod(path, mode | 0o200)  # an owner who is not root has to be able to write
    for name in names:
        os.removexattr(path, name, follow_symlinks=False)
    if locked:
        os.chmod(path, mode)


def drop_special_bits(path: str) -> None:
    """Takes setuid and setgid bits from a tree that others may come to see, and lets its owner into every folder.

    Links are not followed. Raises OSError.
    """
    pending = [os.fsencode(path)]
    while pending:
        current = pending.pop()
        status = os.lstat(current)
        if stat.S_ISLNK(status.st_mode):
            continue
        is_directory = stat.S_ISDIR(status.st_mode)
        mode = stat.S_IMODE(status.st_mode)
        wanted = mode & ~(stat.S_ISUID | stat.S_ISGID) | (0o700 if is_directory else 0)
        if wanted != mode:
            os.chmod(current, wanted)
        if is_directory:
            pending.extend([current + b"/" + name for name in os.listdir(current)])


def delete_tree(path: str) -> int:
    """Deletes a file or tree, read-only directories too, following no link. Returns the bytes freed.

    Files with other hard links free nothing. Nothing there is no error.
    """
    raw = os.fsencode(path)
    try:
        status = os.lstat(raw)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise from_os_error(error, f"deleting '{path}'") from error
    parent, name = os.path.split(raw)
    try:
        directory = os.open(parent or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return _Deletion().run(directory, name, status)
        finally:
            os.close(directory)
    except OSError as error:
        raise from_os_error(error, f"deleting '{path}'") from error


def _freed(status: os.stat_result) -> int:
    """Bytes that vanish with this name. A second link is taken for the one in `.links`, collected later."""
    return 0 if stat.S_ISDIR(status.st_mode) or status.st_nlink > 2 else status.st_size


_DEEPEST = 100
"""Levels that are descended at once: each holds a descriptor. What is deeper is first moved up."""


class _Deletion:
    """One tree being deleted. Deep trees are flattened on the way, so neither stack nor descriptors run out."""

    def __init__(self) -> None:
        self.moved: list[bytes] = []
        self.top = -1

    def run(self, directory: int, name: bytes, status: os.stat_result) -> int:
        return self._delete(directory, name, status, 0)

    def _delete(self, directory: int, name: bytes, status: os.stat_result, depth: int) -> int:
        freed = _freed(status)
        if not stat.S_ISDIR(status.st_mode):
            _unlink(directory, name)
            return freed
        if status.st_mode & 0o700 != 0o700:
            os.chmod(name, stat.S_IMODE(status.st_mode) | 0o700, dir_fd=directory)
        if depth >= _DEEPEST:
            moved = b".deep-" + os.urandom(16).hex().encode("ascii")
            os.rename(name, moved, src_dir_fd=directory, dst_dir_fd=self.top)
            self.moved.append(moved)
            return 0
        try:
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        except FileNotFoundError:
            return 0
        try:
            if depth == 0:
                self.top = inner
            freed += self._delete_entries(inner, depth)
            while depth == 0 and self.moved:
                deep = self.moved.pop()
                freed += self._delete(inner, deep, os.stat(deep, dir_fd=inner, follow_symlinks=False), 1)
        finally:
            os.close(inner)
        try:
            os.rmdir(name, dir_fd=directory)
        except FileNotFoundError:
            pass
        return freed

    def _delete_entries(self, directory: int, depth: int) -> int:
        freed = 0
        for entry in os.listdir(directory):
            raw = os.fsencode(entry)
            try:
                status = os.stat(raw, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                continue
            freed += self._delete(directory, raw, status, depth + 1)
        return freed


def _unlink(directory: int, name: bytes) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass


def sync_tree(path: str) -> None:
    """Flushes a tree and its parent's entry to the disk."""
    pending = [os.fsencode(path)]
    while pending:
        current = pending.pop()
        mode = os.lstat(current).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            continue
        descriptor = os.open(current, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if stat.S_ISDIR(mode):
                pending.extend([current + b"/" + os.fsencode(name) for name in os.listdir(descriptor)])
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    parent = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
