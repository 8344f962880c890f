"""Writing ahead: a thread writes store objects while whoever makes them goes on making more.

In: archives and texts whose store paths follow from them. Out: files in a folder that collectors leave alone, and, once
they are asked for, store objects in their places. Nothing has a name in the store before that, nor is registered before
it is in its place; so an evaluation that fails, or dies, leaves the store as it was. The thread is C (`_native`) and
takes no turns with Python. Whatever it could not write is written the ordinary way, which says what is wrong.
"""

from __future__ import annotations

import os
import time

from frazil._native import Writer, exists
from frazil.digest import Hash
from frazil.store import adding
from frazil.store.content_address import ContentAddress
from frazil.store.errors import StoreError
from frazil.store.path import StorePath
from frazil.store.path_info import PathInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from frazil._native import Archive
    from frazil.store.interface import Store
    from frazil.store.local import LocalStore

MOST_KEPT = 4 << 20
"""Archives up to this size wait in memory to be written; larger ones are read again when they are copied."""
_FEW = 4
"""So many objects that are there already, and none that is not: probably all are."""
LOCKED_AT_ONCE = 200
"""Each lock is an open file."""
_FILE_OVERHEAD = 112
"""Bytes of the archive of a plain file besides its contents and what pads them."""


class Ahead:
    """Objects on their way into a store."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self._process = os.getpid()
        self._prefix = os.fsencode(store.config.real_store_dir) + b"/"
        self._writer: Writer | None = None
        self._folder = ""
        self._failed = False
        self._archives: dict[str, tuple[int, bytes, int]] = {}
        """Base name -> number, SHA-256 and size of the archive."""
        self._texts: dict[str, int] = {}
        self._present = self._missing = 0

    @classmethod
    def over(cls, store: Store) -> Ahead | None:
        """None for stores that are not files here, or do more with files than to write them."""
        from frazil.store.local import LocalStore

        if not isinstance(store, LocalStore) or store.builds_elsewhere:
            return None
        settings, config = store.settings, store.config
        unsuited = (
            store.compute_only
            or config.read_only
            or config.scheme != "local"
            or settings.auto_optimise_store
            or settings.fsync_store_paths
        )
        if unsuited:
            return None
        _ = store.database
        if store.has_default_acl:
            return None
        made = cls(store)
        store.ahead.append(made)
        return made

    @property
    def keeps(self) -> int:
        """How large an archive is worth keeping for `add_archive`. 0 where all seems to be there."""
        return MOST_KEPT if self._missing or self._present < _FEW else 0

    def _is_wanted(self, base: str) -> bool:
        """A name that is there is valid, or garbage, which `flush` will see."""
        if exists(self._prefix + base.encode("ascii")):
            self._present += 1
            return False
        self._missing += 1
        return True

    def add_archive(self, base: str, archive: Archive) -> None:
        if self._is_wanted(base):
            writer = self._writer or self._start()
            number = writer.add_archive(archive) if writer is not None else -1
            if number >= 0:
                self._archives[base] = number, archive.digest, archive.size

    def add_text(self, base: str, contents: bytes) -> None:
        if self._is_wanted(base):
            writer = self._writer or self._start()
            number = writer.add_file(contents) if writer is not None else -1
            if number >= 0:
                self._texts[base] = number

    def _start(self) -> Writer | None:
        if self._failed:
            return None
        try:
            self._folder = self._store.working_path("ahead")
            os.mkdir(self._folder, 0o700)
            self._writer = Writer(self._folder)
        except (OSError, StoreError):
            self._failed = True  # who writes in the ordinary way will say what is wrong
        return self._writer

    def protect(self, shown: Sequence[str]) -> set[str]:
        """Makes temporary roots of whole paths. -> which of them are valid."""
        self._store.temporary_roots.add_texts(shown)
        return self._store.database.valid_among_texts(shown)

    # -- bringing it to its places -----------------------------------------------------------------------------

    def finish(self) -> None:
        """Waits until all is written."""
        if self._writer is not None:
            self._writer.finish()

    def place_archives(self, paths: Iterable[StorePath]) -> set[StorePath]:
        """Registers those of `paths`, which have temporary roots, that were written. -> which."""
        written = [path for path in paths if self._is_written(self._archives.get(path.base, (-1,))[0])]
        trees = [path for path in written if self._is_folder(path)]
        done: set[StorePath] = set()
        for start in range(0, len(trees), LOCKED_AT_ONCE):
            done |= self._place_locked(trees[start : start + LOCKED_AT_ONCE])
        infos = self._place_all([path for path in written if not self._is_folder(path)])
        if infos:
            self._store.register(infos, computed=True)
        return done.union([info.path for info in infos])

    def _is_folder(self, path: StorePath) -> bool:
        assert self._writer is not None
        return self._writer.is_folder(self._archives[path.base][0])

    def _is_written(self, number: int) -> bool:
        return number >= 0 and self._writer is not None and self._writer.written(number)

    def _place_locked(self, paths: list[StorePath]) -> set[StorePath]:
        """A folder cannot take the place of another in one step: nobody else may make it meanwhile."""
        store = self._store
        with store.path_locks(paths) as lock:
            valid = store.database.valid_among(paths)
            infos = self._place_all([path for path in paths if path not in valid])
            if infos:
                store.register(infos, computed=True)
                store.flush()
            lock.delete_files = True
        return valid.union([info.path for info in infos])

    def _place_all(self, paths: list[StorePath]) -> list[PathInfo]:
        """-> those that could be, to be registered."""
        now = int(time.time())
        infos = []
        for path in paths:
            number, digest, size = self._archives[path.base]
            if self._place(number, path):
                found = Hash("sha256", digest)
                address = ContentAddress("nar", found)
                infos.append(PathInfo(path, found, size, _NONE, None, now, content_address=address))
        return infos

    def _place(self, number: int, path: StorePath) -> bool:
        """False where something is in the way, or the file went away."""
        assert self._writer is not None
        try:
            self._writer.place(number, self._prefix + path.base.encode("ascii"))
        except OSError:
            return False
        return True

    def add_texts(self, texts: Sequence[tuple[StorePath, bytes, Collection[str]]]) -> None:
        """As `LocalStore.add_texts`."""
        adding.add_texts(self._store, texts, self)

    def place_texts(
        self, texts: Sequence[tuple[StorePath, bytes, Collection[str]]], parsed: Mapping[str, StorePath]
    ) -> list[PathInfo]:
        """Those that were written are put in their places; -> what is to be registered.

        `texts`: as for `LocalStore.add_texts`; they have temporary roots. `parsed`: their references.
        """
        now = int(time.time())
        infos = []
        for path, contents, references in texts:
            number = self._texts.get(path.base, -1)
            if self._is_written(number):
                assert self._writer is not None
                digest = Hash("sha256", self._writer.digest(number))
                if self._place(number, path):
                    address = ContentAddress("text", Hash.of("sha256", contents))
                    size = _FILE_OVERHEAD + len(contents) + -len(contents) % 8
                    known = frozenset([parsed[text] for text in references])
                    infos.append(PathInfo(path, digest, size, known, None, now, content_address=address))
        return infos

    def close(self) -> None:
        """Ends the thread and deletes what was not brought to its place."""
        if self in self._store.ahead:
            self._store.ahead.remove(self)
        if self._process != os.getpid():
            return
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.stop()
            from frazil.store.metadata import delete_tree

            delete_tree(self._folder)


_NONE: frozenset[StorePath] = frozenset()
