"""A store with a small package, and a registry that can be told to misbehave."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import pytest

from frazil.store.config import StoreConfig
from frazil.store.local import LocalStore
from frazil.store.path import StorePath

Make = Callable[..., StorePath]
Server = TypeVar("Server", bound=ThreadingHTTPServer)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore(StoreConfig.from_uri(f"local?root={tmp_path}/root", {})) as store:
        yield store


@pytest.fixture
def make(store: LocalStore, tmp_path: Path) -> Make:
    """`make("tool-1.0", "text")`: a store object with the program `bin/tool`."""

    def run(name: str, text: str = "x") -> StorePath:
        source = tmp_path / f"source-{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        (source / "bin").mkdir(parents=True, exist_ok=True)
        program = source / "bin" / name.partition("-")[0]
        program.write_text(text)
        program.chmod(0o755)
        return store.add_path(name, str(source))

    return run


class FakeRegistry(ThreadingHTTPServer):
    """The distribution protocol, in memory. `cut`: how many PATCH requests to cut off after half of their bytes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.uploads: dict[str, bytes] = {}
        self.log: list[str] = []
        self.cut = 0
        self.at_patch: Callable[[], None] | None = None  # called when half of a piece has come
        self.received = 0
        self.forgetful = False  # takes pieces and keeps nothing
        self.lie = False
        self.token: str | None = None
        self.password: str | None = None
        self.unavailable = 0
        self.refused: set[str] = set()  # blobs that it does not take

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeRegistry

    def log_message(self, format: str, *args: object) -> None: ...

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _handle(self) -> None:
        server, parts = self.server, urlsplit(self.path)
        server.log.append(f"{self.command} {self.path}")
        length = int(self.headers.get("Content-Length") or 0)
        if self.command == "PATCH" and server.cut:
            server.cut -= 1
            identifier = parts.path.rsplit("/", 1)[-1]
            server.uploads[identifier] += self.rfile.read(length // 2)
            self.close_connection = True
            self.connection.shutdown(2)
            return
        body = self.rfile.read(length // 2) if self.command == "PATCH" else b""
        if body and server.at_patch is not None:
            server.at_patch()
        body += self.rfile.read(length - len(body))
        server.received += len(body)
        if parts.path == "/token":
            self._token()
            return
        if server.unavailable:
            server.unavailable -= 1
            self._answer(503)
            return
        if server.token is not None and self.headers.get("Authorization") != f"Bearer {server.token}":
            self._answer(401, WWW_Authenticate=f'Bearer realm="http://{server.host}/token",service="s"')
            return
        match = re.fullmatch(r"/v2/(.+)/(blobs/uploads|blobs|manifests)/(.*)", parts.path)
        assert match is not None, self.path
        getattr(self, f"_{match[2].replace('/', '_')}")(match[1], match[3], parse_qs(parts.query), body)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = _handle

    def _token(self) -> None:
        if self.server.password is None or self.headers.get("Authorization") == self.server.password:
            self._answer(200, f'{{"token": "{self.server.token}"}}'.encode())
        else:
            self._answer(401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "who are you"}]}')

    def _blobs(self, repository: str, digest: str, query: dict[str, list[str]], body: bytes) -> None:
        found = self.server.blobs.get((repository, digest))
        if found is None:
            self._answer(404)
            return
        start = int((self.headers.get("Range") or "bytes=0-")[6:].rstrip("-"))
        if self.server.lie:
            found = bytes(len(found))
        self._answer(206 if start else 200, found[start:])

    def _blobs_uploads(self, repository: str, identifier: str, query: dict[str, list[str]], body: bytes) -> None:
        server = self.server
        if self.command == "POST":
            digest, other = query.get("mount", [""])[0], query.get("from", [""])[0]
            if (other, digest) in server.blobs:
                server.blobs[repository, digest] = server.blobs[other, digest]
                self._answer(201, Location="/x")
                return
            identifier = str(len(server.uploads))
            server.uploads[identifier] = b""
        elif self.command in ("PATCH", "PUT"):
            if identifier not in server.uploads:
                self._answer(404)
                return
            server.uploads[identifier] += b"" if server.forgetful else body
        elif identifier not in server.uploads:
            self._answer(404)
            return
        if self.command == "PUT":
            content = server.uploads[identifier]
            digest = query["digest"][0]
            if digest in server.refused:
                self._answer(403, b'{"errors": [{"code": "DENIED", "message": "quota exceeded"}]}')
                return
            if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
                self._answer(400, b'{"errors": [{"code": "DIGEST_INVALID", "message": "digest did not match"}]}')
                return
            server.blobs[repository, digest] = content
            self._answer(201)
            return
        place = f"/v2/{repository}/blobs/uploads/{identifier}"
        last = max(0, len(server.uploads[identifier]) - 1)
        self._answer(204 if self.command == "GET" else 202, Location=place, Range=f"0-{last}")

    def _manifests(self, repository: str, wanted: str, query: dict[str, list[str]], body: bytes) -> None:
        if self.command == "PUT":
            media = str(self.headers["Content-Type"])
            self.server.manifests[repository, wanted] = (media, body)
            self.server.manifests[repository, "sha256:" + hashlib.sha256(body).hexdigest()] = (media, body)
            self._answer(201)
            return
        found = self.server.manifests.get((repository, wanted))
        if found is None:
            self._answer(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}')
        else:
            self._answer(200, found[1], Content_Type=found[0])


@contextmanager
def served(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with served(FakeRegistry()) as server:
        yield server


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[str]:
    """Docker's daemon, without a network and with a storage of its own."""
    for name in ("docker", "dockerd", "containerd", "runc"):
        if shutil.which(name) is None:
            pytest.skip(f"the program '{name}' is not there")
    if os.getuid() != 0:
        pytest.skip("Docker's daemon is tried as root, with a storage of its own")
    folder = tempfile.mkdtemp(prefix="dockerd-")  # sockets take short names alone
    command = ["dockerd", f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"]
    command += [f"--host=unix://{folder}/socket", "--storage-driver=vfs", "--bridge=none", "--iptables=false"]
    command += ["--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--exec-opt=native.cgroupdriver=cgroupfs"]
    client = f"docker --host unix://{folder}/socket"
    with open(f"{folder}/log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(600):
            if (
                process.poll() is not None
                or not subprocess.run([*client.split(), "info"], capture_output=True).returncode
            ):
                break
            time.sleep(0.1)
        if subprocess.run([*client.split(), "info"], capture_output=True).returncode:
            with open(f"{folder}/log", errors="replace") as text:
                pytest.skip(f"Docker's daemon does not start here: {text.read()[-300:]}")
        yield client
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)
