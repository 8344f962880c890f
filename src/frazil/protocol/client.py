"""A connection to a server of the worker protocol: each request of it as a method.

In: descriptors that lead to the server (a socket, or the pipes of a program), values of the store. Out: its answers.
What the server logs goes to the reporter. Nothing that the server sends is trusted further than its form: callers check
what they are told where it matters. Source of truth: libstore's remote store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from frazil.activity import ActivityType, Reporter, ResultType, Started, Verbosity, next_identifier
from frazil.protocol.errors import Disconnected, ProtocolError, RemoteError
from frazil.protocol.values import (
    REALISATION_WITH_PATH,
    Dialect,
    Outcome,
    Realisation,
    read_derived_path,
    read_info,
    read_optional_path,
    read_outcome,
    read_path,
    read_paths,
    read_realisation,
    show_method,
    write_added_info,
    write_content_address,
    write_derivation,
    write_derived_path,
    write_info,
    write_output_id,
    write_paths,
    write_realisation,
    write_signatures,
)
from frazil.protocol.wire import FramedWriter, Input, Output, Reader, Writer
from frazil.protocol.worker import (
    ADD_SCANNING,
    BUILD_MODES,
    CLIENT_FEATURES,
    DELETE_REFERRERS,
    LATEST,
    NO_SET_OPTIONS,
    SUBMIT_OUTPUT,
    Op,
    Stderr,
    greet_server,
    read_error,
    read_fields,
)
from frazil.store import nar
from frazil.store.adding import Addition
from frazil.store.content_address import ContentAddress
from frazil.store.derivation import Derivation
from frazil.store.derived_path import DerivedPath
from frazil.store.errors import StoreError
from frazil.store.path import StoreDirectory, StorePath
from frazil.store.path_info import PathInfo

GOODBYE = "Nix daemon disconnected unexpectedly (maybe it crashed?)"
_MAXIMUM_ACTIVITIES = 1 << 16
GC_ACTIONS = ("live", "dead", "delete", "delete-specific")
INFO_DIALECT = (1, 16)
"""The version whose path infos go inside framed streams."""


class ServerLog:
    """Hands what a server says of its work to a reporter, under identifiers of our own."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self._activities: dict[int, int] = {}

    def handle(self, kind: int, reader: Reader) -> None:
        if kind == Stderr.NEXT:
            self.reporter.log(Verbosity.ERROR, reader.text().rstrip("\n"))
        elif kind == Stderr.START_ACTIVITY:
            self._start(reader)
        elif kind == Stderr.STOP_ACTIVITY:
            own = self._activities.pop(reader.number(), None)
            if own is not None:
                self.reporter.stop(own)
        elif kind == Stderr.RESULT:
            own = self._activities.get(reader.number())
            number, fields = reader.number(), read_fields(reader)
            if own is not None and number in ResultType.members:
                self.reporter.result(own, ResultType(number), fields)
        else:
            raise ProtocolError(f"got unknown message type {kind:x} from Nix daemon")

    def _start(self, reader: Reader) -> None:
        identifier, level, kind = reader.number(), reader.integer(), reader.integer()
        text, fields, parent = reader.text(), read_fields(reader), reader.number()
        if len(self._activities) >= _MAXIMUM_ACTIVITIES or identifier in self._activities:
            raise ProtocolError("the Nix daemon has started too many activities")
        own = self._activities[identifier] = next_identifier()
        number = kind if kind in ActivityType.members else int(ActivityType.UNKNOWN)
        self.reporter.start(
            Started(
                own,
                Verbosity(min(level, int(Verbosity.VOMIT))),
                ActivityType(number),
                text,
                tuple(fields),
                self._activities.get(parent, 0),
            )
        )

    def close(self) -> None:
        """Ends what the server left running."""
        for own in self._activities.values():
            self.reporter.stop(own)
        self._activities.clear()


class WorkerClient:
    """`usable` is False after anything that leaves the two sides at different places of the conversation."""

    def __init__(
        self,
        incoming: Input,
        outgoing: Output,
        directory: StoreDirectory,
        reporter: Reporter,
        *,
        latest: tuple[int, int] = LATEST,
        features: frozenset[str] = CLIENT_FEATURES,
    ) -> None:
        self.incoming = incoming
        self.reader = Reader(incoming, GOODBYE)
        self.writer = Writer(outgoing)
        self.log = ServerLog(reporter)
        self.directory = directory
        self.usable = True
        self.rooted: set[StorePath] = set()
        """Temporary roots that the server holds for this connection."""
        self.dialect, self.server = greet_server(self.reader, self.writer, directory, latest=latest, features=features)
        self._hear()

    @property
    def version(self) -> tuple[int, int]:
        return self.dialect.version

    def has(self, feature: str) -> bool:
        return feature in self.dialect.features

    # ------------------------------------------------------------------------------------------------ conversation

    def _hear(self, *, source: nar.Read | None = None, wait: bool = True) -> None:
        """What the server says until it is done. Raises RemoteError for the error that it reports.

        `wait` False: only what is there already, in the middle of our own sending.
        """
        reader = self.reader
        while wait or self.incoming.has_data():
            kind = reader.number()
            if kind == Stderr.LAST:
                if not wait:
                    raise ProtocolError("the Nix daemon was done before it had everything")
                return
            if kind == Stderr.ERROR:
                raise self._error()
            if kind == Stderr.READ:
                self._give(source)
            else:
                self.log.handle(kind, reader)

    def _error(self) -> RemoteError:
        if self.version >= (1, 26):
            message, traces = read_error(self.reader)
            status = 1
        else:
            message, traces = self.reader.text(), []
            status = self.reader.integer() & 0xFF or 1
        error = RemoteError(message, status=status)
        from frazil.errors import TraceFrame

        error.trace = [TraceFrame(text) for text in traces]
        return error

    def _give(self, source: nar.Read | None) -> None:
        wanted = self.reader.number()
        if source is None:
            raise ProtocolError("the Nix daemon asks for data that nobody has")
        data = source(min(wanted, 1 << 20))
        if not data:
            raise ProtocolError("the Nix daemon asks for more data than there is")
        self.writer.string(data)
        self.writer.flush()

    def ask(self, op: Op, write: Callable[[Writer], None] | None = None) -> Reader:
        """Sends a request and waits until its answer can be read. Whatever fails but the request itself ends the use
        of this connection."""
        with self._asking(op):
            if write is not None:
                write(self.writer)
            self.writer.flush()
            self._hear()
        return self.reader

    @contextmanager
    def _asking(self, op: Op) -> Iterator[None]:
        try:
            self.writer.number(op)
            yield
        except RemoteError:
            raise
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._gone() from error
        except BaseException:
            self.usable = False
            raise

    def _gone(self) -> Exception:
        """The server hung up while we were sending; it may have said why."""
        self.usable = False
        self.writer.forget()
        try:
            self._hear()
        except RemoteError as error:
            return error
        except (Disconnected, OSError):
            pass
        return Disconnected(GOODBYE)

    def send_framed(self, op: Op, write: Callable[[Writer], None], send: Callable[[FramedWriter], None]) -> Reader:
        """A request with a stream of unknown length."""
        with self._asking(op):
            write(self.writer)
            self.writer.flush()
            framed = FramedWriter(self.writer, lambda: self._hear(wait=False))
            try:
                send(framed)
            except RemoteError:
                self.writer.number(0)
                self.writer.flush()
                raise
            framed.finish()
            self._hear()
        return self.reader

    def _path(self, path: StorePath) -> Callable[[Writer], None]:
        return lambda writer: writer.text(self.directory.show(path))

    def _done(self, op: Op, write: Callable[[Writer], None] | None = None) -> None:
        """A request whose answer is only that it was done."""
        self.ask(op, write).number()

    # ----------------------------------------------------------------------------------------------------- options

    def set_options(self, options: Sequence[int], overrides: Mapping[str, str]) -> None:
        """`options`: the twelve numbers of the request, in order. Nothing where the server takes none."""
        if self.has(NO_SET_OPTIONS):
            return

        def write(writer: Writer) -> None:
            writer.numbers(*options)
            writer.number(len(overrides))
            for name in sorted(overrides):
                writer.text(name)
                writer.text(overrides[name])

        self.ask(Op.SET_OPTIONS, write)

    # ----------------------------------------------------------------------------------------------------- queries

    def hang_up(self) -> None:
        """Ends what the server left running; whoever made the connection closes it."""
        self.usable = False
        self.log.close()

    def is_valid(self, path: StorePath) -> bool:
        return self.ask(Op.IS_VALID_PATH, self._path(path)).boolean()

    def query_valid(self, paths: Iterable[StorePath], *, substitute: bool = False) -> frozenset[StorePath]:
        if self.has(SUBMIT_OUTPUT):  # the daemon of a build, which answers no other question
            return frozenset([path for path in paths if self.is_valid(path)])

        def write(writer: Writer) -> None:
            write_paths(writer, self.directory, paths)
            if self.version >= (1, 27):
                writer.boolean(substitute)

        return read_paths(self.ask(Op.QUERY_VALID_PATHS, write), self.directory)

    def query_all_valid(self) -> frozenset[StorePath]:
        return read_paths(self.ask(Op.QUERY_ALL_VALID_PATHS), self.directory)

    def query_info(self, path: StorePath) -> PathInfo | None:
        try:
            reader = self.ask(Op.QUERY_PATH_INFO, self._path(path))
        except RemoteError as error:
            if "is not valid" in error.message:  # what servers said before they had an answer for it
                return None
            raise
        return read_info(reader, self.dialect, path) if reader.boolean() else None

    def query_referrers(self, path: StorePath) -> frozenset[StorePath]:
        return read_paths(self.ask(Op.QUERY_REFERRERS, self._path(path)), self.directory)

    def query_valid_derivers(self, path: StorePath) -> frozenset[StorePath]:
        return read_paths(self.ask(Op.QUERY_VALID_DERIVERS, self._path(path)), self.directory)

    def query_output_map(self, path: StorePath) -> dict[str, StorePath | None]:
        """From 1.22 on."""
        reader = self.ask(Op.QUERY_DERIVATION_OUTPUT_MAP, self._path(path))
        found: dict[str, StorePath | None] = {}
        for _ in range(reader.count()):
            name = reader.text(4096)
            found[name] = read_optional_path(reader, self.directory)
        return found

    def query_from_hash_part(self, hash_part: str) -> StorePath | None:
        reader = self.ask(Op.QUERY_PATH_FROM_HASH_PART, lambda writer: writer.text(hash_part))
        return read_optional_path(reader, self.directory)

    def query_substitutable(self, paths: Iterable[StorePath]) -> frozenset[StorePath]:
        reader = self.ask(Op.QUERY_SUBSTITUTABLE_PATHS, lambda writer: write_paths(writer, self.directory, paths))
        return read_paths(reader, self.directory)

    def query_substitutable_infos(
        self, paths: Mapping[StorePath, ContentAddress | None]
    ) -> dict[StorePath, tuple[StorePath | None, frozenset[StorePath], int, int]]:
        """Path → (deriver, references, size of the download, size of the archive)."""

        def write(writer: Writer) -> None:
            if self.version < (1, 22):
                write_paths(writer, self.directory, paths)
                return
            writer.number(len(paths))
            for path in sorted(paths):
                writer.text(self.directory.show(path))
                write_content_address(writer, paths[path])

        reader = self.ask(Op.QUERY_SUBSTITUTABLE_PATH_INFOS, write)
        found = {}
        for _ in range(reader.count()):
            path = read_path(reader, self.directory)
            deriver = read_optional_path(reader, self.directory)
            references = read_paths(reader, self.directory)
            found[path] = (deriver, references, reader.number(), reader.number())
        return found

    def query_missing(
        self, targets: Sequence[DerivedPath]
    ) -> tuple[frozenset[StorePath], frozenset[StorePath], frozenset[StorePath], int, int]:
        """(will be built, will be substituted, unknown, size of the downloads, size of their archives)."""
        reader = self.ask(Op.QUERY_MISSING, lambda writer: self._write_targets(writer, targets))
        build, substitute, unknown = (read_paths(reader, self.directory) for _ in range(3))
        return build, substitute, unknown, reader.number(), reader.number()

    def query_realisation(self, derivation: StorePath, output: str) -> Realisation | None:
        """Raises ProtocolError where the server does not know of realisations."""
        dialect = self.dialect
        reader = self.ask(Op.QUERY_REALISATION, lambda w: write_output_id(w, dialect, derivation, output))
        return read_realisation(reader, dialect) if reader.tag(1, "optional build trace from remote") else None

    @property
    def has_realisations(self) -> bool:
        return self.has(REALISATION_WITH_PATH)

    # ------------------------------------------------------------------------------------------------------ adding

    def add(self, addition: Addition, send: nar.Send) -> StorePath:
        """`send` writes the contents as they are for the methods flat and text, else their archive."""
        if self.version < (1, 25):
            return self._add_old(addition, send)

        def write(writer: Writer) -> None:
            writer.text(addition.name)
            writer.text(show_method(addition.method, addition.algorithm))
            write_paths(writer, self.directory, addition.references)
            writer.boolean(addition.repair)

        reader = self.send_framed(Op.ADD_TO_STORE, write, lambda framed: send(framed.write))
        path = read_path(reader, self.directory)
        read_info(reader, self.dialect, path)
        return path

    def add_scanning(self, addition: Addition, send: nar.Send) -> PathInfo:
        """As `add`, but the server finds the references. Raises StoreError where it cannot."""
        if not self.has(ADD_SCANNING):
            raise StoreError(
                "the daemon does not support AddToStoreScanning, perhaps this is not in a recursive-nix builder?"
            )

        def write(writer: Writer) -> None:
            writer.text(addition.name)
            writer.text(show_method(addition.method, addition.algorithm))

        reader = self.send_framed(Op.ADD_TO_STORE_SCANNING, write, lambda framed: send(framed.write))
        path = read_path(reader, self.directory)
        return read_info(reader, self.dialect, path)

    def submit_output(self, path: DerivedPath, output: str) -> None:
        """Hands in an output of the build that this connection belongs to. Raises StoreError."""
        if not self.has(SUBMIT_OUTPUT):
            raise StoreError(
                "the daemon does not support SubmitOutput, perhaps this is not in a derivation with the "
                "`builder-rpc-v0` feature?"
            )

        def write(writer: Writer) -> None:
            write_derived_path(writer, self.dialect, path)
            writer.text(output)

        self._done(Op.SUBMIT_OUTPUT, write)

    def _add_old(self, addition: Addition, send: nar.Send) -> StorePath:
        method, algorithm = addition.method, addition.algorithm
        if addition.repair:
            raise StoreError("repairing is not supported when building through the Nix daemon protocol < 1.25")
        if method == "git":
            raise StoreError("the daemon is too old for the content address method 'git'")

        def gather() -> bytes:
            pieces: list[bytes] = []
            send(pieces.append)
            return b"".join(pieces)

        if method == "text":

            def write_text(writer: Writer) -> None:
                writer.text(addition.name)
                writer.string(gather())
                write_paths(writer, self.directory, addition.references)

            return read_path(self.ask(Op.ADD_TEXT_TO_STORE, write_text), self.directory)

        def write(writer: Writer) -> None:
            writer.text(addition.name)
            writer.number(0 if method == "nar" and algorithm == "sha256" else 1)
            writer.number(1 if method == "nar" else 0)
            writer.text(algorithm)
            if method == "nar":
                send(writer.raw)
            else:
                nar.dump_file(gather(), writer.raw)

        return read_path(self.ask(Op.ADD_TO_STORE, write), self.directory)

    def add_nar(
        self,
        info: PathInfo,
        send: nar.Send,
        *,
        repair: bool = False,
        check_signatures: bool = True,
    ) -> None:
        def write(writer: Writer) -> None:
            write_added_info(writer, self.directory, info)
            writer.boolean(repair)
            writer.boolean(not check_signatures)

        if self.version >= (1, 23):
            self.send_framed(Op.ADD_TO_STORE_NAR, write, lambda framed: send(framed.write))
        elif self.version >= (1, 21):
            self._add_nar_pulled(write, send)
        else:

            def write_all(writer: Writer) -> None:
                write(writer)
                send(writer.raw)

            self.ask(Op.ADD_TO_STORE_NAR, write_all)

    def _add_nar_pulled(self, write: Callable[[Writer], None], send: nar.Send) -> None:
        """Servers of 1.21 and 1.22 ask for the archive piece by piece."""
        import tempfile

        with tempfile.SpooledTemporaryFile(max_size=1 << 23) as spool:
            send(spool.write)
            spool.seek(0)
            try:
                self.writer.number(Op.ADD_TO_STORE_NAR)
                write(self.writer)
                self.writer.flush()
                self._hear(source=spool.read)
            except RemoteError:
                raise
            except BaseException:
                self.usable = False
                raise

    def add_many(
        self,
        paths: Sequence[tuple[PathInfo, Callable[[nar.Write], None]]],
        *,
        repair: bool = False,
        check_signatures: bool = True,
        sent: Callable[[int], None] = lambda count: None,
    ) -> None:
        """References first. In one request from 1.32 on."""
        if self.version < (1, 32):
            for count, (info, send) in enumerate(paths):
                self.add_nar(info, send, repair=repair, check_signatures=check_signatures)
                sent(count + 1)
            return
        inner = Dialect(self.directory, INFO_DIALECT)

        def write(writer: Writer) -> None:
            writer.boolean(repair)
            writer.boolean(not check_signatures)

        def stream(framed: FramedWriter) -> None:
            numbers = Writer(framed)
            numbers.number(len(paths))
            for count, (info, send) in enumerate(paths):
                numbers.text(self.directory.show(info.path))
                write_info(numbers, inner, info)
                numbers.push()
                send(framed.write)
                sent(count + 1)
            numbers.push()

        self.send_framed(Op.ADD_MULTIPLE_TO_STORE, write, stream)

    def nar_from_path(self, path: StorePath, write: nar.Write) -> None:
        """Copies an archive, which is checked for its form as it passes."""
        reader = self.ask(Op.NAR_FROM_PATH, self._path(path))
        try:
            nar.parse(nar.TeeSource(nar.Source(reader.stream.read), write), nar.Check())
        except BaseException:
            self.usable = False
            raise

    def add_signatures(self, path: StorePath, signatures: Iterable[str]) -> None:
        def write(writer: Writer) -> None:
            writer.text(self.directory.show(path))
            write_signatures(writer, signatures)

        self._done(Op.ADD_SIGNATURES, write)

    def register_realisation(self, derivation: StorePath, output: str, realisation: Realisation) -> None:
        def write(writer: Writer) -> None:
            write_output_id(writer, self.dialect, derivation, output)
            write_realisation(writer, self.dialect, realisation)

        self.ask(Op.REGISTER_DRV_OUTPUT, write)

    def add_build_log(self, derivation: StorePath, log: bytes) -> None:
        reader = self.send_framed(
            Op.ADD_BUILD_LOG, lambda writer: writer.text(derivation.base), lambda framed: framed.write(log)
        )
        reader.number()

    # ---------------------------------------------------------------------------------------------------- building

    def _write_targets(self, writer: Writer, targets: Sequence[DerivedPath]) -> None:
        writer.number(len(targets))
        for target in targets:
            write_derived_path(writer, self.dialect, target)

    def _write_build(self, targets: Sequence[DerivedPath], mode: str) -> Callable[[Writer], None]:
        def write(writer: Writer) -> None:
            self._write_targets(writer, targets)
            writer.number(BUILD_MODES.index(mode))

        return write

    def build_paths(self, targets: Sequence[DerivedPath], mode: str = "normal") -> None:
        """Raises RemoteError where anything fails."""
        self._done(Op.BUILD_PATHS, self._write_build(targets, mode))

    def build_with_results(
        self, targets: Sequence[DerivedPath], mode: str = "normal"
    ) -> list[tuple[DerivedPath, Outcome]]:
        """From 1.34 on."""
        reader = self.ask(Op.BUILD_PATHS_WITH_RESULTS, self._write_build(targets, mode))
        found = []
        for _ in range(reader.count()):
            path = read_derived_path(reader, self.dialect)
            found.append((path, read_outcome(reader, self.dialect)))
        return found

    def build_derivation(self, path: StorePath, drv: Derivation, mode: str = "normal") -> Outcome:
        def write(writer: Writer) -> None:
            writer.text(self.directory.show(path))
            write_derivation(writer, self.directory, drv)
            writer.number(BUILD_MODES.index(mode))

        return read_outcome(self.ask(Op.BUILD_DERIVATION, write), self.dialect)

    def ensure_path(self, path: StorePath) -> None:
        self._done(Op.ENSURE_PATH, self._path(path))

    # ------------------------------------------------------------------------------------------------ housekeeping

    def add_temporary_root(self, path: StorePath) -> None:
        if path not in self.rooted:
            self._done(Op.ADD_TEMP_ROOT, self._path(path))
            self.rooted.add(path)

    def add_indirect_root(self, link: str) -> None:
        self._done(Op.ADD_INDIRECT_ROOT, lambda writer: writer.text(link))

    def add_permanent_root(self, path: StorePath, link: str) -> str:
        def write(writer: Writer) -> None:
            writer.text(self.directory.show(path))
            writer.text(link)

        return self.ask(Op.ADD_PERM_ROOT, write).text()

    def find_roots(self) -> dict[StorePath, set[str]]:
        reader = self.ask(Op.FIND_ROOTS)
        found: dict[StorePath, set[str]] = {}
        for _ in range(reader.count()):
            link = reader.text()
            found.setdefault(read_path(reader, self.directory), set()).add(link)
        return found

    def collect_garbage(
        self,
        action: str,
        paths: Iterable[StorePath] | None,
        *,
        also_referrers: bool = False,
        ignore_liveness: bool = False,
        max_freed: int | None = None,
    ) -> tuple[list[str], int]:
        """(paths as texts, bytes freed). `action`: one of GC_ACTIONS."""
        if not self.has(DELETE_REFERRERS) and paths is not None:
            if action != "delete-specific":
                raise StoreError("Your daemon version is too old to support garbage collecting a specific set of paths")
            if also_referrers:
                raise StoreError("Your daemon version is too old to support deleting referrers.")

        def write(writer: Writer) -> None:
            writer.number(GC_ACTIONS.index(action))
            if not self.has(DELETE_REFERRERS):
                write_paths(writer, self.directory, paths or ())
            elif paths is None:
                writer.number(1)
            else:
                writer.number(0)
                write_paths(writer, self.directory, paths)
                writer.boolean(also_referrers)
            writer.boolean(ignore_liveness)
            writer.number((1 << 64) - 1 if max_freed is None else max_freed)
            writer.numbers(0, 0, 0)

        reader = self.ask(Op.COLLECT_GARBAGE, write)
        texts, freed = reader.texts(), reader.number()
        reader.number()
        return texts, freed

    def optimise(self) -> None:
        self._done(Op.OPTIMISE_STORE)

    def verify(self, *, check_contents: bool, repair: bool) -> bool:
        """Whether errors are left."""

        def write(writer: Writer) -> None:
            writer.boolean(check_contents)
            writer.boolean(repair)

        return self.ask(Op.VERIFY_STORE, write).boolean()
