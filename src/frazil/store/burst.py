"""Many small files from one server at once, asked for by one thread.

In: URLs. Out: what came of each, as it comes. For near servers and HTTP/1.1 without TLS: a few connections, more of
them where answers are long in coming. For everything else a thread for each request is as good, or better: opening a
connection to a far server takes long, too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from frazil._native import Exchanges
from frazil.store.http import BadResponse

if TYPE_CHECKING:
    from frazil.store.http import Client, Connection, Response

_FEW = 4
_MOST = 32
"""Connections; the setting `http-connections` may allow fewer."""
_NEAR = 0.003
"""Seconds that it may be to the server and back."""
_SOON = 0.002
"""Seconds that an answer may take before more is asked for at once."""


class Burst:
    """An iterator. An answer has to be read and closed before the next one is taken."""

    def __init__(self, client: Client, urls: Iterator[str], headers: Mapping[str, str], maximum: int) -> None:
        """`urls`: of one server. Those that are left over when the iteration ends are to be asked for elsewhere."""
        self._client, self._urls, self._headers = client, urls, headers
        self._exchanges = Exchanges(maximum, client.patience)
        self._under_way: dict[str, Connection] = {}
        self._held: list[tuple[str, bool]] = []
        """What waits for a connection, perhaps for a new one."""
        self._allowed = _FEW
        self._goes_on = True

    def __iter__(self) -> Iterator[tuple[str, Response | Exception]]:
        try:
            while True:
                yield from self._begin()
                if not self._under_way and not self._held:
                    return
                asked = time.monotonic()
                over = self._exchanges.wait()
                if time.monotonic() - asked > _SOON:
                    self._allowed = min(_MOST, 2 * self._allowed)
                for url, data, head, whole in over:
                    outcome = self._outcome(url, data, head, whole)
                    if outcome is not None:
                        yield url, outcome
        finally:
            for connection in self._under_way.values():
                self._client.give_back(connection)
            self._under_way.clear()

    def _begin(self) -> Iterator[tuple[str, Exception]]:
        """As many as may be under way; what cannot be asked at all."""
        while len(self._under_way) < self._allowed and (drawn := self._draw()) is not None:
            url, fresh = drawn
            try:
                address, request = self._client.prepare(url, self._headers)
                connection = self._client.lend(address, wait=not self._under_way, fresh=fresh)
                if connection is None:
                    self._held.append(drawn)
                    return
            except (OSError, BadResponse) as error:
                self._goes_on = False
                yield url, error
                continue
            if not connection.requests and connection.round_trip > _NEAR:
                self._goes_on = False
            connection.requests += 1
            self._under_way[url] = connection
            self._exchanges.start(connection.descriptor, request, url)

    def _draw(self) -> tuple[str, bool] | None:
        """What to ask for next, and whether over a new connection."""
        if self._held:
            return self._held.pop()
        url = next(self._urls, None) if self._goes_on else None
        return None if url is None else (url, False)

    def _outcome(self, url: str, data: bytes | int, head: int, whole: bool) -> Response | Exception | None:
        """None where it is asked anew: the server had closed an old connection meanwhile."""
        connection = self._under_way.pop(url)
        try:
            if isinstance(data, int):
                raise OSError(data, os.strerror(data))
            return self._client.answered(url, connection, connection.understand(data, head, whole))
        except (OSError, BadResponse) as error:
            fresh = connection.requests == 1
            self._client.give_back(connection)
            if fresh or not isinstance(error, ConnectionError):
                return error
        self._held.append((url, True))
        return None
