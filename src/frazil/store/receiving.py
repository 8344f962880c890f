"""How a local store takes in many paths from another one: several at once, registered together.

In: infos of paths with where to get their archives. Out: valid paths. Threads fetch, unpack and check; what was
unpacked becomes valid in batches, never before what it refers to. The lock of a path is held from before its transfer
until it is registered, so that two processes do not fetch the same; whoever waits then finds it there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING

from frazil.store import adding
from frazil.store.errors import StoreError
from frazil.store.interface import opened
from frazil.store.locks import PathLocks
from frazil.store.pool import Pool

if TYPE_CHECKING:
    from types import TracebackType

    from frazil.store.interface import Archives, Terms
    from frazil.store.local import LocalStore
    from frazil.store.nar import Read
    from frazil.store.path import StorePath
    from frazil.store.path_info import PathInfo

BATCH = 128
"""Registered in one transaction."""
MAXIMUM_LOCKS = 400
"""Held at once: each is an open file."""
_LOCK_POLL = 0.05


def receive(store: LocalStore, source: Archives, infos: Iterable[PathInfo], terms: Terms) -> None:
    """`infos`: references first. What came whole before an error stays. Raises StoreError."""
    wanted = list(infos)
    if terms.check_signatures:
        for info in wanted:
            adding.require_signature(store, info)
    if not wanted:
        return
    store.require_writable()
    store.add_temporary_roots([info.path for info in wanted])
    _Receiver(store, source, wanted, terms).run()


class Batch:
    """Archives out of one stream, each after what it refers to; up to `size` become valid in one transaction.

    A context manager: what came whole before an error stays. No lock is waited for while others are held.
    """

    def __init__(self, store: LocalStore, *, repair: bool = False, check_signatures: bool = False) -> None:
        self.store, self.repair, self.check_signatures = store, repair, check_signatures
        self._whole: list[tuple[PathInfo, PathLocks]] = []

    def add(self, info: PathInfo, read: Read, *, size: int = BATCH) -> None:
        """Raises StoreError, HashMismatch, BadArchive."""
        store = self.store
        if self.check_signatures:
            adding.require_signature(store, info)
        store.add_temporary_root(info.path)
        if store.is_valid(info.path) and not self.repair:
            adding.skip_archive(read)
            return
        lock = store.path_locks([info.path], wait=False)
        if not lock.acquire():
            self.flush()
            lock = store.path_locks([info.path])
            lock.acquire()
        if store.is_registered(info.path) and not self.repair:
            lock.delete_files = True
            lock.release()
            adding.skip_archive(read)
            return
        try:
            adding.unpack_promised(store, info, read, repair=self.repair)
        except BaseException:
            lock.release()
            raise
        self._whole.append((info, lock))
        if len(self._whole) >= size:
            self.flush()

    def flush(self) -> None:
        whole, self._whole = self._whole, []
        try:
            if whole:
                self.store.register([info for info, _ in whole])
            for _, lock in whole:
                lock.delete_files = True
        finally:
            for _, lock in whole:
                lock.release()

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.flush()
        except StoreError:
            if error is None:
                raise  # else the first error is the one to tell


class OneByOne(Batch):
    """For stores that others look after."""

    def add(self, info: PathInfo, read: Read, *, size: int = BATCH) -> None:
        self.store.add_nar(info, read, repair=self.repair, check_signatures=self.check_signatures)


class _Receiver:
    """No lock is held without an end: whoever waits for another process's lock first lets go of all that it can."""

    def __init__(self, store: LocalStore, source: Archives, infos: Sequence[PathInfo], terms: Terms) -> None:
        self.store, self.source, self.terms = store, source, terms
        self.stopped = threading.Event()
        self.mutex = threading.Lock()
        self.waiting = 0
        """Threads that wait for a lock of another process."""
        self.places = threading.Semaphore(MAXIMUM_LOCKS)
        self.unregistered = list(infos)
        self.locks: dict[StorePath, PathLocks] = {}
        self.done: set[StorePath] = set()

    def run(self) -> None:
        workers = min(len(self.unregistered), max(self.store.transfers, self.source.transfers))
        futures: dict[Future[PathLocks | None], PathInfo] = {}
        pool = Pool(workers, "receive")
        try:
            futures = {pool.submit(self._one, info): info for info in self.unregistered}
            self._collect(futures)
            self._register()
            if self.locks:  # something they refer to is nowhere: said in the usual words
                self.store.register([info for info in self.unregistered if info.path in self.locks])
        finally:
            self.stopped.set()
            pool.close()
            try:
                self._register()
            finally:
                for lock in self.locks.values():
                    lock.release()
            # A thread that still waits for a server holds its path's lock until it hears of the end.

    def _collect(self, futures: dict[Future[PathLocks | None], PathInfo]) -> None:
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in done:
                self._note(futures[future], future.result())
            if len(self.locks) >= BATCH or (self.waiting and self.locks):
                self._register()

    def _note(self, info: PathInfo, lock: PathLocks | None) -> None:
        self.done.add(info.path)
        if lock is not None:
            self.locks[info.path] = lock

    def _register(self) -> None:
        """All that came whole and whose references are there or among them."""
        ready: list[PathInfo] = []
        valid: set[StorePath] = set()
        later: list[PathInfo] = []
        unsure = {p for info in self.unregistered if info.path in self.locks for p in info.references}
        there = self.store.valid_among(unsure)
        for info in self.unregistered:
            if info.path in self.done and info.references <= valid | there | {info.path}:
                valid.add(info.path)
                if info.path in self.locks:
                    ready.append(info)
            else:
                later.append(info)
        if ready:
            self.store.register(ready)
        self.unregistered = later
        for info in ready:
            lock = self.locks.pop(info.path)
            lock.delete_files = True
            lock.release()
            self.places.release()

    def _one(self, info: PathInfo) -> PathLocks | None:
        """The lock of a path that was unpacked; None where it was there already."""
        with self.terms.around(info) as told:
            lock = self._lock(info.path)
            try:
                if not self.terms.repair and self.store.is_registered(info.path):
                    lock.delete_files = True
                    lock.release()
                    self.places.release()
                    return None
                archive = self.source.take_nar(info.path)
                if not self._received(info, archive):
                    with opened(archive) as read:
                        seen = self._watched(self.terms.watched(info, told, read))
                        adding.unpack_promised(self.store, info, seen, whole=True, repair=self.terms.repair)
                self._check_stopped()
            except BaseException:
                lock.release()
                raise
        return lock

    def _received(self, info: PathInfo, archive: object) -> bool:
        if not isinstance(archive, bytes) or self.terms.repair:
            return False
        return adding.receive_small(self.store, info, archive)

    def _watched(self, read: Read) -> Read:
        """Ends the transfer when nobody waits for it any more."""

        def watched(size: int) -> bytes:
            self._check_stopped()
            return read(size)

        return watched

    def _lock(self, path: StorePath) -> PathLocks:
        while not self.places.acquire(timeout=_LOCK_POLL):
            self._check_stopped()
        lock = self.store.path_locks([path], wait=False)
        self._check_stopped()
        if lock.acquire():
            return lock
        with self.mutex:
            self.waiting += 1
        try:
            while not lock.acquire():
                self._check_stopped()
                self.stopped.wait(_LOCK_POLL)
        finally:
            with self.mutex:
                self.waiting -= 1
        return lock

    def _check_stopped(self) -> None:
        if self.stopped.is_set():
            raise StoreError("the transfer was cut off")
