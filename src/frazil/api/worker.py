"""One thread with a large stack, where everything of one session is evaluated.

Evaluation nests as deeply as the program it evaluates, which the stacks of ordinary threads are too small for; and an
evaluator is not made for two threads. Who calls from another thread waits; who calls from the thread itself (a Python
function that Nix called) goes on at once.
"""

from __future__ import annotations

import _thread
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from frazil.errors import FrazilError
from frazil.lang.evaluator import SIGNAL_PERIOD, STACK_SIZES

T = TypeVar("T")


class Worker:
    """`interrupt`: called when a waiting caller is interrupted, to end what runs."""

    def __init__(self, interrupt: Callable[[], None]) -> None:
        self._interrupt = interrupt
        self._turn = threading.Lock()
        self._wanted = threading.Semaphore(0)
        self._done = threading.Semaphore(0)
        self._job: Callable[[], Any] | None = None
        self._outcome: tuple[Any, BaseException | None] = (None, None)
        self._ident: int | None = None
        self._closed = False
        self._process = os.getpid()

    def call(self, function: Callable[[], T]) -> T:
        """Its result or its error. Raises FrazilError after `close`."""
        if self._ident == _thread.get_ident():
            return function()
        if self._process != os.getpid():
            # Its thread stayed behind, and its store's database must not be used by two processes.
            raise FrazilError(
                "this session belongs to the process that this one was forked from",
                hint="make a new frazil.Session() here; frazil.evaluate and its kin do so by themselves",
            )
        with self._turn:
            if self._closed:
                raise FrazilError("this session is closed")
            if self._ident is None:
                self._start()
            self._job = function
            self._wanted.release()
            while True:
                try:
                    # In steps: a signal between the last look and the wait would wake nobody.
                    while not self._done.acquire(timeout=SIGNAL_PERIOD):
                        pass
                    break
                except KeyboardInterrupt:
                    self._interrupt()
            result, error = self._outcome
            self._outcome = (None, None)
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    def close(self) -> None:
        """The thread ends; values can be looked at no longer."""
        if self._process != os.getpid():
            self._closed = True
            return
        with self._turn:
            self._closed = True
            if self._ident is not None and self._ident != _thread.get_ident():
                self._job = None
                self._wanted.release()

    def _start(self) -> None:
        started = threading.Semaphore(0)

        def run() -> None:
            self._ident = _thread.get_ident()
            started.release()
            self._serve()

        previous = _thread.stack_size()
        for size in STACK_SIZES:
            try:
                _thread.stack_size(size)
                _thread.start_new_thread(run, ())
                break
            except (RuntimeError, ValueError, MemoryError):
                continue
            finally:
                _thread.stack_size(previous)
        else:
            raise FrazilError("cannot start a thread for evaluation", hint="the limit of address space may be too low")
        started.acquire()

    def _serve(self) -> None:
        while True:
            self._wanted.acquire()
            job, self._job = self._job, None
            if job is None:
                return
            try:
                self._outcome = (job(), None)
            except BaseException as error:  # handed to who waits, whatever it is
                self._outcome = (None, error)
            del job
            self._done.release()
