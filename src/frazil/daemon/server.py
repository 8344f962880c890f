"""One client of the worker protocol, served.

In: the two descriptors of a connection, whether its user is trusted. Out: answers. The client may be hostile: what it
sends is bounded and checked; what it may not do is refused; whatever it does, the store stays consistent, and the next
request finds the conversation where it should be, or the connection is closed. Source of truth: libstore's daemon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

from frazil.daemon.additions import Additions
from frazil.daemon.host import ClientOptions, Host
from frazil.daemon.results import outcome_of, substitute_missing
from frazil.errors import FrazilError
from frazil.protocol.errors import ProtocolError
from frazil.protocol.values import (
    MAXIMUM_NAME,
    REALISATION_WITH_PATH,
    Outcome,
    Realisation,
    read_content_address,
    read_derivation,
    read_derived_path,
    read_output_id,
    read_realisation,
    write_info,
    write_optional_path,
    write_outcome,
    write_realisation,
)
from frazil.protocol.wire import Input, Output, Writer
from frazil.protocol.worker import BUILD_MODES, DELETE_REFERRERS, Op

if TYPE_CHECKING:
    from frazil.activity import Reporter
    from frazil.build.substituters import Offer
    from frazil.store.content_address import ContentAddress
    from frazil.store.derivation import Derivation
    from frazil.store.derived_path import DerivedPath
    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath
    from frazil.store.path_info import PathInfo

_UNLIMITED = (1 << 63) - 1
_PACKED_INFOS = 1 << 10


class Server(Additions):
    def __init__(self, incoming: Input, outgoing: Output, host: Host, *, trusted: bool) -> None:
        super().__init__(incoming, outgoing, host, trusted=trusted)
        self._packed_infos: dict[StorePath, tuple[PathInfo, bytes]] = {}

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
                substitute_missing(self.host, self.store, paths, self.tunnel)
            valid = [path for path in paths if self.store.is_registered(path)]
        self._write_paths(valid)

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
        def outputs(path: StorePath) -> set[StorePath]:
            self.require_visible(path, "query output map for")
            return {output for output in self.store.query_derivation_outputs(path).values() if output}

        self._query_set(outputs)

    def _query_set(self, query: Callable[[StorePath], set[StorePath]]) -> None:
        path = self._path()
        with self.work():
            found = query(path)
        self._write_paths(found)

    def require_visible(self, path: StorePath, doing: str) -> None:
        """Raises InvalidPath for what the client may not know of."""

    def visible_info(self, path: StorePath) -> PathInfo | None:
        """What the client may know of a path; None where that is nothing."""
        return self.store.query_info_or_none(path)

    def known_realisation(self, derivation: StorePath, output: str) -> tuple[StorePath, frozenset[str]] | None:
        return self.store.database.realisation(derivation, output) if self.store.has_database else None

    def query_derivation_output_names(self) -> None:
        path = self._path()
        with self.work():
            self.require_visible(path, "query output map for")
            names = sorted(self.store.read_derivation(path).outputs)
        self.writer.texts(names)

    def query_derivation_output_map(self) -> None:
        path = self._path()
        with self.work():
            self.require_visible(path, "query output map for")
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
            info = self.visible_info(path)
        self.writer.boolean(info is not None)
        if info is not None:
            self.writer.raw(self._packed_info(info))

    def _packed_info(self, info: PathInfo) -> bytes:
        """The same object, which the store remembers while it holds, is packed once."""
        known = self._packed_infos.get(info.path)
        if known is not None and known[0] is info:
            return known[1]
        pieces = BytesIO()
        writer = Writer(pieces)
        write_info(writer, self.dialect, info)
        writer.flush()
        if len(self._packed_infos) >= _PACKED_INFOS:
            self._packed_infos.clear()
        packed = pieces.getvalue()
        self._packed_infos[info.path] = (info, packed)
        return packed

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
        found = self.known_realisation(derivation, output)
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

    def _realise(self, targets: Sequence[DerivedPath], mode: str = "normal") -> None:
        from frazil.build.scheduler import realise

        settings, substituters = self.host.build_settings, self.host.substituters()
        realise(self.store, targets, settings, self.tunnel, mode=mode, substituters=substituters, names_cut_off=True)

    def build_paths(self) -> None:
        targets, mode = self._build_request()
        with self.work(), self._watched():
            self._realise(targets, mode)
        self._done()

    def build_paths_with_results(self) -> None:
        from frazil.build.errors import CutOff
        from frazil.build.scheduler import realise_each
        from frazil.protocol.values import write_derived_path

        targets, mode = self._build_request()
        with self.work(), self._watched():
            settings, substituters = self.host.build_settings, self.host.substituters()
            results = realise_each(self.store, targets, settings, self.tunnel, mode=mode, substituters=substituters)
        told = [result for result in results if not isinstance(result.failure, CutOff)]
        self.writer.number(len(told))
        for result in told:
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
        from frazil.store.derived_path import DerivedPath

        path = self._path()
        with self.work(), self._watched():
            if not self.store.is_registered(path):
                self._realise([DerivedPath(path)])
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
        options = self._read_options()
        with self.work():
            self.tunnel.verbosity = options.verbosity
            self.host.apply(options, trusted=self.trusted, warn=self.store.warn)

    def _read_options(self) -> ClientOptions:
        numbers = [self.reader.integer() for _ in range(12)]
        overrides: dict[str, str] = {}
        for _ in range(self.reader.bounded(1 << 14, "number of settings")):
            name = self.reader.text(MAXIMUM_NAME)
            overrides.setdefault(name, self.reader.text())
        return ClientOptions(
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
        from frazil.store.derived_path import DerivedPath

        self._realise([DerivedPath(path)], "repair")


def build_one(
    store: LocalStore, host: Host, reporter: Reporter, path: StorePath, drv: Derivation, mode: str
) -> Outcome:
    """Builds a derivation that need not be in the store itself; its inputs are plain store paths."""
    from frazil.build.scheduler import realise_derivation

    result = realise_derivation(
        store, path, drv, host.build_settings, reporter, mode=mode, substituters=host.substituters()
    )
    return outcome_of(result)


OPERATIONS: dict[int, Callable[[Server], None]] = {
    int(op): getattr(Server, op.name.lower()) for op in Op if hasattr(Server, op.name.lower())
}
Server.operations = OPERATIONS
