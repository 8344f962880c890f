"""`store roots-daemon`: tells collectors which store paths running processes use, where they may not look themselves.

In: connections to a socket in the state directory. Out: store paths, each ended by a zero byte. Whoever looks does not
open the store. Source of truth: the manual page of `nix store roots-daemon`.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frazil.store.path import StoreDirectory
from frazil.store.roots import find_runtime_roots

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from frazil.store.config import StoreConfig


@dataclass(frozen=True, slots=True)
class Place:
    """Where a store is."""

    config: StoreConfig
    directory: StoreDirectory


def answer(config: StoreConfig, descriptor: int) -> None:
    """One client's."""
    place = Place(config, StoreDirectory(config.store_dir))
    text = "".join(f"{place.directory.show(path)}\0" for path in sorted(find_runtime_roots(place)))
    with socket.socket(fileno=socket.dup(descriptor)) as connection:
        connection.sendall(text.encode())


def run(config: StoreConfig, servers: Sequence[socket.socket], log: Callable[[str], None]) -> None:
    """Until a signal ends it. What it tells is no secret to users of the store."""
    from frazil.daemon.listen import Access, Daemon

    Daemon(servers, Access(), lambda descriptor, trusted: answer(config, descriptor), log).run()
