"""A store in the local file system.

In: a `StoreConfig` and contents. Out: registered, canonical store objects and answers about them. Opening is lazy: a
command that asks nothing of the store makes no folder and opens no database. Any process may die at any point: what is
in the database is whole on disk, what is not is garbage. Source of truth: the manual's `store/types/local-store`.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from frazil.activity import Reporter, SilentReporter, Verbosity
from frazil.digest import Hash
from frazil.errors import FrazilBug
from frazil.store import adding, nar
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
from frazil.store.interface import MAXIMUM_DERIVATION_SIZE, Archives, Store
from frazil.store.locks import PathLocks
from frazil.store.path import StoreDirectory, StorePath
from frazil.store.path_info import PathInfo
from frazil.store.temporary import TemporaryRoots, WorkingDirectory

if TYPE_CHECKING:
    from types import TracebackType

    from frazil.store.database import Database
    from frazil.store.realisation import Realisation
    from frazil.store.signatures import PublicKey
    from frazil.store.tree import Tree

_REMEMBERED_DERIVATIONS = 1 << 14
IN_MEMORY = 8 << 20
"""Archives up to this size are handed over whole, bytes."""


class LocalStore(Store):
    """`compute_only`: `add_…` and `write_derivation` tell store paths and remember contents, but write nothing."""

    builds_elsewhere = False
    """Whether somebody else builds for it, and collects its garbage."""

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
        self.evaluation: LocalStore | None = None
        """Another store whose derivations count as being here, too: that of `--eval-store`."""
        self.refuses = False
        """Whether adding to a store that only computes is an error, as to Nix's dummy store."""
        self.computed: dict[StorePath, adding.Computed] = {}
        self.modulo = ModuloCache(self.directory, self.read_invalid_derivation)
        self._derivations: dict[StorePath, Derivation] = {}
        self._database: Database | None = None
        self._process = os.getpid()
        self._mutex = threading.RLock()
        self._known_valid: set[StorePath] = set()
        self._trusted_outputs: dict[StorePath, Mapping[str, str]] = {}
        self._deferred: dict[StorePath, PathInfo] = {}
        self._deferring = 0
        self._deferred_foreign = False
        self.keeps_modes: bool | None = None
        """Whether new files get the mode asked for, whatever the umask; None: not seen yet."""
        self._temporary_roots = TemporaryRoots(self.config.state_dir, self.directory)
        self._working = WorkingDirectory(self.config.real_store_dir)
        self._default_acl: bool | None = None
        self._trusted_keys: list[PublicKey] | None = None
        self._automatic: AutomaticCollection | None = None

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
    def has_default_acl(self) -> bool:
        """Whether new files inherit access control lists from the store's folder, which they must not keep."""
        if self._default_acl is None:
            try:
                names = os.listxattr(self.config.real_store_dir)
            except OSError:
                names = []
            self._default_acl = "system.posix_acl_default" in names
        return self._default_acl

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

    def open(self) -> LocalStore:
        if self.has_database:
            _ = self.database
        return self

    def close(self) -> None:
        """Registers what was deferred and lets go of locks, roots and the database."""
        if self._process != os.getpid():
            self._database = None
            return
        try:
            if self._automatic is not None:
                self._automatic.finish()
            self.flush()
        finally:
            self._working.close()
            self._temporary_roots.close()
            if self._database is not None:
                self._database.close()
                self._database = None

    def __enter__(self) -> LocalStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def warn(self, text: str) -> None:
        self.reporter.log(Verbosity.WARN, text)

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
        found = {p for p in wanted if p in self._known_valid or p in self._deferred or p in self.computed}
        if len(found) < len(wanted) and self.has_database:
            stored = self.database.valid_among(wanted - found)
            self._known_valid |= stored
            found |= stored
        return found

    def query_all_valid(self) -> set[StorePath]:
        self.flush()
        return self.database.all_valid() if self.has_database else set()

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

    def closure(
        self,
        paths: Iterable[StorePath],
        *,
        reverse: bool = False,
        include_outputs: bool = False,
        include_derivers: bool = False,
    ) -> set[StorePath]:
        """Everything reachable by references (or, `reverse`, by referrers). Raises InvalidPath."""
        if not (reverse or include_outputs or include_derivers):
            return self._plain_closure(set(paths))
        return self._closure_by_one(paths, reverse, include_outputs, include_derivers)

    def _plain_closure(self, found: set[StorePath]) -> set[StorePath]:
        """Level by level, each asked for at once."""
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

    def write_derivation(
        self, drv: Derivation, *, contents: bytes | None = None, path: StorePath | None = None, check: bool = True
    ) -> StorePath:
        """Stores a derivation. `contents`, `path`: what `unparse` and `store_path` gave, where known already.

        `check`: whether the output paths it states are verified (unneeded right after they were computed).
        """
        contents = drv.unparse(self.directory) if contents is None else contents
        path = drv.store_path(self.directory, contents) if path is None else path
        if path not in self._derivations:
            if check:
                check_invariants(drv, path, self.directory, self.modulo)
            self.remember_derivation(path, drv)
        adding.add_text_at(self, path, contents, drv.references())
        return path

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
        from dataclasses import replace

        self.require_writable()
        with self.database.transaction():
            info = self.query_info(path)
            self.database.update(replace(info, signatures=info.signatures | frozenset(signatures)))

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

    # ----------------------------------------------------------------------------------------------------- adding

    def add_text(self, name: str, contents: bytes, references: Iterable[StorePath] = ()) -> StorePath:
        """A flat file whose references are stated (`builtins.toFile`)."""
        references = frozenset(references)
        path = self.directory.make_text_path(name, Hash.of("sha256", contents).digest, references)
        adding.add_text_at(self, path, contents, references)
        return path

    def add_texts(self, texts: Sequence[tuple[StorePath, bytes, frozenset[str]]]) -> None:
        """Many texts (path that follows from it, contents, references as texts), each after what it refers to."""
        adding.add_texts(self, texts)

    def add_path(
        self,
        name: str,
        source: str,
        method: str = "nar",
        algorithm: str = "sha256",
        filter: nar.Filter | None = None,
        repair: bool = False,
        references: Iterable[StorePath] = (),
    ) -> StorePath:
        """Copies a file tree into the store (`builtins.path`, `nix-store --add`). `source`: physical."""
        return adding.add_path(self, name, source, method, algorithm, filter, repair, frozenset(references))

    def compute_path(
        self, name: str, source: str, method: str = "nar", algorithm: str = "sha256", filter: nar.Filter | None = None
    ) -> tuple[StorePath, Hash]:
        """Where `add_path` would put a tree, and its hash by `method`."""
        digest = adding.hash_source(source, method, algorithm, filter)
        return self.directory.make_fixed_output_path(method, digest, name), digest

    def add_bytes(
        self, name: str, contents: bytes, method: str = "flat", algorithm: str = "sha256", executable: bool = False
    ) -> StorePath:
        """A single file with these contents."""
        return adding.add_bytes(self, name, contents, method, algorithm, executable)

    def add_nar(
        self,
        info: PathInfo,
        read: nar.Read,
        *,
        repair: bool = False,
        check_signatures: bool = False,
        locked: bool = False,
    ) -> None:
        """Adds an archive under a path that was promised for it: checks hash, size, and content address.

        `locked`: the caller holds the path's lock. Raises HashMismatch, BadArchive, StoreError.
        """
        adding.add_nar(self, info, read, repair=repair, check_signatures=check_signatures, locked=locked)

    def add_from_nar(
        self,
        name: str,
        read: nar.Read,
        method: str = "nar",
        algorithm: str = "sha256",
        references: Iterable[StorePath] = (),
        repair: bool = False,
    ) -> StorePath:
        """Adds an archive whose store path follows from what it holds."""
        return adding.add_from_nar(self, name, read, method, algorithm, frozenset(references), repair)

    def dump_nar(self, path: StorePath, write: nar.Write) -> None:
        """Raises InvalidPath."""
        if not self.is_valid(path):
            raise InvalidPath(f"path '{self.directory.show(path)}' is not valid")
        nar.dump_path(self.real_path(path), write)

    def open_nar(self, path: StorePath) -> AbstractContextManager[nar.Read]:
        """Small archives through memory, large ones in a thread of their own."""
        if self.query_info(path).nar_size > IN_MEMORY:
            return super().open_nar(path)
        pieces: list[bytes] = []
        self.dump_nar(path, pieces.append)
        return nullcontext(io.BytesIO(b"".join(pieces)).read)

    def tree(self, path: StorePath) -> Tree:
        from frazil.store.tree import FolderTree

        self.query_info(path)
        return FolderTree(self.real_path(path))

    def add_from(
        self,
        source: Archives,
        infos: Iterable[PathInfo],
        *,
        repair: bool = False,
        check_signatures: bool = True,
        started: Callable[[PathInfo], AbstractContextManager[object]] | None = None,
    ) -> None:
        """Unpacks several at once; registers many together."""
        from frazil.store.receiving import receive

        receive(self, source, infos, repair=repair, check_signatures=check_signatures, started=started)

    def path_locks(
        self, paths: Iterable[StorePath], *, wait: bool = True, on_wait: Callable[[], None] | None = None
    ) -> PathLocks:
        """Locks on paths about to be made, as a context manager."""
        self.require_writable()
        _ = self.database
        root = self.config.real_store_dir
        return PathLocks([f"{root}/{path.base}" for path in paths], wait=wait, on_wait=on_wait)

    def working_path(self, name: str, *, check: bool = True) -> str:
        """A fresh physical path inside the store's file system, in a folder that no collector touches.

        `check`: whether to look if the folder is still there; else the caller tries again where it is not.
        """
        self.require_writable()
        _ = self.database
        return self._working.path(name, check=check)

    # ------------------------------------------------------------------------------------------------------ roots

    def add_temporary_root(self, path: StorePath) -> None:
        """No collector deletes `path` while this process lives."""
        if self.compute_only or self.config.read_only:
            return
        _ = self.database
        self._temporary_roots.add(path)

    def add_temporary_roots(self, paths: Iterable[StorePath]) -> None:
        if self.compute_only or self.config.read_only:
            return
        _ = self.database
        self._temporary_roots.add_many(paths)

    def add_indirect_root(self, link: str) -> None:
        """Registers a link anywhere (such as `result`) as a root, for as long as it points into the store."""
        from frazil.store import roots

        roots.add_indirect_root(self, link)

    def add_permanent_root(self, path: StorePath, link: str, target: str | None = None) -> str:
        """Makes `link` point at `path` (or `target`, an object outside) and registers it as a root."""
        from frazil.store import roots

        return roots.add_permanent_root(self, path, link, target)

    def find_roots(self, *, censor: bool = False) -> dict[StorePath, set[str]]:
        from frazil.store import roots

        return roots.find_roots(self, censor=censor)

    # ------------------------------------------------------------------------------------------------ housekeeping

    def collect_garbage(self, options: garbage.Options) -> garbage.Results:
        from frazil.store import garbage

        return garbage.collect(self, options)

    def owns(self, base: str) -> bool:
        """Whether a name in the store's folder is ours to delete."""
        return True

    def delete_object(self, base: str) -> int:
        """Deletes a name from the store's folder; how many bytes were freed."""
        from frazil.store.metadata import delete_tree

        return delete_tree(f"{self.config.real_store_dir}/{base}")

    def collect_if_needed(self, *, wait: bool = True) -> None:
        """Collects garbage where the disk holds less than `min-free`; called often, looks seldom."""
        if self.settings.min_free <= 0:
            return
        if self._automatic is None:
            from frazil.store.automatic import AutomaticCollection

            self._automatic = AutomaticCollection(self)
        self._automatic.check(wait=wait)

    def delete(
        self,
        paths: Iterable[StorePath],
        *,
        ignore_liveness: bool = False,
        skip_alive: bool = False,
        also_referrers: bool = False,
    ) -> garbage.Results:
        """Deletes these paths. Raises PathInUse for one that is alive, unless `skip_alive`."""
        from frazil.store import garbage

        return garbage.delete(
            self, paths, ignore_liveness=ignore_liveness, skip_alive=skip_alive, also_referrers=also_referrers
        )

    def verify(
        self,
        *,
        check_contents: bool = False,
        repair: bool = False,
        repair_path: Callable[[StorePath], None] | None = None,
    ) -> bool:
        """True where all is well. Reports what is not. `repair_path` makes a damaged path anew (by building)."""
        from frazil.store import verify

        return verify.verify_store(self, check_contents=check_contents, repair=repair, repair_path=repair_path)

    def optimise(self) -> optimise.Statistics | None:
        """None where somebody else does it and says so."""
        from frazil.store import optimise

        self.require_writable()
        return optimise.optimise_store(self)

    def export_paths(self, paths: Iterable[StorePath], write: nar.Write) -> None:
        from frazil.store import exports

        exports.export_paths(self, paths, write)

    def import_paths(self, read: nar.Read, *, check_signatures: bool = False) -> list[StorePath]:
        from frazil.store import exports

        return exports.import_paths(self, read, check_signatures=check_signatures)

    def exact_log(self, derivation: StorePath) -> bytes | None:
        from frazil.store.logs import read_log

        return read_log(self.config.log_dir, derivation)

    def add_build_log(self, derivation: StorePath, log: bytes) -> None:
        from frazil.store.logs import write_log

        write_log(self.config.log_dir, derivation, log)


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


if TYPE_CHECKING:
    from frazil.store import garbage, optimise
    from frazil.store.automatic import AutomaticCollection
