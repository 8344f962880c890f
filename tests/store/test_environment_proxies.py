"""Proxies that the environment names."""

from __future__ import annotations

import base64
import os
import socket
import threading

import pytest

from frazil.store.config import TransferSettings
from frazil.store.errors import TransferFailed
from frazil.store.http import Client, _environment_proxies
from frazil.store.transfer import Transfers

from .conftest import RecordingReporter


@pytest.fixture(autouse=True)
def no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "Https_Proxy"])
def test_proxies_of_the_environment_are_found(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert _environment_proxies() == {}
    monkeypatch.setenv(name, "http://proxy.example:3128")
    assert _environment_proxies() == {"https": "http://proxy.example:3128"}


class Proxy:
    """Answers everything itself, and keeps what it was asked."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as file:
                lines = []
                while (line := file.readline()) not in (b"\r\n", b""):
                    lines.append(line.decode().strip())
                self.heads.append("\n".join(lines))
                if lines[0].startswith("CONNECT"):
                    connection.sendall(b"HTTP/1.1 403 Not there\r\n\r\n")
                else:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nme")

    def close(self) -> None:
        self._listener.close()


def fetch(url: str) -> bytes:
    transfers = Transfers(Client(TransferSettings(attempts=1, connect_timeout=5)), RecordingReporter())
    try:
        return transfers.fetch(url, 100)
    finally:
        transfers.close()


def test_a_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy()
    try:
        monkeypatch.setenv("http_proxy", f"http://me:s%40cret@{proxy.place}")
        monkeypatch.setenv("https_proxy", proxy.place)
        monkeypatch.setenv("no_proxy", "127.0.0.1,.inside.example")
        assert fetch("http://somewhere.example/a?b") == b"me"
        word = base64.b64encode(b"me:s@cret").decode()
        assert proxy.heads[0].startswith("GET http://somewhere.example/a?b HTTP/1.1\nHost: somewhere.example\n")
        assert f"Proxy-Authorization: Basic {word}" in proxy.heads[0]
        with pytest.raises(TransferFailed, match="the proxy refuses the connection: 403 Not there"):
            fetch("https://somewhere.example/a")
        assert proxy.heads[1].startswith("CONNECT somewhere.example:443 HTTP/1.1")
        with pytest.raises(TransferFailed, match="refused"):
            fetch("http://127.0.0.1:1/a")
        assert len(proxy.heads) == 2
    finally:
        proxy.close()


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        ("http://127.0.0.1:1", r"Connection refused \(of the proxy 127\.0\.0\.1:1\)"),
        ("socks5://127.0.0.1:1", "of the kind 'socks5' are not supported"),
        ("http://", "no host"),
    ],
)
def test_proxies_that_cannot_be_asked(monkeypatch: pytest.MonkeyPatch, proxy: str, reason: str) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(TransferFailed, match=reason):
        fetch("http://somewhere.example/a")
