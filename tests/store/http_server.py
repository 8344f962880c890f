"""A server on the loopback interface that serves a folder, and misbehaves where it is told to."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Server:
    """`trouble(method, path, number)` may answer in the place of the server: it gets the handler as last argument and
    tells whether it did. `requests`: what was asked."""

    def __init__(self, folder: Path, certificate: Path | None = None) -> None:
        """`certificate`: with its key, for https."""
        self.folder = folder
        self.requests: list[tuple[str, str]] = []
        self.trouble: Callable[[Handler], bool] = lambda handler: False
        self.ranges = True
        self.extra: dict[str, str] = {}
        server = self

        class Bound(Handler):
            owner = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self._http.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def count(self, method: str = "", ending: str = "") -> int:
        return sum(m.startswith(method) and path.endswith(ending) for m, path in self.requests)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class Handler(BaseHTTPRequestHandler):
    owner: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *values: object) -> None:
        pass

    @property
    def file(self) -> Path:
        return self.owner.folder / self.path.partition("?")[0].lstrip("/")

    def do_GET(self) -> None:
        self.owner.requests.append((self.command, self.path))
        if self.owner.trouble(self):
            return
        if not self.file.is_file():
            self.answer(404, b"no such file")
            return
        body, status = self.file.read_bytes(), 200
        wanted = self.headers.get("Range", "")
        headers = {"ETag": '"1"', **({"Accept-Ranges": "bytes"} if self.owner.ranges else {}), **self.owner.extra}
        if self.owner.ranges and wanted.startswith("bytes="):
            start = int(wanted[6:].rstrip("-"))
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            body, status = body[start:], 206
        self.answer(status, body, headers)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.owner.requests.append((self.command, self.path))
        if self.owner.trouble(self):
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_bytes(data)
        if self.headers.get("Content-Encoding"):
            self.file.with_name(self.file.name + ".encoding").write_text(self.headers["Content-Encoding"])
        self.answer(201, b"")

    def answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, *, cut: int | None = None
    ) -> None:
        """`cut`: only so many bytes of the body, then the connection ends."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True


@contextmanager
def serving(folder: Path, certificate: Path | None = None) -> Iterator[Server]:
    server = Server(folder, certificate)
    try:
        yield server
    finally:
        server.close()
