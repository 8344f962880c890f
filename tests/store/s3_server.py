"""A server on the loopback interface that keeps objects as S3 does, and checks who asks.

As much of the protocol as binary caches need: whole objects, listings, uploads in parts. Source of truth: Amazon's
"Signature Version 4 signing process" and the reference of S3's API.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlsplit


class Bucket(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects: dict[str, tuple[bytes, dict[str, str]]]
    parts: dict[str, dict[int, bytes]]
    signed: list[bool]
    keys: dict[str, str] = {}
    """Access key → secret key; with any, requests without a right signature are refused."""
    status = 0

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

    def _is_signed(self, body: bytes) -> bool:
        """Whether one of the keys has signed this request."""
        kind, _, rest = self.headers.get("Authorization", "").partition(" ")
        fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        access, *scope = fields.get("Credential", "").split("/")
        if kind != "AWS4-HMAC-SHA256" or access not in self.keys or len(scope) != 4:
            return False
        claimed = self.headers.get("x-amz-content-sha256", "")
        if claimed not in ("UNSIGNED-PAYLOAD", hashlib.sha256(body).hexdigest()):
            return False
        parts = urlsplit(self.path)
        pairs = sorted((quote(n, safe="-_.~"), quote(v, safe="-_.~")) for n, v in parse_qsl(parts.query, True))
        names = fields["SignedHeaders"].split(";")
        request = [self.command, parts.path, "&".join(f"{name}={value}" for name, value in pairs)]
        request += [f"{name}:{' '.join(self.headers.get(name, '').split())}" for name in names]
        request += ["", fields["SignedHeaders"], claimed]
        digest = hashlib.sha256("\n".join(request).encode()).hexdigest()
        text = "\n".join([kind, self.headers.get("x-amz-date", ""), "/".join(scope), digest])
        key = f"AWS4{self.keys[access]}".encode()
        for step in [*scope, text]:
            key = hmac.new(key, step.encode(), "sha256").digest()
        return hmac.compare_digest(key.hex(), fields.get("Signature", ""))

    def _asked(self) -> tuple[str, dict[str, list[str]], bytes] | None:
        """None where the request has been refused."""
        parts = urlsplit(self.path)
        self.signed.append("Authorization" in self.headers)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.keys and not self._is_signed(body):
            self._answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
            return None
        key = unquote(parts.path).removeprefix("/bucket").lstrip("/")
        return key, parse_qs(parts.query, keep_blank_values=True), body

    def do_GET(self) -> None:
        asked = self._asked()
        if asked is None:
            return
        key, query, _ = asked
        if type(self).status:
            self._answer(type(self).status)
        elif "list-type" in query:
            prefix = query.get("prefix", [""])[0]
            found = "".join(
                f"<Contents><Key>{name}</Key><Size>{len(data)}</Size><ETag>1</ETag>"
                "<LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>"
                for name, (data, _) in sorted(self.objects.items())
                if name.startswith(prefix)
            )
            self._answer(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode())
        elif key not in self.objects:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            data, headers = self.objects[key]
            times = {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT", "ETag": '"1"'}
            self._answer(200, data, {**headers, **times})

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        asked = self._asked()
        if asked is None:
            return
        key, query, body = asked
        if "partNumber" in query:
            self.parts[query["uploadId"][0]][int(query["partNumber"][0])] = body
        else:
            kept = ("Content-Type", "Content-Encoding")
            self.objects[key] = body, {name: self.headers[name] for name in kept if self.headers.get(name)}
        self._answer(200, headers={"ETag": '"1"'})

    def do_POST(self) -> None:
        asked = self._asked()
        if asked is None:
            return
        key, query, _ = asked
        if "uploads" in query:
            self.parts["up"] = {}
            result = "<InitiateMultipartUploadResult><UploadId>up</UploadId></InitiateMultipartUploadResult>"
        else:
            parts = self.parts.pop(query["uploadId"][0])
            self.objects[key] = b"".join(parts[number] for number in sorted(parts)), {}
            result = "<CompleteMultipartUploadResult><ETag>1</ETag></CompleteMultipartUploadResult>"
        self._answer(200, result.encode())


@contextmanager
def serving_bucket(keys: dict[str, str] | None = None) -> Iterator[tuple[type[Bucket], str]]:
    """What is in it, and its address."""

    class Own(Bucket):
        objects: dict[str, tuple[bytes, dict[str, str]]] = {}
        parts: dict[str, dict[int, bytes]] = {}
        signed: list[bool] = []

    Own.keys = keys or {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield Own, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
