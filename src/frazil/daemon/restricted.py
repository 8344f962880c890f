"""One client of a builder's own daemon: it sees what its build may see, and nothing else.

In: requests of a builder, which may be hostile. Out: answers about the inputs of its build and what it brought into the
store itself; all else does not exist, or is refused. Every request that is not named here is refused. Source of truth:
libstore's restricted store and daemon; the manual's experimental features `recursive-nix`, `dynamic-derivations`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from frazil.daemon.host import Host
from frazil.daemon.keeper import KeeperClient
from frazil.daemon.results import outcome_of
from frazil.daemon.server import Server
from frazil.errors import FrazilError
from frazil.protocol.errors import ProtocolError
from frazil.protocol.values import (
    MAXIMUM_NAME,
    parse_method,
    read_derived_path,
    write_derived_path,
    write_info,
    write_outcome,
)
from frazil.protocol.wire import Input, Output
from frazil.protocol.worker import RECURSIVE_FEATURES, SUBMITTING_FEATURES, Op
from frazil.store import nar
from frazil.store.adding import Addition
from frazil.store.errors import InvalidPath

if TYPE_CHECKING:
    from frazil.build.result import BuildResult
    from frazil.store.derived_path import DerivedPath
    from frazil.store.path import StorePath
    from frazil.store.path_info import PathInfo


_PIECE = 1 << 18


class RestrictedServer(Server):
    """`keeper`: who knows what may be seen, for all clients of the build."""

    batch_size = 1
    """What has been added may be referred to by the next."""

    def __init__(
        self, incoming: Input, outgoing: Output, host: Host, keeper: KeeperClient, *, submitting: bool
    ) -> None:
        super().__init__(incoming, outgoing, host, trusted=False)
        self.keeper = keeper
        self.submitting = submitting
        self.features = SUBMITTING_FEATURES if submitting else RECURSIVE_FEATURES
        self.checked: set[StorePath] = set()
        """Derivations whose inputs may be seen."""

    def _perform(self, number: int) -> None:
        if self.submitting and number not in SUBMITTING_OPERATIONS:
            raise ProtocolError(f"Operation {number} not allowed inside derivation")
        operation = RESTRICTED.get(number)
        if operation is None or (number == Op.SUBMIT_OUTPUT and not self.submitting):
            raise ProtocolError(f"invalid operation {number}")
        operation(self)

    # ------------------------------------------------------------------------------------------------ what is seen

    def _is_allowed(self, path: StorePath) -> bool:
        return path in self.keeper.allowed([path])

    def require_visible(self, path: StorePath, doing: str) -> None:
        if not self._is_allowed(path):
            raise InvalidPath(f"cannot {doing} unknown path '{self.store.show(path)}' in recursive Nix")

    def visible_info(self, path: StorePath) -> PathInfo | None:
        info = self.store.query_info_or_none(path) if self._is_allowed(path) else None
        return None if info is None else _pure(info)

    def known_realisation(self, derivation: StorePath, output: str) -> tuple[StorePath, frozenset[str]] | None:
        return super().known_realisation(derivation, output) if self.keeper.is_realised(derivation, output) else None

    def admit(self, references: Iterable[StorePath]) -> None:
        wanted = set(references)
        unknown = wanted - self.keeper.allowed(wanted)
        if unknown:
            raise InvalidPath(f"path '{self.store.show(min(unknown))}' is not valid")

    def added(self, path: StorePath) -> None:
        self.keeper.add([path])

    # ----------------------------------------------------------------------------------------------------- queries

    def is_valid_path(self) -> None:
        path = self._path()
        with self.work():
            valid = self._is_allowed(path) and self.store.is_registered(path)
        self.writer.boolean(valid)

    def query_valid_paths(self) -> None:
        paths = self._paths()
        if self.dialect.version >= (1, 27):
            self.reader.boolean()  # nothing is substituted just because it was asked for
        with self.work():
            valid = [path for path in self.keeper.allowed(paths) if self.store.is_registered(path)]
        self._write_paths(valid)

    def query_all_valid_paths(self) -> None:
        with self.work():
            paths = self.keeper.all()
        self._write_paths(paths)

    def _nothing_known(self) -> None:
        self._path()
        with self.work():
            pass
        self._write_paths(())

    def query_substitutable_paths(self) -> None:
        self._paths()
        with self.work():
            pass
        self._write_paths(())

    def query_path_from_hash_part(self) -> None:
        self.reader.text(MAXIMUM_NAME)
        with self.work():
            raise FrazilError("queryPathFromHashPart")

    def query_missing(self) -> None:
        targets = self._targets()
        with self.work():
            allowed = self.keeper.allowed(target.base for target in targets)
            missing = self.host.missing([target for target in targets if target.base in allowed])
            unknown = missing.unknown | {target.base for target in targets if target.base not in allowed}
        for paths in (missing.will_build, missing.will_substitute, unknown):
            self._write_paths(paths)
        self.writer.numbers(missing.download_size, missing.nar_size)

    def nar_from_path(self) -> None:
        path = self._path()
        with self.work():
            self.require_visible(path, "dump")
            self.store.query_info(path)
        self.store.dump_nar(path, self.writer.raw)

    # ------------------------------------------------------------------------------------------------------ adding

    def add_to_store_scanning(self) -> None:
        name = self.reader.text(MAXIMUM_NAME)
        address = self.reader.text(MAXIMUM_NAME)
        with self.work():
            with self.framed() as source:
                method, algorithm = parse_method(address)
                path = self._add_scanned(name, method, algorithm, source.read)
            self.added(path)
            info = _pure(self.store.query_info(path))
        self.writer.text(self.store.show(path))
        write_info(self.writer, self.dialect, info)

    def _add_scanned(self, name: str, method: str, algorithm: str, read: Callable[[int], bytes]) -> StorePath:
        """References are what the contents mention of all that may be seen."""
        import os

        from frazil.store.metadata import delete_tree
        from frazil.store.path import check_name
        from frazil.store.references import scan_path

        check_name(name)
        addition = Addition(name, method, algorithm)
        addition.check()
        temporary = self.store.working_path("scanned")
        try:
            if addition.is_flat:
                with open(temporary, "xb") as file:
                    while data := read(_PIECE):
                        file.write(data)
            else:
                nar.restore(read, temporary)
            references, _, _ = scan_path(temporary, self.keeper.all())
            return self.store.take_tree(Addition(name, method, algorithm, frozenset(references)), temporary)
        finally:
            if os.path.lexists(temporary):
                delete_tree(temporary)

    def submit_output(self) -> None:
        target = read_derived_path(self.reader, self.dialect)
        output = self.reader.text(MAXIMUM_NAME)
        with self.work():
            if target.outputs is not None:
                raise FrazilError(
                    f"Attempted to submit Built path '{target.show(self.store.directory)}' for output '{output}'.\n"
                    " Only Opaque paths are supported, see https://github.com/NixOS/nix/issues/12727"
                )
            self.require_visible(target.base, "submit")
            self.keeper.submit(target.base, output)
        self._done()

    # ---------------------------------------------------------------------------------------------------- building

    def _check_targets(self, targets: Sequence[DerivedPath], mode: str) -> None:
        if mode != "normal":
            raise FrazilError("unsupported build mode")
        allowed = self.keeper.allowed(target.base for target in targets)
        for target in targets:
            if target.base not in allowed:
                shown = target.show(self.store.directory)
                raise InvalidPath(f"cannot build '{shown}' in recursive Nix because path is unknown")
            if target.outputs is not None:
                self._check_inputs(target.base)

    def _check_inputs(self, path: StorePath) -> None:
        """A derivation that the builder wrote may name any path of the store; its own builder would see it."""
        pending = [path]
        while pending:
            current = pending.pop()
            if current in self.checked or self.keeper.is_input(current):
                continue
            self.checked.add(current)
            drv = self.store.read_derivation(current)
            named = {*drv.input_sources, *drv.input_derivations}
            unknown = named - self.keeper.allowed(named)
            if unknown:
                raise InvalidPath(
                    f"cannot build '{self.store.show(current)}' in recursive Nix because its input "
                    f"'{self.store.show(min(unknown))}' is unknown"
                )
            pending += drv.input_derivations

    def _build(self, targets: Sequence[DerivedPath], mode: str) -> list[BuildResult]:
        from frazil.build.scheduler import realise_each

        self._check_targets(targets, mode)
        settings, substituters = self.host.build_settings, self.host.substituters()
        results = realise_each(self.store, targets, settings, self.tunnel, mode=mode, substituters=substituters)
        built = [path for result in results if result.succeeded for path in result.outputs.values()]
        self.keeper.add(self.store.closure(built))
        self.keeper.realised(
            [
                (result.derivation, name)
                for result in results
                if result.succeeded and result.derivation is not None
                for name in result.outputs
            ]
        )
        return results

    def build_paths(self) -> None:
        targets = self._targets()
        mode = self._mode()
        with self.work(), self._watched():
            for result in self._build(targets, mode):
                if result.failure is not None:
                    raise result.failure
        self._done()

    def build_paths_with_results(self) -> None:
        targets = self._targets()
        mode = self._mode()
        with self.work(), self._watched():
            results = self._build(targets, mode)
        self.writer.number(len(results))
        for result in results:
            write_derived_path(self.writer, self.dialect, result.path)
            write_outcome(self.writer, self.dialect, outcome_of(result))

    def ensure_path(self) -> None:
        path = self._path()
        with self.work():
            self.require_visible(path, "substitute")
        self._done()

    # ------------------------------------------------------------------------------------------------ housekeeping

    def _ignored_path(self) -> None:
        """What may be seen lives as long as the build."""
        self._path()
        with self.work():
            pass
        self._done()

    def add_indirect_root(self) -> None:
        self.reader.text(MAXIMUM_NAME)
        with self.work():
            pass
        self._done()

    def set_options(self) -> None:
        """Ignored, as in C++ Nix: what a builder may do is not for the builder to say."""
        self._read_options()
        with self.work():
            pass

    def find_roots(self) -> None:
        with self.work():
            pass
        self.writer.number(0)


def _pure(info: PathInfo) -> PathInfo:
    """Without what differs from machine to machine."""
    return info.with_(deriver=None, registration_time=0, ultimate=False, signatures=frozenset())


_NAMED = (
    "add_to_store",
    "add_text_to_store",
    "add_multiple_to_store",
    "add_to_store_nar",
    "add_to_store_scanning",
    "submit_output",
    "is_valid_path",
    "query_valid_paths",
    "query_all_valid_paths",
    "query_path_info",
    "query_substitutable_paths",
    "query_derivation_output_names",
    "query_derivation_outputs",
    "query_derivation_output_map",
    "query_path_from_hash_part",
    "query_missing",
    "query_realisation",
    "nar_from_path",
    "build_paths",
    "build_paths_with_results",
    "ensure_path",
    "add_indirect_root",
    "sync_with_gc",
    "set_options",
    "find_roots",
)
RESTRICTED: dict[int, Callable[[RestrictedServer], None]] = {
    **{int(Op[name.upper()]): getattr(RestrictedServer, name) for name in _NAMED},
    int(Op.QUERY_REFERRERS): RestrictedServer._nothing_known,
    int(Op.QUERY_VALID_DERIVERS): RestrictedServer._nothing_known,
    int(Op.ADD_TEMP_ROOT): RestrictedServer._ignored_path,
}
"""All that a builder may ask for."""
SUBMITTING_OPERATIONS = frozenset(
    map(
        int,
        (
            Op.ADD_TO_STORE,
            Op.ADD_MULTIPLE_TO_STORE,
            Op.ADD_TO_STORE_NAR,
            Op.ADD_TO_STORE_SCANNING,
            Op.SUBMIT_OUTPUT,
            Op.ADD_TEMP_ROOT,
            Op.IS_VALID_PATH,
        ),
    )
)
"""And all of it where it hands in its outputs: little that could differ from one time to the next."""
