"""A server on the loopback interface that keeps objects as Microsoft's storage does, and checks who asks.

As much of the protocol as binary caches need: whole objects, listings, uploads in blocks. Source of truth: Microsoft's
reference of the Blob service's REST interface and "Authorize with Shared Key".
"""

from __future__ import annotations

import base64
import hmac
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

ACCOUNT = "someone"
KEY = base64.b64encode(b"a secret of the account").decode()
_SIGNED = ["content-encoding", "content-language", "content-length", "content-md5", "content-type", "date"]
_CONDITIONS = ["if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"]


class Container(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects: dict[str, tuple[bytes, dict[str, str]]]
    blocks: dict[str, bytes]

    def log_message(self, format: str, *values: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _signature(self) -> str:
        parts = urlsplit(self.path)
        lines = [self.command]
        for name in (*_SIGNED, *_CONDITIONS):
            value = self.headers.get(name, "")
            lines.append("" if name == "content-length" and value == "0" else value)
        own = sorted((n.lower(), v.strip()) for n, v in self.headers.items() if n.lower().startswith("x-ms-"))
        lines += [f"{name}:{value}" for name, value in own]
        lines.append(f"/{ACCOUNT}{parts.path}")
        lines += [f"{name.lower()}:{value}" for name, value in sorted(parse_qsl(parts.query, True))]
        mac = hmac.new(base64.b64decode(KEY), "\n".join(lines).encode(), "sha256")
        return base64.b64encode(mac.digest()).decode()

    def _asked(self) -> tuple[str, dict[str, str], bytes] | None:
        """None where the request has been refused."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != f"SharedKey {ACCOUNT}:{self._signature()}":
            self._answer(403, b"<Error><Code>AuthenticationFailed</Code></Error>")
            return None
        parts = urlsplit(self.path)
        account, _, rest = unquote(parts.path).lstrip("/").partition("/")
        container, _, name = rest.partition("/")
        if (account, container) != (ACCOUNT, "container"):
            self._answer(404, b"<Error><Code>ContainerNotFound</Code></Error>")
            return None
        return name, dict(parse_qsl(parts.query, True)), body

    def do_GET(self) -> None:
        asked = self._asked()
        if asked is None:
            return
        name, query, _ = asked
        if query.get("comp") == "list":
            found = "".join(
                f"<Blob><Name>{key}</Name><Properties><Last-Modified>Mon, 01 Jan 2024 00:00:00 GMT</Last-Modified>"
                f"<Content-Length>{len(data)}</Content-Length><Content-Type>x/y</Content-Type><Etag>1</Etag>"
                "</Properties></Blob>"
                for key, (data, _) in sorted(self.objects.items())
                if key.startswith(query.get("prefix", ""))
            )
            answer = f"<EnumerationResults><Blobs>{found}</Blobs><NextMarker/></EnumerationResults>"
            self._answer(200, answer.encode(), {"Content-Type": "application/xml"})
        elif name not in self.objects:
            self._answer(404, b"<Error><Code>BlobNotFound</Code></Error>")
        else:
            data, headers = self.objects[name]
            times = {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT", "ETag": '"1"'}
            self._answer(200, data, {**headers, **times})

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        asked = self._asked()
        if asked is None:
            return
        name, query, body = asked
        kept = {
            header: self.headers[f"x-ms-blob-{header}"]
            for header in ("content-type", "content-encoding")
            if self.headers.get(f"x-ms-blob-{header}")
        }
        if query.get("comp") == "block":
            self.blocks[query["blockid"]] = body
        elif query.get("comp") == "blocklist":
            numbers = re.findall(r"<(?:Uncommitted|Latest)>([^<]+)<", body.decode())
            self.objects[name] = b"".join(self.blocks.pop(number) for number in numbers), kept
        else:
            if self.headers.get("Content-Type"):
                kept.setdefault("content-type", self.headers["Content-Type"])
            if self.headers.get("Content-Encoding"):
                kept.setdefault("content-encoding", self.headers["Content-Encoding"])
            self.objects[name] = body, kept
        self._answer(201, headers={"ETag": '"1"'})


@contextmanager
def serving_container() -> Iterator[tuple[type[Container], str]]:
    """What is in it, and the address of the account."""

    class Own(Container):
        objects: dict[str, tuple[bytes, dict[str, str]]] = {}
        blocks: dict[str, bytes] = {}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield Own, f"http://127.0.0.1:{server.server_address[1]}/{ACCOUNT}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
