"""Stores of other machines behind `nix-store --serve`: `ssh://HOST`.

Source of truth: the manual's `store/types/ssh-store`; libstore's legacy SSH store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from frazil.protocol.errors import ProtocolError
from frazil.protocol.pooled import PooledStore
from frazil.protocol.serve import BuildOptions
from frazil.protocol.serve_client import ServeClient
from frazil.protocol.values import Outcome
from frazil.store import nar
from frazil.store.errors import InvalidPath, StoreError
from frazil.store.path import StorePath
from frazil.store.path_info import PathInfo

if TYPE_CHECKING:
    from frazil.store.derivation import Derivation
    from frazil.store.derived_path import DerivedPath


class LegacySshStore(PooledStore[ServeClient]):
    def find_infos(self, paths: Iterable[StorePath]) -> list[PathInfo | None]:
        wanted = list(paths)
        if not wanted:
            return []
        with self.pool.connection() as channel:
            found = channel.client.query_infos(wanted)
        return [found.get(path) for path in wanted]

    def query_info_or_none(self, path: StorePath) -> PathInfo | None:
        return self.find_infos([path])[0]

    def _plain_closure(self, paths: Iterable[StorePath]) -> set[StorePath]:
        return self._ask_closure(paths, include_outputs=False)

    def _closure_with_outputs(self, paths: Iterable[StorePath]) -> set[StorePath]:
        return self._ask_closure(paths, include_outputs=True)

    def _ask_closure(self, paths: Iterable[StorePath], *, include_outputs: bool) -> set[StorePath]:
        wanted = list(paths)
        with self._naming_the_absent(wanted), self.pool.connection() as channel:
            return set(channel.client.query_closure(wanted, include_outputs=include_outputs))

    def dump_nar(self, path: StorePath, write: nar.Write) -> None:
        with self._naming_the_absent([path]), self.pool.connection() as channel:
            channel.client.dump(path, write)

    @contextmanager
    def _naming_the_absent(self, paths: list[StorePath]) -> Iterator[None]:
        """The server has no words for an invalid path: it hangs up."""
        try:
            yield
        except (ProtocolError, StoreError) as error:
            for path, info in zip(paths, self.find_infos(paths)):
                if info is None:
                    raise InvalidPath(f"path '{self.show(path)}' is not valid") from error
            raise

    def add_archive(
        self, info: PathInfo, send: nar.Send, *, repair: bool = False, check_signatures: bool = False
    ) -> None:
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
        if not outcome.succeeded:
            self._known_valid.clear()
            return [outcome] * len(targets)
        return self.built(targets, lambda _: outcome.status)

    def build_derivation_elsewhere(self, path: StorePath, drv: Derivation, mode: str) -> Outcome:
        if mode != "normal":
            self.unsupported("buildDerivation")
        with self.pool.connection() as channel:
            return channel.client.build_derivation(path, drv, self.build_options)
