"""Who keeps what a build's clients share, alone: clients that die at bad moments."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from frazil.daemon.keeper import Keeper, _Client
from frazil.store.path import StoreDirectory, StorePath

INPUT = StorePath("0" * 32, "input")


@pytest.fixture
def pair() -> Iterator[tuple[Keeper, socket.socket]]:
    """A keeper, and its starter's end."""
    control, starter = socket.socketpair()
    listener, door = socket.socketpair()
    keeper = Keeper(
        directory=StoreDirectory("/nix/store"),
        real_store_dir="/nowhere",
        state_dir="/nowhere",
        inputs=frozenset({INPUT}),
        scratch=None,
        control=control,
        listener=listener,
        door=door,
        serve=lambda number, client: None,
    )
    yield keeper, starter
    for sock in (control, starter, listener, door):
        sock.close()


def client_of(keeper: Keeper) -> socket.socket:
    """A client whose process has ended."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    ours, theirs = socket.socketpair()
    keeper.clients[ours.fileno()] = _Client(pid, ours)
    return theirs


def test_a_client_that_dies_before_it_reads_its_answer(pair: tuple[Keeper, socket.socket]) -> None:
    keeper, _ = pair
    client = client_of(keeper)
    (number,) = keeper.clients
    client.sendall(b'{"op": "allowed", "paths": ["' + INPUT.base.encode() + b'"]}\n')
    keeper._hear(number)
    client.close()  # with the answer unread, which is an error at the other end
    keeper._hear(number)
    assert not keeper.clients


@pytest.mark.parametrize("words", [b"", b"end\n"])
def test_a_starter_that_is_gone(pair: tuple[Keeper, socket.socket], words: bytes) -> None:
    keeper, starter = pair
    starter.sendall(words)
    starter.close()
    keeper._end()
