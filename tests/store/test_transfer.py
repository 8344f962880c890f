"""Transfers by HTTP, with servers that stall, cut, lie and redirect."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from frazil.store.compression import compress
from frazil.store.config import TransferSettings
from frazil.store.errors import StoreError, TransferFailed
from frazil.store.http import Client
from frazil.store.transfer import Transfers, retry_after, shown

from .conftest import RecordingReporter
from .http_server import Handler, Server, serving

QUICK = TransferSettings(retry_delay=1, retry_delay_rate_limited=1, stalled_timeout=2, connect_timeout=2)
BIG = bytes(range(256)) * 4096


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "a").write_bytes(b"hello")
    (tmp_path / "big").write_bytes(BIG)
    with serving(tmp_path) as made:
        yield made


@pytest.fixture
def transfers() -> Iterator[Transfers]:
    made = Transfers(Client(QUICK), RecordingReporter())
    yield made
    made.close()


def read_all(transfers: Transfers, url: str) -> bytes:
    pieces = []
    with transfers.stream(url) as read:
        while data := read(1 << 16):
            pieces.append(data)
    return b"".join(pieces)


def test_small_and_large_files(server: Server, transfers: Transfers) -> None:
    for _ in range(3):
        assert transfers.fetch(server.url + "/a", 100) == b"hello"
    assert read_all(transfers, server.url + "/big") == BIG
    assert transfers.exists(server.url + "/a") and not transfers.exists(server.url + "/b")
    with pytest.raises(TransferFailed, match="HTTP error 404") as caught:
        transfers.fetch(server.url + "/b", 100)
    assert caught.value.status == 404
    with pytest.raises(StoreError, match="longer than 4 bytes"):
        transfers.fetch(server.url + "/a", 4)


def test_uploads(server: Server, transfers: Transfers, tmp_path: Path) -> None:
    failures = iter([True])

    def trouble(handler: Handler) -> bool:
        if next(failures, False):
            handler.answer(503, b"")
            return True
        return False

    server.trouble = trouble
    transfers.put(server.url + "/new/file", io.BytesIO(BIG), len(BIG), "text/plain")
    assert (tmp_path / "new" / "file").read_bytes() == BIG


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_second_tries(server: Server, transfers: Transfers, status: int) -> None:
    def trouble(handler: Handler) -> bool:
        if server.count() < 3:
            handler.answer(status, b"", {"Retry-After": "0"})
            return True
        return False

    server.trouble = trouble
    assert transfers.fetch(server.url + "/a", 100) == b"hello"
    assert server.count() == 3


def test_giving_up(server: Server, transfers: Transfers) -> None:
    def trouble(handler: Handler) -> bool:
        handler.answer(int(handler.path[1:]), b"")
        return True

    server.trouble = trouble
    for status, tries in ((500, 5), (403, 1), (501, 1)):
        server.requests.clear()
        with pytest.raises(TransferFailed, match=f"HTTP error {status}"):
            transfers.fetch(f"{server.url}/{status}", 100)
        assert server.count() == tries


@pytest.mark.parametrize("ranges", [True, False])
def test_going_on_after_a_cut(server: Server, transfers: Transfers, ranges: bool) -> None:
    server.ranges = ranges
    answered = []

    def trouble(handler: Handler) -> bool:
        if len(answered) < 2:
            answered.append(handler.headers.get("Range"))
            start = int((handler.headers.get("Range") or "bytes=0-")[6:-1]) if ranges else 0
            headers = {"ETag": '"1"', "Accept-Ranges": "bytes"} if ranges else {}
            status = 206 if start else 200
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(BIG) - 1}/{len(BIG)}"
            handler.answer(status, BIG[start:], headers, cut=100_000)
            return True
        return False

    server.trouble = trouble
    assert read_all(transfers, server.url + "/big") == BIG
    assert (server.count("GET") == 3) and (answered[1] is not None) == ranges


def test_a_small_file_that_is_cut(server: Server, transfers: Transfers) -> None:
    def trouble(handler: Handler) -> bool:
        if server.count() < 3:
            handler.answer(200, b"hello", cut=2)
            return True
        return False

    server.trouble = trouble
    assert read_all(transfers, server.url + "/a") == b"hello"
    assert server.count("GET") == 3


def test_addresses_of_all_kinds(server: Server, transfers: Transfers) -> None:
    for end in ("/a", "/a?x=1", "/a#part", "//a"):
        assert transfers.fetch(server.url + end, 100) == b"hello"
    server.trouble = lambda handler: handler.answer(200, handler.path.encode()) is None
    assert transfers.fetch(server.url, 100) == b"/"
    assert transfers.fetch(server.url + "?x=1", 100) == b"/?x=1"
    assert transfers.fetch(server.url + "/a b\x7f", 100) == b"/a%20b%7F"
    with pytest.raises(StoreError, match="no address"):
        transfers.fetch("http://[::bad/x", 100)
    with pytest.raises(StoreError, match="cannot transfer by 'file'"):
        transfers.fetch("file:///etc/passwd", 100)
    with pytest.raises(StoreError, match="no address"):
        transfers.fetch("http://127.0.0.1:port/a", 100)


def test_a_file_that_changes_meanwhile(server: Server, transfers: Transfers) -> None:
    def trouble(handler: Handler) -> bool:
        handler.answer(200, BIG, {"ETag": f'"{server.count()}"', "Accept-Ranges": "bytes"}, cut=1000)
        return True

    server.trouble = trouble
    with pytest.raises(TransferFailed, match="changed while it was downloaded"):
        read_all(transfers, server.url + "/big")


def test_a_part_of_another_file(server: Server, transfers: Transfers) -> None:
    """A server that answers with the part that was asked for, but of a file that is not that of before."""

    def trouble(handler: Handler) -> bool:
        start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        headers = {"ETag": f'"{server.count()}"', "Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(BIG) - 1}/{len(BIG)}"
        handler.answer(206 if start else 200, BIG[start:], headers, cut=100_000)
        return True

    server.trouble = trouble
    with pytest.raises(TransferFailed, match="changed while it was downloaded"):
        read_all(transfers, server.url + "/big")


def test_when_a_server_wants_to_be_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0)  # 2001-09-09 01:46:40
    for text, seconds in (
        ("", 0.0),
        ("7", 7.0),
        ("99999999999999999999", 3600.0),
        ("Sun, 09 Sep 2001 01:46:52 GMT", 12.0),
        ("Sun, 09 Sep 2001 01:46:30 GMT", 0.0),
        ("Mon, 09 Sep 9999 01:46:30 GMT", 3600.0),
        ("soon", 0.0),
        ("-5", 0.0),
        ("Sun, 99 Sep 2001 99:46:30 GMT", 0.0),
    ):
        assert retry_after(text) == seconds


def test_redirections(server: Server, transfers: Transfers) -> None:
    def trouble(handler: Handler) -> bool:
        places = {"/once": "/a", "/loop": "/loop", "/out": "file:///etc/passwd", "/far": "http://127.0.0.1:1/"}
        places["/nowhere"], places["/port"] = "http://[::bad/x", "http://x:port/"
        if handler.path in places:
            handler.answer(302, b"", {"Location": places[handler.path]})
            return True
        return False

    server.trouble = trouble
    assert transfers.fetch(server.url + "/once", 100) == b"hello"
    with pytest.raises(TransferFailed, match="too many redirections"):
        transfers.fetch(server.url + "/loop", 100)
    with pytest.raises(TransferFailed, match="redirects to 'file:"):
        transfers.fetch(server.url + "/out", 100)
    with pytest.raises(TransferFailed, match="what is no address: 'http:"):
        transfers.fetch(server.url + "/nowhere", 100)
    with pytest.raises(TransferFailed, match="no address: Port"):
        transfers.fetch(server.url + "/port", 100)
    assert server.count(ending="/port") == 1  # asking again does not help
    with pytest.raises(TransferFailed, match="refused"):
        transfers.fetch(server.url + "/far", 100)


def test_encodings(server: Server, transfers: Transfers, tmp_path: Path) -> None:
    for method in ("gzip", "zstd", "br", "xz"):
        (tmp_path / "packed").write_bytes(compress(b"text" * 1000, method))
        server.extra = {"Content-Encoding": method}
        assert transfers.fetch(server.url + "/packed", 10_000) == b"text" * 1000
        assert read_all(transfers, server.url + "/packed") == b"text" * 1000
        with pytest.raises(TransferFailed, match="larger than 100 bytes"):
            transfers.fetch(server.url + "/packed", 3999 if method == "none" else 100)
    server.extra = {"Content-Encoding": "rot13"}
    with pytest.raises(TransferFailed, match="encoding 'rot13'"):
        transfers.fetch(server.url + "/packed", 10_000)


def test_secrets_stay_where_they_belong(server: Server, tmp_path: Path) -> None:
    seen = []

    def trouble(handler: Handler) -> bool:
        seen.append(handler.headers.get("Authorization"))
        return False

    server.trouble = trouble
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    transfers = Transfers(Client(QUICK.with_(netrc_file=str(tmp_path / "netrc"))), RecordingReporter())
    transfers.fetch(server.url + "/a", 100)
    transfers.fetch(server.url.replace("http://", "http://you:other@") + "/a", 100)
    transfers.close()
    assert seen == ["Basic bWU6c2VjcmV0", "Basic eW91Om90aGVy"]
    assert shown("http://you:other@host/x") == "http://you:…@host/x"


def raw_server(answer: bytes, *, hold: float = 0.0) -> tuple[str, socket.socket]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                time.sleep(hold)

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/x", listener


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "closed"),
        (b"SSH-2.0-x\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", "bad length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "two lengths"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n", "too many headers"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000 + b"\r\n\r\n", "a header that is too long"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100, "again and again"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "chunk without a size"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", "another size"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", "too early"),
        (b"HTTP/1.1 " + b"2" * 100_000, "does not speak HTTP|too early"),
    ],
)
def test_servers_that_talk_nonsense(answer: bytes, reason: str) -> None:
    url, listener = raw_server(answer)
    transfers = Transfers(Client(QUICK.with_(attempts=1)), RecordingReporter())
    with listener, pytest.raises(TransferFailed, match=reason):
        transfers.fetch(url, 1000)
    transfers.close()


def test_chunks_and_answers_without_length() -> None:
    for answer in (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ):
        url, listener = raw_server(answer)
        transfers = Transfers(Client(QUICK), RecordingReporter())
        with listener:
            assert transfers.fetch(url, 100) == b"hello"
        transfers.close()


def test_a_server_that_stalls() -> None:
    url, listener = raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", hold=30)
    settings = QUICK.with_(stalled_timeout=1, attempts=2)
    transfers = Transfers(Client(settings), RecordingReporter())
    start = time.monotonic()
    with listener, pytest.raises(TransferFailed, match="did not answer in time"):
        transfers.fetch(url, 1000)
    assert time.monotonic() - start < 10
    transfers.close()


def test_names_that_nobody_knows() -> None:
    transfers = Transfers(Client(QUICK), RecordingReporter())
    with pytest.raises(TransferFailed, match="Could not resolve"):
        transfers.fetch("http://does-not-exist.invalid/x", 10)
    transfers.close()


def test_servers_without_tls(tmp_path: Path) -> None:
    url, listener = raw_server(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    transfers = Transfers(Client(QUICK.with_(attempts=1)), RecordingReporter())
    with listener, pytest.raises(TransferFailed, match=r"TLS with the server failed: [a-z ]+$"):
        transfers.fetch(url.replace("http:", "https:"), 1000)
    transfers.close()
    (tmp_path / "none").write_text("no certificate")
    for file, reason in (("/no/such/file", "No such file or directory"), (str(tmp_path / "none"), "no certificate")):
        transfers = Transfers(Client(QUICK.with_(ssl_cert_file=file)), RecordingReporter())
        listener = socket.create_server(("127.0.0.1", 0))
        with listener, pytest.raises(StoreError, match=f"cannot read certificates from '{file}': {reason}"):
            transfers.fetch(f"https://127.0.0.1:{listener.getsockname()[1]}/", 10)
        transfers.close()
