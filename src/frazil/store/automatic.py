"""Collecting garbage when the disk gets full: the settings `min-free` and `max-free`.

Source of truth: the manual's `nix.conf`; C++ Nix's automatic collection.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from frazil.store.errors import StoreError, from_os_error

if TYPE_CHECKING:
    from frazil.store.local import LocalStore

_NOT_WORTH_IT = 0.97
"""Where a collection left so much of what it found free before, another one soon would find nothing."""


class AutomaticCollection:
    """At most one collection at a time, and not more often than free space is looked at."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self._mutex = threading.Lock()
        self._running = threading.Lock()
        self._last_check = 0.0
        self._free_after: float | None = None
        self._thread: threading.Thread | None = None

    def check(self, *, wait: bool) -> None:
        """Collects where too little space is free. `wait`: until that is done, else in the background."""
        settings = self._store.settings
        if settings.min_free <= 0 or self._store.compute_only:
            return
        with self._mutex:
            now = time.monotonic()
            if now < self._last_check + settings.min_free_check_interval and self._last_check:
                return
            self._last_check = now
            free = self._free()
            if free >= settings.min_free or free >= settings.max_free:
                return
            if self._free_after is not None and free > self._free_after * _NOT_WORTH_IT:
                return
            if self._running.locked():
                return
        if wait:
            self._collect(free)
        else:
            self._thread = threading.Thread(target=self._collect, args=(free,), name="automatic collection")
            self._thread.start()

    def _free(self) -> int:
        """Bytes. C++ Nix's tests pretend a fuller disk by the same variable."""
        pretended = os.environ.get("_NIX_TEST_FREE_SPACE_FILE")
        try:
            if pretended:
                with open(pretended, "rb") as file:
                    return int(file.read(32))
            status = os.statvfs(self._store.config.real_store_dir)
        except OSError as error:
            raise from_os_error(error, "getting filesystem info about the store") from error
        except ValueError as error:
            raise StoreError(f"'{pretended}' holds no number") from error
        return status.f_bavail * status.f_frsize

    def _collect(self, free: int) -> None:
        from frazil.store import garbage

        if not self._running.acquire(blocking=False):
            return
        try:
            wanted = self._store.settings.max_free - free
            self._store.inform(f"running auto-GC to free {wanted} bytes")
            garbage.collect(self._store, garbage.Options(max_freed=wanted))
            with self._mutex:
                self._free_after = self._free()
        except StoreError as error:
            self._store.warn(f"automatic garbage collection failed: {error.message}")
        finally:
            self._running.release()

    def finish(self) -> None:
        """Waits for a collection in the background."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
