"""One client of the worker protocol, served.

In: the two descriptors of a connection, whether its user is trusted. Out: answers. The client may be hostile: what it
sends is bounded and checked; what it may not do is refused; whatever it does, the store stays consistent, and the next
request finds the conversation where it should be, or the connection is closed. Source of truth: libstore's daemon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from frazil.daemon.host import ClientOptions, Host
from frazil.daemon.results import full_message, outcome_of
from frazil.daemon.tunnel import TunnelReporter
from frazil.errors import FrazilError
from frazil.protocol.errors import Disconnected, ProtocolError
from frazil.protocol.values import (
    MAXIMUM_NAME,
    REALISATION_WITH_PATH,
    Dialect,
    Outcome,
    Realisation,
    parse_method,
    read_content_address,
    read_derivation,
    read_derived_path,
    read_hash,
    read_info,
    read_optional_path,
    read_output_id,
    read_path,
    read_paths,
    read_realisation,
    read_signatures,
    write_info,
    write_optional_path,
    write_outcome,
    write_paths,
    write_realisation,
)
from frazil.protocol.wire import FramedReader, Input, Output, Reader, Writer
from frazil.protocol.worker import BUILD_MODES, DELETE_REFERRERS, Op, ServerInfo, greet_client
from frazil.store import nar
from frazil.store.path_info import PathInfo

if TYPE_CHECKING:
    from frazil.activity import Reporter
    from frazil.build.substituters import Offer
    from frazil.store.content_address import ContentAddress
    from frazil.store.derivation import Derivation
    from frazil.store.derived_path import DerivedPath
    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath

_UNLIMITED = (1 << 63) - 1
_SPOOL = 8 << 20
_MAXIMUM_LOG = 1 << 28
_FLAT_LIMIT = 32 << 20
"""Flat files up to this size are taken in from memory."""


class Server:
    def __init__(self, incoming: Input, outgoing: Output, host: Host, *, trusted: bool) -> None:
        self.incoming = incoming
        self.reader = Reader(incoming)
        self.writer = Writer(outgoing)
        self.host = host
        self.trusted = trusted
        self.tunnel = TunnelReporter(self.writer)
        self.store: LocalStore = host.open(self.tunnel)
        self.dialect = Dialect(self.store.directory, (0, 0))

    # ------------------------------------------------------------------------------------------------ conversation

    def run(self) -> None:
        """Until the client hangs up. Raises nothing that is the client's doing."""
        try:
            trusts = self.trusted and self.store_trusts_us()
            info = ServerInfo(self.host.nix_version, trusts)
            self.dialect = greet_client(self.reader, self.writer, self.store.directory, info)
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
        operation = OPERATIONS.get(number)
        if operation is None:
            raise ProtocolError(f"invalid operation {number}")
        operation(self)

    @contextmanager
    def work(self) -> Iterator[None]:
        """What is done within may be logged to the client; it must leave nothing of the request unread."""
        self.tunnel.start_work()
        yield
        self.tunnel.stop_work()

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

    # ----------------------------------------------------------------------------------------------------- queries

    def is_valid_path(self) -> None:
        path = self._path()
        with self.work():
            valid = self.store.is_registered(path)
        self.writer.boolean(valid)

    def query_valid_paths(self) -> None:
        paths = self._paths()
        substitute = self.dialect.version >= (1, 27) and self.reader.boolean()
        with self.work():
            if substitute:
                self._substitute(paths)
            valid = [path for path in paths if self.store.is_registered(path)]
        self._write_paths(valid)

    def _substitute(self, paths: frozenset[StorePath]) -> None:
        """As far as caches have them; what fails is only said."""
        from frazil.activity import Verbosity
        from frazil.build.scheduler import realise_each
        from frazil.store.derived_path import DerivedPath

        substituters = self.host.substituters()
        targets = [DerivedPath(path) for path in sorted(paths) if not self.store.is_registered(path)]
        if substituters is None or not targets:
            return
        try:
            realise_each(self.store, targets, self.host.build_settings, self.tunnel, substituters=substituters)
        except FrazilError as error:
            self.tunnel.log(Verbosity.WARN, error.message)

    def query_substitutable_paths(self) -> None:
        paths = self._paths()
        with self.work():
            substituters = self.host.substituters()
            found = set() if substituters is None else substituters.valid_among(self.store, paths)
        self._write_paths(found)

    def _substitutable(self, paths: Mapping[StorePath, ContentAddress | None]) -> dict[StorePath, Offer]:
        substituters = self.host.substituters()
        return {} if substituters is None else substituters.find(self.store, paths)

    def query_substitutable_path_info(self) -> None:
        path = self._path()
        with self.work():
            offer = self._substitutable({path: None}).get(path)
        self.writer.boolean(offer is not None)
        if offer is not None:
            self._write_substitutable(offer)

    def query_substitutable_path_infos(self) -> None:
        if self.dialect.version < (1, 22):
            paths: dict[StorePath, ContentAddress | None] = dict.fromkeys(self._paths())
        else:
            paths = {}
            for _ in range(self.reader.count()):
                path = self._path()
                paths[path] = read_content_address(self.reader)
        with self.work():
            infos = self._substitutable(paths)
        self.writer.number(len(infos))
        for path in sorted(infos):
            self.writer.text(self.store.show(path))
            self._write_substitutable(infos[path])

    def _write_substitutable(self, offer: Offer) -> None:
        info = offer.info
        write_optional_path(self.writer, self.store.directory, info.deriver)
        self._write_paths(info.references)
        self.writer.number(offer.download_size)
        self.writer.number(info.nar_size)

    def query_referrers(self) -> None:
        self._query_set(self.store.query_referrers)

    def query_valid_derivers(self) -> None:
        self._query_set(self.store.query_valid_derivers)

    def query_derivation_outputs(self) -> None:
        self._query_set(lambda path: {o for o in self.store.query_derivation_outputs(path).values() if o})

    def _query_set(self, query: Callable[[StorePath], set[StorePath]]) -> None:
        path = self._path()
        with self.work():
            found = query(path)
        self._write_paths(found)

    def query_derivation_output_names(self) -> None:
        path = self._path()
        with self.work():
            names = sorted(self.store.read_derivation(path).outputs)
        self.writer.texts(names)

    def query_derivation_output_map(self) -> None:
        path = self._path()
        with self.work():
            outputs = self.store.query_derivation_outputs(path)
        self.writer.number(len(outputs))
        for name in sorted(outputs):
            self.writer.text(name)
            write_optional_path(self.writer, self.store.directory, outputs[name])

    def query_deriver(self) -> None:
        path = self._path()
        with self.work():
            info = self.store.query_info(path)
        write_optional_path(self.writer, self.store.directory, info.deriver)

    def query_path_from_hash_part(self) -> None:
        hash_part = self.reader.text(MAXIMUM_NAME)
        with self.work():
            path = self.store.query_from_hash_part(hash_part)
        write_optional_path(self.writer, self.store.directory, path)

    def query_all_valid_paths(self) -> None:
        with self.work():
            paths = self.store.query_all_valid()
        self._write_paths(paths)

    def query_path_info(self) -> None:
        path = self._path()
        with self.work():
            info = self.store.query_info_or_none(path)
        self.writer.boolean(info is not None)
        if info is not None:
            write_info(self.writer, self.dialect, info)

    def query_missing(self) -> None:
        targets = self._targets()
        with self.work():
            missing = self.host.missing(targets)
        for paths in (missing.will_build, missing.will_substitute, missing.unknown):
            self._write_paths(paths)
        self.writer.numbers(missing.download_size, missing.nar_size)

    def query_realisation(self) -> None:
        self.tunnel.start_work()
        self._require_realisations()
        derivation, output = read_output_id(self.reader, self.dialect)
        found = self.store.database.realisation(derivation, output) if self.store.has_database else None
        self.tunnel.stop_work()
        self.writer.boolean(found is not None)
        if found is not None:
            write_realisation(self.writer, self.dialect, Realisation(*found))

    def _require_realisations(self) -> None:
        """Raises an error after which the request, of a form not known here, cannot be skipped."""
        if not self.dialect.has_realisations:
            self.tunnel.listening = False
            raise ProtocolError(
                f"the daemon is missing the '{REALISATION_WITH_PATH}' protocol feature, "
                "needed to support content-addressing derivations"
            )

    def register_drv_output(self) -> None:
        self.tunnel.start_work()
        self._require_realisations()
        derivation, output = read_output_id(self.reader, self.dialect)
        realisation = read_realisation(self.reader, self.dialect)
        self.host_register(derivation, output, realisation)
        self.tunnel.stop_work()

    def host_register(self, derivation: StorePath, output: str, realisation: Realisation) -> None:
        if self.store.settings.require_signatures:
            from frazil.store.realisation import Realisation as Keyed

            keyed = Keyed(derivation, output, realisation.path, realisation.signatures)
            if not keyed.count_good_signatures(self.store.settings.trusted_public_keys):
                shown = f"{self.store.show(derivation)}^{output}"
                raise FrazilError(
                    f"cannot register realisation '{shown}' because it lacks a signature by a trusted key"
                )
        self.store.register_realisation(derivation, output, realisation.path, realisation.signatures)

    # ------------------------------------------------------------------------------------------------------ adding

    def add_to_store(self) -> None:
        if self.dialect.version < (1, 25):
            self._add_old()
            return
        name = self.reader.text(MAXIMUM_NAME)
        address = self.reader.text(MAXIMUM_NAME)
        references = self._paths()
        repair = self.reader.boolean()
        with self.work():
            with self.framed() as source:
                method, algorithm = parse_method(address)
                path = self._add_dump(name, source.read, method, algorithm, references, repair)
            info = self.store.query_info(path)
        self.writer.text(self.store.show(info.path))
        write_info(self.writer, self.dialect, info)

    def _add_dump(
        self,
        name: str,
        read: nar.Read,
        method: str,
        algorithm: str,
        references: frozenset[StorePath],
        repair: bool,
    ) -> StorePath:
        """`read`: the contents as they are for the methods flat and text, else their archive."""
        from frazil.store.path import check_name

        check_name(name)
        if method not in ("flat", "text"):
            return self.store.add_from_nar(name, read, method, algorithm, references, repair)
        return self._add_flat(name, read, method, algorithm, references, repair)

    def _add_flat(
        self,
        name: str,
        read: nar.Read,
        method: str,
        algorithm: str,
        references: frozenset[StorePath],
        repair: bool,
    ) -> StorePath:
        pieces: list[bytes] = []
        size = 0
        while data := read(1 << 18):
            pieces.append(data)
            size += len(data)
            if size > _FLAT_LIMIT:
                return self._add_large(name, b"".join(pieces), read, method, algorithm, references, repair)
        contents = b"".join(pieces)
        if method == "text" and algorithm == "sha256" and not repair:
            return self.store.add_text(name, contents, references)
        from frazil.store import adding

        return adding.add_bytes(
            self.store, name, contents, method, algorithm, False, references=references, repair=repair
        )

    def _add_large(
        self,
        name: str,
        start: bytes,
        read: nar.Read,
        method: str,
        algorithm: str,
        references: frozenset[StorePath],
        repair: bool,
    ) -> StorePath:
        """Through a file in the store's own file system, which has the room if the store has."""
        import os

        temporary = self.store.working_path("upload")
        try:
            with open(temporary, "xb") as file:
                file.write(start)
                while data := read(1 << 18):
                    file.write(data)
            return self.store.add_path(
                name, temporary, method=method, algorithm=algorithm, references=references, repair=repair
            )
        finally:
            if os.path.lexists(temporary):
                os.unlink(temporary)

    def _add_old(self) -> None:
        """Before 1.25: an archive without frames, whatever the method."""
        import tempfile

        name = self.reader.text(MAXIMUM_NAME)
        fixed, recursive = self.reader.boolean(), self.reader.number()
        algorithm = self.reader.text(MAXIMUM_NAME)
        if recursive > 1:
            raise ProtocolError(
                f"unsupported FileIngestionMethod with value of {recursive}; you may need to upgrade nix-daemon"
            )
        method = "nar" if recursive else "flat"
        if not fixed:
            method, algorithm = "nar", "sha256"
        with tempfile.SpooledTemporaryFile(max_size=_SPOOL) as spool:
            nar.parse(nar.TeeSource(nar.Source(self.reader.stream.read), spool.write), nar.Check())
            spool.seek(0)
            with self.work():
                path = self.store.add_from_nar(name, spool.read, method, algorithm)
        self.writer.text(self.store.show(path))

    def add_text_to_store(self) -> None:
        name = self.reader.text(MAXIMUM_NAME)
        contents = self.reader.string()
        references = self._paths()
        with self.work():
            from frazil.store.path import check_name

            check_name(name)
            path = self.store.add_text(name, contents, references)
        self.writer.text(self.store.show(path))

    def add_multiple_to_store(self) -> None:
        repair, unchecked = self.reader.boolean(), self.reader.boolean()
        check = not (unchecked and self.trusted)
        inner = Dialect(self.store.directory, (1, 16))
        with self.work(), self.framed() as source:
            stream = Reader(source)
            for _ in range(stream.number()):
                path = read_path(stream, self.store.directory)
                info = _foreign(read_info(stream, inner, path))
                archive = _Limited(stream, info.nar_size)
                self.store.add_nar(info, archive.read, repair=repair, check_signatures=check)
                archive.finish()

    def add_to_store_nar(self) -> None:
        info, repair, unchecked = self._nar_request()
        check = not (unchecked and self.trusted)
        if not self.trusted:
            info = _foreign(info)
        if self.dialect.version >= (1, 23):
            with self.work(), self.framed() as source:
                self.store.add_nar(info, source.read, repair=repair, check_signatures=check)
        elif self.dialect.version >= (1, 21):
            with self.work():
                pulled = _Pulled(self.reader, self.writer)
                self.store.add_nar(info, pulled.read, repair=repair, check_signatures=check)
        else:
            import tempfile

            with tempfile.SpooledTemporaryFile(max_size=_SPOOL) as spool:
                nar.parse(nar.TeeSource(nar.Source(self.reader.stream.read), spool.write), nar.Check())
                spool.seek(0)
                with self.work():
                    self.store.add_nar(info, spool.read, repair=repair, check_signatures=check)

    def _nar_request(self) -> tuple[PathInfo, bool, bool]:
        reader, directory = self.reader, self.store.directory
        path = self._path()
        deriver = read_optional_path(reader, directory)
        nar_hash = read_hash(reader)
        references = self._paths()
        registered, size, ultimate = reader.signed(), reader.number(), reader.boolean()
        signatures = read_signatures(reader)
        address = read_content_address(reader)
        info = PathInfo(path, nar_hash, _size(size), references, deriver, registered, ultimate, signatures, address)
        return info, reader.boolean(), reader.boolean()

    def add_signatures(self) -> None:
        path = self._path()
        signatures = read_signatures(self.reader)
        with self.work():
            from frazil.store.signatures import Signature

            self.store.add_signatures(path, [str(Signature.parse(text)) for text in signatures])
        self._done()

    def nar_from_path(self) -> None:
        path = self._path()
        with self.work():
            self.store.query_info(path)
        self.store.dump_nar(path, self.writer.raw)

    def add_build_log(self) -> None:
        from frazil.store.path import StorePath

        path = StorePath.from_base(self.reader.text(MAXIMUM_NAME))
        self.tunnel.start_work()
        with self.framed() as source:
            self.require_trust("you are not privileged to add logs")
            from frazil.store.logs import write_log

            log = source.read(_MAXIMUM_LOG + 1)
            if len(log) > _MAXIMUM_LOG:
                raise FrazilError(f"the build log of '{self.store.show(path)}' is larger than {_MAXIMUM_LOG} bytes")
            write_log(self.store.config.log_dir, path, log)
        self.tunnel.stop_work()
        self._done()

    # ---------------------------------------------------------------------------------------------------- building

    def _targets(self) -> list[DerivedPath]:
        return [read_derived_path(self.reader, self.dialect) for _ in range(self.reader.count())]

    def _build_request(self) -> tuple[list[DerivedPath], str]:
        targets = self._targets()
        mode = self._mode()
        if mode == "repair" and not self.trusted:
            self.tunnel.listening = True  # the request has been read as a whole
            raise FrazilError("repairing is not allowed because you are not in 'trusted-users'")
        return targets, mode

    def _mode(self) -> str:
        number = self.reader.number()
        if number >= len(BUILD_MODES):
            raise ProtocolError("Invalid build mode")
        return BUILD_MODES[number]

    def build_paths(self) -> None:
        from frazil.build.scheduler import realise

        targets, mode = self._build_request()
        with self.work(), self._watched():
            realise(
                self.store,
                targets,
                self.host.build_settings,
                self.tunnel,
                mode=mode,
                substituters=self.host.substituters(),
            )
        self._done()

    def build_paths_with_results(self) -> None:
        from frazil.build.scheduler import realise_each

        targets, mode = self._build_request()
        with self.work(), self._watched():
            results = realise_each(
                self.store,
                targets,
                self.host.build_settings,
                self.tunnel,
                mode=mode,
                substituters=self.host.substituters(),
            )
        self.writer.number(len(results))
        from frazil.protocol.values import write_derived_path

        for result in results:
            write_derived_path(self.writer, self.dialect, result.path)
            write_outcome(self.writer, self.dialect, outcome_of(result))

    def build_derivation(self) -> None:
        path = self._path()
        drv = read_derivation(self.reader, self.store.directory, path.derivation_name)
        mode = self._mode()
        with self.work(), self._watched():
            kind = drv.type()
            if not kind.is_content_addressed:
                self.require_trust("you are not privileged to build input-addressed derivations")
            if not self.trusted:
                path = self.store.write_derivation(drv)
            outcome = build_one(self.store, self.host, self.tunnel, path, drv, mode)
        write_outcome(self.writer, self.dialect, outcome)

    def ensure_path(self) -> None:
        from frazil.build.scheduler import realise
        from frazil.store.derived_path import DerivedPath

        path = self._path()
        with self.work(), self._watched():
            if not self.store.is_registered(path):
                realise(
                    self.store,
                    [DerivedPath(path)],
                    self.host.build_settings,
                    self.tunnel,
                    substituters=self.host.substituters(),
                )
        self._done()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        from frazil.daemon.hang_up import HangUp

        with HangUp(self.incoming):
            yield

    # ------------------------------------------------------------------------------------------------ housekeeping

    def add_temp_root(self) -> None:
        path = self._path()
        with self.work():
            self.store.add_temporary_root(path)
        self._done()

    def add_perm_root(self) -> None:
        import os

        path = self._path()
        link = self.reader.text(MAXIMUM_NAME)
        with self.work():
            self.require_trust(
                "you are not privileged to create perm roots\n\n"
                "hint: you can just do this client-side without special privileges, and probably want to do that "
                "instead."
            )
            made = self.store.add_permanent_root(path, os.path.abspath(link))
        self.writer.text(made)

    def add_indirect_root(self) -> None:
        import os

        link = os.path.abspath(self.reader.text(MAXIMUM_NAME))
        with self.work():
            self.store.add_indirect_root(link)
        self._done()

    def sync_with_gc(self) -> None:
        with self.work():
            pass
        self._done()

    def find_roots(self) -> None:
        with self.work():
            roots = self.store.find_roots(censor=not self.trusted)
        self.writer.number(sum(map(len, roots.values())))
        for path in sorted(roots):
            for link in sorted(roots[path]):
                self.writer.text(link)
                self.writer.text(self.store.show(path))

    def collect_garbage(self) -> None:
        from frazil.store.garbage import DELETE_DEAD, RETURN_DEAD, RETURN_LIVE, Options

        action = self.reader.tag(3, "GC action")
        paths: frozenset[StorePath] | None
        also_referrers = False
        if DELETE_REFERRERS in self.dialect.features:
            paths = None
            if not self.reader.tag(1, "whole store indicator from remote"):
                paths = self._paths()
                also_referrers = self.reader.boolean()
        else:
            paths = self._paths()
            if action != 3 and not paths:
                paths = None
        ignore_liveness, limit = self.reader.boolean(), self.reader.number()
        for _ in range(3):
            self.reader.integer()
        with self.work():
            if ignore_liveness:
                raise FrazilError("you are not allowed to ignore liveness")
            if action == 2 and paths is not None and DELETE_REFERRERS not in self.dialect.features:
                raise FrazilError(
                    "Garbage collecting specific paths requested but it is not supported by the negotiated protocol"
                )
            options = Options(
                action=(RETURN_LIVE, RETURN_DEAD, DELETE_DEAD, DELETE_DEAD)[action],
                max_freed=None if limit > _UNLIMITED else limit,
                paths=paths,
                skip_alive=action == 2,
                also_referrers=also_referrers,
            )
            results = self.store.collect_garbage(options)
        self.writer.texts(sorted(results.paths))
        self.writer.numbers(max(0, results.bytes_freed), 0)

    def set_options(self) -> None:
        numbers = [self.reader.integer() for _ in range(12)]
        overrides: dict[str, str] = {}
        for _ in range(self.reader.bounded(1 << 14, "number of settings")):
            name = self.reader.text(MAXIMUM_NAME)
            overrides.setdefault(name, self.reader.text())
        with self.work():
            options = ClientOptions(
                keep_failed=bool(numbers[0]),
                keep_going=bool(numbers[1]),
                fallback=bool(numbers[2]),
                verbosity=min(numbers[3], 7),
                max_jobs=numbers[4],
                max_silent_time=numbers[5],
                verbose_build=numbers[7] == 0,
                cores=numbers[10],
                substitute=bool(numbers[11]),
                overrides=overrides,
            )
            self.tunnel.verbosity = options.verbosity
            self.host.apply(options, trusted=self.trusted, warn=self.store.warn)

    def optimise_store(self) -> None:
        with self.work():
            self.store.optimise()
        self._done()

    def verify_store(self) -> None:
        check_contents, repair = self.reader.boolean(), self.reader.boolean()
        with self.work():
            if repair:
                self.require_trust("you are not privileged to repair paths")
            good = self.store.verify(check_contents=check_contents, repair=repair, repair_path=self._repair)
        self.writer.boolean(not good)

    def _repair(self, path: StorePath) -> None:
        from frazil.build.scheduler import realise
        from frazil.store.derived_path import DerivedPath

        realise(
            self.store,
            [DerivedPath(path)],
            self.host.build_settings,
            self.tunnel,
            mode="repair",
            substituters=self.host.substituters(),
        )


def build_one(
    store: LocalStore, host: Host, reporter: Reporter, path: StorePath, drv: Derivation, mode: str
) -> Outcome:
    """Builds a derivation that need not be in the store itself; its inputs are plain store paths."""
    from frazil.build.scheduler import realise_derivation

    result = realise_derivation(
        store, path, drv, host.build_settings, reporter, mode=mode, substituters=host.substituters()
    )
    return outcome_of(result)


def _foreign(info: PathInfo) -> PathInfo:
    from dataclasses import replace

    return replace(info, ultimate=False) if info.ultimate else info


def _size(size: int) -> int:
    if size > _UNLIMITED:
        raise ProtocolError("the size of an archive is out of range")
    return size


def _system_message(error: OSError) -> str:
    import os

    what = f" '{os.fsdecode(error.filename)}'" if error.filename is not None else ""
    return f"{error.strerror or error}{':' if what else ''}{what}"


def bounded_archive(reader: Reader, size: int) -> _Limited:
    return _Limited(reader, size)


class _Limited:
    """So many bytes of a stream, and no more."""

    def __init__(self, reader: Reader, size: int) -> None:
        self._reader = reader
        self._left = _size(size)

    def read(self, size: int, /) -> bytes:
        wanted = min(size, self._left)
        if not wanted:
            return b""
        data = self._reader.stream.read(wanted)
        if not data:
            raise ProtocolError("the archive is shorter than promised")
        self._left -= len(data)
        return data

    def finish(self) -> None:
        while self._left:
            self.read(1 << 18)


class _Pulled:
    """Data that is asked for piece by piece (1.21 and 1.22)."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer
        self._data = b""

    def read(self, size: int, /) -> bytes:
        from frazil.protocol.worker import Stderr

        if not self._data:
            self._writer.numbers(Stderr.READ, 1 << 16)
            self._writer.flush()
            self._data = self._reader.string(1 << 16)
            if not self._data:
                raise Disconnected("unexpected end-of-file")
        data, self._data = self._data[:size], self._data[size:]
        return data


OPERATIONS: dict[int, Callable[[Server], None]] = {
    int(op): getattr(Server, op.name.lower()) for op in Op if hasattr(Server, op.name.lower())
}
