"""Connections to one server, shared by threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Generic, Protocol, TypeVar


class Connection(Protocol):
    @property
    def usable(self) -> bool: ...

    def close(self) -> None: ...


C = TypeVar("C", bound=Connection)


class Pool(Generic[C]):
    """At most `limit` connections, opened when needed, none older than `maximum_age` seconds when handed out."""

    def __init__(self, make: Callable[[], C], limit: int, maximum_age: float | None = None) -> None:
        self._make = make
        self._limit = max(1, limit)
        self._maximum_age = maximum_age
        self._condition = Condition()
        self._idle: list[tuple[C, float]] = []
        self._count = 0

    @contextmanager
    def connection(self) -> Iterator[C]:
        """One for the caller alone; it goes back, unless it became unusable."""
        connection, since = self._take()
        try:
            yield connection
        finally:
            with self._condition:
                if connection.usable:
                    self._idle.append((connection, since))
                else:
                    self._count -= 1
                self._condition.notify()
            if not connection.usable:
                connection.close()

    def _take(self) -> tuple[C, float]:
        old: list[C] = []
        try:
            with self._condition:
                while True:
                    while self._idle:
                        connection, since = self._idle.pop()
                        if self._maximum_age is None or time.monotonic() - since < self._maximum_age:
                            return connection, since
                        old.append(connection)
                        self._count -= 1
                    if self._count < self._limit:
                        self._count += 1
                        break
                    self._condition.wait()
        finally:
            for connection in old:
                connection.close()
        try:
            return self._make(), time.monotonic()
        except BaseException:
            with self._condition:
                self._count -= 1
                self._condition.notify()
            raise

    def close(self) -> None:
        """Those that are idle; afterwards the pool may be used again."""
        with self._condition:
            idle, self._idle = self._idle, []
            self._count -= len(idle)
        for connection, _ in idle:
            connection.close()
