"""A store behind a server that is asked over several connections: what both protocols have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from frazil.protocol.foreign import ForeignStore
from frazil.protocol.pool import Pool
from frazil.protocol.values import Outcome, Realisation

if TYPE_CHECKING:
    from typing import Self

    from frazil.activity import Reporter
    from frazil.store.config import StoreConfig, StoreSettings
    from frazil.store.derived_path import DerivedPath
    from frazil.store.path import StorePath


class Client(Protocol):
    @property
    def usable(self) -> bool: ...

    def hang_up(self) -> None: ...

    def query_valid(self, paths: Iterable[StorePath], /, *, substitute: bool = False) -> frozenset[StorePath]:
        """`substitute`: what is not there is fetched first, as far as the server can."""


T = TypeVar("T", bound=Client)


class Channel(Generic[T]):
    """A connection of the pool: a client, and what to close with it."""

    def __init__(self, client: T, close: Callable[[], None]) -> None:
        self.client = client
        self._close = close

    @property
    def usable(self) -> bool:
        return self.client.usable

    def close(self) -> None:
        self.client.hang_up()
        self._close()


class PooledStore(ForeignStore, Generic[T]):
    """`connect` gives a new connection each time it is called."""

    def __init__(
        self,
        config: StoreConfig,
        settings: StoreSettings,
        reporter: Reporter,
        connect: Callable[[], Channel[T]],
        maximum_connections: int,
        maximum_age: float | None = None,
    ) -> None:
        super().__init__(config, settings, reporter)
        self._maximum_connections = maximum_connections
        self.pool = Pool(connect, maximum_connections, maximum_age)
        self.at_close: Callable[[], None] | None = None
        """What ends with the last connection."""

    def open(self) -> Self:
        with self.pool.connection():
            return self

    def close(self) -> None:
        if self._process == os.getpid():
            self.pool.close()
        super().close()
        if self.at_close is not None:
            self.at_close()

    @property
    def transfers(self) -> int:
        return max(1, min(self._maximum_connections, super().transfers))

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
            self._known_valid |= channel.client.query_valid(paths, substitute=True)

    def built(self, targets: Sequence[DerivedPath], status: Callable[[DerivedPath], int]) -> list[Outcome]:
        """The outcomes of targets that a server built without saying of each what came of it."""
        self._known_valid.clear()
        outcomes = []
        for target in targets:
            outputs = {}
            if target.outputs is not None and not target.through:
                known = self.query_derivation_outputs(target.base)
                outputs = {n: Realisation(path) for n in target.outputs.choose(known) if (path := known[n])}
            outcomes.append(Outcome(status(target), outputs=outputs))
        return outcomes
