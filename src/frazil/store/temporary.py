"""What lasts as long as this process: temporary roots, and a folder for unfinished work that collectors leave alone.

Source of truth: C++ Nix's `temproots/PID` files, `gc.lock`, `gc-socket`, and `tmp-…` folders in the store.
"""

from __future__ import annotations

import fcntl
import os
import time
from _thread import allocate_lock

from frazil.store import locks
from frazil.store.errors import StoreError, from_os_error
from frazil.store.nar import write_all
from frazil.store.path import StoreDirectory, StorePath

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable


class TemporaryRoots:
    """The file `temproots/PID`, locked while we live. While a collection runs, its collector is told as well."""

    def __init__(self, state_dir: str, directory: StoreDirectory) -> None:
        self._state_dir = state_dir
        self._directory = directory
        self._process = 0
        self._roots = -1
        self._collector_lock = -1
        self._socket: socket.socket | None = None
        self._added: set[str] = set()
        """Whole paths, as texts."""
        self._mutex = allocate_lock()

    @property
    def _path(self) -> str:
        return f"{self._state_dir}/temproots/{self._process}"

    def _open(self) -> None:
        if self._roots >= 0 and self._process == os.getpid():
            return
        if self._roots >= 0:
            self._forget()  # the parent's: after a fork they stay its own
        self._process = os.getpid()
        while True:
            try:
                os.unlink(self._path)  # stale: no two processes have the same number
            except FileNotFoundError:
                pass
            except OSError as error:
                raise from_os_error(error, f"deleting '{self._path}'") from error
            descriptor = locks.open_lock_file(self._path)
            locks.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_size == 0 and os.fstat(descriptor).st_nlink == 1:
                break
            os.close(descriptor)  # a collector took it for stale before we had the lock
        self._roots = descriptor
        self._collector_lock = locks.open_lock_file(self._state_dir + "/gc.lock")

    def _forget(self) -> None:
        for descriptor in (self._roots, self._collector_lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._roots = self._collector_lock = -1
        self._added.clear()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def add(self, path: StorePath) -> None:
        self.add_texts([self._directory.show(path)])

    def add_many(self, paths: Iterable[StorePath]) -> None:
        """As `add`, at the price of one."""
        self.add_texts([self._directory.show(path) for path in paths])

    def add_texts(self, paths: Iterable[str]) -> None:
        """As `add_many`, for whole paths as texts."""
        if self._process != os.getpid():
            fresh = list(paths)
        else:
            fresh = [path for path in paths if path not in self._added]
        if fresh:
            with self._mutex:
                self._add(fresh)

    def _add(self, paths: list[str]) -> None:
        self._open()
        texts = [path.encode("utf-8", "surrogateescape") for path in paths]
        while not locks.flock(self._collector_lock, fcntl.LOCK_SH, wait=False):
            if all(self._tell_collector(text) for text in texts):
                break
        try:
            write_all(self._roots, b"".join([text + b"\0" for text in texts]))
        except OSError as error:
            raise from_os_error(error, f"writing '{self._path}'") from error
        finally:
            locks.flock(self._collector_lock, fcntl.LOCK_UN)
        self._added.update(paths)

    def _tell_collector(self, text: bytes) -> bool:
        """True once the running collector knows of the root; False where it went away meanwhile."""
        import socket

        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                _connect(self._socket, self._state_dir + "/gc-socket/socket")
            self._socket.sendall(text + b"\n")
            answer = self._socket.recv(1)
        except (ConnectionError, FileNotFoundError):
            answer = b""
        except OSError as error:
            raise from_os_error(error, "telling the garbage collector of a root") from error
        if answer == b"1":
            return True
        if answer:
            raise StoreError("the garbage collector gave a wrong answer")
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        time.sleep(0.1)
        return False

    def close(self) -> None:
        if self._roots >= 0 and self._process == os.getpid():
            try:
                os.unlink(self._path)
            except OSError:
                pass
        self._forget()


def _connect(connection: socket.socket, path: str) -> None:
    """Socket addresses hold 107 bytes: a longer path goes through a descriptor of its folder."""
    if len(os.fsencode(path)) < 108:
        connection.connect(path)
        return
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    finally:
        os.close(folder)


class WorkingDirectory:
    """A folder `tmp-…` in the store, locked so that collectors skip it, removed at the end (or, after a death, by the
    next collection)."""

    def __init__(self, real_store_dir: str) -> None:
        self._root = real_store_dir
        self._process = 0
        self._descriptor = -1
        self._path = ""
        self._count = 0
        self._mutex = allocate_lock()

    def path(self, name: str, *, check: bool = True) -> str:
        with self._mutex:
            opened = self._process == os.getpid() and self._descriptor >= 0
            if not opened or (check and not os.path.isdir(self._path)):
                self._open()  # collectors of old Nix versions do not heed the lock
            self._count += 1
            return f"{self._path}/{self._count}-{name}"

    def _open(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        try:
            while True:
                path = f"{self._root}/tmp-{os.getpid()}-{os.urandom(6).hex()}"
                os.mkdir(path, 0o700)
                try:
                    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                except FileNotFoundError:
                    continue  # a collector was faster
                locks.flock(descriptor, fcntl.LOCK_EX)
                if os.path.exists(path):
                    break
                os.close(descriptor)
        except OSError as error:
            raise from_os_error(error, f"creating a temporary folder in '{self._root}'") from error
        self._process, self._descriptor, self._path = os.getpid(), descriptor, path

    def close(self) -> None:
        if self._descriptor < 0:
            return
        if self._process == os.getpid():
            from frazil.store.metadata import delete_tree

            try:
                delete_tree(self._path)
            except (OSError, StoreError):
                pass  # the next collection deletes it
        os.close(self._descriptor)
        self._descriptor = -1
