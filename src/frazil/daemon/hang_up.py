"""Notices that a client has left while something long is done for it.

In: the stream the client writes to. Out: SIGTERM to ourselves, which ends the work as an interruption does: builders
are stopped, temporary files removed.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import termios
from threading import Thread
from types import TracebackType

from frazil.protocol.wire import Input


class HangUp:
    """A context manager. A client that has left, but whose requests are still to be read, does not count as gone."""

    def __init__(self, incoming: Input) -> None:
        self._incoming = incoming
        self._wake_read, self._wake_write = -1, -1
        self._thread: Thread | None = None

    def __enter__(self) -> HangUp:
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC)
        self._thread = Thread(target=self._watch, name="hang-up", daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self._incoming.descriptor, 0)  # hanging up is always told
        poll.register(self._wake_read, select.POLLIN)
        while True:
            events = dict(poll.poll())
            if self._wake_read in events:
                return
            if events.get(self._incoming.descriptor, 0) & (select.POLLHUP | select.POLLERR):
                if not self._unread():
                    os.kill(os.getpid(), signal.SIGTERM)
                return

    def _unread(self) -> bool:
        if self._incoming.buffered:
            return True
        try:
            answer = fcntl.ioctl(self._incoming.descriptor, termios.FIONREAD, b"\0" * 4)
        except OSError:
            return False
        return bool(struct.unpack("i", answer)[0])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.write(self._wake_write, b"x")
        if self._thread is not None:
            self._thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)
