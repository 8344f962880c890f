"""What is logged while a client's request is worked on goes to that client.

In: events of the rooms, as any reporter gets them. Out: messages of the worker protocol, but only while the client
listens for them: from when a request was read until its answer begins; what comes in between waits. Source of truth:
libstore's tunnel logger.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from threading import RLock

from frazil.activity import Field, Reporter, ResultType, Started, Verbosity
from frazil.protocol.wire import Writer
from frazil.protocol.worker import Stderr, write_error, write_fields

_WARNING = "\x1b[35;1mwarning:\x1b[0m "
_MAXIMUM_WAITING = 1 << 12
"""Messages that nobody listens to yet; more are dropped."""


class TunnelReporter(Reporter):
    """Safe to be used by several threads; never raises because the client is gone (whoever reads from it will)."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.version = (0, 0)
        self.verbosity = int(Verbosity.INFO)
        self.listening = False
        self._lock = RLock()
        self._waiting: list[bytes] = []
        self._offset = os.getpid() << 32

    # -- events ------------------------------------------------------------------------------------------------------

    def log(self, level: Verbosity, text: str) -> None:
        if level > self.verbosity:
            return
        shown = _WARNING + text if level == Verbosity.WARN else text
        message = _Message(Stderr.NEXT)
        message.text(shown + "\n")
        self._send(message)

    def start(self, activity: Started) -> None:
        if self.version < (1, 20):
            if activity.text:
                self.log(activity.level, activity.text + "...")
            return
        message = _Message(Stderr.START_ACTIVITY)
        message.numbers(self._offset + activity.identifier, int(activity.level), int(activity.kind))
        message.text(activity.text)
        write_fields(message, activity.fields)
        message.number(self._offset + activity.parent if activity.parent else 0)
        self._send(message)

    def result(self, identifier: int, kind: ResultType, fields: Sequence[Field]) -> None:
        if self.version < (1, 20):
            return
        message = _Message(Stderr.RESULT)
        message.numbers(self._offset + identifier, int(kind))
        write_fields(message, list(fields))
        self._send(message)

    def stop(self, identifier: int) -> None:
        if self.version < (1, 20):
            return
        message = _Message(Stderr.STOP_ACTIVITY)
        message.number(self._offset + identifier)
        self._send(message)

    def _send(self, message: _Message) -> None:
        data = message.data()
        with self._lock:
            if not self.listening:
                if len(self._waiting) < _MAXIMUM_WAITING:
                    self._waiting.append(data)
                return
            try:
                self.writer.raw(data)
                self.writer.flush()
            except OSError:
                self.writer.forget()
                self.listening = False

    # -- requests ----------------------------------------------------------------------------------------------------

    def start_work(self) -> None:
        """The client listens from here on."""
        with self._lock:
            self.listening = True
            if self._waiting:
                waiting, self._waiting = self._waiting, []
                self.writer.raw(b"".join(waiting))
                self.writer.flush()

    def stop_work(self) -> None:
        """The answer comes next."""
        with self._lock:
            self.listening = False
            self.writer.number(Stderr.LAST)

    def fail(self, message: str, traces: list[str], status: int) -> None:
        """Instead of an answer."""
        with self._lock:
            self.listening = False
            self.writer.number(Stderr.ERROR)
            if self.version >= (1, 26):
                write_error(self.writer, message, traces)
            else:
                self.writer.text(message)
                self.writer.number(status)


class _Nothing:
    def write(self, data: bytes, /) -> None:
        raise AssertionError("a message is handed on as a whole")

    def flush(self) -> None:
        pass


class _Message(Writer):
    """One message, gathered so that no other gets in between."""

    __slots__ = ()
    LIMIT = 1 << 62

    def __init__(self, kind: Stderr) -> None:
        super().__init__(_Nothing())
        self.number(kind)

    def data(self) -> bytes:
        return b"".join(self._pieces)
