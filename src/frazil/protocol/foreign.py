"""A store that others look after, with all that a local one can be asked.

Its paths are looked up and made by asking; no file of it is written, no database of it is opened here. A kind of such
stores says how: `query_info_or_none`, `add_archive`, `dump_nar`, and what else its protocol has. Where its files are
not on this machine, those that are read (`real_path`) are fetched first, into a folder of their own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from frazil.digest import Hash
from frazil.store import adding, nar
from frazil.store.content_address import ContentAddress, check_algorithm, check_method
from frazil.store.derivation import Derivation, check_invariants
from frazil.store.interface import Archives, Store
from frazil.store.local import LocalStore
from frazil.store.path import References, StorePath
from frazil.store.path_info import PathInfo

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

    from frazil.activity import Reporter
    from frazil.store.config import StoreConfig, StoreSettings
    from frazil.store.database import Database

Send = Callable[[nar.Write], None]
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

    @property
    def goes_without_saying(self) -> bool:
        return False

    @property
    def trusts_us(self) -> bool | None:
        return None

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

    def query_info_or_none(self, path: StorePath) -> PathInfo | None:
        raise NotImplementedError

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

    def find_infos(self, paths: Iterable[StorePath]) -> list[PathInfo | None]:
        return [self.query_info_or_none(path) for path in paths]

    def query_infos(self, paths: Iterable[StorePath]) -> Iterator[PathInfo]:
        return Store.query_infos(self, paths)

    def query_references(self, path: StorePath) -> set[StorePath]:
        return set(self.query_info(path).references)

    def query_all_valid(self) -> set[StorePath]:
        self.unsupported("queryAllValidPaths")

    def query_referrers(self, path: StorePath) -> set[StorePath]:
        self.unsupported("queryReferrers")

    def query_from_hash_part(self, hash_part: str) -> StorePath | None:
        self.unsupported("queryPathFromHashPart")

    def query_valid_derivers(self, path: StorePath) -> set[StorePath]:
        return set()

    def closure(
        self,
        paths: Iterable[StorePath],
        *,
        reverse: bool = False,
        include_outputs: bool = False,
        include_derivers: bool = False,
    ) -> set[StorePath]:
        return Store.closure(
            self, paths, reverse=reverse, include_outputs=include_outputs, include_derivers=include_derivers
        )

    def topological(self, paths: Iterable[StorePath]) -> list[StorePath]:
        return Store.topological(self, paths)

    def query_derivation_outputs(self, path: StorePath) -> dict[str, StorePath | None]:
        return Store.query_derivation_outputs(self, path)

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

    def query_realisation(self, derivation: StorePath, output: str) -> StorePath | None:
        return Store.query_realisation(self, derivation, output)

    # --------------------------------------------------------------------------------------------------- contents

    def dump_nar(self, path: StorePath, write: nar.Write) -> None:
        raise NotImplementedError

    def open_nar(self, path: StorePath) -> AbstractContextManager[nar.Read]:
        return Store.open_nar(self, path)

    # ----------------------------------------------------------------------------------------------------- adding

    def add_archive(self, info: PathInfo, send: Send, *, repair: bool = False, check_signatures: bool = False) -> None:
        """`send` writes the archive that `info` describes."""
        raise NotImplementedError

    def add_nar(
        self,
        info: PathInfo,
        read: nar.Read,
        *,
        repair: bool = False,
        check_signatures: bool = False,
        locked: bool = False,
    ) -> None:
        def send(write: nar.Write) -> None:
            left = info.nar_size
            while left and (data := read(min(left, _PIECE))):
                left -= len(data)
                write(data)

        self.add_archive(info, send, repair=repair, check_signatures=check_signatures)

    def add_from(
        self,
        source: Archives,
        infos: Iterable[PathInfo],
        *,
        repair: bool = False,
        check_signatures: bool = True,
        started: Callable[[PathInfo], AbstractContextManager[object]] | None = None,
    ) -> None:
        Store.add_from(self, source, infos, repair=repair, check_signatures=check_signatures, started=started)

    def add_contents(
        self,
        name: str,
        method: str,
        algorithm: str,
        references: frozenset[StorePath],
        send: Send,
        *,
        repair: bool = False,
    ) -> StorePath:
        """`send` writes the file itself for the methods flat and text, else the archive. It may be asked twice."""
        raw = method in ("flat", "text")
        content = nar.CountingHash(check_algorithm(algorithm))
        archive = nar.CountingHash("sha256")
        if raw:
            send(content.write)
            digest, size = content.result()

            def archived(write: nar.Write) -> None:
                nar.begin_file(size, write)
                send(write)
                nar.end_file(size, write)

        else:
            if method != "nar":
                self.unsupported("addToStore")
            send(content.write)
            digest, _ = content.result()

            def archived(write: nar.Write) -> None:
                send(write)

        archived(archive.write)
        nar_hash, nar_size = archive.result()
        path = self.directory.make_fixed_output_path(method, digest, name, References(references))
        address = ContentAddress(method, digest)
        info = PathInfo(path, nar_hash, nar_size, references, None, int(time.time()), content_address=address)
        if repair or not self.is_registered(path):
            self.add_archive(info, archived, repair=repair)
        return path

    def add_text(self, name: str, contents: bytes, references: Iterable[StorePath] = ()) -> StorePath:
        kept = frozenset(references)
        path = self.directory.make_text_path(name, Hash.of("sha256", contents).digest, kept)
        self.add_texts([(path, contents, frozenset([self.show(other) for other in kept]))])
        return path

    def add_texts(self, texts: Sequence[tuple[StorePath, bytes, frozenset[str]]]) -> None:
        valid = self.valid_among([path for path, _, _ in texts])
        missing = []
        for path, contents, references in texts:
            if path in valid:
                self.add_temporary_root(path)
                continue
            parsed = frozenset([self.parse(text) for text in references])
            info = adding._text_info(path, contents, parsed)
            missing.append((info, _file_archive(contents)))
        if missing:
            self.add_archives(missing)
            self._known_valid.update(info.path for info, _ in missing)

    def add_archives(self, archives: Sequence[tuple[PathInfo, Send]]) -> None:
        """Of objects that need no signature; references first."""
        for info, send in archives:
            self.add_archive(info, send)

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
        check_method(method)

        def send(write: nar.Write) -> None:
            if method in ("flat", "text"):
                nar.copy_flat(source, write)
            else:
                nar.dump_path(source, write, filter=adding._remember(filter))

        return self.add_contents(name, method, algorithm, frozenset(references), send, repair=repair)

    def add_bytes(
        self, name: str, contents: bytes, method: str = "flat", algorithm: str = "sha256", executable: bool = False
    ) -> StorePath:
        def send(write: nar.Write) -> None:
            if method in ("flat", "text"):
                write(contents)
            else:
                nar.dump_file(contents, write, executable=executable)

        return self.add_contents(name, method, algorithm, frozenset(), send)

    def add_from_nar(
        self,
        name: str,
        read: nar.Read,
        method: str = "nar",
        algorithm: str = "sha256",
        references: Iterable[StorePath] = (),
        repair: bool = False,
    ) -> StorePath:
        """Unpacked here first where the method asks for more than the archive."""
        import tempfile

        with tempfile.TemporaryDirectory(prefix="frazil-add-") as folder:
            nar.restore(read, folder + "/x")
            return self.add_path(name, folder + "/x", method, algorithm, None, repair, references)

    def write_derivation(
        self, drv: Derivation, *, contents: bytes | None = None, path: StorePath | None = None, check: bool = True
    ) -> StorePath:
        contents = drv.unparse(self.directory) if contents is None else contents
        path = drv.store_path(self.directory, contents) if path is None else path
        if path not in self._derivations:
            if check:
                check_invariants(drv, path, self.directory, self.modulo)
            self.remember_derivation(path, drv)
        self.add_texts([(path, contents, frozenset([self.show(other) for other in drv.references()]))])
        return path

    def trust_outputs(self, path: StorePath, outputs: Mapping[str, str]) -> None:
        pass

    # ------------------------------------------------------------------------------------ what only its owner does

    @contextmanager
    def deferred_registration(self) -> Iterator[None]:
        yield

    def flush(self) -> None:
        pass

    def _not_ours(self, operation: str) -> NoReturn:
        self.unsupported(operation)

    def register(self, infos: Sequence[PathInfo], *, computed: bool = False) -> None:
        self._not_ours("registerValidPaths")

    def invalidate(self, path: StorePath) -> None:
        self._not_ours("invalidatePath")

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

    def sign(self, info: PathInfo) -> PathInfo:
        return LocalStore.sign(self, info)


def _file_archive(contents: bytes) -> Send:
    return lambda write: nar.dump_file(contents, write)


def foreign(info: PathInfo) -> PathInfo:
    """As another store may be told of it."""
    return replace(info, ultimate=False) if info.ultimate else info
