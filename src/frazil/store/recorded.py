"""What a store in the local file system knows of its objects.

In: a `StoreConfig`, infos of objects whose files are in place. Out: answers from the database, from what awaits its
registration, and from what was only computed. Opening is lazy: a command that asks nothing of the store makes no
folder and opens no database. Source of truth: the manual's `store/types/local-store`.
"""

from __future__ import annotations

import os
from _thread import RLock
from contextlib import contextmanager

from frazil.activity import Reporter, SilentReporter, Verbosity
from frazil.errors import FrazilBug
from frazil.store.address import parse_flag
from frazil.store.config import StoreConfig, StoreSettings
from frazil.store.derivation import Derivation, ModuloCache, check_invariants
from frazil.store.derivation import parse as parse_derivation
from frazil.store.errors import (
    BadStorePath,
    InvalidPath,
    PathInUse,
    ReadOnlyStore,
    StoreError,
    from_os_error,
)
from frazil.store.graph import topological_order
from frazil.store.interface import MAXIMUM_DERIVATION_SIZE, Store
from frazil.store.path import StoreDirectory, StorePath
from frazil.store.path_info import PathInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Self

    from frazil.digest import Hash
    from frazil.store.adding import Computed
    from frazil.store.database import Database
    from frazil.store.realisation import Realisation
    from frazil.store.signatures import PublicKey

_REMEMBERED_DERIVATIONS = 1 << 14


class RecordedStore(Store):
    """`compute_only`: what is added is remembered, and nothing written."""

    def __init__(
        self,
        config: StoreConfig | None = None,
        settings: StoreSettings | None = None,
        reporter: Reporter | None = None,
        *,
        compute_only: bool = False,
    ) -> None:
        self.config = config or StoreConfig.from_environment()
        self.settings = self.config.apply(settings or StoreSettings())
        self.reporter: Reporter = reporter or SilentReporter()
        self.directory = StoreDirectory(self.config.store_dir)
        self.compute_only = compute_only or self.config.is_dummy
        self.evaluation: RecordedStore | None = None
        """Another store whose derivations count as being here, too: that of `--eval-store`."""
        self.refuses = self.config.refuses
        """Whether adding to a store that only computes is an error, as to Nix's dummy store."""
        self.computed: dict[StorePath, Computed] = {}
        self.modulo = ModuloCache(self.directory, self.read_invalid_derivation)
        self._derivations: dict[StorePath, Derivation] = {}
        self._database: Database | None = None
        self._process = os.getpid()
        self._mutex = RLock()
        self._known_valid: set[StorePath] = set()
        self._trusted_outputs: dict[StorePath, Mapping[str, str]] = {}
        self._deferred: dict[StorePath, PathInfo] = {}
        self._deferring = 0
        self._deferred_foreign = False
        self._trusted_keys: list[PublicKey] | None = None
        self._begin()

    def _begin(self) -> None:
        """What a kind of store keeps beside."""

    # ------------------------------------------------------------------------------------------- opening, closing

    @property
    def database(self) -> Database:
        """Opened on first use. Raises StoreError, CorruptDatabase, DiskFull."""
        if self._database is not None and self._process == os.getpid():
            return self._database
        with self._mutex:
            if self._database is None or self._process != os.getpid():
                self._database = self._open_database()
                self._process = os.getpid()
            return self._database

    def _open_database(self) -> Database:
        from frazil.store.database import Database
        from frazil.store.layout import prepare_directories

        if self.config.scheme not in ("local", "local-overlay"):
            raise FrazilBug(f"the store '{self.config.uri}' was opened as a local one")
        folder = self.config.state_dir + "/db"
        read_only = self.config.read_only
        if not read_only:
            prepare_directories(self.config, self.settings, self.warn)
        return Database(folder, self.directory, self.settings, read_only=read_only, warn=self.warn)

    @property
    def has_database(self) -> bool:
        """Whether asking the database makes sense: a store that only computes does not create one."""
        if self._database is not None:
            return True
        if self.config.is_dummy:
            return False
        return not self.compute_only or os.path.exists(self.config.state_dir + "/db/db.sqlite")

    def require_writable(self) -> None:
        """Raises ReadOnlyStore, in SQLite's and the kernel's words, before anything is touched."""
        if not self.config.read_only:
            return
        may_write = os.access(self.config.real_store_dir, os.W_OK)
        raise ReadOnlyStore(
            f"cannot write to the store '{self.config.real_store_dir}', which is read-only: "
            + ("attempt to write a readonly database" if may_write else "Permission denied"),
            hint="choose another one with `--store`, or leave `read-only=true` out of its address",
        )

    def open(self) -> Self:
        if self.has_database:
            _ = self.database
        return self

    def close(self) -> None:
        """Registers what was deferred and lets go of the database."""
        if self._process != os.getpid():
            self._database = None
            return
        try:
            self.flush()
        finally:
            if self._database is not None:
                self._database.close()
                self._database = None

    # -------------------------------------------------------------------------------------------------- about it

    @property
    def uri(self) -> str:
        base = self.config.uri.partition("?")[0]
        if base in ("", "auto"):
            return "local"
        return f"local://{os.path.abspath(base)}" if "/" in base and "://" not in base else self.config.uri

    @property
    def goes_without_saying(self) -> bool:
        return self.config.uri.partition("?")[0] in ("", "auto", "local")

    @property
    def priority(self) -> int:
        return int(self.config.parameters.get("priority", "0"))

    @property
    def wants_mass_query(self) -> bool:
        return parse_flag("want-mass-query", self.config.parameters.get("want-mass-query", "true"))

    @property
    def is_trusted(self) -> bool:
        return parse_flag("trusted", self.config.parameters.get("trusted", "false"))

    @property
    def trusted_keys(self) -> list[PublicKey]:
        """Whose signatures count. Raises FormatError."""
        if self._trusted_keys is None:
            from frazil.store.signatures import own_trusted_keys

            self._trusted_keys = own_trusted_keys(self.settings)
        return self._trusted_keys

    @property
    def trusts_us(self) -> bool | None:
        return True

    def inform(self, text: str, level: Verbosity = Verbosity.INFO) -> None:
        self.reporter.log(level, text)

    # ------------------------------------------------------------------------------------------------------ places

    def real_path(self, path: StorePath) -> str:
        """Where a store path lies physically; for one that was only computed, its source."""
        if self.computed:
            computed = self.computed.get(path)
            if computed is not None and computed.source is not None and path not in self._known_valid:
                return computed.source
        return f"{self.config.real_store_dir}/{path.hash_part}-{path.name}"

    def to_real(self, text: str) -> str:
        """A logical path inside the store → the physical one; any other path unchanged."""
        prefix = self.directory.path
        if text == prefix:
            return self.config.real_store_dir
        if not text.startswith(prefix + "/"):
            return text
        if self.computed:
            try:
                path, rest = self.directory.split(text)
            except BadStorePath:
                return text
            return self.real_path(path) + rest
        return self.config.real_store_dir + text[len(prefix) :]

    # ----------------------------------------------------------------------------------------------------- queries

    def is_valid(self, path: StorePath) -> bool:
        if path in self._known_valid or path in self._deferred:
            return True
        if path in self.computed:
            return True
        if self.has_database and self.database.is_valid(path):
            self._known_valid.add(path)
            return True
        return self._is_evaluated(path)

    def _is_evaluated(self, path: StorePath) -> bool:
        """Whether the store that things are evaluated in has this derivation."""
        return path.is_derivation and self.evaluation is not None and self.evaluation.is_registered(path)

    def is_registered(self, path: StorePath) -> bool:
        """As `is_valid`, but asking the database again: another process may have deleted the path."""
        if path in self._deferred:
            return True
        valid = self.has_database and self.database.is_valid(path)
        (self._known_valid.add if valid else self._known_valid.discard)(path)
        return valid or self._is_evaluated(path)

    def valid_among(self, paths: Iterable[StorePath]) -> set[StorePath]:
        wanted = set(paths)
        found = wanted & self._known_valid
        if self._deferred or self.computed:
            found |= {path for path in wanted if path in self._deferred or path in self.computed}
        if len(found) < len(wanted) and self.has_database:
            stored = self.database.valid_among(wanted - found if found else wanted)
            self._known_valid |= stored
            found = found | stored if found else stored
        return found

    def query_all_valid(self) -> set[StorePath]:
        self.flush()
        if self.config.is_dummy:
            return set(self.computed)
        found = self.database.all_valid() if self.has_database else set()
        self._known_valid |= found
        return found

    def query_info_or_none(self, path: StorePath) -> PathInfo | None:
        deferred = self._deferred.get(path)
        if deferred is not None:
            return deferred
        computed = self.computed.get(path)
        if computed is not None:
            return computed.info
        return self.database.info(path) if self.has_database else None

    def find_infos(self, paths: Iterable[StorePath]) -> list[PathInfo | None]:
        wanted = list(paths)
        if self.computed or not self.has_database:
            return [self.query_info_or_none(path) for path in wanted]
        self.flush()
        found = {info.path: info for info in self.database.infos(wanted)}
        return [found.get(path) for path in wanted]

    def query_infos(self, paths: Iterable[StorePath]) -> Iterator[PathInfo]:
        """Of many paths in their order, asking for hundreds at once. Raises InvalidPath."""
        if self.computed or not self.has_database:
            yield from (self.query_info(path) for path in paths)
            return
        self.flush()
        wanted = list(paths)
        missing = iter(wanted)
        for info in self.database.infos(wanted):
            self._must_be(next(missing), info.path)
            yield info
        for path in missing:
            self._must_be(path, None)

    def query_nar_hashes(self, paths: Iterable[StorePath]) -> Iterator[Hash]:
        if self.computed or not self.has_database:
            yield from super().query_nar_hashes(paths)
            return
        self.flush()
        wanted = list(paths)
        missing = iter(wanted)
        for path, nar_hash in self.database.nar_hashes(wanted):
            self._must_be(next(missing), path)
            yield nar_hash
        for path in missing:
            self._must_be(path, None)

    def query_sizes(self, paths: Iterable[StorePath]) -> dict[StorePath, tuple[int, Collection[StorePath]]]:
        if self.computed or not self.has_database:
            return super().query_sizes(paths)
        self.flush()
        wanted = list(paths)
        found: dict[StorePath, tuple[int, Collection[StorePath]]] = {**self.database.sizes_of(wanted)}
        for path in wanted:
            if path not in found:
                self._must_be(path, None)
        return found

    def _must_be(self, path: StorePath, found: StorePath | None) -> None:
        if path != found:
            raise InvalidPath(f"path '{self.directory.show(path)}' is not valid")

    def query_references(self, path: StorePath) -> set[StorePath]:
        """Raises InvalidPath."""
        deferred = self._deferred.get(path)
        if deferred is not None:
            return set(deferred.references)
        computed = self.computed.get(path)
        if computed is not None:
            return set(computed.info.references)
        found = self.database.references(path) if self.has_database else None
        if found is None:
            raise InvalidPath(f"path '{self.directory.show(path)}' is not valid")
        return found

    def references_among(self, paths: Iterable[StorePath]) -> set[StorePath]:
        """What any of these paths refers to. Raises InvalidPath."""
        wanted = list(paths)
        known = self._references_of(wanted)
        found: set[StorePath] = set()
        for path in wanted:
            found |= known[path] if path in known else self.query_info(path).references
        return found

    def query_referrers(self, path: StorePath) -> set[StorePath]:
        self.flush()
        return self.database.referrers(path) if self.has_database else set()

    def query_valid_derivers(self, path: StorePath) -> set[StorePath]:
        self.flush()
        return self.database.valid_derivers(path) if self.has_database else set()

    def query_derivation_outputs(self, path: StorePath) -> dict[str, StorePath | None]:
        """Output name → path, None where it is not known yet. Floating outputs come from registered realisations."""
        drv = self.read_derivation(path)
        outputs = drv.output_paths(self.directory)
        if self.has_database:
            for name, output in outputs.items():
                if output is None:
                    realised = self.database.realisation(path, name)
                    outputs[name] = realised[0] if realised else None
        return outputs

    def query_from_hash_part(self, hash_part: str) -> StorePath | None:
        if len(hash_part) != 32:
            raise StoreError("invalid hash part")
        self.flush()
        return self.database.from_hash_part(hash_part) if self.has_database else None

    def _plain_closure(self, paths: Iterable[StorePath]) -> set[StorePath]:
        found = set(paths)
        level = list(found)
        while level:
            references = self._references_of(level)
            following = []
            for path in level:
                for other in references[path] if path in references else self.query_references(path):
                    if other not in found:
                        found.add(other)
                        following.append(other)
            level = following
        return found

    def _references_of(self, paths: Sequence[StorePath]) -> dict[StorePath, set[StorePath]]:
        """What the database knows at once; the rest is asked one by one (and may not be valid)."""
        if len(paths) == 1 or self.computed or self._deferred or not self.has_database:
            return {}
        return self.database.references_of(paths)

    def topological(self, paths: Iterable[StorePath]) -> list[StorePath]:
        """References before referrers, otherwise in Nix's order. Raises ReferenceCycle."""
        wanted = set(paths)
        known = self._references_of(list(wanted))

        def references(path: StorePath) -> set[StorePath]:
            if path in known:
                return known[path]
            try:
                return self.query_references(path)
            except InvalidPath:
                return set()

        return topological_order(wanted, references, self.directory)

    # ------------------------------------------------------------------------------------------------- derivations

    def read_derivation(self, path: StorePath) -> Derivation:
        """Raises InvalidPath, or FormatError where the file is damaged."""
        known = self._derivations.get(path)
        if known is not None:
            return known
        if not self.is_valid(path):
            raise InvalidPath(f"path '{self.directory.show(path)}' is not valid")
        return self.read_invalid_derivation(path)

    def read_invalid_derivation(self, path: StorePath) -> Derivation:
        """As `read_derivation`, without asking whether the path is valid."""
        known = self._derivations.get(path)
        if known is not None:
            return known
        if self.evaluation is not None and not (self.has_database and self.database.is_valid(path)):
            return self.evaluation.read_invalid_derivation(path)
        name = path.derivation_name
        computed = self.computed.get(path)
        if computed is not None and computed.contents is not None:
            contents = computed.contents
        else:
            contents = read_bounded(self.real_path(path), MAXIMUM_DERIVATION_SIZE)
        try:
            drv = parse_derivation(contents, name, self.directory)
        except StoreError as error:
            error.message = f"error parsing derivation '{self.directory.show(path)}': {error.message}"
            raise
        self.remember_derivation(path, drv)
        return drv

    def remember_derivation(self, path: StorePath, drv: Derivation) -> None:
        if len(self._derivations) >= _REMEMBERED_DERIVATIONS:
            self._derivations.clear()
        self._derivations[path] = drv

    def trust_outputs(self, path: StorePath, outputs: Mapping[str, str]) -> None:
        """Tells the known output paths (whole texts) of a derivation that is about to be added as a text.

        For who has just computed them: registering then neither reads nor checks the derivation again.
        """
        self._trusted_outputs[path] = outputs

    def _outputs_for_registration(self, path: StorePath) -> Mapping[str, str]:
        trusted = self._trusted_outputs.pop(path, None)
        if trusted is not None:
            return trusted
        drv = self._derivations.get(path)
        if drv is None:
            drv = self.read_invalid_derivation(path)
            check_invariants(drv, path, self.directory, self.modulo)
        known = drv.output_paths(self.directory).items()
        return {name: self.directory.show(output) for name, output in known if output is not None}

    # ---------------------------------------------------------------------------------------------------- registering

    @contextmanager
    def deferred_registration(self) -> Iterator[None]:
        """Within, what is added is written at once but registered together at the end: one transaction for thousands.

        Queries already count it as valid; a death before the end leaves garbage, never a broken store.
        """
        self._deferring += 1
        try:
            yield
        except BaseException:
            if self._deferring == 1:  # garbage, as after a death: what failed comes first, not what follows from it
                self._deferred.clear()
                self._deferred_foreign = False
            raise
        finally:
            self._deferring -= 1
        if not self._deferring:
            self.flush()

    def flush(self) -> None:
        """Registers what was deferred so far."""
        if self._deferred:
            with self._mutex:
                infos = list(self._deferred.values())
                self._register_now(infos, computed=not self._deferred_foreign)
                self._deferred_foreign = False
                for info in infos:
                    self._deferred.pop(info.path, None)

    def register(self, infos: Sequence[PathInfo], *, computed: bool = False) -> None:
        """Makes paths valid, all or none. Their files must be in place and canonical.

        `computed`: the paths were computed here from contents and references, so these need no check; nor can they
        refer to each other in a circle. Raises InvalidPath for a reference to an invalid path, ReferenceCycle,
        StoreError for a false content address.
        """
        if not computed:
            self._check_content_addresses(infos)
        if self._deferring:
            self._deferred.update({info.path: info for info in infos})
            self._deferred_foreign = self._deferred_foreign or not computed
            return
        self.flush()
        self._register_now(infos, computed=computed)

    def stage(self, infos: Sequence[PathInfo]) -> None:
        """As `register` within `deferred_registration`, but what was staged is registered even after an error.

        The caller holds the paths' locks until `flush` was called.
        """
        self._check_content_addresses(infos)
        self._deferred.update({info.path: info for info in infos})
        self._deferred_foreign = True

    def _check_content_addresses(self, infos: Sequence[PathInfo]) -> None:
        for info in infos:
            if info.content_address is not None and not info.is_content_addressed(self.directory):
                raise StoreError(
                    f"cannot add path '{self.directory.show(info.path)}' to the Nix store because it claims to be "
                    "content-addressed but isn't"
                )

    def _register_now(self, infos: Sequence[PathInfo], *, computed: bool) -> None:
        self.require_writable()
        by_path = {info.path: info for info in infos}
        if not computed:
            topological_order(set(by_path), lambda path: by_path[path].references, self.directory)
        if self.settings.sync_before_registering:
            os.sync()
        database = self.database
        database.retry(lambda: database.register(infos, self._outputs_for_registration))
        self._known_valid.update(by_path)
        self._registered(by_path)

    def _registered(self, paths: Iterable[StorePath]) -> None:
        """They have become valid."""

    def sign(self, info: PathInfo) -> PathInfo:
        """The info with a signature by each key of the setting `secret-key-files`. Raises StoreError, FormatError."""
        if not self.settings.secret_key_files:
            return info
        from frazil.store.signatures import read_secret_key, sign_info

        for file in self.settings.secret_key_files:
            info = sign_info(info, self.directory, read_secret_key(file))
        return info

    def register_own_realisation(self, derivation: StorePath, output: str, path: StorePath) -> None:
        """As `register_realisation` for what was built here: signed by the keys of the setting `secret-key-files`."""
        signatures: frozenset[str] = frozenset()
        if self.settings.secret_key_files:
            from frazil.store.realisation import Realisation
            from frazil.store.signatures import read_secret_key

            found = Realisation(derivation, output, path)
            for file in self.settings.secret_key_files:
                found = found.signed(read_secret_key(file))
            signatures = found.signatures
        self.register_realisation(derivation, output, path, signatures)

    def add_signatures(self, path: StorePath, signatures: Iterable[str]) -> None:

        self.require_writable()
        with self.database.transaction():
            info = self.query_info(path)
            self.database.update(info.with_(signatures=info.signatures | frozenset(signatures)))

    def invalidate(self, path: StorePath) -> None:
        """Takes a path from the database. Raises PathInUse where others refer to it."""
        self.require_writable()
        self.flush()
        with self.database.transaction():
            referrers = sorted(self.database.referrers(path) - {path})
            if referrers:
                users = ", ".join(f"'{self.directory.show(other)}'" for other in referrers)
                raise PathInUse(f"cannot delete path '{self.directory.show(path)}' because it is in use by {users}")
            self.database.invalidate(path)
        self._known_valid.discard(path)

    def query_realisation(self, derivation: StorePath, output: str) -> StorePath | None:
        found = self.database.realisation(derivation, output) if self.has_database else None
        return found[0] if found else None

    def realisation(self, derivation: StorePath, output: str) -> Realisation | None:
        from frazil.store.realisation import Realisation

        found = self.database.realisation(derivation, output) if self.has_database else None
        return Realisation(derivation, output, *found) if found else None

    def add_realisation(self, realisation: Realisation, *, check_signatures: bool = False) -> None:
        """Raises StoreError where it is not signed by a trusted key, or contradicts what is known."""
        unsigned = self.settings.require_signatures and not realisation.count_good_signatures(self.trusted_keys)
        if check_signatures and unsigned:
            raise StoreError(
                f"cannot register realisation '{realisation.identifier}' because it lacks a signature by a trusted key"
            )
        self.register_realisation(realisation.derivation, realisation.output, realisation.path, realisation.signatures)

    def register_realisation(
        self, derivation: StorePath, output: str, path: StorePath, signatures: frozenset[str] = frozenset()
    ) -> None:
        self.require_writable()
        self.flush()
        self.database.register_realisation(derivation, output, path, signatures)


def read_bounded(path: str, maximum: int) -> bytes:
    """A regular file's contents. Raises StoreError."""
    try:
        with open(path, "rb") as file:
            data = file.read(maximum + 1)
    except OSError as error:
        raise from_os_error(error, f"reading '{path}'") from error
    if len(data) > maximum:
        raise StoreError(f"file '{path}' is larger than {maximum} bytes")
    return data
