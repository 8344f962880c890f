"""A store that others look after, with all that a local one can be asked.

Its paths are looked up and made by asking; no file of it is written, no database of it is opened here. A kind of such
stores says how: `query_info_or_none`, `add_archive`, `dump_nar`, and what else its protocol has. Where its files are
not on this machine, those that are read (`real_path`) are fetched first, into a folder of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from frazil.store import adding, nar
from frazil.store.adding import Addition
from frazil.store.content_address import check_algorithm, check_method
from frazil.store.errors import BadArchive
from frazil.store.interface import Store
from frazil.store.local import LocalStore
from frazil.store.path import StorePath
from frazil.store.path_info import PathInfo

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

    from frazil.activity import Reporter
    from frazil.store.config import StoreConfig, StoreSettings
    from frazil.store.database import Database
    from frazil.store.derivation import Derivation
    from frazil.store.garbage import Options, Results
    from frazil.store.optimise import Statistics
    from frazil.store.receiving import Batch

_PIECE = 1 << 18


class ForeignStore(LocalStore):
    """`is_here`: whether its files are to be seen on this machine, at the place that paths say."""

    builds_elsewhere = True
    is_here = False

    def __init__(self, config: StoreConfig, settings: StoreSettings, reporter: Reporter) -> None:
        super().__init__(config, settings, reporter)
        self._fetched: TemporaryDirectory[str] | None = None

    # --------------------------------------------------------------------------------------------------- about it

    @property
    def uri(self) -> str:
        return self.config.uri

    goes_without_saying = Store.goes_without_saying
    trusts_us = Store.trusts_us

    @property
    def database(self) -> Database:
        self.unsupported("database")

    @property
    def has_database(self) -> bool:
        return False

    def require_writable(self) -> None:
        pass

    def close(self) -> None:
        if self._fetched is not None:
            self._fetched.cleanup()
            self._fetched = None

    # ----------------------------------------------------------------------------------------------------- places

    def real_path(self, path: StorePath) -> str:
        if self.is_here:
            return f"{self.config.real_store_dir}/{path.base}"
        return self._fetch(path)

    def to_real(self, text: str) -> str:
        prefix = self.directory.path + "/"
        if self.is_here or not text.startswith(prefix):
            return super().to_real(text)
        path, rest = self.directory.split(text)
        return self._fetch(path) + rest

    def _fetch(self, path: StorePath) -> str:
        """Unpacks it once; the folder goes with the store."""
        from tempfile import TemporaryDirectory

        if self._fetched is None:
            self._fetched = TemporaryDirectory(prefix="frazil-store-")
        place = f"{self._fetched.name}/{path.base}"
        if not os.path.lexists(place):
            with Store.open_nar(self, path) as read:
                nar.restore(read, place + ".new")
            os.rename(place + ".new", place)
        return place

    # ---------------------------------------------------------------------------------------------------- queries

    query_info_or_none = Store.query_info_or_none
    query_infos = Store.query_infos
    query_sizes = Store.query_sizes
    find_infos = Store.find_infos
    query_all_valid = Store.query_all_valid
    query_references = Store.query_references
    query_referrers = Store.query_referrers
    query_from_hash_part = Store.query_from_hash_part
    query_valid_derivers = Store.query_valid_derivers
    query_derivation_outputs = Store.query_derivation_outputs
    query_realisation = Store.query_realisation
    topological = Store.topological
    _plain_closure = Store._plain_closure

    def is_valid(self, path: StorePath) -> bool:
        if path in self._known_valid:
            return True
        if self.is_registered(path):
            self._known_valid.add(path)
            return True
        return False

    def is_registered(self, path: StorePath) -> bool:
        return self.query_info_or_none(path) is not None

    def valid_among(self, paths: Iterable[StorePath]) -> set[StorePath]:
        return {path for path in paths if self.is_valid(path)}

    def read_invalid_derivation(self, path: StorePath) -> Derivation:
        known = self._derivations.get(path)
        if known is not None:
            return known
        if self.evaluation is not None and self.evaluation.is_registered(path):
            return self.evaluation.read_invalid_derivation(path)
        if self.is_here:
            return super().read_invalid_derivation(path)
        drv = Store.read_derivation(self, path)
        self.remember_derivation(path, drv)
        return drv

    # --------------------------------------------------------------------------------------------------- contents

    dump_nar = Store.dump_nar
    open_nar = Store.open_nar
    take_nar = Store.take_nar

    # ----------------------------------------------------------------------------------------------------- adding

    def add_archive(
        self, info: PathInfo, send: nar.Send, *, repair: bool = False, check_signatures: bool = False
    ) -> None:
        """`send` writes the archive that `info` describes."""
        raise NotImplementedError

    add_from = Store.add_from

    def batch(self, *, repair: bool = False, check_signatures: bool = False) -> Batch:
        from frazil.store.receiving import OneByOne

        return OneByOne(self, repair=repair, check_signatures=check_signatures)

    def add_nar(self, info: PathInfo, read: nar.Read, *, repair: bool = False, check_signatures: bool = False) -> None:
        self.add_archive(info, forwarded(info, read), repair=repair, check_signatures=check_signatures)

    def take(self, addition: Addition, send: nar.Send) -> StorePath:
        """`send` writes the file itself for the methods flat and text, else the archive. It may be asked twice."""
        content = nar.CountingHash(check_algorithm(addition.algorithm))
        archive = nar.CountingHash("sha256")
        if addition.method == "git":
            self.unsupported("addToStore")
        send(content.write)
        digest, size = content.result()
        archived = _enclosed(send, size) if addition.is_flat else send
        archived(archive.write)
        info = addition.info(self.directory, digest, *archive.result())
        if addition.repair or not self.is_registered(info.path):
            self.add_archive(info, archived, repair=addition.repair)
        return info.path

    def take_text(self, path: StorePath, contents: bytes, references: frozenset[StorePath]) -> None:
        self.add_texts([(path, contents, frozenset(map(self.show, references)))])

    def add_texts(self, texts: Sequence[tuple[StorePath, bytes, Collection[str]]]) -> None:
        valid = self.valid_among([path for path, _, _ in texts]) if not self.repairs else set()
        missing = []
        for path, contents, references in texts:
            if path in valid:
                self.add_temporary_root(path)
                continue
            parsed = frozenset([self.parse(text) for text in references])
            info = adding.text_info(path, contents, parsed)
            missing.append((info, _file_archive(contents)))
        if self.repairs:
            for info, send in missing:
                self.add_archive(info, send, repair=True)
        elif missing:
            self.add_archives(missing)
            self._known_valid.update(info.path for info, _ in missing)

    def add_archives(self, archives: Sequence[tuple[PathInfo, nar.Send]]) -> None:
        """Of objects that need no signature; references first."""
        for info, send in archives:
            self.add_archive(info, send)

    def take_tree(self, addition: Addition, source: str, filter: nar.Filter | None = None) -> StorePath:
        check_method(addition.method)

        def send(write: nar.Write) -> None:
            if addition.is_flat:
                nar.copy_flat(source, write)
            else:
                nar.dump_path(source, write, filter=remembered)

        remembered = adding.remember_answers(filter)
        return self.take(addition, send)

    def take_bytes(self, addition: Addition, contents: bytes, executable: bool = False) -> StorePath:
        def send(write: nar.Write) -> None:
            if addition.is_flat:
                write(contents)
            else:
                nar.dump_file(contents, write, executable=executable)

        return self.take(addition, send)

    def take_archive(self, addition: Addition, read: nar.Read) -> StorePath:
        """Unpacked here first: its path follows from what it holds."""
        import tempfile

        with tempfile.TemporaryDirectory(prefix="frazil-add-") as folder:
            nar.restore(read, folder + "/x")
            return self.take_tree(addition, folder + "/x")

    def trust_outputs(self, path: StorePath, outputs: Mapping[str, str]) -> None:
        pass

    # ------------------------------------------------------------------------------------ what only its owner does

    @contextmanager
    def deferred_registration(self) -> Iterator[None]:
        yield

    def flush(self) -> None:
        pass

    add_signatures = Store.add_signatures
    realisation = Store.realisation
    add_realisation = Store.add_realisation
    add_build_log = Store.add_build_log

    def exact_log(self, derivation: StorePath) -> bytes | None:
        self.unsupported("getBuildLogExact")

    def register(self, infos: Sequence[PathInfo], *, computed: bool = False) -> None:
        self.unsupported("registerValidPaths")

    def register_realisation(
        self, derivation: StorePath, output: str, path: StorePath, signatures: frozenset[str] = frozenset()
    ) -> None:
        self.unsupported("registerDrvOutput")

    def invalidate(self, path: StorePath) -> None:
        self.unsupported("invalidatePath")

    def add_indirect_root(self, link: str) -> None:
        self.unsupported("addIndirectRoot")

    def find_roots(self, *, censor: bool = False) -> dict[StorePath, set[str]]:
        self.unsupported("findRoots")

    def collect_garbage(self, options: Options) -> Results:
        self.unsupported("collectGarbage")

    def delete(
        self,
        paths: Iterable[StorePath],
        *,
        ignore_liveness: bool = False,
        skip_alive: bool = False,
        also_referrers: bool = False,
    ) -> Results:
        self.unsupported("collectGarbage")

    def verify(
        self,
        *,
        check_contents: bool = False,
        repair: bool = False,
        repair_path: Callable[[StorePath], None] | None = None,
    ) -> bool:
        self.unsupported("verifyStore")

    def optimise(self) -> Statistics | None:
        self.unsupported("optimiseStore")

    def collect_if_needed(self, *, wait: bool = True) -> None:
        pass

    def add_temporary_root(self, path: StorePath) -> None:
        pass

    def add_temporary_roots(self, paths: Iterable[StorePath]) -> None:
        for path in paths:
            self.add_temporary_root(path)

    def add_permanent_root(self, path: StorePath, link: str, target: str | None = None) -> str:
        """Nothing, where the files are elsewhere: a link to them would lead nowhere."""
        return link


def forwarded(info: PathInfo, read: nar.Read) -> nar.Send:
    """Writes what `read` gives of an archive, as long as that is to be. Raises BadArchive where it is shorter: the
    other end would wait for the rest."""

    def send(write: nar.Write) -> None:
        left = info.nar_size
        while left:
            data = read(min(left, _PIECE))
            if not data:
                raise BadArchive(f"unexpected end of the Nix archive of '{info.path.base}'")
            left -= len(data)
            write(data)

    return send


def _enclosed(send: nar.Send, size: int) -> nar.Send:
    """A file of this size as an archive."""

    def enclosed(write: nar.Write) -> None:
        nar.begin_file(size, write)
        send(write)
        nar.end_file(size, write)

    return enclosed


def _file_archive(contents: bytes) -> nar.Send:
    return lambda write: nar.dump_file(contents, write)
