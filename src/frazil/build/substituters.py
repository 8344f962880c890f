"""The stores that are asked for what could be built: which there are, in which order, and what they have.

In: the settings `substituters` and `substitute`. Out: opened stores, infos of paths. Source of truth: the manual's
`command-ref/conf-file`; libstore's `getDefaultSubstituters` and `querySubstitutablePathInfos`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frazil.activity import Reporter, Verbosity
from frazil.build.settings import BuildSettings
from frazil.errors import FrazilError
from frazil.store.content_address import ContentAddress
from frazil.store.interface import Store
from frazil.store.path import StorePath
from frazil.store.path_info import PathInfo

if TYPE_CHECKING:
    from frazil.store.config import StoreSettings
    from frazil.store.local import LocalStore


_UNREACHABLE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Offer:
    """That `store` has a path, there called `path`; `info` is about it as it will be here."""

    store: Store
    path: StorePath
    info: PathInfo

    @property
    def download_size(self) -> int:
        """Bytes; 0 where unknown."""
        from frazil.store.binary_cache import BinaryCache

        if not isinstance(self.store, BinaryCache):
            return 0
        found = self.store.narinfo(self.path)
        return 0 if found is None else found.file_size


class Substituters:
    """Opened when something is missing for the first time. For all threads."""

    def __init__(
        self,
        settings: BuildSettings,
        store_settings: StoreSettings,
        reporter: Reporter,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.settings = settings
        self._store_settings = store_settings
        self._reporter = reporter
        self._environment = os.environ if environment is None else environment
        self._mutex = threading.Lock()
        self._stores: list[Store] | None = None

    @property
    def wanted(self) -> bool:
        return self.settings.substitute and bool(self.settings.substituters)

    @property
    def stores(self) -> list[Store]:
        """By priority. Those that cannot be opened are named and left out."""
        with self._mutex:
            if self._stores is None:
                self._stores = self._open() if self.wanted else []
            return self._stores

    def _open(self) -> list[Store]:
        from concurrent.futures import ThreadPoolExecutor

        addresses = list(dict.fromkeys(address.rstrip("/") for address in self.settings.substituters))
        if len(addresses) == 1:
            found = [self._open_one(addresses[0])]
        else:
            with ThreadPoolExecutor(len(addresses), thread_name_prefix="substituter") as pool:
                found = list(pool.map(self._open_one, addresses))
        return sorted([store for store in found if store is not None], key=lambda store: store.priority)

    def _open_one(self, address: str) -> Store | None:
        from frazil.store.opening import open_store

        quick = self.settings.substituters_are_default
        store = None
        try:
            if quick:
                self._probe(address)
            store = open_store(address, self._store_settings, self._reporter, self._environment)
            store.open()
        except FrazilError as error:
            if store is not None:
                store.close()
            # Nobody asked for the default one, and many machines have no network.
            self._reporter.log(Verbosity.TALKATIVE if quick else Verbosity.WARN, error.message)
            return None
        return store

    def _probe(self, address: str) -> None:
        """Nobody waits long, or often, for a cache that nobody named: where the network leads nowhere, one try in a
        minute, of a few seconds. Raises StoreError."""
        import time

        from frazil.store.errors import TransferFailed
        from frazil.store.info_cache import default_directory
        from frazil.store.opening import open_store

        mark = f"{default_directory(self._environment)}/unreachable-default-substituter"
        try:
            if 0 <= time.time() - os.stat(mark).st_mtime < _UNREACHABLE_SECONDS:
                raise TransferFailed(f"the binary cache '{address}' could not be reached a moment ago")
        except OSError:
            pass  # no such mark
        transfer = self._store_settings.transfer
        hasty = transfer.with_(attempts=1, connect_timeout=min(transfer.connect_timeout or 5, 5), stalled_timeout=10)
        try:
            with open_store(
                address, self._store_settings.with_(transfer=hasty), self._reporter, self._environment
            ) as store:
                store.open()
        except FrazilError:
            try:
                os.makedirs(os.path.dirname(mark), exist_ok=True)
                with open(mark, "w", encoding="ascii"):
                    pass
            except OSError:
                pass  # then it is tried again
            raise

    def close(self) -> None:
        with self._mutex:
            stores, self._stores = self._stores, None
        for store in stores or ():
            store.close()

    # ------------------------------------------------------------------------------------------------------ asking

    def place_in(
        self, store: Store, directory: object, path: StorePath, address: ContentAddress | None
    ) -> StorePath | None:
        """What another store calls a path; None where it cannot have it."""
        if store.directory == directory:
            return path
        if address is None:
            return None
        return address.store_path(store.directory, path.name)

    def offer(
        self, local: LocalStore, store: Store, path: StorePath, address: ContentAddress | None = None
    ) -> Offer | None:
        """Raises StoreError."""
        there = self.place_in(store, local.directory, path, address)
        if there is None:
            return None
        info = store.query_info_or_none(there)
        return None if info is None else Offer(store, there, _as_here(info, path))

    def find(self, local: LocalStore, paths: Mapping[StorePath, ContentAddress | None]) -> dict[StorePath, Offer]:
        """The first offer for each of many paths, all asked for at once. Raises StoreError, unless `fallback`."""
        found: dict[StorePath, Offer] = {}
        for store in self.stores:
            places = {
                path: self.place_in(store, local.directory, path, address)
                for path, address in paths.items()
                if path not in found
            }
            there = {path: place for path, place in places.items() if place is not None}
            if not there:
                continue
            try:
                infos = store.find_infos(there.values())
            except FrazilError as error:
                if not self.settings.fallback:
                    raise
                self._reporter.log(Verbosity.ERROR, f"error: {error.message}")
                continue
            for (path, place), info in zip(there.items(), infos):
                if info is not None:
                    found[path] = Offer(store, place, _as_here(info, path))
        return found

    def valid_among(self, local: LocalStore, paths: Iterable[StorePath]) -> set[StorePath]:
        """Which of many paths some substituter has that likes to be asked for many (`WantMassQuery`)."""
        remaining, found = set(paths), set()
        for store in self.stores:
            if not remaining or store.directory != local.directory or not store.wants_mass_query:
                continue
            try:
                there = store.valid_among(remaining)
            except FrazilError as error:
                if not self.settings.fallback:
                    raise
                self._reporter.log(Verbosity.ERROR, f"error: {error.message}")
                continue
            found |= there
            remaining -= there
        return found


def _as_here(info: PathInfo, path: StorePath) -> PathInfo:
    return info if info.path == path and not info.ultimate else info.with_(path=path, ultimate=False)
