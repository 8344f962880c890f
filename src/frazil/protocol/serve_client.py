"""A connection to `nix-store --serve`, each command of it as a method.

There are no log messages and no errors in this protocol: what the server has to say it writes to its standard error,
and what it cannot do ends the connection. Source of truth: libstore's serve protocol client.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from frazil.protocol.errors import Disconnected, ProtocolError, RemoteError
from frazil.protocol.serve import BuildOptions, Command, greet_server, read_info, write_options
from frazil.protocol.values import (
    MAXIMUM_PATH,
    Outcome,
    read_outcome,
    read_paths,
    write_added_info,
    write_derivation,
    write_derived_path,
    write_paths,
)
from frazil.protocol.wire import Input, Output, Reader, Writer
from frazil.store import nar
from frazil.store.derivation import Derivation
from frazil.store.derived_path import DerivedPath
from frazil.store.path import StoreDirectory, StorePath
from frazil.store.path_info import PathInfo

_MISC_FAILURE = 9


class ServeClient:
    """`usable` is False after anything that leaves the two sides at different places of the conversation."""

    def __init__(
        self,
        incoming: Input,
        outgoing: Output,
        directory: StoreDirectory,
        host: str,
        *,
        latest: tuple[int, int] = (2, 8),
    ) -> None:
        self.reader = Reader(incoming, f"cannot connect to '{host}'")
        self.writer = Writer(outgoing)
        self.directory = directory
        self.host = host
        self.usable = True
        self.dialect = greet_server(self.reader, self.writer, directory, host, latest=latest)
        self.reader.goodbye = f"'{host}' closed the connection"

    @contextmanager
    def _asking(self, command: Command) -> Iterator[Writer]:
        """For the request and its answer: whatever goes wrong between ends the use of this connection."""
        try:
            self.writer.number(command)
            yield self.writer
        except RemoteError:
            raise
        except (BrokenPipeError, ConnectionResetError) as error:
            self.usable = False
            raise Disconnected(self.reader.goodbye) from error
        except BaseException:
            self.usable = False
            raise

    def hang_up(self) -> None:
        self.usable = False

    def query_valid(self, paths: Iterable[StorePath], *, substitute: bool = False) -> frozenset[StorePath]:
        """`substitute`: what is not there is fetched first, as far as the server can, and kept while we are here."""
        with self._asking(Command.QUERY_VALID_PATHS) as writer:
            writer.boolean(substitute)
            writer.boolean(substitute)
            write_paths(writer, self.directory, paths)
            writer.flush()
            return read_paths(self.reader, self.directory)

    def query_infos(self, paths: Iterable[StorePath]) -> dict[StorePath, PathInfo]:
        """Of those that are valid."""
        wanted = set(paths)
        found: dict[StorePath, PathInfo] = {}
        with self._asking(Command.QUERY_PATH_INFOS) as writer:
            write_paths(writer, self.directory, wanted)
            writer.flush()
            while text := self.reader.text(MAXIMUM_PATH):
                path = self.directory.parse(text)
                if path not in wanted or path in found:
                    raise ProtocolError(f"'{self.host}' tells of '{text}', which was not asked for")
                found[path] = read_info(self.reader, self.dialect, path)
        return found

    def query_closure(self, paths: Iterable[StorePath], *, include_outputs: bool = False) -> frozenset[StorePath]:
        with self._asking(Command.QUERY_CLOSURE) as writer:
            writer.boolean(include_outputs)
            write_paths(writer, self.directory, paths)
            writer.flush()
            return read_paths(self.reader, self.directory)

    def dump(self, path: StorePath, write: nar.Write) -> None:
        with self._asking(Command.DUMP_STORE_PATH) as writer:
            writer.text(self.directory.show(path))
            writer.flush()
            nar.parse(nar.TeeSource(nar.Source(self.reader.stream.read), write), nar.Check())

    def add_nar(self, info: PathInfo, send: nar.Send) -> None:
        with self._asking(Command.ADD_TO_STORE_NAR) as writer:
            write_added_info(writer, self.directory, info)
            send(writer.raw)
            writer.flush()
            if self.reader.number() != 1:
                raise ProtocolError(
                    f"failed to add path '{self.directory.show(info.path)}' to remote host '{self.host}'"
                )

    def import_paths(self, send: nar.Send) -> None:
        """`send` writes what `nix-store --export` does."""
        with self._asking(Command.IMPORT_PATHS) as writer:
            send(writer.raw)
            writer.flush()
            if self.reader.number() != 1:
                raise ProtocolError("remote machine failed to import closure")

    def build_paths(self, targets: Sequence[DerivedPath], options: BuildOptions) -> Outcome:
        """One outcome for all."""
        with self._asking(Command.BUILD_PATHS) as writer:
            writer.number(len(targets))
            for target in targets:
                write_derived_path(writer, self.dialect, target)
            write_options(writer, self.dialect, options)
            writer.flush()
            # 0, or an exit status with the reason: this one reply has no number of a build result.
            if self.reader.number() == 0:
                return Outcome(0)
            return Outcome(_MISC_FAILURE, self.reader.text())

    def build_derivation(self, path: StorePath, drv: Derivation, options: BuildOptions) -> Outcome:
        with self._asking(Command.BUILD_DERIVATION) as writer:
            writer.text(self.directory.show(path))
            write_derivation(writer, self.directory, drv)
            write_options(writer, self.dialect, options)
            writer.flush()
            return read_outcome(self.reader, self.dialect)
