"""A server that speaks HTTP/2 over TLS, and misbehaves where it is told to."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamReset, WindowUpdated
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes


def make_certificate(folder: Path) -> Path:
    """Key and certificate for 127.0.0.1 in one file."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


class Peer:
    """One connection, as the server sees it."""

    def __init__(self, server: Server2, connection: ssl.SSLSocket) -> None:
        self.server, self.socket = server, connection
        self.h2 = H2Connection(H2Configuration(client_side=False))
        self.pending: dict[int, bytes] = {}
        self.requests = 0

    def run(self) -> None:
        self.h2.initiate_connection()
        if self.server.most_streams:
            self.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: self.server.most_streams})
        self.flush()
        try:
            while data := self.socket.recv(1 << 16):
                for event in self.h2.receive_data(data):
                    if isinstance(event, RequestReceived):
                        self.requests += 1
                        headers = {bytes(n).decode(): bytes(v).decode() for n, v in event.headers or ()}
                        self.server.requests.append((headers[":method"], headers[":path"]))
                        if not self.server.trouble(self, event.stream_id, headers):
                            self.serve(event.stream_id, headers)
                    elif isinstance(event, StreamReset):
                        self.pending.pop(event.stream_id or 0, None)
                    elif isinstance(event, (WindowUpdated, DataReceived)):
                        for number in list(self.pending):
                            self.send_more(number)
                self.flush()
        except (OSError, ProtocolError):
            pass
        finally:
            self.socket.close()

    def serve(self, number: int, headers: dict[str, str]) -> None:
        file = self.server.folder / headers[":path"].lstrip("/")
        body = file.read_bytes() if file.is_file() else b"no such file"
        self.answer(number, 200 if file.is_file() else 404, body, head=headers[":method"] == "HEAD")

    def answer(
        self, number: int, status: int, body: bytes, extra: list[tuple[str, str]] | None = None, *, head: bool = False
    ) -> None:
        fields = [(":status", str(status)), ("content-length", str(len(body))), *(extra or [])]
        self.h2.send_headers(number, fields, end_stream=head or not body)
        if not head and body:
            self.pending[number] = body
            self.send_more(number)

    def send_more(self, number: int) -> None:
        body = self.pending[number]
        while body:
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size, len(body))
            if room <= 0:
                break
            self.h2.send_data(number, body[:room], end_stream=room == len(body))
            body = body[room:]
        self.pending[number] = body
        if not body:
            del self.pending[number]

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())


class Server2:
    """`trouble(peer, number, headers)` may answer in the place of the server; tells whether it did."""

    def __init__(self, folder: Path, certificate: Path, protocols: list[str]) -> None:
        self.folder = folder
        self.requests: list[tuple[str, str]] = []
        self.connections: list[str] = []
        self.most_streams = 0
        self.trouble: Callable[[Any, int, dict[str, str]], bool] = lambda *asked: False
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.set_alpn_protocols(protocols)
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                bare, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._speak, args=(bare,), daemon=True).start()

    def _speak(self, bare: socket.socket) -> None:
        try:
            secure = self._context.wrap_socket(bare, server_side=True)
        except OSError:
            return
        protocol = secure.selected_alpn_protocol() or ""
        self.connections.append(protocol)
        if protocol == "h2":
            Peer(self, secure).run()
        else:
            self._plainly(secure)

    def _plainly(self, connection: ssl.SSLSocket) -> None:
        """HTTP/1.1, just enough."""
        with connection, connection.makefile("rb") as lines:
            while line := lines.readline():
                method, target, _ = line.decode().split(" ")
                while lines.readline().strip():
                    pass
                self.requests.append((method, target))
                file = self.folder / target.lstrip("/")
                body = file.read_bytes() if file.is_file() else b"no such file"
                status = "200 OK" if file.is_file() else "404 Not Found"
                connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    def close(self) -> None:
        self._listener.close()


@contextmanager
def serving2(folder: Path, certificate: Path, protocols: tuple[str, ...] = ("h2", "http/1.1")) -> Iterator[Server2]:
    server = Server2(folder, certificate, list(protocols))
    try:
        yield server
    finally:
        server.close()
