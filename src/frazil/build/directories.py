"""The build directories of running builds: made, kept on request, and cleared away after a death.

A directory `nix-frazil-PID-N` is locked (flock) while its build runs. One that nobody locks is left over from a killed
process and goes, unless it was kept: kept ones can be read by others (0755), unfinished ones cannot (0700).
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable

from frazil.store.errors import StoreError, from_os_error
from frazil.store.metadata import delete_tree, drop_special_bits

_PREFIX = "nix-frazil-"
_ENTERED = 0o711


class BuildDirectory:
    """`top` is for nobody but us; `path` inside it is the builder's. Making one raises StoreError."""

    def __init__(self, parent: str, owner: int | None, group: int | None = None, *, entered: bool = False) -> None:
        """`entered`: the owner goes there through the folders above, without a sandbox that shows it the place."""
        self.top, self._descriptor = _create(parent)
        self.path = f"{self.top}/build"
        self.temporary = f"{self.top}/tmp"
        self._owner, self._group = owner, owner if group is None else group
        try:
            os.mkdir(self.path, 0o700)
            os.mkdir(self.temporary)
            os.chmod(self.temporary, 0o1777)
            if owner is not None:
                os.chown(self.path, owner, self._group or owner)
                if entered:
                    os.rmdir(self.temporary)
                    os.chmod(self.top, _ENTERED)
        except OSError as error:
            self._close()  # nobody locks it now: the next build removes it
            raise from_os_error(error, f"creating the build directory '{self.top}'") from error

    def write(self, name: str, contents: bytes) -> None:
        """A file for the builder; `name` is a single component. Raises StoreError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(f"{self.path}/{name}", flags, 0o644)
            with open(descriptor, "wb") as file:
                file.write(contents)
                os.fchmod(descriptor, 0o644)
                if self._owner is not None:
                    os.fchown(descriptor, self._owner, self._group or self._owner)
        except OSError as error:
            raise from_os_error(error, f"writing '{self.path}/{name}'") from error

    def keep(self) -> str:
        """Leaves it for a person to look at; the builder's folder.

        Programs that would run as the builder's user do not get out: where their bits cannot be taken away, nobody but
        us gets in.
        """
        delete_tree(self.temporary)
        mode = 0o755
        try:
            drop_special_bits(self.path)
        except OSError:
            mode = 0o500
        os.chmod(self.path, 0o755)
        os.chmod(self.top, mode)
        self._close()
        return self.path

    def remove(self) -> None:
        try:
            delete_tree(self.top)
        finally:
            self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _create(parent: str) -> tuple[str, int]:
    number = 0
    try:
        os.makedirs(parent, exist_ok=True)
        while True:
            path = f"{parent}/{_PREFIX}{os.getpid()}-{number}"
            number += 1
            try:
                os.mkdir(path, 0o700)
                descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except (FileExistsError, FileNotFoundError):
                continue
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.isdir(path):
                return path, descriptor
            os.close(descriptor)  # taken for stale between its creation and the lock
    except OSError as error:
        raise from_os_error(error, f"creating a build directory in '{parent}'") from error


def remove_stale(parent: str, warn: Callable[[str], None]) -> None:
    """Deletes what killed processes left. Others' directories and kept ones stay."""
    try:
        names = [name for name in os.listdir(parent) if name.startswith(_PREFIX)]
    except OSError:
        return
    for name in names:
        path = f"{parent}/{name}"
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            status = os.fstat(descriptor)
            if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) in (0o700, _ENTERED):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                delete_tree(path)
        except BlockingIOError:
            pass
        except (OSError, StoreError) as error:
            warn(f"cannot remove the left-over build directory '{path}': {error}")
        finally:
            os.close(descriptor)
