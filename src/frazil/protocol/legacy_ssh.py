"""Stores of other machines behind `nix-store --serve`: `ssh://HOST`.

Source of truth: the manual's `store/types/ssh-store`; libstore's legacy SSH store.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from frazil.protocol.errors import ProtocolError
from frazil.protocol.foreign import ForeignStore, Send
from frazil.protocol.pool import Pool
from frazil.protocol.serve import BuildOptions
from frazil.protocol.serve_client import ServeClient
from frazil.protocol.values import Outcome, Realisation
from frazil.store import nar
from frazil.store.path import StorePath
from frazil.store.path_info import PathInfo

if TYPE_CHECKING:
    from frazil.activity import Reporter
    from frazil.store.config import StoreConfig, StoreSettings
    from frazil.store.derivation import Derivation
    from frazil.store.derived_path import DerivedPath
    from frazil.store.path import StoreDirectory


class ServeChannel:
    """A connection of the pool: a client, and what to close with it."""

    def __init__(self, client: ServeClient, close: Callable[[], None]) -> None:
        self.client = client
        self.close = close

    @property
    def usable(self) -> bool:
        return self.client.usable


class LegacySshStore(ForeignStore):
    def __init__(
        self,
        config: StoreConfig,
        settings: StoreSettings,
        reporter: Reporter,
        connect: Callable[[StoreDirectory], ServeChannel],
        *,
        maximum_connections: int = 1,
    ) -> None:
        super().__init__(config, settings, reporter)
        self._maximum_connections = maximum_connections
        self.pool = Pool(lambda: connect(self.directory), maximum_connections)

    def open(self) -> LegacySshStore:
        with self.pool.connection():
            return self

    def close(self) -> None:
        if self._process == os.getpid():
            self.pool.close()
        super().close()

    @property
    def transfers(self) -> int:
        return max(1, min(self._maximum_connections, super().transfers))

    def find_infos(self, paths: Iterable[StorePath]) -> list[PathInfo | None]:
        wanted = list(paths)
        if not wanted:
            return []
        with self.pool.connection() as channel:
            found = channel.client.query_infos(wanted)
        return [found.get(path) for path in wanted]

    def query_info_or_none(self, path: StorePath) -> PathInfo | None:
        return self.find_infos([path])[0]

    def is_registered(self, path: StorePath) -> bool:
        with self.pool.connection() as channel:
            valid = path in channel.client.query_valid([path])
        (self._known_valid.add if valid else self._known_valid.discard)(path)
        return valid

    def valid_among(self, paths: Iterable[StorePath]) -> set[StorePath]:
        wanted = set(paths)
        unknown = wanted - self._known_valid
        if unknown:
            with self.pool.connection() as channel:
                self._known_valid |= channel.client.query_valid(unknown) & unknown
        return wanted & self._known_valid

    def substitute_there(self, paths: Iterable[StorePath]) -> None:
        with self.pool.connection() as channel:
            self._known_valid |= channel.client.query_valid(paths, lock=True, substitute=True)

    def closure(
        self,
        paths: Iterable[StorePath],
        *,
        reverse: bool = False,
        include_outputs: bool = False,
        include_derivers: bool = False,
    ) -> set[StorePath]:
        if reverse or include_derivers:
            return super().closure(
                paths, reverse=reverse, include_outputs=include_outputs, include_derivers=include_derivers
            )
        with self.pool.connection() as channel:
            return set(channel.client.query_closure(paths, include_outputs=include_outputs))

    def dump_nar(self, path: StorePath, write: nar.Write) -> None:
        with self.pool.connection() as channel:
            channel.client.dump(path, write)

    def add_archive(self, info: PathInfo, send: Send, *, repair: bool = False, check_signatures: bool = False) -> None:
        with self.pool.connection() as channel:
            channel.client.add_nar(info, send)

    # --------------------------------------------------------------------------------------------------- building

    @property
    def build_options(self) -> BuildOptions:
        silent, timeout, log_size, keep_failed = self.settings.serve_options
        return BuildOptions(silent, timeout, log_size, keep_failed=bool(keep_failed))

    def build_elsewhere(self, targets: Sequence[DerivedPath], mode: str) -> list[Outcome]:
        if mode != "normal":
            self.unsupported("buildPaths")
        for target in targets:
            if target.outputs is None and target.base.is_derivation:
                raise ProtocolError(
                    f"wanted to fetch '{self.show(target.base)}' but the legacy ssh protocol doesn't support merely "
                    "substituting drv files via the build paths command. It would build them instead. "
                    "Try using ssh-ng://"
                )
        with self.pool.connection() as channel:
            outcome = channel.client.build_paths(targets, self.build_options)
        self._known_valid.clear()
        if not outcome.succeeded:
            return [outcome] * len(targets)
        outcomes = []
        for target in targets:
            outputs = {}
            if target.outputs is not None and not target.through:
                known = self.query_derivation_outputs(target.base)
                outputs = {n: Realisation(path) for n in target.outputs.choose(known) if (path := known[n])}
            outcomes.append(Outcome(outcome.status, outputs=outputs))
        return outcomes

    def build_derivation_elsewhere(self, path: StorePath, drv: Derivation, mode: str) -> Outcome:
        if mode != "normal":
            self.unsupported("buildDerivation")
        with self.pool.connection() as channel:
            return channel.client.build_derivation(path, drv, self.build_options)
