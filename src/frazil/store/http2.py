"""HTTP/2 over TLS: the requests of all threads as streams of one connection.

In: a socket on which the server has agreed to `h2`. Out: responses as those of `http`. For small answers by the
thousand from servers that are far away: there is one handshake, and nobody waits for a free connection. Large ones go
over connections of their own, which costs a tenth of the work. Frames and state are the library `h2`'s. Source of
truth: RFC 9113.
"""

from __future__ import annotations

import select
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from frazil.store.http import BadResponse

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

_WINDOW = 1 << 20
"""Bytes that a server may send of one answer before somebody takes them."""
_CONNECTION_WINDOW = 1 << 25
_PIECE = 1 << 16
_RECORDS = 64
"""Pieces that are taken in before what they ask for is answered."""
_HEADERS = 1 << 16
_STREAMS = 100
"""At once at most, also where the server allows more."""
_GOAWAY = 7
_REFUSED = 7
_LARGEST_FRAME = 1 << 14


class Refused(ConnectionError):
    """A request that the server has certainly not looked at: another connection may ask again."""


class _Stream:
    __slots__ = ("changed", "ended", "error", "headers", "number", "pieces")

    def __init__(self, number: int, lock: threading.RLock) -> None:
        self.number = number
        self.headers: list[tuple[bytes, bytes]] | None = None
        self.pieces: deque[tuple[bytes, int]] = deque()
        self.ended = False
        self.error: Exception | None = None
        self.changed = threading.Condition(lock)


class Body:
    """`read(size)`: nothing at the end. Raises what went wrong with the stream."""

    costs_to_leave = False

    def __init__(self, connection: Multiplexed, stream: _Stream) -> None:
        self._connection, self._stream = connection, stream
        self._held = b""
        self.done = False

    def release(self, whole: bool) -> None:
        self._connection.forget(self._stream)

    def read(self, size: int) -> bytes:
        if not self._held and not self.done:
            self._held = self._connection.take(self._stream)
            self.done = not self._held
        data, self._held = self._held[:size], self._held[size:]
        return data


class Multiplexed:
    """For all threads of a process. One more of its own listens."""

    def __init__(self, socket: ssl.SSLSocket, timeout: float | None) -> None:
        from h2.config import H2Configuration
        from h2.connection import H2Connection
        from h2.settings import SettingCodes, Settings

        self._socket, self._timeout = socket, timeout
        self._lock = threading.RLock()
        self._room = threading.Condition(self._lock)
        self._streams: dict[int, _Stream] = {}
        self._error: Exception | None = None
        self._leaving = False
        """The server wants no further requests."""
        self._frames = _Frames()
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        values = {
            SettingCodes.ENABLE_PUSH: 0,
            SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW,
            SettingCodes.MAX_HEADER_LIST_SIZE: _HEADERS,
        }
        self._h2.local_settings = Settings(client=True, initial_values=values)
        socket.setblocking(False)
        try:
            with self._lock:
                self._h2.initiate_connection()
                self._h2.increment_flow_control_window(_CONNECTION_WINDOW)
                self._flush()
            threading.Thread(target=self._listen, name="http2", daemon=True).start()
        except BaseException:
            socket.close()
            raise

    @property
    def usable(self) -> bool:
        return self._error is None and not self._leaving

    # ------------------------------------------------------------------------------------------------- one request

    def request(self, headers: Sequence[tuple[str, str]]) -> tuple[int, dict[str, str], Body]:
        """Without a body. Status, headers, body of the answer. Raises OSError, BadResponse, Refused."""
        from h2.exceptions import ProtocolError

        with self._lock:
            while self.usable and len(self._streams) >= self._most():
                if not self._room.wait(self._timeout):
                    raise TimeoutError
            if not self.usable:
                raise Refused("the server closed the connection")
            try:
                stream = _Stream(self._h2.get_next_available_stream_id(), self._lock)
                self._h2.send_headers(stream.number, headers, end_stream=True)
            except ProtocolError as error:
                self._leaving = True  # no numbers are left
                self._end_if_left()
                raise Refused(str(error)) from error
            self._streams[stream.number] = stream
            try:
                self._flush()
                self._wait(stream, lambda: stream.headers is not None)
                return *_understood(stream.headers or []), Body(self, stream)
            except BaseException:
                self.forget(stream)
                raise

    def _most(self) -> int:
        return min(self._h2.remote_settings.max_concurrent_streams, _STREAMS)

    def _wait(self, stream: _Stream, ready: Any) -> None:
        while not ready():
            if stream.error is not None:
                raise stream.error
            if not stream.changed.wait(self._timeout):
                self._leaving = True  # whatever comes next tries another connection
                raise TimeoutError

    def take(self, stream: _Stream) -> bytes:
        """The next piece; nothing at the end."""
        with self._lock:
            self._wait(stream, lambda: stream.pieces or stream.ended)
            if not stream.pieces:
                self.forget(stream)
                return b""
            data, size = stream.pieces.popleft()
            self._acknowledge(stream, size)
            return data

    def _acknowledge(self, stream: _Stream, size: int) -> None:
        if size and self._error is None:
            self._h2.acknowledge_received_data(size, stream.number)
            self._flush()

    def forget(self, stream: _Stream) -> None:
        """Nobody wants more of an answer."""
        from h2.errors import ErrorCodes
        from h2.exceptions import ProtocolError

        with self._lock:
            if self._streams.pop(stream.number, None) is None:
                return
            self._room.notify_all()
            unread = sum(size for _, size in stream.pieces)
            stream.pieces.clear()
            try:
                self._acknowledge(stream, unread)
                if not stream.ended and stream.error is None and self._error is None:
                    self._h2.reset_stream(stream.number, ErrorCodes.CANCEL)
                    self._flush()
            except (OSError, ProtocolError):
                pass  # it ends in any case
            self._end_if_left()

    def _end_if_left(self) -> None:
        """Nobody comes any more, and nobody waits: also where the server does not hang up."""
        if self._leaving and not self._streams:
            self._end(ConnectionResetError("the server closed the connection"))

    # -------------------------------------------------------------------------------------------------- the socket

    def _flush(self) -> None:
        """Whatever stops it in the middle of a frame ends the connection: nothing can follow half a frame."""
        import ssl

        data = memoryview(self._h2.data_to_send())
        try:
            while data:
                try:
                    data = data[self._socket.send(data) :]
                except (ssl.SSLWantWriteError, ssl.SSLWantReadError) as error:
                    wanted = select.POLLOUT if isinstance(error, ssl.SSLWantWriteError) else select.POLLIN
                    poll = select.poll()
                    poll.register(self._socket, wanted)
                    if not poll.poll(None if self._timeout is None else self._timeout * 1000):
                        raise TimeoutError from error
        except BaseException:
            self._end(ConnectionResetError("the connection was closed"))
            raise

    def _listen(self) -> None:
        """Until the connection ends. Who listens closes it: if others did, another file might get its number just
        before it is waited for here."""
        from h2.exceptions import ProtocolError

        try:
            self._take_in()
        except ProtocolError as error:
            self._end(BadResponse(f"the server does not speak HTTP/2 as it should: {error}"))
        except BadResponse as error:
            self._end(error)
        except OSError as error:
            self._end(ConnectionResetError(error.strerror or "the server closed the connection"))
        finally:
            with self._lock:
                self._socket.close()

    def _take_in(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        more = False
        while self._error is None:
            if not more:
                poll.poll()
            with self._lock:
                more = self._receive()
                self._flush()

    def _receive(self) -> bool:
        """What has come, but no more than some of it at once: others want the lock, and the server its answers. Whether
        there may be more."""
        import ssl

        for _ in range(_RECORDS):
            if self._error is not None:
                return False
            try:
                data = self._socket.recv(_PIECE)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            if not data:
                raise ConnectionResetError("the server closed the connection")
            for piece, last in self._frames.split(data):
                if last is not None:
                    self._leave(last)
                else:
                    for event in self._h2.receive_data(piece):
                        self._hear(event)
        return True

    def _leave(self, last: int) -> None:
        """What the server has begun it will end; the rest is asked elsewhere."""
        self._leaving = True
        self._room.notify_all()
        for stream in list(self._streams.values()):
            if stream.number > last:
                self._fail(stream, Refused("the server closed the connection"))
        self._end_if_left()

    def _hear(self, event: Any) -> None:
        from h2 import events

        stream = self._streams.get(getattr(event, "stream_id", 0) or 0)
        if isinstance(event, events.DataReceived):
            size = event.flow_controlled_length or 0
            if stream is None or not event.data:
                self._h2.acknowledge_received_data(size, event.stream_id)
                return
            stream.pieces.append((event.data, size))
        elif stream is None:
            self._room.notify_all()  # it may be a setting
            return
        elif isinstance(event, events.ResponseReceived):
            stream.headers = list(event.headers or ())
        elif isinstance(event, events.StreamEnded):
            stream.ended = True
        elif isinstance(event, events.StreamReset):
            refused = event.error_code == _REFUSED and stream.headers is None
            text = "the server ended the answer too early"
            self._fail(stream, Refused(text) if refused else ConnectionResetError(text))
        stream.changed.notify_all()

    def _fail(self, stream: _Stream, error: Exception) -> None:
        stream.error = error
        stream.changed.notify_all()

    def _end(self, error: Exception) -> None:
        with self._lock:
            if self._error is not None:
                return
            self._error = error
            for stream in self._streams.values():
                if stream.error is None and not stream.ended:
                    self._fail(stream, error)
            self._room.notify_all()
            self._hang_up()

    def _hang_up(self) -> None:
        """Wakes the thread that listens."""
        import socket

        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except (OSError, ValueError):
            pass

    def close(self) -> None:
        self._hang_up()  # also where somebody sends, and has the lock
        self._end(ConnectionResetError("the connection was closed"))


class _Frames:
    """Holds back the frames by which a server says good-bye: after one the library takes no more of what was begun."""

    def __init__(self) -> None:
        self._held = b""
        self._left = 0
        """Bytes that still belong to the frame before."""

    def split(self, data: bytes) -> list[tuple[bytes, int | None]]:
        """Pieces for the library; or the number of the last request that the server takes. Raises BadResponse."""
        found: list[tuple[bytes, int | None]] = []
        data, self._held = self._held + data, b""
        start, at = 0, min(self._left, len(data))
        self._left -= at
        while not self._left and len(data) - at >= 9:
            size, kind = int.from_bytes(data[at : at + 3], "big"), data[at + 3]
            if kind == _GOAWAY:
                if not 8 <= size <= _LARGEST_FRAME:
                    raise BadResponse("the server sends a bad frame")
                if len(data) - at < 9 + size:
                    break
                if at > start:
                    found.append((data[start:at], None))
                found.append((b"", self._last(data[at + 9 : at + 9 + size])))
                at = start = at + 9 + size
                continue
            there = min(9 + size, len(data) - at)
            self._left = 9 + size - there
            at += there
        if at > start:
            found.append((data[start:at], None))
        self._held = data[at:]
        return found

    @staticmethod
    def _last(body: bytes) -> int:
        code = int.from_bytes(body[4:8], "big")
        if code:
            said = body[8:200].decode("utf-8", "replace")
            raise BadResponse(f"the server ended the connection: error {code}" + (f" ({said})" if said else ""))
        return int.from_bytes(body[:4], "big") & 0x7FFFFFFF


def _understood(raw: list[tuple[bytes, bytes]]) -> tuple[int, dict[str, str]]:
    headers: dict[str, str] = {":version": "2"}
    status = ""
    for name, value in raw:
        key, text = bytes(name).decode("latin-1").lower(), bytes(value).decode("latin-1").strip()
        if key == ":status":
            status = text
        elif key == "content-length" and headers.get(key, text) != text:
            raise BadResponse("the server sends two lengths")
        headers[key] = text
    if len(status) != 3 or not (status.isascii() and status.isdigit()):
        raise BadResponse("the server sends no status")
    return int(status), headers
