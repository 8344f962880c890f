"""An image offered on loopback as a registry offers it: who fetches it asks for what it lacks, and only that is made.

In: an image's configuration and a way to each layer's bytes. Out: a server for one image under a name nobody guesses,
and a count of what was asked for. Source of truth: OCI distribution specification 1.1 (pull).
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .errors import OciError
from .image import CONFIG_MEDIA, MANIFEST_MEDIA, Descriptor, describe, manifest_json
from .tar import Write

Send = Callable[[Write], object]


@dataclass(frozen=True, slots=True)
class Blob:
    size: int
    send: Send


class ImageServer:
    """To be used with `with`. `sent`: sizes of the layers that were fetched whole, by digest."""

    def __init__(self, config: bytes, layers: Sequence[tuple[Descriptor, Send]]) -> None:
        self._config = describe(CONFIG_MEDIA, config)
        self.manifest = manifest_json(self._config, [descriptor for descriptor, _ in layers])
        self.digest = describe(MANIFEST_MEDIA, self.manifest).digest
        self.layers = {descriptor.digest: Blob(descriptor.size, send) for descriptor, send in layers}
        self.blobs = {**self.layers, self._config.digest: Blob(len(config), lambda write: write(config))}
        self.sent: dict[str, int] = {}
        self.failure: BaseException | None = None
        self.name = f"frazil/{secrets.token_hex(16)}"
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.image = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="image server", daemon=True
        )

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def reference(self) -> str:
        """`HOST/NAME@DIGEST`."""
        return f"{self.host}/{self.name}@{self.digest}"

    def __enter__(self) -> ImageServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    image: ImageServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever fetched has gone: it has what it wanted, or says itself what is wrong."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 600

    def log_message(self, format: str, *args: object) -> None: ...

    def _head(self, status: int, size: int, media: str = "application/octet-stream", digest: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(size))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        self.end_headers()

    def _answer(self, status: int, content: bytes, media: str, digest: str = "") -> None:
        self._head(status, len(content), media, digest)
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_GET(self) -> None:
        image = self.server.image
        if self.path in ("/v2", "/v2/"):
            self._answer(200, b"{}", "application/json")
            return
        match = re.fullmatch(r"/v2/([a-z0-9/]+)/(manifests|blobs)/([A-Za-z0-9:._-]+)", self.path)
        if match is None or not secrets.compare_digest(match[1], image.name):
            self._answer(404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}', "application/json")
        elif match[2] == "manifests" and match[3] in (image.digest, "latest"):
            self._answer(200, image.manifest, MANIFEST_MEDIA, image.digest)
        elif match[2] == "blobs" and match[3] in image.blobs:
            self._blob(match[3], image.blobs[match[3]])
        else:
            self._answer(404, b'{"errors":[{"code":"BLOB_UNKNOWN"}]}', "application/json")

    do_HEAD = do_GET

    def _blob(self, digest: str, blob: Blob) -> None:
        self._head(200, blob.size, digest=digest)
        if self.command == "HEAD":
            return
        image = self.server.image
        try:
            blob.send(self.wfile.write)
        except OSError as error:
            self.close_connection = True
            if not isinstance(error, ConnectionError):
                image.failure = error
            return
        except OciError as error:
            image.failure = error
            self.close_connection = True
            return
        if digest in image.layers:
            image.sent[digest] = blob.size
