"""Equal files in the store become one file with many names: hard links through `.links/HASH`.

Source of truth: the manual's `nix-store --optimise`.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frazil.activity import Activity, ActivityType, ResultType, Verbosity
from frazil.store import nar
from frazil.store.errors import from_os_error

if TYPE_CHECKING:
    from frazil.store.local import LocalStore


_ATTEMPTS = 5
"""Another process that optimises may have closed the folder that we opened."""


@dataclass(slots=True)
class Statistics:
    files_linked: int = 0
    bytes_freed: int = 0


def optimise_store(store: LocalStore) -> Statistics:
    statistics = Statistics()
    paths = sorted(store.query_all_valid())
    linker = _Linker(store, statistics)
    linker.load()
    with Activity(store.reporter, ActivityType.OPTIMISE_STORE, "", level=Verbosity.ERROR) as activity:
        linker.activity = activity
        for done, path in enumerate(paths):
            activity.progress(done, len(paths))
            store.add_temporary_root(path)
            if store.is_registered(path):
                text = f"optimising path '{store.show(path)}'"
                with Activity(store.reporter, ActivityType.UNKNOWN, text, level=Verbosity.TALKATIVE):
                    linker.visit(f"{store.config.real_store_dir}/{path.base}")
        activity.progress(len(paths), len(paths))
    return statistics


def optimise_path(store: LocalStore, real: str, *, repair: bool = False) -> Statistics:
    """`repair`: links to equal contents are read before they are believed to be equal."""
    statistics = Statistics()
    _Linker(store, statistics, repair=repair).visit(real)
    return statistics


class _Linker:
    def __init__(self, store: LocalStore, statistics: Statistics, *, repair: bool = False) -> None:
        self.store = store
        self.statistics = statistics
        self.repair = repair
        self.folder = store.config.real_store_dir + "/.links"
        self.known_inodes: set[int] = set()
        self.activity: Activity | None = None

    def load(self) -> None:
        try:
            with os.scandir(self.folder) as entries:
                self.known_inodes = {entry.inode() for entry in entries}
        except OSError as error:
            raise from_os_error(error, f"reading '{self.folder}'") from error
        self.store.reporter.log(Verbosity.TALKATIVE, f"loaded {len(self.known_inodes)} hash inodes")

    def visit(self, top: str) -> None:
        try:
            pending = [top]
            while pending:
                path = pending.pop()
                status = os.lstat(path)
                if stat.S_ISDIR(status.st_mode):
                    if status.st_mode & stat.S_IWUSR:
                        _close_folder(path)  # who made it writable for a moment died
                    with os.scandir(path) as entries:
                        pending.extend([e.path for e in entries if e.inode() not in self.known_inodes])
                elif stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                    self._link(path, status)
        except OSError as error:
            raise from_os_error(error, f"optimising '{error.filename or top}'") from error

    def _link(self, path: str, status: os.stat_result) -> None:
        if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IWUSR:
            self.store.warn(f"skipping suspicious writable file '{path}'")
            return
        if status.st_nlink > 1 and status.st_ino in self.known_inodes:
            return
        digest = nar.hash_path(path)[0].base32
        link = f"{self.folder}/{digest}"
        if self._is_corrupted(link, status, digest):
            self.store.warn(f"removing corrupted link '{link}'")
            self.store.warn(
                "There may be more corrupted paths.\n"
                "You should run `nix-store --verify --check-contents --repair` to fix them all"
            )
            os.unlink(link)
        try:
            os.link(path, link, follow_symlinks=False)
            self.known_inodes.add(status.st_ino)
            return
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno == errno.ENOSPC:  # on ext4: the folder's index is full
                self.store.inform(f"cannot link '{link}' to '{path}': {error.strerror}")
                return
            if error.errno in (errno.EPERM, errno.EMLINK):
                return  # the file system cannot link this
            raise
        self._replace(path, link, status)

    def _is_corrupted(self, link: str, status: os.stat_result, digest: str) -> bool:
        try:
            present = os.lstat(link)
        except FileNotFoundError:
            return False
        if present.st_size == status.st_size and not self.repair:
            return False
        return nar.hash_path(link)[0].base32 != digest

    def _replace(self, path: str, link: str, status: os.stat_result) -> None:
        try:
            if os.lstat(link).st_ino == status.st_ino:
                return
        except FileNotFoundError:
            return  # collected meanwhile
        parent = os.path.dirname(path)
        toggles = parent != self.store.config.real_store_dir
        temporary = f"{self.store.config.real_store_dir}/.tmp-link-{os.getpid()}-{secrets.token_hex(6)}"
        for attempt in range(_ATTEMPTS):
            if toggles:
                os.chmod(parent, stat.S_IMODE(os.lstat(parent).st_mode) | stat.S_IWUSR)
            try:
                os.link(link, temporary, follow_symlinks=False)
                os.rename(temporary, path)
                break
            except OSError as error:
                _remove(temporary)
                if error.errno in (errno.EMLINK, errno.ENOENT):
                    return
                if error.errno != errno.EACCES or attempt == _ATTEMPTS - 1:
                    raise
            finally:
                if toggles:
                    _close_folder(parent)
        self.known_inodes.add(os.lstat(path).st_ino)
        self.statistics.files_linked += 1
        self.statistics.bytes_freed += status.st_size
        if self.activity is not None:
            fields = (status.st_size, status.st_blocks)
            self.store.reporter.result(self.activity.identifier, ResultType.FILE_LINKED, fields)


def _close_folder(path: str) -> None:
    """Its mode comes last: as long as that is open, the next optimiser knows that this one died."""
    os.utime(path, ns=(time.time_ns(), 1_000_000_000))
    os.chmod(path, 0o555)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
