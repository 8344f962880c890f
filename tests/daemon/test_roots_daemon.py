"""Asking another process which store paths are in use."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from frazil.daemon.roots_daemon import answer
from frazil.store.config import StoreConfig
from frazil.store.errors import StoreError
from frazil.store.local import LocalStore
from frazil.store.roots import CENSORED, ask_for_runtime_roots, find_lasting_roots


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(StoreConfig.from_uri(f"local?root={tmp_path}&use-roots-daemon=true", {}))


@pytest.fixture
def listener(store: LocalStore) -> Iterator[socket.socket]:
    folder = f"{store.config.state_dir}/gc-roots-socket"
    os.makedirs(folder)
    here = os.open(folder, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
        server.listen()
        yield server


def _say(server: socket.socket, data: bytes) -> threading.Thread:
    def talk() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(data)

    thread = threading.Thread(target=talk)
    thread.start()
    return thread


def test_the_answer_of_our_own(store: LocalStore, listener: socket.socket) -> None:
    used, idle = store.add_text("used", b"1"), store.add_text("idle", b"2")

    def talk() -> None:
        connection, _ = listener.accept()
        with connection:
            answer(store.config, connection.fileno())

    thread = threading.Thread(target=talk)
    with open(store.real_path(used), "rb"):
        thread.start()
        roots = find_lasting_roots(store)
        thread.join()
    assert roots[used] == {CENSORED}
    assert idle not in roots


def test_no_answer_is_an_error(store: LocalStore) -> None:
    """What is in use is not known then: nothing may be deleted."""
    with pytest.raises(StoreError, match="asking the roots daemon") as found:
        find_lasting_roots(store)
    assert "roots-daemon" in (found.value.hint or "")


@pytest.mark.parametrize("data", [b"/nix/store/half", b"/nix/store/no-path\0", b"\xff\xff\0"])
def test_wrong_answers(store: LocalStore, listener: socket.socket, data: bytes) -> None:
    thread = _say(listener, data)
    with pytest.raises(StoreError):
        ask_for_runtime_roots(store)
    thread.join()


def test_nothing_in_use(store: LocalStore, listener: socket.socket) -> None:
    thread = _say(listener, b"")
    assert ask_for_runtime_roots(store) == {}
    thread.join()
