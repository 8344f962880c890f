"""HTTP/2: many requests on one connection, and servers that do it badly."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.activity import Verbosity
from frazil.store.config import TransferSettings
from frazil.store.errors import StoreError, TransferFailed
from frazil.store.http import BadResponse, Client
from frazil.store.http2 import _Frames
from frazil.store.transfer import Transfers

from .conftest import RecordingReporter
from .http2_server import Peer, Server2, make_certificate, serving2

BIG = os.urandom(1 << 16) * 48


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def server(tmp_path: Path, certificate: Path) -> Iterator[Server2]:
    (tmp_path / "a").write_bytes(b"hello")
    (tmp_path / "big").write_bytes(BIG)
    with serving2(tmp_path, certificate) as made:
        yield made


def make(certificate: Path, **changes: Any) -> Transfers:
    settings = TransferSettings(
        retry_delay=1, retry_delay_rate_limited=1, stalled_timeout=60, ssl_cert_file=str(certificate), attempts=3
    )
    return Transfers(Client(settings.with_(**changes)), RecordingReporter())


@pytest.fixture
def transfers(certificate: Path) -> Iterator[Transfers]:
    made = make(certificate)
    yield made
    made.close()


def read_all(transfers: Transfers, url: str, *, large: bool = False) -> bytes:
    with transfers.stream(url, large=large) as read:
        return b"".join(iter(lambda: read(100_000), b""))


def warnings(transfers: Transfers) -> list[str]:
    assert isinstance(transfers.reporter, RecordingReporter)
    return [text for level, text in transfers.reporter.lines if level <= Verbosity.WARN]


def test_many_at_once_on_one_connection(server: Server2, transfers: Transfers) -> None:
    with ThreadPoolExecutor(30) as pool:
        found = list(pool.map(lambda n: transfers.fetch(f"{server.url}/a", 100), range(200)))
    assert found == [b"hello"] * 200 and server.connections == ["h2"]
    assert transfers.client.multiplexes(server.url)
    assert transfers.exists(server.url + "/a") and not transfers.exists(server.url + "/b")
    with pytest.raises(TransferFailed, match="HTTP error 404"):
        transfers.fetch(server.url + "/b", 100)
    with pytest.raises(StoreError, match="longer than 4 bytes"):
        transfers.fetch(server.url + "/a", 4)
    assert server.connections == ["h2"]


def test_large_ones_have_their_own_connection(server: Server2, transfers: Transfers) -> None:
    assert transfers.fetch(server.url + "/a", 100) == b"hello"
    assert read_all(transfers, server.url + "/big", large=True) == BIG
    assert server.connections == ["h2", "http/1.1"]


def test_windows(server: Server2, transfers: Transfers) -> None:
    """More than a server may send at once, read slowly by some and not at all by others."""
    with transfers.stream(server.url + "/big", large=False) as one:
        assert one(10) == BIG[:10]
        with ThreadPoolExecutor(4) as pool:
            assert all(data == BIG for data in pool.map(lambda n: read_all(transfers, server.url + "/big"), range(8)))
    with transfers.stream(server.url + "/big", large=False):
        pass
    assert read_all(transfers, server.url + "/big") == BIG
    assert server.connections == ["h2"]


def test_few_streams(server: Server2, transfers: Transfers) -> None:
    server.most_streams = 2
    transfers.fetch(f"{server.url}/a", 100)
    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(lambda n: transfers.fetch(f"{server.url}/a", 100), range(50))) == {b"hello"}
    assert server.connections == ["h2"]


@pytest.mark.parametrize("http2", [True, False])
def test_servers_and_users_without_it(tmp_path: Path, certificate: Path, http2: bool) -> None:
    (tmp_path / "a").write_bytes(b"hello")
    with serving2(tmp_path, certificate, ("http/1.1",) if http2 else ("h2", "http/1.1")) as server:
        transfers = make(certificate, http2=http2)
        for _ in range(3):
            assert transfers.fetch(server.url + "/a", 100) == b"hello"
        assert server.connections == ["http/1.1"] and not transfers.client.multiplexes(server.url)
        transfers.close()


def test_good_bye(server: Server2, transfers: Transfers) -> None:
    """A server that wants no more after ten requests: what it has taken it answers, the rest goes elsewhere."""

    def trouble(peer: Peer, number: int, headers: dict[str, str]) -> bool:
        if peer.requests == 10:
            peer.serve(number, headers)
            peer.socket.sendall(
                peer.h2.data_to_send() + b"\0\0\x08\x07\0\0\0\0\0" + number.to_bytes(4, "big") + bytes(4)
            )
            return True
        return peer.requests > 10

    server.trouble = trouble
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda n: transfers.fetch(f"{server.url}/a", 100), range(35))) == {b"hello"}
    assert 4 <= len(server.connections) <= 8
    assert not warnings(transfers)  # nothing was tried again with a pause


def test_refused_requests_are_sent_again(server: Server2, transfers: Transfers) -> None:
    def trouble(peer: Peer, number: int, headers: dict[str, str]) -> bool:
        if len(server.requests) == 1:
            peer.h2.reset_stream(number, 7)
            return True
        return False

    server.trouble = trouble
    assert transfers.fetch(f"{server.url}/a", 100) == b"hello"
    assert not warnings(transfers)


def test_what_is_cut_goes_on(server: Server2, transfers: Transfers) -> None:
    def trouble(peer: Peer, number: int, headers: dict[str, str]) -> bool:
        if len(server.requests) > 2:
            assert headers["range"].startswith("bytes=") and headers["if-range"] == '"1"'
            start = int(headers["range"][6:-1])
            where = ("content-range", f"bytes {start}-{len(BIG) - 1}/{len(BIG)}")
            peer.answer(number, 206, BIG[start:], [where, ("etag", '"1"'), ("accept-ranges", "bytes")])
            return True
        fields = [(":status", "200"), ("etag", '"1"'), ("accept-ranges", "bytes")]
        peer.h2.send_headers(number, fields)
        peer.h2.send_data(number, BIG[:5000])
        peer.flush()
        if len(server.requests) == 1:
            peer.h2.reset_stream(number, 2)
        else:
            peer.socket.close()
        return True

    server.trouble = trouble
    assert read_all(transfers, server.url + "/big") == BIG


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("stall", "did not answer in time"),
        ("junk", "HTTP/2"),
        ("goaway", "error 11"),
        ("headers", "HTTP/2|closed"),
        ("short", "HTTP/2|too early"),
        ("close", "closed the connection"),
    ],
)
def test_servers_that_do_it_badly(tmp_path: Path, certificate: Path, kind: str, reason: str) -> None:
    def trouble(peer: Peer, number: int, headers: dict[str, str]) -> bool:
        if kind == "junk":
            peer.socket.sendall(b"\0\0\x01\x06\0\0\0\0\0x" + b"junk" * 100)
        elif kind == "goaway":
            peer.h2.close_connection(11, b"calm down")
        elif kind == "headers":
            peer.h2.send_headers(number, [(":status", "200")] + [(f"x-{n}", "y" * 1000) for n in range(100)])
        elif kind == "short":
            peer.h2.send_headers(number, [(":status", "200"), ("content-length", "10")])
            peer.h2.send_data(number, b"12345", end_stream=True)
        elif kind == "close":
            peer.socket.close()
        return True

    with serving2(tmp_path, certificate) as server:
        server.trouble = trouble
        transfers = make(certificate, attempts=2, stalled_timeout=1)
        start = time.monotonic()
        with pytest.raises(TransferFailed, match=reason):
            transfers.fetch(server.url + "/a", 100)
        assert time.monotonic() - start < 60
        server.trouble = lambda *asked: False
        (tmp_path / "a").write_bytes(b"hello")
        assert transfers.fetch(server.url + "/a", 100) == b"hello"
        transfers.close()


def test_those_who_wait_for_a_server_that_is_away_fail_together(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []

    def connect(*arguments: object) -> None:
        tried.append(arguments)
        time.sleep(0.5)
        raise TimeoutError

    monkeypatch.setattr("frazil.store.http.Connection", connect)
    client = Client(TransferSettings(ssl_cert_file=str(certificate)))
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(client.request, "GET", "https://127.0.0.1:1/a") for _ in range(8)]
        assert {type(one.exception()) for one in asked} == {TimeoutError}
    assert len(tried) <= 2  # 2: a thread may have started late


def wait_for_listeners(before: set[threading.Thread]) -> None:
    end = time.monotonic() + 30
    while left := [t for t in set(threading.enumerate()) - before if t.name == "http2"]:
        assert time.monotonic() < end, left
        time.sleep(0.05)


def test_nothing_is_left_of_a_connection_that_is_left(tmp_path: Path, certificate: Path) -> None:
    """The thread that listens ends, also where the server keeps its end open."""
    (tmp_path / "a").write_bytes(b"hello")
    with serving2(tmp_path, certificate) as server:
        server.trouble = lambda *asked: len(server.requests) == 1
        transfers = make(certificate, attempts=2, stalled_timeout=1)
        before = set(threading.enumerate())
        assert transfers.fetch(server.url + "/a", 100) == b"hello"
        transfers.close()
        wait_for_listeners(before)


def test_a_good_bye_while_nobody_asks_ends_the_connection(server: Server2, transfers: Transfers) -> None:
    """Also where the server does not hang up."""

    def trouble(peer: Peer, number: int, headers: dict[str, str]) -> bool:
        peer.serve(number, headers)
        peer.flush()
        time.sleep(0.5)  # until the answer has been taken
        peer.socket.sendall(b"\0\0\x08\x07\0\0\0\0\0" + number.to_bytes(4, "big") + bytes(4))
        return True

    server.trouble = trouble
    before = set(threading.enumerate())
    assert transfers.fetch(f"{server.url}/a", 100) == b"hello"
    wait_for_listeners(before)
    assert transfers.fetch(f"{server.url}/a", 100) == b"hello" and server.connections == ["h2", "h2"]
    assert not warnings(transfers)


def test_certificates_are_checked(tmp_path: Path, server: Server2) -> None:
    transfers = make(make_certificate(tmp_path))
    with pytest.raises(TransferFailed, match="certificate is not to be trusted"):
        transfers.fetch(server.url + "/a", 100)


frames = st.lists(st.tuples(st.sampled_from([0, 1, 4, 8]), st.binary(max_size=40)), max_size=8)


@given(frames, st.integers(0, 8), st.integers(1, 30), st.binary(max_size=20))
def test_good_byes_are_held_back(found: list[tuple[int, bytes]], place: int, step: int, said: bytes) -> None:
    def frame(kind: int, body: bytes) -> bytes:
        return len(body).to_bytes(3, "big") + bytes([kind, 0]) + bytes(4) + body

    texts = [frame(kind, body) for kind, body in found]
    expected = b"".join(texts)
    texts.insert(place, frame(7, (5).to_bytes(4, "big") + bytes(4) + said))
    stream, splitter = b"".join(texts), _Frames()
    pieces = [piece for at in range(0, len(stream), step) for piece in splitter.split(stream[at : at + step])]
    assert b"".join(piece for piece, last in pieces if last is None) == expected
    assert [last for _, last in pieces if last is not None] == [5]
    with pytest.raises(BadResponse, match="error 2"):
        _Frames().split(frame(7, bytes(7) + b"\2" + said))
    with pytest.raises(BadResponse, match="bad frame"):
        _Frames().split(frame(7, bytes(7)))
