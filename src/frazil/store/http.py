"""HTTP over pooled connections: small requests by the thousand, large bodies as streams.

In: requests. Out: responses whose bodies are read once, in pieces. Everything a server says is bounded and checked.
Written for what binary caches need: a small request costs a fifth of what it costs with httpx. HTTP/1.1 here, HTTP/2
in `http2`, where the server speaks it. Source of truth: RFC 9112.
"""

from __future__ import annotations

import io
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from frazil._native import exchange
from frazil.record import Record
from frazil.store.config import TransferSettings
from frazil.store.errors import StoreError

if TYPE_CHECKING:
    import ssl
    from types import TracebackType
    from typing import IO

    from frazil.store.http2 import Body, Multiplexed

_LINE = 1 << 16
_HEADERS = 256
_INTERIM = 64
"""Answers before the answer (`100 Continue`, `103 Early Hints`)."""
_CHUNK = 1 << 18
_ROUND_TRIP = slice(68, 72)
"""Where `tcpi_rtt`, microseconds, is in Linux's `struct tcp_info`."""
_SKIP = 1 << 16
"""Bytes of an unread body that are read so that its connection can be used again."""


class BadResponse(StoreError):
    """A server that does not speak HTTP, or says impossible things."""


class BadAddress(BadResponse):
    """A URL, maybe one that a server named, which leads nowhere: asking again does not help."""


class Address(Record):
    """Where a connection goes. `proxy`: `host:port` of who is asked to forward; `tunnel`: through it, unseen."""

    scheme: str
    host: str
    port: int
    proxy: tuple[str, int] | None = None
    proxy_authorization: str = ""

    def __hash__(self) -> int:
        return hash((self.scheme, self.host, self.port))


class _Body:
    """`read(size)`: nothing at the end. Raises BadResponse where it is cut off."""

    costs_to_leave = True
    """The connection, where it is left in the middle."""

    def __init__(self, file: IO[bytes], length: int | None) -> None:
        self._file = file
        self._left = length
        self.done = length == 0

    def read(self, size: int) -> bytes:
        if self.done:
            return b""
        if self._left is not None:
            size = min(size, self._left)
        data = self._file.read1(size)  # type: ignore[attr-defined]
        if self._left is None:
            self.done = not data
        else:
            if not data:
                raise ConnectionResetError("the connection was closed too early")
            self._left -= len(data)
            self.done = not self._left
        found: bytes = data
        return found


class _Chunked:
    costs_to_leave = True

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = 0
        self.done = False

    def _line(self) -> bytes:
        line = self._file.readline(_LINE)
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the connection was closed too early")
        return line.strip()

    def read(self, size: int) -> bytes:
        if self.done:
            return b""
        if not self._left:
            number = self._line().partition(b";")[0].strip()
            if not number or len(number) > 15 or number.strip(b"0123456789abcdefABCDEF"):
                raise BadResponse("the server sends a chunk without a size")
            self._left = int(number, 16)
            if not self._left:
                for _ in range(_HEADERS):
                    if not self._line():
                        self.done = True
                        return b""
                raise BadResponse("the server sends too many trailers")
        data: bytes = self._file.read1(min(size, self._left))  # type: ignore[attr-defined]
        if not data:
            raise ConnectionResetError("the connection was closed too early")
        self._left -= len(data)
        if not self._left and self._line():
            raise BadResponse("the server sends a chunk of another size than it says")
        return data


Answer = tuple[int, str, dict[str, str], "_Body | _Chunked | _Whole", bool]
"""Status, reason, headers (lower case), body, whether the connection stays open after it."""


def _stays_open(headers: Mapping[str, str]) -> bool:
    return headers.get("connection", "").lower() != "close" and headers.get(":version") != "1.0"


class Connection:
    """One connection to one server; `requests` counts what was asked on it."""

    def __init__(self, address: Address, settings: TransferSettings, context: Callable[[], ssl.SSLContext]) -> None:
        self.address = address
        self.requests = 0
        timeout = settings.connect_timeout or None
        peer = address.proxy or (address.host, address.port)
        try:
            self._socket: socket.socket = socket.create_connection((_host(peer[0]), peer[1]), timeout)
        except OSError as error:
            if address.proxy is not None and error.strerror:
                error.strerror += f" (of the proxy {peer[0]}:{peer[1]})"
            raise
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.protocol = ""
            """What was agreed upon with the server, where that was asked."""
            if address.scheme == "https":
                if address.proxy is not None:
                    self._tunnel()
                secure = context().wrap_socket(self._socket, server_hostname=address.host)
                self._socket, self.protocol = secure, secure.selected_alpn_protocol() or ""
            self._socket.settimeout(settings.stalled_timeout or None)
            self._file: IO[bytes] = self._socket.makefile("rb", 1 << 16)  # type: ignore[assignment]
        except BaseException:
            self._socket.close()
            raise

    def _tunnel(self) -> None:
        address = self.address
        target = f"[{address.host}]" if ":" in address.host else address.host
        lines = [f"CONNECT {target}:{address.port} HTTP/1.1", f"Host: {target}:{address.port}"]
        if address.proxy_authorization:
            lines.append(f"Proxy-Authorization: {address.proxy_authorization}")
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        with self._socket.makefile("rb") as file:
            status, reason, _ = _head(file)
        if status != 200:
            raise BadResponse(f"the proxy refuses the connection: {status} {reason}")

    def send(self, head: bytes, body: Callable[[], bytes] | None) -> None:
        self.requests += 1
        self._socket.sendall(head)
        if body is not None:
            while data := body():
                self._socket.sendall(data)

    def receive(self, method: str) -> Answer:
        for _ in range(_INTERIM):
            status, reason, headers = _head(self._file)
            if status >= 200 or status == 101:
                break
        else:
            raise BadResponse("the server announces an answer again and again")
        keep = _stays_open(headers)
        if method == "HEAD" or status in (204, 304):
            return status, reason, headers, _Body(self._file, 0), keep
        if headers.get("transfer-encoding", "identity").lower() == "chunked":
            return status, reason, headers, _Chunked(self._file), keep
        length = headers.get("content-length")
        if length is None:
            return status, reason, headers, _Body(self._file, None), False
        if not (length.isascii() and length.isdigit() and len(length) < 19):
            raise BadResponse(f"the server sends a bad length: '{length[:40]}'")
        return status, reason, headers, _Body(self._file, int(length)), keep

    def ask(self, head: bytes, maximum: int, patience: int) -> Answer:
        """As `send` and `receive` for a small file, at one go and without the interpreter's lock."""
        self.requests += 1
        return self.understand(*exchange(self._socket.fileno(), head, maximum, patience))

    def understand(self, data: bytes, head: int, whole: bool) -> Answer:
        """What `_native.exchange` or `Exchanges` brought."""
        if not whole:
            self._file = io.BufferedReader(_Rest(data, self._socket), 1 << 16)
            return (*self.receive("GET")[:4], False)
        lines = data[:head].decode("latin-1").replace("\r", "").rstrip("\n").split("\n")
        if len(lines) > _HEADERS:
            raise BadResponse("the server sends too many headers")
        status, reason, headers = _understood(lines)
        return status, reason, headers, _Whole(data[head:]), _stays_open(headers)

    @property
    def descriptor(self) -> int:
        return self._socket.fileno()

    @property
    def round_trip(self) -> float:
        """Seconds to the peer and back, by what the system saw; 0 where it does not tell."""
        try:
            told = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ROUND_TRIP.stop)
        except OSError:
            return 0.0
        return int.from_bytes(told[_ROUND_TRIP], sys.byteorder) / 1e6

    @property
    def is_plain(self) -> bool:
        """Whether bytes go as they are."""
        return self.address.scheme == "http"

    def detach(self) -> ssl.SSLSocket:
        """For whoever goes on with the bare socket."""
        self._file.close()
        bare: Any = self._socket
        return bare  # type: ignore[no-any-return]

    def close(self) -> None:
        for thing in (getattr(self, "_file", None), self._socket):
            try:
                if thing is not None:
                    thing.close()
            except OSError:
                pass


def _head(file: IO[bytes]) -> tuple[int, str, dict[str, str]]:
    lines: list[str] = []
    for _ in range(_HEADERS):
        line = file.readline(_LINE)
        text = line.rstrip(b"\r\n").decode("latin-1")
        if not lines:
            if not line:
                raise ConnectionResetError("the server closed the connection")
            _status(text)
        if not line.endswith(b"\n") and len(line) == _LINE:
            raise BadResponse("the server sends a header that is too long")
        if lines and not line.endswith(b"\n"):
            raise ConnectionResetError("the connection was closed too early")
        if lines and not text:
            return _understood(lines)
        lines.append(text)
    raise BadResponse("the server sends too many headers")


def _status(line: str) -> int:
    digits = line[9:12]
    plain = len(digits) == 3 and digits.isascii() and digits.isdigit()
    if not plain or not line.startswith("HTTP/1.") or line[8] != " " or line[12:13].strip():
        raise BadResponse("the server does not speak HTTP")
    return int(digits)


def _understood(lines: list[str]) -> tuple[int, str, dict[str, str]]:
    """Status, reason and headers (lower case) of a head's lines."""
    first = lines[0]
    headers: dict[str, str] = {":version": first[5:8]}
    for line in lines[1:]:
        name, mark, value = line.partition(":")
        if mark:
            key = name.strip().lower()
            value = value.strip()
            if key == "content-length" and headers.get(key, value) != value:
                raise BadResponse("the server sends two lengths")
            headers[key] = value
    return _status(first), first[13:].rstrip(), headers


class _Whole:
    """A body that is there already."""

    costs_to_leave = True

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.done = not data

    def read(self, size: int) -> bytes:
        data = self._data
        self._data = data[size:]
        self.done = not self._data
        return data if self.done else data[:size]


class _Rest(io.RawIOBase):
    """What a server has begun to say, and what it goes on to say."""

    def __init__(self, begun: bytes, connection: socket.socket) -> None:
        self._begun, self._connection = begun, connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._begun:
            size = min(len(buffer), len(self._begun))
            buffer[:size], self._begun = self._begun[:size], self._begun[size:]
            return size
        return self._connection.recv_into(buffer)


class Response:
    """A context manager: leaving it gives the connection back."""

    def __init__(
        self,
        url: str,
        status: int,
        reason: str,
        headers: Mapping[str, str],
        body: _Body | _Chunked | _Whole | Body,
        release: Callable[[bool], None],
    ) -> None:
        self.url, self.status, self.reason, self.headers = url, status, reason, headers
        self._body = body
        self._release: Callable[[bool], None] | None = release

    def read(self, size: int = _CHUNK) -> bytes:
        """Raises OSError (timeouts, too), BadResponse."""
        return self._body.read(size)

    def read_all(self, maximum: int) -> bytes:
        pieces, total = [], 0
        while data := self._body.read(_CHUNK):
            total += len(data)
            if total > maximum:
                raise BadResponse(f"the answer is longer than {maximum} bytes")
            pieces.append(data)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def take(self) -> bytes | None:
        """The body, where it has come whole; then it is read."""
        body = self._body
        return body.read(sys.maxsize) if isinstance(body, _Whole) else None

    def close(self) -> None:
        release, self._release = self._release, None
        if release is None:
            return
        left = _SKIP if self._body.costs_to_leave else 0
        try:
            while not self._body.done and left > 0:
                left -= len(self._body.read(left))
        except (OSError, StoreError):
            left = 0
        release(self._body.done and left > 0)

    def __enter__(self) -> Response:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Client:
    """Connections to any servers, kept open between requests. For all threads of a process; after a fork anew."""

    def __init__(self, settings: TransferSettings, *, certificate: tuple[str, str | None] | None = None) -> None:
        """`certificate`: files of the client's own certificate and its key."""
        self.settings = settings
        self._certificate = certificate
        self._idle: dict[Address, list[Connection]] = {}
        self._mutex = threading.Lock()
        self._process = os.getpid()
        self._places = threading.BoundedSemaphore(settings.http_connections) if settings.http_connections else None
        self._contexts: dict[bool, ssl.SSLContext] = {}
        """For connections that may speak HTTP/2, and for others."""
        self._shared: dict[Address, _Shared] = {}
        self._netrc: Any = None
        self._proxies: dict[str, str] | None = None
        self._servers: dict[str, tuple[Address, str]] = {}
        """Beginnings of URLs → where that is, and the authorization there."""
        self._agent = ""

    def close(self) -> None:
        with self._mutex:
            idle, self._idle = self._idle, {}
            shared, self._shared = self._shared, {}
        for one in shared.values():
            if one.connection is not None:
                one.connection.close()
        for connections in idle.values():
            for connection in connections:
                connection.close()

    @property
    def patience(self) -> int:
        """Milliseconds without anything; 0: no limit."""
        return int((self.settings.stalled_timeout or 0) * 1000)

    # ------------------------------------------------------------------------------------------------ one request

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: Callable[[], bytes] | None = None,
        length: int | None = None,
        *,
        large: bool = False,
        small: int = 0,
    ) -> Response:
        """One exchange, without redirections and second tries. `body` gives pieces until an empty one; `length` of
        them all. `large`: much is to come, for which a connection of its own is better; `small`: at most so many bytes,
        which come whole (and more of them in pieces). Raises OSError, BadResponse."""
        address, authorization, target = self._place(url)
        own = dict(headers or {})
        if address.scheme == "https" and self.settings.http2 and body is None and not large:
            response = self._multiplexed(method, url, target, address, authorization, own)
            if response is not None:
                return response
        head = self._head(method, target, address, authorization, own, length)
        if self._places is not None:
            self._places.acquire()
        try:
            return self._exchange(method, url, address, head, body, small if method == "GET" and body is None else 0)
        except BaseException:
            self._free_place()
            raise

    # ------------------------------------------------------------------------- for who sends and receives by himself

    def prepare(self, url: str, headers: Mapping[str, str]) -> tuple[Address, bytes]:
        """Whom to ask for a file, and the request. Raises BadResponse."""
        address, authorization, target = self._place(url)
        return address, self._head("GET", target, address, authorization, dict(headers), None)

    def lend(self, address: Address, *, wait: bool, fresh: bool = False) -> Connection | None:
        """A connection (`fresh`: a new one); None where no more may be had. Raises OSError, BadResponse."""
        if self._places is not None and not self._places.acquire(blocking=wait):
            return None
        try:
            return (None if fresh else self._take(address)) or Connection(address, self.settings, self._tls)
        except BaseException:
            self._free_place()
            raise

    def answered(self, url: str, connection: Connection, answer: Answer) -> Response:
        """Its connection goes back with it."""
        return Response(url, *answer[:4], self._releaser(connection, answer[4]))

    def give_back(self, connection: Connection) -> None:
        """Without an answer: it is of no more use."""
        connection.close()
        self._free_place()

    # ------------------------------------------------------------------------------------------------------- HTTP/2

    def multiplexes(self, url: str) -> bool:
        """Whether many requests at once cost no more connections."""
        with self._mutex:
            shared = self._shared.get(self._place(url)[0])
        return shared is not None and shared.connection is not None

    def _multiplexed(
        self, method: str, url: str, target: str, address: Address, authorization: str, headers: dict[str, str]
    ) -> Response | None:
        """None where the server does not speak HTTP/2."""
        from frazil.store.http2 import Refused

        if authorization:
            headers.setdefault("Authorization", authorization)
        fields = [(":method", method), (":scheme", address.scheme), (":authority", _authority(address))]
        fields += [(":path", _safe(target)), ("user-agent", self._user_agent())]
        fields += [(name.lower(), _safe(value, " ")) for name, value in headers.items()]
        for attempt in range(_ATTEMPTS):
            connection = self._shared_connection(address)
            if connection is None:
                return None
            try:
                status, found, body = connection.request(fields)
            except Refused:
                if attempt == _ATTEMPTS - 1:
                    raise
                continue
            return Response(url, status, "", found, body, body.release)
        return None

    def _shared_connection(self, address: Address) -> Multiplexed | None:
        """One handshake, for which whoever wants the same waits, tells which protocol the server speaks."""
        from frazil.store.http2 import Multiplexed

        with self._mutex:
            self._after_fork()
            shared = self._shared.setdefault(address, _Shared())
        tried = shared.failures
        with shared.lock:
            if shared.refused:
                return None
            if shared.connection is not None and shared.connection.usable:
                return shared.connection
            if shared.failure is not None and shared.failures > tried:  # while this one waited for it
                raise shared.failure
            try:
                connection = Connection(address, self.settings, lambda: self._tls(http2=True))
            except OSError as error:
                shared.failures, shared.failure = shared.failures + 1, error
                raise
            if connection.protocol == "h2":
                shared.connection = Multiplexed(connection.detach(), self.settings.stalled_timeout or None)
                return shared.connection
            shared.refused = True
            with self._mutex:
                self._idle.setdefault(address, []).append(connection)
        return None

    def _free_place(self) -> None:
        if self._places is not None:
            self._places.release()

    def _exchange(
        self, method: str, url: str, address: Address, head: bytes, body: Callable[[], bytes] | None, small: int
    ) -> Response:
        while True:
            connection = self._take(address) or Connection(address, self.settings, self._tls)
            fresh = not connection.requests
            try:
                if small and connection.is_plain:
                    status, reason, found, content, keep = connection.ask(head, small, self.patience)
                else:
                    connection.send(head, body)
                    status, reason, found, content, keep = connection.receive(method)
            except (ConnectionError, BrokenPipeError):
                connection.close()
                if fresh or body is not None:
                    raise
                continue  # the server had closed it meanwhile
            except BaseException:
                connection.close()
                raise
            return Response(url, status, reason, found, content, self._releaser(connection, keep))

    def _releaser(self, connection: Connection, keep: bool) -> Callable[[bool], None]:
        def release(whole: bool) -> None:
            if whole and keep and os.getpid() == self._process:
                with self._mutex:
                    self._idle.setdefault(connection.address, []).append(connection)
            else:
                connection.close()
            self._free_place()

        return release

    def _after_fork(self) -> None:
        if os.getpid() != self._process:
            self._idle, self._shared, self._process = {}, {}, os.getpid()

    def _take(self, address: Address) -> Connection | None:
        with self._mutex:
            self._after_fork()
            idle = self._idle.get(address)
            return idle.pop() if idle else None

    def _place(self, url: str) -> tuple[Address, str, str]:
        """Where a request goes, with which authorization, and what it asks for."""
        url = url.partition("#")[0]
        start = url.find("/", url.find("://") + 3)
        server, target = (url, "/") if start < 0 else (url[:start], url[start:])
        found = self._servers.get(server)
        if found is None:
            try:
                parts = urlsplit(url)
                address = self._address(parts.scheme, parts.hostname or "", parts.port)
            except ValueError as error:
                raise BadAddress(f"it is no address: {error}") from error
            found = address, self._authorization(parts, address.host)
            if "?" in server:  # no path, but a query
                path = f"/?{parts.query}"
                return *found, path
            self._servers[server] = found
        return *found, target

    def _head(
        self,
        method: str,
        target: str,
        address: Address,
        authorization: str,
        headers: dict[str, str],
        length: int | None,
    ) -> bytes:
        host = _authority(address)
        if address.proxy is not None and address.scheme == "http":
            target = f"http://{host}{target}"
            if address.proxy_authorization:
                headers["Proxy-Authorization"] = address.proxy_authorization
        if authorization and "Authorization" not in headers:
            headers["Authorization"] = authorization
        lines = [f"{method} {_safe(target)} HTTP/1.1", f"Host: {host}", f"User-Agent: {self._user_agent()}"]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        lines += [f"{name}: {_safe(value, ' ')}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")

    def _user_agent(self) -> str:
        if not self._agent:
            from frazil import __version__

            self._agent = f"frazil/{__version__} {self.settings.user_agent_suffix}".strip()
        return self._agent

    # ------------------------------------------------------------------------------------------- servers and secrets

    def _address(self, scheme: str, host: str, port: int | None) -> Address:
        if scheme not in _PORTS or not host:
            raise BadAddress(f"cannot transfer by '{scheme}'")
        port = port or _PORTS[scheme]
        proxy = self._proxy(scheme, host, port)
        if proxy is None:
            return Address(scheme, host, port)
        parts = urlsplit(proxy if "://" in proxy else "http://" + proxy)
        if parts.scheme != "http":
            raise BadAddress(f"proxies of the kind '{parts.scheme}' are not supported, only 'http'")
        if not parts.hostname:
            raise BadAddress("the proxy that the environment names has no host")
        authorization = ""
        if parts.username is not None:
            from urllib.parse import unquote

            authorization = _basic(unquote(parts.username), unquote(parts.password or ""))
        return Address(scheme, host, port, (parts.hostname, parts.port or _PROXY_PORT), authorization)

    def _proxy(self, scheme: str, host: str, port: int) -> str | None:
        if self._proxies is None:
            self._proxies = _environment_proxies()
        if not self._proxies:
            return None
        from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

        if proxy_bypass_environment(f"{host}:{port}", self._proxies):
            return None
        return self._proxies.get(scheme) or self._proxies.get("all")

    def _authorization(self, parts: Any, host: str) -> str:
        if parts.username is not None:
            from urllib.parse import unquote

            return _basic(unquote(parts.username), unquote(parts.password or ""))
        path = self.settings.netrc_file
        if not path:
            return ""
        if self._netrc is None:
            self._netrc = _read_netrc(path)
        found = self._netrc.authenticators(host) if self._netrc else None
        return _basic(found[0], found[2] or "") if found else ""

    def _tls(self, *, http2: bool = False) -> ssl.SSLContext:
        found = self._contexts.get(http2)
        if found is None:
            import ssl

            path = self.settings.ssl_cert_file
            try:
                context = ssl.create_default_context(cafile=path or None)
                if not path and not context.cert_store_stats()["x509_ca"]:
                    import certifi

                    context.load_verify_locations(certifi.where())
                if self._certificate is not None:
                    context.load_cert_chain(*self._certificate)
            except (OSError, ssl.SSLError) as error:
                reason = (
                    (error.reason or "").replace("_", " ").lower()
                    if isinstance(error, ssl.SSLError)
                    else error.strerror
                )
                place = path or self._certificate
                raise StoreError(f"cannot read certificates from '{place}': {reason or error}") from error
            context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
            found = self._contexts[http2] = context
        return found


_PORTS = {"http": 80, "https": 443}
_PROXY_PORT = 1080
"""Curl's."""
_ATTEMPTS = 4
"""To ask on a connection that the server closes meanwhile."""


class _Shared:
    """What is known of a server: whether it speaks HTTP/2, and the connection then."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: Multiplexed | None = None
        self.refused = False
        self.failures = 0
        self.failure: OSError | None = None
        """The last one."""


def _host(name: str) -> Any:
    """For the resolver: texts make Python load tables of international names."""
    return name.encode() if name.isascii() else name


def _authority(address: Address) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return host if address.port == _PORTS[address.scheme] else f"{host}:{address.port}"


def _safe(text: str, keep: str = "") -> str:
    """No control characters or blanks in a request line, whatever a cache's files say."""
    if text.isascii() and text.isprintable() and (keep or " " not in text):
        return text
    return "".join(c if (c > " " and c != "\x7f") or c in keep else f"%{ord(c):02X}" for c in text if c not in "\r\n")


def _environment_proxies() -> dict[str, str]:
    """Most have none, and what reads them takes long to load."""
    if not any(name[-6:].lower() == "_proxy" for name in os.environ):
        return {}
    from urllib.request import getproxies_environment

    return getproxies_environment()


def _basic(user: str, password: str) -> str:
    import base64

    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _read_netrc(path: str) -> Any:
    """False where there is none or it cannot be read."""
    if not os.path.exists(path):
        return False  # most have none, and the library takes long to load
    import netrc

    try:
        return netrc.netrc(path)
    except (OSError, netrc.NetrcParseError):
        return False
