"""Locks between processes, the way Nix takes them, so that both can share a store.

`flock` on files. A lock file that was removed while somebody waited for it holds a byte: whoever gets it then tries
anew.
"""

from __future__ import annotations

import errno
import fcntl
import os

from frazil.store.errors import StoreLocked, from_os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType


def open_lock_file(path: str, *, create: bool = True) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    try:
        return os.open(path, flags, 0o600)
    except OSError as error:
        raise from_os_error(error, f"opening lock file '{path}'") from error


def flock(descriptor: int, operation: int, *, wait: bool = True) -> bool:
    """Whether the lock was got; always so with `wait`."""
    try:
        fcntl.flock(descriptor, operation | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES) and not wait:
            return False
        raise from_os_error(error, "acquiring a lock") from error
    return True


class FileLock:
    """A lock on a file that stays (big-lock, gc.lock), as a context manager."""

    def __init__(
        self, path: str, *, exclusive: bool, wait: bool = True, on_wait: Callable[[], None] | None = None
    ) -> None:
        self.path = path
        self._operation = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        self._wait = wait
        self._on_wait = on_wait
        self.descriptor = -1

    def __enter__(self) -> FileLock:
        self.descriptor = open_lock_file(self.path)
        try:
            if not flock(self.descriptor, self._operation, wait=False):
                if not self._wait:
                    raise StoreLocked(f"another process holds the lock '{self.path}'")
                if self._on_wait is not None:
                    self._on_wait()
                flock(self.descriptor, self._operation)
        except BaseException:
            self._close()
            raise
        return self

    def _close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


class PathLocks:
    """Exclusive locks on store paths about to be made: `PATH.lock` beside each. `paths`: physical.

    Leaving the context releases them, and removes the lock files if `delete_files` was set (when the paths are valid).
    """

    def __init__(self, paths: Iterable[str], *, wait: bool = True, on_wait: Callable[[], None] | None = None) -> None:
        self._paths = sorted(set(paths))
        self._wait = wait
        self._on_wait = on_wait
        self._held: list[tuple[int, str]] = []
        self.delete_files = False

    def acquire(self) -> bool:
        """False where somebody else holds one and waiting was not wanted; then none is held."""
        try:
            for path in self._paths:
                descriptor = self._acquire_one(path + ".lock")
                if descriptor is None:
                    self.release()
                    return False
                self._held.append((descriptor, path + ".lock"))
        except BaseException:
            self.release()
            raise
        return True

    def _acquire_one(self, path: str) -> int | None:
        while True:
            descriptor = open_lock_file(path)
            try:
                if not flock(descriptor, fcntl.LOCK_EX, wait=False):
                    if not self._wait:
                        os.close(descriptor)
                        return None
                    if self._on_wait is not None:
                        self._on_wait()
                    flock(descriptor, fcntl.LOCK_EX)
                if os.fstat(descriptor).st_size == 0:
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def release(self) -> None:
        held, self._held = self._held, []
        for descriptor, path in held:
            if self.delete_files:
                try:
                    os.unlink(path)
                    os.write(descriptor, b"d")
                except OSError:
                    pass  # removing the file is tidiness, not correctness
            os.close(descriptor)

    def __enter__(self) -> PathLocks:
        if not self.acquire():
            raise StoreLocked(f"another process is making '{self._paths[0]}'")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
