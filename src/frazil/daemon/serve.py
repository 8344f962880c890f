"""One client of the serve protocol, served: `nix-store --serve`.

In: two descriptors, whether the client may write. Out: answers. There is no place for an error in this protocol: what
fails is raised, and ends the connection (whoever runs us prints it to standard error, which SSH shows to the user).
Source of truth: C++ Nix's `nix-store --serve`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from frazil.activity import Field, Reporter, ResultType, Started, Verbosity
from frazil.daemon.additions import BoundedArchive
from frazil.daemon.hang_up import HangUp
from frazil.daemon.host import Host
from frazil.daemon.results import full_message, outcome_of, substitute_missing
from frazil.errors import FrazilError
from frazil.protocol.errors import Disconnected, ProtocolError
from frazil.protocol.serve import BuildOptions, Command, greet_client, read_options, write_info
from frazil.protocol.values import (
    Dialect,
    read_added_info,
    read_derivation,
    read_derived_path,
    read_path,
    read_paths,
    write_outcome,
    write_paths,
)
from frazil.protocol.wire import Input, Output, Reader, Writer

if TYPE_CHECKING:
    from frazil.build.settings import BuildSettings
    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath

_SIZE_LIMIT = (1 << 63) - 1


class _ErrorsAndLogs(Reporter):
    """Whoever has something built here tells of it: only errors, and what the builders write, go there."""

    def __init__(self, inner: Reporter) -> None:
        self._inner = inner

    def log(self, level: Verbosity, text: str) -> None:
        if level <= Verbosity.ERROR:
            self._inner.log(level, text)

    def start(self, activity: Started) -> None:
        quiet = (activity.identifier, Verbosity.VOMIT, activity.kind, "", activity.fields, activity.parent)
        self._inner.start(Started(*quiet))

    def result(self, identifier: int, kind: ResultType, fields: Sequence[Field]) -> None:
        self._inner.result(identifier, kind, fields)

    def stop(self, identifier: int) -> None:
        self._inner.stop(identifier)


class ServeServer:
    def __init__(self, incoming: Input, outgoing: Output, host: Host, reporter: Reporter, *, may_write: bool) -> None:
        self.incoming = incoming
        self.reader = Reader(incoming)
        self.writer = Writer(outgoing)
        self.host = host
        self.reporter = reporter
        self.may_write = may_write
        self.store: LocalStore = host.open(reporter)
        self.dialect = Dialect(self.store.directory, (2, 0), serve=True)

    def run(self) -> None:
        """Until the client hangs up."""
        try:
            self.dialect = greet_client(self.reader, self.writer, self.store.directory)
            while (number := self.reader.number_or_end()) is not None:
                command = COMMANDS.get(number)
                if command is None:
                    raise ProtocolError(f"unknown serve command {number}")
                command(self)
                self.writer.flush()
        except (Disconnected, BrokenPipeError, ConnectionResetError):
            self.writer.forget()

    def _require_writing(self, what: str) -> None:
        if not self.may_write:
            raise FrazilError(f"{what} paths is not allowed")

    def _paths(self) -> frozenset[StorePath]:
        return read_paths(self.reader, self.store.directory)

    # ----------------------------------------------------------------------------------------------------- queries

    def query_valid_paths(self) -> None:
        lock, substitute = self.reader.boolean(), self.reader.boolean()
        paths = self._paths()
        if lock and self.may_write:
            self.store.add_temporary_roots(paths)
        if substitute and self.may_write:
            substitute_missing(self.host, self.store, paths, self.reporter)
        write_paths(self.writer, self.store.directory, [path for path in paths if self.store.is_registered(path)])

    def query_path_infos(self) -> None:
        paths = sorted(self._paths())
        for info in self.store.find_infos(paths):
            if info is not None:
                self.writer.text(self.store.show(info.path))
                write_info(self.writer, self.dialect, info)
        self.writer.text("")

    def query_closure(self) -> None:
        include_outputs = self.reader.boolean()
        closure = self.store.closure(self._paths(), include_outputs=include_outputs)
        write_paths(self.writer, self.store.directory, closure)

    def dump_store_path(self) -> None:
        self.store.dump_nar(read_path(self.reader, self.store.directory), self.writer.raw)

    # ------------------------------------------------------------------------------------------------------ adding

    def import_paths(self) -> None:
        self._require_writing("importing")
        self.store.import_paths(self.reader.stream.read)
        self.writer.number(1)

    def add_to_store_nar(self) -> None:
        self._require_writing("importing")
        info = read_added_info(self.reader, self.store.directory)
        if info.nar_size == 0:
            raise ProtocolError("narInfo is too old and missing the narSize field")
        archive = BoundedArchive(self.reader.stream.read, info.nar_size)
        self.store.add_nar(info, archive.read)
        archive.finish()
        self.writer.number(1)

    # ---------------------------------------------------------------------------------------------------- building

    def _settings(self) -> BuildSettings:
        options = read_options(self.reader, self.dialect)
        if options.repeats:
            raise FrazilError("client requested repeating builds, but this is not currently implemented")
        return with_options(self.host.build_settings, self.dialect, options)

    def build_paths(self) -> None:
        from frazil.build.scheduler import realise

        self._require_writing("building")
        targets = [read_derived_path(self.reader, self.dialect) for _ in range(self.reader.count())]
        settings = self._settings()
        try:
            with HangUp(self.incoming):
                realise(self.store, targets, settings, _ErrorsAndLogs(self.reporter), names_cut_off=True)
        except FrazilError as error:
            self.writer.number(error.exit_status or 1)
            self.writer.text(full_message(error))
            return
        self.writer.number(0)

    def build_derivation(self) -> None:
        from frazil.build.scheduler import realise_derivation

        self._require_writing("building")
        path = read_path(self.reader, self.store.directory)
        drv = read_derivation(self.reader, self.store.directory, path.derivation_name)
        settings = self._settings()
        with HangUp(self.incoming):
            result = realise_derivation(self.store, path, drv, settings, _ErrorsAndLogs(self.reporter))
        write_outcome(self.writer, self.dialect, outcome_of(result))


def with_options(settings: BuildSettings, dialect: Dialect, options: BuildOptions) -> BuildSettings:
    """Nothing is fetched here, and no log kept, for who only lends this machine."""
    changes: dict[str, object] = {
        "keep_build_log": False,
        "substitute": False,
        "max_silent_time": options.max_silent_time,
        "timeout": options.timeout,
        "run_diff_hook": True,
    }
    if dialect.version >= (2, 2):
        changes["max_build_log_size"] = min(options.max_log_size, _SIZE_LIMIT)
    if dialect.version >= (2, 7):
        changes["keep_failed"] = options.keep_failed
    return settings.with_(**changes)


COMMANDS: dict[int, Callable[[ServeServer], None]] = {
    int(command): getattr(ServeServer, command.name.lower()) for command in Command
}
