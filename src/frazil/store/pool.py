"""Threads for transfers, which nobody waits for when the program ends.

As `concurrent.futures.ThreadPoolExecutor`, but an interrupted program does not hang on a server that says nothing: what
a transfer leaves behind is garbage that the next writer or collection removes.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

_FEW = 2
_TICK = 0.01
"""Seconds after which a few threads are looked at."""
_BUSY = 0.75


class Pool:
    """A context manager: leaving it takes back what was not begun, and does not wait for the rest."""

    def __init__(self, size: int, name: str, *, sparing: bool = False) -> None:
        """`sparing`: begins with few threads, and has more only where these wait for others or for long work: threads
        that only wait for one another make a near server's small answers slower."""
        self._size = max(1, size)
        self._few = min(self._size, _FEW) if sparing else self._size
        self._done = 0
        self._watched = False
        self._stop = threading.Event()
        self._name = name
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]] | None] = (
            queue.SimpleQueue()
        )
        self._mutex = threading.Lock()
        self._threads = 0
        self._outstanding = 0
        """Jobs that wait or run."""
        self._closed = False

    def submit(self, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        future: Future[Any] = Future()
        with self._mutex:
            if self._closed:
                future.cancel()
                return future
            self._jobs.put((future, function, arguments))
            self._outstanding += 1
            self._start(min(self._few, self._outstanding))
            if self._outstanding > self._few < self._size and not self._watched:
                self._watched = True
                threading.Thread(target=self._watch, name=f"{self._name}-watch", daemon=True).start()
        return future

    def _start(self, number: int) -> None:
        while self._threads < number:
            self._threads += 1
            threading.Thread(target=self._run, name=f"{self._name}-{self._threads}", daemon=True).start()

    def _watch(self) -> None:
        """Until there are as many threads as may be, or as there is work for: twice as many, as often as those there
        are do not keep the processor busy with short work."""
        while True:
            done, used, now = self._done, time.process_time(), time.monotonic()
            if self._stop.wait(_TICK):
                return
            busy = time.process_time() - used >= _BUSY * (time.monotonic() - now)
            with self._mutex:
                if self._closed or self._outstanding <= self._few:
                    self._watched = False
                    return
                if busy and self._done - done >= 2 * self._few:
                    continue
                self._few = min(self._size, 2 * self._few)
                self._start(min(self._few, self._outstanding))
                if self._few == self._size:
                    return

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            future, function, arguments = job
            if future.set_running_or_notify_cancel():
                try:
                    result = function(*arguments)
                except BaseException as error:  # told to whoever asks the future
                    future.set_exception(error)
                else:
                    future.set_result(result)
                del future, function, arguments, job
            with self._mutex:
                self._outstanding -= 1
                self._done += 1

    def close(self) -> None:
        with self._mutex:
            self._closed = True
            self._stop.set()
            threads = self._threads
            while True:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is not None:
                    job[0].cancel()
            for _ in range(threads):
                self._jobs.put(None)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()
