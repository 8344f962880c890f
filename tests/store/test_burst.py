"""Small files, many at once: what comes back is what one request after the other brings."""

from __future__ import annotations

import io
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from frazil._native import Exchanges, exchange
from frazil.store import http
from frazil.store.burst import Burst
from frazil.store.config import TransferSettings
from frazil.store.errors import StoreError
from frazil.store.http import BadResponse, Client, Connection
from frazil.store.transfer import Transfers

from .conftest import RecordingReporter
from .http_server import Handler, Server, serving

QUICK = TransferSettings(retry_delay=1, retry_delay_rate_limited=1, stalled_timeout=5, connect_timeout=5, attempts=3)
ASKED = b"GET /a HTTP/1.1\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n\r\nhello"


def answered(pieces: list[bytes], maximum: int = 1000, patience: int = 5000) -> tuple[bytes, int, bool]:
    """What `exchange` makes of an answer in pieces, after which the server hangs up."""
    ours, theirs = socket.socketpair()

    def answer() -> None:
        with theirs:
            assert theirs.recv(1000) == ASKED
            for piece in pieces:
                theirs.sendall(piece)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with ours:
            return exchange(ours.fileno(), ASKED, maximum, patience)
    finally:
        thread.join()


@pytest.mark.parametrize("at", range(1, len(PLAIN)))
def test_an_answer_in_two_pieces(at: int) -> None:
    assert answered([PLAIN[:at], PLAIN[at:]]) == (PLAIN, len(PLAIN) - 5, True)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\nhello",
        PLAIN + b"x",
        PLAIN[:-1],
        PLAIN[:20],
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"x" * 70000,
    ],
)
def test_what_is_not_plain_is_given_back(data: bytes) -> None:
    found, _, whole = answered([data])
    assert not whole
    assert data.startswith(found)


def test_a_server_that_says_nothing() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TimeoutError):
        exchange(ours.fileno(), ASKED, 1000, 150)


def heads() -> st.SearchStrategy[bytes]:
    names = st.sampled_from(
        ["Content-Length", "content-length", "X", "Connection", " Content-Length", "Transfer-Encoding"]
    )
    values = st.sampled_from(["0", "3", " 3", "3 ", "03", "+3", "3x", "", "close", "chunked", "identity"])
    lines = st.lists(st.tuples(names, st.sampled_from([":", ": ", " : ", ""]), values).map("".join), max_size=4)
    first = st.sampled_from(
        ["HTTP/1.1 200 OK", "HTTP/1.0 404", "HTTP/1.1 304 x", "HTTP/2 200", "HTTP/1.1 2x0", "", "HTTP"]
    )
    ends = st.sampled_from(["\r\n", "\n"])
    return st.builds(lambda f, ls, end: end.join([f, *ls, "", ""]).encode(), first, lines, ends)


@given(heads(), st.binary(max_size=5))
@example(b"HTTP/1.1 2x0\r\nContent-Length: 0\r\n\r\n", b"")
@example(b"HTTP/1.1 200 OK\nContent-Length: 3\n\n", b"abc")
def test_what_is_whole_is_what_reading_finds(head: bytes, body: bytes) -> None:
    found, size, whole = answered([head + body])
    if not whole:
        return
    connection = object.__new__(Connection)
    connection._file = io.BufferedReader(io.BytesIO(head + body))  # type: ignore[arg-type]
    try:
        status, reason, headers, content, keep = connection.receive("GET")
    except BadResponse as error:
        with pytest.raises(BadResponse, match=re.escape(error.message)):
            connection.understand(found, size, whole)
        return
    again = connection.understand(found, size, whole)
    assert again[:3] == (status, reason, headers) and again[4] == keep
    assert again[3].read(100) == content.read(100) == body
    assert again[3].done and content.done


def test_no_more_than_there_is_room_for() -> None:
    exchanges, pairs = Exchanges(1000, 0), [socket.socketpair() for _ in range(64)]
    assert exchanges.wait() == []
    for number, (ours, _) in enumerate(pairs):
        exchanges.start(ours.fileno(), ASKED, number)
    with pytest.raises(RuntimeError):
        exchanges.start(pairs[0][0].fileno(), ASKED, 65)
    for _, theirs in pairs:
        theirs.sendall(PLAIN)
    found = []
    while len(found) < 64:
        found += exchanges.wait()
    assert sorted(found) == [(number, PLAIN, len(PLAIN) - 5, True) for number in range(64)]
    assert exchanges.wait() == []
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


# ------------------------------------------------------------------------------------------------------- many at once


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    for number in range(100):
        (tmp_path / f"f{number}").write_bytes(b"contents %d" % number)
    with serving(tmp_path) as made:
        yield made


def fetched(transfers: Transfers, urls: Iterator[str]) -> dict[str, bytes | str]:
    found: dict[str, bytes | str] = {}
    for url, outcome in transfers.fetch_many(urls, 1000):
        try:
            found[url.rpartition("/")[2]] = transfers.fetch(url, 1000, outcome)
        except StoreError as error:
            found[url.rpartition("/")[2]] = error.message
    return found


EXPECTED = {f"f{number}": b"contents %d" % number for number in range(100)}


@pytest.mark.parametrize("connections", [0, 1, 3])
def test_many(server: Server, connections: int) -> None:
    transfers = Transfers(Client(QUICK.with_(http_connections=connections)), RecordingReporter())
    for _ in range(2):
        assert fetched(transfers, (f"{server.url}/f{number}" for number in range(100))) == EXPECTED
    assert server.count("GET") == 200
    missing = fetched(transfers, iter([f"{server.url}/absent", f"{server.url}/f1"]))
    assert missing["f1"] == b"contents 1" and "HTTP error 404" in str(missing["absent"])
    transfers.close()


def test_a_server_in_trouble(server: Server) -> None:
    """Every kind of it, once for each file."""
    seen: set[str] = set()

    def trouble(handler: Handler) -> bool:
        number = int(handler.path[2:])
        if handler.path in seen or not number % 6:
            return False
        seen.add(handler.path)
        if number % 6 == 1:
            handler.answer(503, b"later")
        elif number % 6 == 2:
            handler.close_connection = True
        elif number % 6 == 3:
            handler.answer(200, b"contents", cut=4)
        elif number % 6 == 4:
            handler.answer(302, b"", {"Location": f"/f{number}"})
        else:
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            data = b"contents %d" % number
            handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))
        return True

    server.trouble = trouble
    transfers = Transfers(Client(QUICK), RecordingReporter())
    assert fetched(transfers, (f"{server.url}/f{number}" for number in range(100))) == EXPECTED
    transfers.close()


def test_connections_that_were_closed_meanwhile(server: Server) -> None:
    client = Client(QUICK)
    transfers = Transfers(client, RecordingReporter())
    urls = [f"{server.url}/f{number}" for number in range(100)]
    assert fetched(transfers, iter(urls)) == EXPECTED
    for connections in client._idle.values():
        for connection in connections:
            connection._socket.shutdown(socket.SHUT_RDWR)
    assert fetched(transfers, iter(urls)) == EXPECTED
    transfers.close()


def test_what_is_left_for_threads(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http.Connection, "round_trip", 1.0)
    transfers = Transfers(Client(QUICK), RecordingReporter())
    urls = iter([f"{server.url}/f{number}" for number in range(100)])
    assert fetched(transfers, urls) == {"f0": b"contents 0"}
    assert len(list(urls)) == 99
    transfers.close()


def test_nobody_is_there(server: Server) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/a"
        urls = iter([url, url + "b"])
        found = list(Burst(Client(QUICK), urls, {}, 1000))
    assert [type(outcome) for _, outcome in found] == [ConnectionRefusedError]
    assert list(urls) == [url + "b"]


def test_leaving_in_the_middle(server: Server) -> None:
    client = Client(QUICK.with_(http_connections=2))
    transfers = Transfers(client, RecordingReporter())
    for url, outcome in transfers.fetch_many((f"{server.url}/f{number}" for number in range(100)), 1000):
        assert transfers.fetch(url, 1000, outcome)
        break
    assert client._places is not None
    assert [client._places.acquire(timeout=5) for _ in range(2)] == [True, True]
    transfers.close()


def test_impossible_addresses() -> None:
    found = list(Burst(Client(QUICK), iter(["http://127.0.0.1:99999/a"]), {}, 1000))
    assert [isinstance(outcome, BadResponse) for _, outcome in found] == [True]
