"""Threads for transfers, which nobody waits for when the program ends.

As `concurrent.futures.ThreadPoolExecutor`, but an interrupted program does not hang on a server that says nothing: what
a transfer leaves behind is garbage that the next writer or collection removes.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class Pool:
    """A context manager: leaving it takes back what was not begun, and does not wait for the rest."""

    def __init__(self, size: int, name: str) -> None:
        self._size = max(1, size)
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
            if self._threads < min(self._size, self._outstanding):
                self._threads += 1
                threading.Thread(target=self._run, name=f"{self._name}-{self._threads}", daemon=True).start()
        return future

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

    def close(self) -> None:
        with self._mutex:
            self._closed = True
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
