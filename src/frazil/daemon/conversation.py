"""A conversation of the worker protocol, seen by the server: greeting, requests, errors.

Source of truth: libstore's daemon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from frazil.daemon.host import Host
from frazil.daemon.results import full_message
from frazil.daemon.tunnel import TunnelReporter
from frazil.errors import FrazilError
from frazil.protocol.errors import Disconnected, ProtocolError
from frazil.protocol.values import Dialect, read_path, read_paths, write_paths
from frazil.protocol.wire import FramedReader, Input, Output, Reader, Writer
from frazil.protocol.worker import SERVER_FEATURES, ServerInfo, greet_client

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath


class _Work:
    """See `Conversation.work`. After an error its answer is another: the client goes on listening until then."""

    __slots__ = ("_tunnel",)

    def __init__(self, tunnel: TunnelReporter) -> None:
        self._tunnel = tunnel

    def __enter__(self) -> None:
        self._tunnel.start_work()

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None:
            self._tunnel.stop_work()


class Conversation:
    """`operations`: what each number of a request calls for."""

    operations: Mapping[int, Callable[[Any], None]] = {}
    features = SERVER_FEATURES

    def __init__(self, incoming: Input, outgoing: Output, host: Host, *, trusted: bool) -> None:
        self.incoming = incoming
        self.reader = Reader(incoming)
        self.writer = Writer(outgoing)
        self.host = host
        self.trusted = trusted
        self.tunnel = TunnelReporter(self.writer)
        self.store: LocalStore = host.open(self.tunnel)
        self.dialect = Dialect(self.store.directory, (0, 0))
        self._work = _Work(self.tunnel)

    # ------------------------------------------------------------------------------------------------ conversation

    def run(self) -> None:
        """Until the client hangs up. Raises nothing that is the client's doing."""
        try:
            trusts = self.trusted and self.store_trusts_us()
            info = ServerInfo(self.host.nix_version, trusts)
            self.dialect = greet_client(self.reader, self.writer, self.store.directory, info, features=self.features)
            self.tunnel.version = self.dialect.version
            self.tunnel.start_work()
            self.tunnel.stop_work()
            self.writer.flush()
            while self._serve_one():
                pass
        except (Disconnected, BrokenPipeError, ConnectionResetError):
            self.writer.forget()
        except ProtocolError as error:
            self._last_words(error)

    def store_trusts_us(self) -> bool:
        return True

    def _last_words(self, error: FrazilError) -> None:
        try:
            self.tunnel.fail(full_message(error), [], error.exit_status)
            self.writer.flush()
        except OSError:
            self.writer.forget()

    def _serve_one(self) -> bool:
        number = self.reader.number_or_end()
        if number is None:
            return False
        try:
            try:
                self._perform(number)
            except OSError as error:
                if isinstance(error, (BrokenPipeError, ConnectionResetError)):
                    raise
                raise FrazilError(_system_message(error)) from error
            except MemoryError as error:
                raise FrazilError("Nix daemon out of memory") from error
        except Disconnected:
            raise
        except FrazilError as error:
            in_step = self.tunnel.listening
            self.tunnel.fail(full_message(error), [f.text for f in error.trace], error.exit_status)
            self.writer.flush()
            # An error while a request was read, or its answer written: nobody knows where the next one would begin.
            return in_step
        self.writer.flush()
        return True

    def _perform(self, number: int) -> None:
        operation = self.operations.get(number)
        if operation is None:
            raise ProtocolError(f"invalid operation {number}")
        operation(self)

    def work(self) -> AbstractContextManager[None]:
        """What is done within may be logged to the client; it must leave nothing of the request unread."""
        return self._work

    @contextmanager
    def framed(self) -> Iterator[FramedReader]:
        """A stream of the request, read to its end whatever happens."""
        source = FramedReader(self.reader)
        try:
            yield source
        except (Disconnected, ProtocolError):
            self.tunnel.listening = False
            raise
        except FrazilError:
            source.drain()
            raise
        source.drain()

    def require_trust(self, message: str) -> None:
        if not self.trusted:
            raise FrazilError(message)

    def _path(self) -> StorePath:
        return read_path(self.reader, self.store.directory)

    def _paths(self) -> frozenset[StorePath]:
        return read_paths(self.reader, self.store.directory)

    def _write_paths(self, paths: object) -> None:
        write_paths(self.writer, self.store.directory, paths)  # type: ignore[arg-type]

    def _done(self) -> None:
        self.writer.number(1)


def _system_message(error: OSError) -> str:
    import os

    what = f" '{os.fsdecode(error.filename)}'" if error.filename is not None else ""
    return f"{error.strerror or error}{':' if what else ''}{what}"
