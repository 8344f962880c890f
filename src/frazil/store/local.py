"""A store in the local file system.

In: a `StoreConfig` and contents. Out: registered, canonical store objects and answers about them. Any process may die
at any point: what is in the database is whole on disk, what is not is garbage. Source of truth: the manual's
`store/types/local-store`.
"""

from __future__ import annotations

import os

from frazil.digest import Hash
from frazil.store import adding, nar
from frazil.store.adding import Addition
from frazil.store.derivation import Derivation, check_invariants
from frazil.store.errors import InvalidPath
from frazil.store.interface import COPIED, Archives, Terms, opened
from frazil.store.locks import PathLocks
from frazil.store.path import StorePath
from frazil.store.path_info import PathInfo
from frazil.store.recorded import RecordedStore
from frazil.store.temporary import TemporaryRoots, WorkingDirectory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from contextlib import AbstractContextManager

    from frazil.store import garbage, optimise
    from frazil.store.ahead import Ahead
    from frazil.store.automatic import AutomaticCollection
    from frazil.store.receiving import Batch
    from frazil.store.tree import Tree

IN_MEMORY = 8 << 20
"""Archives up to this size are handed over whole, bytes."""


class LocalStore(RecordedStore):
    """`compute_only`: `add_…` and `write_derivation` tell store paths and remember contents, but write nothing."""

    builds_elsewhere = False
    """Whether somebody else builds for it, and collects its garbage."""
    keeps_files = True
    """Whether there is a folder with its objects, and locks beside them."""

    @property
    def address(self) -> str:
        """What another program opens the same store by."""
        return self.config.uri if self.config.uri not in ("", "auto") else "local"

    def _begin(self) -> None:
        self.keeps_modes: bool | None = None
        """Whether new files get the mode asked for, whatever the umask; None: not seen yet."""
        self.temporary_roots = TemporaryRoots(self.config.state_dir, self.directory)
        self._working = WorkingDirectory(self.config.real_store_dir)
        self._default_acl: bool | None = None
        self._automatic: AutomaticCollection | None = None
        self.ahead: list[Ahead] = []
        """Who is writing objects into our working folder."""
        self.repairs = False
        """Whether what evaluation adds is written even where it is there: it may be damaged."""
        self.unlocked: dict[StorePath, tuple[bytes, bool]] = {}
        """Files that were put in their places without a lock and are not registered yet: contents, executable."""

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

    def close(self) -> None:
        """Registers what was deferred and lets go of locks, roots and the database."""
        ours = self._process == os.getpid()
        try:
            if ours and self._automatic is not None:
                self._automatic.finish()
        finally:
            try:
                super().close()
            finally:
                if ours:
                    for ahead in [*self.ahead]:
                        ahead.close()
                    self._working.close()
                    self.unlocked.clear()
                    self.temporary_roots.close()

    # ----------------------------------------------------------------------------------------------------- adding

    def _registered(self, paths: Iterable[StorePath]) -> None:
        if self.unlocked:
            adding.confirm_files(self, paths)

    def add_text(self, name: str, contents: bytes, references: Iterable[StorePath] = ()) -> StorePath:
        """A flat file whose references are stated (`builtins.toFile`)."""
        references = frozenset(references)
        path = self.directory.make_text_path(name, Hash.of("sha256", contents).digest, references)
        self.take_text(path, contents, references)
        return path

    def take_text(self, path: StorePath, contents: bytes, references: frozenset[StorePath]) -> None:
        """At a path that is known to follow from it."""
        adding.add_text_at(self, path, contents, references)

    def add_texts(self, texts: Sequence[tuple[StorePath, bytes, Collection[str]]]) -> None:
        """Many texts (path that follows from it, contents, references as texts), each after what it refers to."""
        adding.add_texts(self, texts)

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
        self.take_text(path, contents, drv.references())
        return path

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
        addition = Addition(name, method, algorithm, frozenset(references), repair or self.repairs)
        path = self.take_tree(addition, source, filter)
        if self.settings.warn_large_path_threshold:
            self._warn_if_large(source, self.query_info(path).nar_size)
        return path

    def compute_path(
        self, name: str, source: str, method: str = "nar", algorithm: str = "sha256", filter: nar.Filter | None = None
    ) -> tuple[StorePath, Hash]:
        """Where `add_path` would put a tree, and its hash by `method`."""
        digest = adding.hash_source(source, method, algorithm, filter)
        return self.directory.make_fixed_output_path(method, digest, name), digest

    def _warn_if_large(self, source: str, size: int) -> None:
        from frazil.store.garbage import render_size

        if size >= self.settings.warn_large_path_threshold:
            verb = "hashed" if self.compute_only else "copied"
            end = "" if self.compute_only else " to the store"
            self.warn(f"{verb} large path '{source}'{end} ({render_size(size)})")

    def add_bytes(
        self, name: str, contents: bytes, method: str = "flat", algorithm: str = "sha256", executable: bool = False
    ) -> StorePath:
        """A single file with these contents."""
        if method == "text":
            return self.add_text(name, contents)
        return self.take_bytes(Addition(name, method, algorithm, repair=self.repairs), contents, executable)

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
        return self.take_archive(Addition(name, method, algorithm, frozenset(references), repair), read)

    def take_tree(self, addition: Addition, source: str, filter: nar.Filter | None = None) -> StorePath:
        return adding.add_path(self, addition, source, filter)

    def take_bytes(self, addition: Addition, contents: bytes, executable: bool = False) -> StorePath:
        return adding.add_bytes(self, addition, contents, executable)

    def take_archive(self, addition: Addition, read: nar.Read) -> StorePath:
        return adding.add_from_nar(self, addition, read)

    def add_nar(self, info: PathInfo, read: nar.Read, *, repair: bool = False, check_signatures: bool = False) -> None:
        """Adds an archive under a path that was promised for it: checks hash, size, and content address.

        Raises HashMismatch, BadArchive, StoreError.
        """
        adding.add_nar(self, info, read, repair=repair, check_signatures=check_signatures)

    def batch(self, *, repair: bool = False, check_signatures: bool = False) -> Batch:
        """As `add_nar` for many archives of one stream, registered together."""
        from frazil.store.receiving import Batch

        return Batch(self, repair=repair, check_signatures=check_signatures)

    def dump_nar(self, path: StorePath, write: nar.Write) -> None:
        """Raises InvalidPath."""
        if not self.is_valid(path):
            raise InvalidPath(f"path '{self.directory.show(path)}' is not valid")
        computed = self.computed.get(path) if self.computed else None
        if computed is not None and computed.contents is not None:
            nar.dump_file(computed.contents, write, executable=computed.executable)
        else:
            nar.dump_path(self.real_path(path), write)

    def open_nar(self, path: StorePath) -> AbstractContextManager[nar.Read]:
        return opened(self.take_nar(path))

    def take_nar(self, path: StorePath) -> bytes | AbstractContextManager[nar.Read]:
        """Small archives through memory, large ones in a thread of their own."""
        if self.query_info(path).nar_size > IN_MEMORY:
            return super().open_nar(path)
        pieces: list[bytes] = []
        self.dump_nar(path, pieces.append)
        return b"".join(pieces)

    def tree(self, path: StorePath) -> Tree:
        from frazil.store.tree import FolderTree

        self.query_info(path)
        computed = self.computed.get(path) if self.computed else None
        if computed is not None and computed.contents is not None:
            return super().tree(path)
        return FolderTree(self.real_path(path))

    def add_locked(self, info: PathInfo, read: nar.Read) -> None:
        """As `add_nar`, where the caller has seen to it that somebody holds the path's lock."""
        adding.add_nar(self, info, read, locked=True)

    def add_from(self, source: Archives, infos: Iterable[PathInfo], terms: Terms = COPIED) -> None:
        """Unpacks several at once; registers many together."""
        from frazil.store.receiving import receive

        receive(self, source, infos, terms)

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
        self.temporary_roots.add(path)

    def add_temporary_roots(self, paths: Iterable[StorePath]) -> None:
        if self.compute_only or self.config.read_only:
            return
        _ = self.database
        self.temporary_roots.add_many(paths)

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
        """Says what it brought. None where somebody else does it and says so."""
        from frazil.store import optimise
        from frazil.store.garbage import render_size

        self.require_writable()
        found = optimise.optimise_store(self)
        self.inform(f"{render_size(found.bytes_freed)} freed by hard-linking {found.files_linked} files")
        return found

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
