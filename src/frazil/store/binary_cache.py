"""Binary caches: stores that are files, wherever these are.

In: a `CacheFiles` and settings. Out: a `Store`. Everything a cache says is checked, as much as it can be, before
anybody believes it. A path's `.narinfo` is written last, after those of what it refers to: what can be found in a
cache is whole. Source of truth: the manual's `protocols/binary-cache` and `store/types` (binary cache stores).
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from frazil.activity import Activity, ActivityType, Verbosity
from frazil.store import narinfo as narinfos
from frazil.store.cache_files import CacheFiles, put_bytes
from frazil.store.errors import (
    FormatError,
    HashMismatch,
    InvalidPath,
    StoreError,
    UnsupportedOperation,
    UnsupportedStore,
)
from frazil.store.interface import COPIED, Archives, Store, Terms, opened
from frazil.store.narinfo import NarInfo
from frazil.store.path import StoreDirectory, StorePath
from frazil.store.path_info import PathInfo
from frazil.store.signatures import SecretKey, sign_info

if TYPE_CHECKING:
    from frazil.activity import Reporter
    from frazil.store import nar
    from frazil.store.config import StoreSettings
    from frazil.store.http import Response
    from frazil.store.info_cache import CacheFacts, InfoCache
    from frazil.store.realisation import Realisation
    from frazil.store.tree import Tree

MAXIMUM_INFO = 1 << 16
MAXIMUM_LOG = 1 << 30
REALISATIONS = "build-trace-v2"
DEFAULT_PRIORITY = 50
_CHUNK = 1 << 18
_SMALL = 1 << 16
_SMALL_UNPACKED = 1 << 20
"""Bytes of archives that are unpacked at once."""
_UPLOADS = 8


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """The parameters of a cache's address. `priority`, `wants_mass_query`: None where the cache itself decides."""

    compression: str = "xz"
    compression_level: int = -1
    parallel_compression: bool | None = None
    write_listing: bool = False
    index_debug_info: bool = False
    secret_keys: tuple[SecretKey, ...] = ()
    local_nar_cache: str | None = None
    path_info_cache_size: int = 65536
    priority: int | None = None
    wants_mass_query: bool | None = None
    trusted: bool = False
    is_local: bool = False


_NAMELESS = "x"
"""Stands for the name of a path of which only the hash part is known, as in C++ Nix."""


class BinaryCache(Store):
    def __init__(
        self,
        files: CacheFiles,
        directory: StoreDirectory,
        cache: CacheSettings,
        settings: StoreSettings,
        reporter: Reporter,
        lookups: InfoCache | None = None,
    ) -> None:
        """`lookups`: remembers on disk what the cache said; None for caches that are near."""
        self.files, self.directory, self.cache = files, directory, cache
        self.settings, self.reporter = settings, reporter
        self._lookups = lookups
        self._facts: CacheFacts | None = None
        self._known: dict[str, NarInfo | None] = {}
        self._lies: set[str] = set()
        """Hash parts for which the cache named other paths."""
        self._mutex = threading.RLock()
        self._opened = False
        self._found_priority = DEFAULT_PRIORITY
        self._found_mass_query = False

    # --------------------------------------------------------------------------------------------------- about it

    @property
    def uri(self) -> str:
        return self.files.uri

    @property
    def transfers(self) -> int:
        return self.files.transfers

    @property
    def priority(self) -> int:
        if self.cache.priority is not None:
            return self.cache.priority
        self.open()
        return self._found_priority

    @property
    def wants_mass_query(self) -> bool:
        if self.cache.wants_mass_query is not None:
            return self.cache.wants_mass_query
        self.open()
        return self._found_mass_query

    @property
    def is_trusted(self) -> bool:
        return self.cache.trusted

    @property
    def trusts_us(self) -> bool | None:
        return True if self.cache.is_local else None

    def open(self) -> BinaryCache:
        with self._mutex:
            if not self._opened:
                self._open()
                self._opened = True
        return self

    def _open(self) -> None:
        if self._lookups is not None:
            self._facts = self._lookups.facts(self.uri)
            if self._facts is not None:
                self._check_directory(self._facts.store_dir)
                self._found_mass_query = self._facts.wants_mass_query
                self._found_priority = self._facts.priority
                return
        self.files.prepare()
        text = self.files.get("nix-cache-info", MAXIMUM_INFO)
        if text is None:
            self._create()
        else:
            self._read_info(text.decode("utf-8", "replace"))
        if self._lookups is not None:
            self._facts = self._lookups.note_facts(
                self.uri, self.directory.path, self._found_mass_query, self._found_priority
            )

    def _create(self) -> None:
        try:
            put_bytes(
                self.files, "nix-cache-info", f"StoreDir: {self.directory.path}\n".encode(), "text/x-nix-cache-info"
            )
        except UnsupportedOperation:
            raise
        except StoreError as error:
            if self.cache.is_local:
                raise
            hint = error.message + (f"; {error.hint}" if error.hint else "")
            raise UnsupportedStore(f"'{self.uri}' does not appear to be a binary cache", hint=hint) from error

    def _read_info(self, text: str) -> None:
        for line in text.split("\n"):
            name, mark, value = line.partition(":")
            value = value.strip()
            if not mark:
                continue
            if name == "StoreDir":
                self._check_directory(value)
            elif name == "WantMassQuery":
                self._found_mass_query = value == "1"
            elif name == "Priority":
                digits = value.removeprefix("-")
                if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
                    raise FormatError(f"binary cache '{self.uri}' states the priority '{value[:40]}'")
                self._found_priority = int(value)

    def _check_directory(self, path: str) -> None:
        if path != self.directory.path:
            raise UnsupportedStore(
                f"binary cache '{self.uri}' is for Nix stores with prefix '{path}', not '{self.directory.path}'"
            )

    def close(self) -> None:
        if self._lookups is not None:
            self._lookups.close()
        self.files.close()

    # ---------------------------------------------------------------------------------------------------- queries

    def narinfo(self, path: StorePath) -> NarInfo | None:
        """What the cache says of a path, from its files or remembered; None for a lie."""
        with self._mutex:
            found = self._known.get(path.hash_part)
        if found is not None and found.info.path == path:
            return found
        return self._matching(path, self._narinfos({path.hash_part: path.base})[path.hash_part])

    def _matching(self, path: StorePath, found: NarInfo | None) -> NarInfo | None:
        """A cache is asked by hash part: what it has may be of another name. An answer of another hash part is none; it
        is said once."""
        if found is None or found.info.path == path:
            return found
        if found.info.path.hash_part != path.hash_part:
            self._note_lie(path.hash_part, self.show(path), found)
        return None

    def _note_lie(self, hash_part: str, wanted: str, found: NarInfo) -> None:
        with self._mutex:
            said = hash_part in self._lies
            self._lies.add(hash_part)
        if not said:
            text = f"asked '{self.uri}' for '{wanted}' but got '{self.show(found.info.path)}'"
            self.reporter.log(Verbosity.ERROR, text)

    def _narinfos(self, wanted: Mapping[str, str]) -> dict[str, NarInfo | None]:
        """By hash part; many at once. `wanted`: the name of each after the store directory, to tell of."""
        self.open()
        with self._mutex:
            found = {part: self._known[part] for part in wanted if part in self._known}
        missing = [part for part in wanted if part not in found]
        if missing and self._lookups is not None and self._facts is not None:
            remembered = self._lookups.infos(self._facts.identifier, missing)
            found.update(remembered)
            self._remember(remembered)
            missing = [part for part in missing if part not in remembered]
        if missing:
            found.update(self._ask_anew({part: wanted[part] for part in missing}))
        return found

    def _ask_anew(self, wanted: Mapping[str, str]) -> dict[str, NarInfo | None]:
        """Whatever is remembered."""
        asked = self._ask(wanted)
        self._remember(asked)
        if self._lookups is not None and self._facts is not None:
            for part, info in asked.items():
                self._lookups.note_info(self._facts.identifier, part, info)
        return asked

    def is_valid_now(self, path: StorePath) -> bool:
        self.open()
        return self._matching(path, self._ask_anew({path.hash_part: path.base})[path.hash_part]) is not None

    def _ask(self, wanted: Mapping[str, str]) -> dict[str, NarInfo | None]:
        if len(wanted) == 1 or self.cache.is_local:
            return {part: self._read_narinfo(part, base) for part, base in wanted.items()}
        found: dict[str, NarInfo | None] = {}
        others: dict[str, Callable[[], bytes | None] | None] = {}
        """What threads do, and how, where it has begun."""
        waiting = iter(wanted.items())
        self._ask_near(waiting, found, others)
        others.update((part, None) for part, _ in waiting)
        if others:
            workers = min(len(others), self.transfers)
            with ThreadPoolExecutor(workers, thread_name_prefix="narinfo") as pool:
                try:
                    bases = [wanted[part] for part in others]
                    found.update(zip(others, pool.map(self._read_narinfo, others, bases, others.values())))
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        return found

    def _ask_near(
        self,
        wanted: Iterator[tuple[str, str]],
        found: dict[str, NarInfo | None],
        others: dict[str, Callable[[], bytes | None] | None],
    ) -> None:
        """As many as one thread can ask for best; `others`: those for which that was not the end of it."""
        activities: dict[str, Activity] = {}

        def begun() -> Iterator[str]:
            for part, base in wanted:
                name = f"{part}.narinfo"
                activities[name] = self._asking(base).__enter__()
                yield name

        try:
            for name, data in self.files.get_many(begun(), narinfos.MAXIMUM_SIZE):
                activities.pop(name).__exit__(None, None, None)
                part = name.removesuffix(".narinfo")
                if callable(data):
                    others[part] = data
                else:
                    found[part] = None if data is None else self._parsed(data, name)
        finally:
            for activity in activities.values():
                activity.__exit__(None, None, None)

    def _asking(self, base: str) -> Activity:
        fields = (f"{self.directory.path}/{base}", self.uri)
        text = f"querying info about '{fields[0]}' on '{fields[1]}'"
        return Activity(self.reporter, ActivityType.QUERY_PATH_INFO, text, fields=fields, level=Verbosity.TALKATIVE)

    def _read_narinfo(self, hash_part: str, base: str, get: Callable[[], bytes | None] | None = None) -> NarInfo | None:
        name = f"{hash_part}.narinfo"
        with self._asking(base):
            data = self.files.get(name, narinfos.MAXIMUM_SIZE) if get is None else get()
        return None if data is None else self._parsed(data, name)

    def _parsed(self, data: bytes, name: str) -> NarInfo:
        return narinfos.parse(data.decode("utf-8", "surrogateescape"), self.directory, name)

    def _remember(self, found: dict[str, NarInfo | None]) -> None:
        with self._mutex:
            if len(self._known) + len(found) > max(self.cache.path_info_cache_size, 1):
                self._known.clear()
            if self.cache.path_info_cache_size > 0:
                self._known.update(found)

    def remembered(self, path: StorePath) -> tuple[bool, PathInfo | None]:
        with self._mutex:
            if path.hash_part not in self._known:
                return False, None
            found = self._known[path.hash_part]
        if found is None or found.info.path == path:
            return True, None if found is None else found.info
        return False, None

    def query_info_or_none(self, path: StorePath) -> PathInfo | None:
        found = self.narinfo(path)
        return None if found is None else found.info

    def find_infos(self, paths: Iterable[StorePath]) -> list[PathInfo | None]:
        wanted = list(paths)
        found = self._narinfos({path.hash_part: path.base for path in wanted})
        matching = [self._matching(path, found[path.hash_part]) for path in wanted]
        return [None if one is None else one.info for one in matching]

    def query_from_hash_part(self, hash_part: str) -> StorePath | None:
        if len(hash_part) != 32:
            raise StoreError("invalid hash part")
        found = self._narinfos({hash_part: f"{hash_part}-{_NAMELESS}"})[hash_part]
        if found is not None and found.info.path.hash_part != hash_part:
            self._note_lie(hash_part, hash_part, found)
            return None
        return None if found is None else found.info.path

    def query_all_valid(self) -> set[StorePath]:
        self.open()
        parts = [name.removesuffix(".narinfo") for name in self.files.names(".narinfo")]
        found = self._narinfos({part: f"{part}-{_NAMELESS}" for part in parts if len(part) == 32})
        return {info.info.path for info in found.values() if info is not None}

    # ------------------------------------------------------------------------------------------------ build trace

    @staticmethod
    def _trace_name(derivation: StorePath, output: str) -> str:
        return f"{REALISATIONS}/{derivation.base}/{output}.doi"

    def realisation(self, derivation: StorePath, output: str) -> Realisation | None:
        from frazil.store.realisation import MAXIMUM_SIZE, parse_value

        self.open()
        lookups, facts = self._lookups, self._facts
        if lookups is not None and facts is not None:
            known, remembered = lookups.realisation(facts.identifier, derivation, output)
            if known:
                return remembered
        data = self.files.get(self._trace_name(derivation, output), MAXIMUM_SIZE)
        found = None if data is None else parse_value(data, derivation, output)
        if lookups is not None and facts is not None:
            lookups.note_realisation(facts.identifier, derivation, output, found)
        return found

    def add_realisation(self, realisation: Realisation, *, check_signatures: bool = False) -> None:
        self.open()
        name = self._trace_name(realisation.derivation, realisation.output)
        put_bytes(self.files, name, realisation.value_json().encode(), "application/json")
        if self._lookups is not None and self._facts is not None:
            self._lookups.note_realisation(
                self._facts.identifier, realisation.derivation, realisation.output, realisation
            )

    # --------------------------------------------------------------------------------------------------- contents

    def _required(self, path: StorePath) -> NarInfo:
        found = self.narinfo(path)
        if found is None:
            raise InvalidPath(f"path '{self.show(path)}' is not valid")
        return found

    def take_nar(self, path: StorePath) -> bytes | AbstractContextManager[nar.Read]:
        from frazil.store.compression import unpack_small

        found = self._required(path)
        if not self._is_small(found):
            return self.open_nar(path)
        packed = self.files.take(found.url, found.file_size)
        if isinstance(packed, bytes) and len(packed) == found.file_size:
            contents = unpack_small(packed, found.compression, found.info.nar_size)
            if contents is not None:
                return contents
        return self._open_nar(found, packed)

    @staticmethod
    def _is_small(found: NarInfo) -> bool:
        return 0 < found.file_size <= _SMALL and found.info.nar_size <= _SMALL_UNPACKED

    def open_nar(self, path: StorePath) -> AbstractContextManager[nar.Read]:
        return self._open_nar(self._required(path), None)

    @contextmanager
    def _open_nar(self, found: NarInfo, begun: bytes | Response | Exception | None) -> Iterator[nar.Read]:
        """`begun`: what came of the first try to fetch it."""
        from frazil.store.compression import decompressed, unpack_small
        from frazil.store.streams import after, read_chunks, read_up_to

        what = f"'{found.url}' of '{self.uri}'"
        if isinstance(begun, bytes):
            yield read_chunks(decompressed(io.BytesIO(begun).read, found.compression, what))
            return
        with self.files.stream(found.url, size=found.file_size, begun=begun) as read:
            if self._is_small(found):
                data = read_up_to(read, found.file_size + 1)
                whole = len(data) == found.file_size
                small = unpack_small(data, found.compression, found.info.nar_size) if whole else None
                if small is not None:
                    yield io.BytesIO(small).read
                    return
                read = after(data, read)
            yield read_chunks(decompressed(read, found.compression, what))

    def dump_nar(self, path: StorePath, write: nar.Write) -> None:
        with self.open_nar(path) as read:
            while data := read(_CHUNK):
                write(data)

    def tree(self, path: StorePath) -> Tree:
        from frazil.store.tree import ArchiveTree

        return ArchiveTree.of_store(self, path, self.cache.local_nar_cache)

    # ----------------------------------------------------------------------------------------------------- adding

    def add_nar(self, info: PathInfo, read: nar.Read, *, repair: bool = False, check_signatures: bool = False) -> None:
        if not repair and self.is_valid(info.path):
            from frazil.store import nar as archives

            archives.parse(archives.Source(read), archives.Check())
            return
        self._publish(self._upload(info, read, repair))

    def add_from(self, source: Archives, infos: Iterable[PathInfo], terms: Terms = COPIED) -> None:
        """Several archives at once, the largest first; each narinfo after those it refers to."""
        ordered = list(infos)
        if not ordered:
            return
        self.open()
        workers = min(len(ordered), max(_UPLOADS, os.cpu_count() or 1) if not self.cache.is_local else self.transfers)

        def upload(info: PathInfo) -> NarInfo:
            with terms.around(info) as told, opened(source.take_nar(info.path)) as read:
                return self._upload(info, terms.watched(info, told, read), terms.repair)

        with ThreadPoolExecutor(workers, thread_name_prefix="upload") as pool:
            try:
                largest = sorted(ordered, key=lambda info: -info.nar_size)
                futures = {info.path: pool.submit(upload, info) for info in largest}
                for info in ordered:
                    self._publish(futures[info.path].result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _upload(self, info: PathInfo, read: nar.Read, repair: bool) -> NarInfo:
        """Everything but the narinfo."""
        from frazil.store.uploading import packed

        self.open()
        with packed(read, self.cache) as archive:
            if archive.nar_hash != info.nar_hash or archive.nar_size != info.nar_size:
                raise HashMismatch(
                    f"hash mismatch importing path '{self.show(info.path)}';\n  specified: {info.nar_hash.sri}\n"
                    f"  got:       {archive.nar_hash.sri}"
                )
            if self.cache.write_listing:
                from frazil.store.tree import show_listing

                text = show_listing(archive.root).encode("utf-8", "surrogateescape")
                put_bytes(self.files, f"{info.path.hash_part}.ls", text, "application/json")
            if self.cache.index_debug_info:
                self._index_debug_info(archive.root, archive.url)
            if repair or not self.files.exists(archive.url):
                self.files.put(archive.url, archive.file, archive.file_size, "application/x-nix-nar")
            return NarInfo(
                info.with_(ultimate=False), archive.url, self.cache.compression, archive.file_hash, archive.file_size
            )

    def _index_debug_info(self, root: dict[str, object], url: str) -> None:
        import json

        from frazil.store.uploading import debug_files

        for build_id, member in debug_files(root):
            name = f"debuginfo/{build_id}"
            if not self.files.exists(name):
                text = json.dumps({"archive": f"../{url}", "member": member}, separators=(",", ":"), sort_keys=True)
                put_bytes(self.files, name, text.encode(), "application/json")

    def _publish(self, found: NarInfo) -> None:
        """Signs and writes the narinfo. Raises StoreError where a reference is not there."""
        info = found.info
        others = info.references - {info.path}
        missing = sorted(others - self.valid_among(others)) if others else []
        if missing:
            raise StoreError(
                f"cannot add '{self.show(info.path)}' to the binary cache because the reference "
                f"'{self.show(missing[0])}' is not valid"
            )
        for key in self.cache.secret_keys:
            info = sign_info(info, self.directory, key)
        self._write_narinfo(replace(found, info=info))

    def _write_narinfo(self, found: NarInfo) -> None:
        text = found.show(self.directory).encode("utf-8", "surrogateescape")
        part = found.info.path.hash_part
        put_bytes(self.files, f"{part}.narinfo", text, "text/x-nix-narinfo")
        self._remember({part: found})
        if self._lookups is not None and self._facts is not None:
            self._lookups.note_info(self._facts.identifier, part, found)

    def add_signatures(self, path: StorePath, signatures: Iterable[str]) -> None:
        """Not safe against others who do the same at the same time: caches know no locks."""
        found = self._required(path)
        info = found.info.with_(signatures=found.info.signatures | frozenset(signatures))
        self._write_narinfo(replace(found, info=info))
        if self._lookups is not None:
            self._lookups.flush()  # others shall not go by what was known before

    # ------------------------------------------------------------------------------------------------------- logs

    def exact_log(self, derivation: StorePath) -> bytes | None:
        self.open()
        return self.files.get(f"log/{derivation.base}", MAXIMUM_LOG)

    def add_build_log(self, derivation: StorePath, log: bytes) -> None:
        self.open()
        put_bytes(self.files, f"log/{derivation.base}", log, "text/plain; charset=utf-8")
