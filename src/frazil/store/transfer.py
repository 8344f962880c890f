"""Files to and from HTTP servers: redirections, retries with growing pauses, resuming, compression on the way.

In: URLs. Out: small files whole, large ones as streams that go on after a cut. Source of truth: the settings
`filetransfer-retry-…`, `stalled-download-timeout`, `download-speed`; RFC 9110 for what statuses mean.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit

from frazil.activity import Verbosity
from frazil.store.compression import decompressed
from frazil.store.config import TransferSettings
from frazil.store.errors import StoreError, TransferFailed
from frazil.store.http import BadAddress, BadResponse, Client, Response

if TYPE_CHECKING:
    from typing import IO

    from frazil.activity import Reporter
    from frazil.store.nar import Read

T = TypeVar("T")

_REDIRECTIONS = 10
_ENCODINGS = "zstd, br, gzip, bzip2, xz"
_DECODABLE = frozenset(("zstd", "br", "gzip", "bzip2", "xz", "brotli", "x-gzip"))
_FATAL = frozenset((501, 505, 511))
_RATE_LIMITED = frozenset((429, 503))
_MAXIMUM_PAUSE = 3600.0
_CHUNK = 1 << 18
_SMALL = 1 << 16


class _Transient(Exception):
    def __init__(self, error: TransferFailed, pause: float = 0.0, *, rate_limited: bool = False) -> None:
        super().__init__(error.message)
        self.error, self.pause, self.rate_limited = error, pause, rate_limited


def shown(url: str) -> str:
    """Without a password."""
    if "@" not in url:
        return url
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return url.replace(f":{parts.password}@", ":…@", 1)


def failed(
    url: str, reason: str, status: int | None = None, doing: str = "download", hint: str | None = None
) -> TransferFailed:
    if status in (401, 403, 407):
        hint = "does it ask for a password? see the setting `netrc-file`"
    error = TransferFailed(f"unable to {doing} '{shown(url)}': {reason}", hint=hint)
    error.status = status
    return error


def retry_after(text: str) -> float:
    """Seconds that a server asks for by `Retry-After`, which names them or a date; 0 for what is neither."""
    if not text:
        return 0.0
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _MAXIMUM_PAUSE)
    from email.utils import parsedate_to_datetime

    try:
        wanted = parsedate_to_datetime(text[:100]).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return 0.0
    return max(0.0, min(wanted - time.time(), _MAXIMUM_PAUSE))


class Transfers:
    """For all threads."""

    def __init__(self, client: Client, reporter: Reporter) -> None:
        self.client, self.reporter = client, reporter
        self.settings: TransferSettings = client.settings
        self._stopping = threading.Event()

    def close(self) -> None:
        self._stopping.set()
        self.client.close()
        self._stopping = threading.Event()

    # ------------------------------------------------------------------------------------------------------ asking

    def fetch(self, url: str, maximum: int, begun: Response | Exception | None = None) -> bytes:
        """A small file. `begun`: what came of the first try. Raises TransferFailed."""
        if begun is None:
            self._say("downloading", url)

        def attempt() -> bytes:
            nonlocal begun
            first, begun = begun, None
            if isinstance(first, Exception):
                raise first
            with self._ask("GET", url, {"Accept-Encoding": _ENCODINGS}, first=first, small=maximum) as response:
                self._expect(response, url, "download")
                return self._whole(response, url, maximum)

        return self._retried(url, attempt)

    def fetch_many(self, urls: Iterator[str], maximum: int) -> Iterable[tuple[str, Response | Exception]]:
        """What came of the first try for small files of one server, as it comes: `fetch` makes the best of it. What is
        left of `urls` at the end is better asked for by many threads."""
        from frazil.store.burst import Burst

        def said() -> Iterator[str]:
            for url in urls:
                self._say("downloading", url)
                yield url

        return Burst(self.client, said(), {"Accept-Encoding": _ENCODINGS}, maximum)

    def take(self, url: str, size: int) -> bytes | Response | Exception | None:
        """A small file in one go; else what came of that, to begin `stream` with."""
        if self.settings.download_speed:
            return None
        self._say("downloading", url)
        try:
            response = self.client.request("GET", url, {"Accept-Encoding": _ENCODINGS}, small=size)
        except (OSError, BadResponse) as error:
            return error
        if response.status == 200 and "content-encoding" not in response.headers:
            data = response.take()
            if data is not None:
                response.close()
                return data
        return response

    def _whole(self, response: Response, url: str, maximum: int) -> bytes:
        data = response.read_all(maximum)
        encoding = response.headers.get("content-encoding", "")
        if encoding in ("", "identity"):
            return data
        pieces, total = [], 0
        import io

        for piece in _decoded(io.BytesIO(data).read, encoding, url):
            total += len(piece)
            if total > maximum:
                raise failed(url, f"the file is larger than {maximum} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    def exists(self, url: str) -> bool:
        """Raises TransferFailed."""

        def attempt() -> bool:
            with self._ask("HEAD", url, {}) as response:
                # A store of objects that may not be listed says 403 of what is not there.
                if response.status in (403, 404, 410):
                    return False
                self._expect(response, url, "download")
                return True

        return self._retried(url, attempt)

    @contextmanager
    def stream(
        self,
        url: str,
        told: Callable[[int, int], object] | None = None,
        *,
        large: bool = True,
        begun: Response | Exception | None = None,
    ) -> Iterator[Read]:
        """A file in pieces. `told`: of bytes received and expected (0: unknown); `begun`: what came of the first try.
        Raises TransferFailed."""
        if begun is None:
            self._say("downloading", url)
        download = _Download(self, url, told, large, begun)
        try:
            download.start()
            encoding = download.encoding
            if encoding:
                from frazil.store.streams import read_chunks

                yield read_chunks(_decoded(download.read, encoding, url))
            else:
                yield download.read
        finally:
            download.close()

    def put(self, url: str, body: IO[bytes], length: int, kind: str, headers: Mapping[str, str] | None = None) -> None:
        """Uploads from the start of `body`, which can be read again. Raises TransferFailed."""
        self._say("uploading", url)

        def attempt() -> None:
            body.seek(0)
            asked = {"Content-Type": kind, **(headers or {})}
            with self._ask("PUT", url, asked, lambda: body.read(_CHUNK), length) as response:
                self._expect(response, url, "upload", good=range(200, 300))

        self._retried(url, attempt, doing="upload")

    def _say(self, doing: str, url: str) -> None:
        self.reporter.log(Verbosity.DEBUG, f"{doing} '{shown(url)}'...")

    # ----------------------------------------------------------------------------------------------------- answers

    def _ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Callable[[], bytes] | None = None,
        length: int | None = None,
        *,
        large: bool = False,
        small: int = 0,
        first: Response | None = None,
    ) -> Response:
        """Follows redirections. Secrets of the first URL do not go to other servers. `first`: the answer of `url`."""
        target = url
        for _ in range(_REDIRECTIONS):
            response = first or self.client.request(method, target, headers, body, length, large=large, small=small)
            first = None
            place = response.headers.get("location")
            if response.status not in (301, 302, 303, 307, 308) or not place or body is not None:
                return response
            response.close()
            try:
                target = urljoin(target, place)
                scheme = urlsplit(target).scheme
            except ValueError as error:
                raise failed(url, f"it redirects to what is no address: '{place[:200]}'") from error
            if scheme not in ("http", "https"):
                raise failed(url, f"it redirects to '{shown(target)}'")
        raise failed(url, "too many redirections")

    def _expect(self, response: Response, url: str, doing: str, good: range = range(200, 201)) -> None:
        status = response.status
        if status in good:
            return
        reason = f"HTTP error {status}" + (f" ({response.reason})" if response.reason else "")
        error = failed(url, reason, status, doing)
        if status in (408, 429) or (status >= 500 and status not in _FATAL):
            pause = retry_after(response.headers.get("retry-after", ""))
            raise _Transient(error, pause, rate_limited=status in _RATE_LIMITED)
        raise error

    def _retried(self, url: str, attempt: Callable[[], T], doing: str = "download") -> T:
        number = 0
        while True:
            number += 1
            try:
                try:
                    return attempt()
                except _Transient:
                    raise
                except (OSError, BadResponse) as error:
                    raise self.transient(url, error, doing) from error
            except _Transient as failure:
                self.pause(failure, number)

    def transient(self, url: str, error: Exception, doing: str = "download") -> Exception:
        """What a failure of the network is: one that may pass, or not."""
        import socket
        import ssl

        if isinstance(error, TimeoutError):
            return _Transient(failed(url, "the server did not answer in time", doing=doing))
        if isinstance(error, socket.gaierror):
            hint = "is the name right, and is there a network?"
            return failed(url, f"Could not resolve hostname ({error.strerror})", doing=doing, hint=hint)
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = f"the server's certificate is not to be trusted: {error.verify_message}"
            return failed(url, reason, doing=doing, hint="the setting `ssl-cert-file` names further certificates")
        if isinstance(error, ssl.SSLError) and error.reason:
            words = error.reason.replace("_", " ").lower()
            return _Transient(failed(url, f"TLS with the server failed: {words}", doing=doing))
        if isinstance(error, BadAddress):
            return failed(url, error.message, doing=doing)
        if isinstance(error, BadResponse):
            return _Transient(failed(url, error.message, doing=doing))
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return _Transient(failed(url, reason, doing=doing))

    def pause(self, failure: _Transient, number: int) -> None:
        """Waits before the next try. Raises TransferFailed after the last."""
        settings = self.settings
        if number >= max(1, settings.attempts):
            raise failure.error from failure
        base = settings.retry_delay_rate_limited if failure.rate_limited else settings.retry_delay
        delay = min(base * 2 ** (number - 1), settings.retry_max_delay) / 1000
        # What the server asks for is the least; many clients shall not come back at the same moment.
        import random

        delay = failure.pause + random.uniform(0, delay) if settings.retry_jitter else max(delay, failure.pause)
        self.reporter.log(
            Verbosity.WARN,
            f"{failure.error.message}; retrying in {delay * 1000:.0f} ms (attempt {number}/{settings.attempts})",
        )
        if self._stopping.wait(delay):
            raise failure.error from failure


def _decoded(read: Read, encoding: str, url: str) -> Iterator[bytes]:
    name = encoding.strip().lower().removeprefix("x-")
    if name not in _DECODABLE:
        raise failed(url, f"it comes in the encoding '{encoding[:40]}', which is not known")
    return decompressed(read, name, f"'{shown(url)}'")


class _Download:
    """One file as a stream. After a cut it goes on where it was: the server is asked for the rest, or what was had
    already is skipped."""

    def __init__(
        self,
        transfers: Transfers,
        url: str,
        told: Callable[[int, int], object] | None,
        large: bool,
        begun: Response | Exception | None,
    ) -> None:
        self._transfers, self._url, self._told, self._large = transfers, url, told, large
        self._begun = begun
        self._response: Response | None = None
        self._received = self._expected = 0
        self._validator = ""
        self._resumable = False
        self._skip = 0
        self._tries = 0
        self._small = b""
        """What was received and not taken yet."""
        self.encoding = ""
        rate = transfers.settings.download_speed * 1024
        self._throttle = _Throttle(rate) if rate else None

    def start(self) -> None:
        while True:
            self._tries += 1
            try:
                try:
                    self._open()
                    return
                except (OSError, BadResponse) as error:
                    raise self._transfers.transient(self._url, error) from error
            except _Transient as failure:
                self._transfers.pause(failure, self._tries)

    def _open(self) -> None:
        headers = {"Accept-Encoding": self.encoding or ("identity" if self._received else _ENCODINGS)}
        if self._received and self._resumable:
            headers["Range"] = f"bytes={self._received}-"
            if self._validator:
                headers["If-Range"] = self._validator
        first, self._begun = self._begun, None
        if isinstance(first, Exception):
            raise first
        response = self._transfers._ask("GET", self._url, headers, large=self._large, first=first)
        try:
            self._begin(response)
            if not self._received and 0 < self._expected <= _SMALL:
                self._take_small(response)
        except BaseException:
            response.close()
            raise
        self._response = response

    def _take_small(self, response: Response) -> None:
        """At once, so that its connection is free while it is unpacked."""
        pieces, left = [], self._expected
        while left and (data := response.read(left)):
            pieces.append(data)
            left -= len(data)
        self._small = b"".join(pieces)
        if not left:
            response.close()

    def _begin(self, response: Response) -> None:
        if response.status == 206 and self._received:
            if not response.headers.get("content-range", "").startswith(f"bytes {self._received}-"):
                raise failed(self._url, "the server answers with another part than was asked for")
            if self._validator and response.headers.get("etag", self._validator) != self._validator:
                raise failed(self._url, "the file changed while it was downloaded")
            self._skip = 0
            return
        self._transfers._expect(response, self._url, "download")
        encoding = response.headers.get("content-encoding", "")
        encoding = "" if encoding == "identity" else encoding
        etag = response.headers.get("etag", "")
        if self._received and (encoding != self.encoding or (self._validator and etag != self._validator)):
            raise failed(self._url, "the file changed while it was downloaded")
        self.encoding = encoding
        self._skip = self._received
        self._resumable = response.headers.get("accept-ranges", "").lower() == "bytes"
        self._validator = etag if not etag.startswith("W/") else ""
        length = response.headers.get("content-length", "")
        self._expected = int(length) if length.isdigit() else 0

    def read(self, size: int) -> bytes:
        while True:
            try:
                data = self._small[:size] if self._small else self._read(size)
                self._small = self._small[len(data) :]
            except (OSError, BadResponse) as error:
                self.close()
                try:
                    raise self._transfers.transient(self._url, error) from error
                except _Transient as failure:
                    self._transfers.pause(failure, self._tries)
                self.start()
                continue
            if data:
                self._received += len(data)
                if self._told is not None:
                    self._told(self._received, self._expected)
                if self._throttle is not None:
                    self._throttle.wait(len(data))
            return data

    def _read(self, size: int) -> bytes:
        assert self._response is not None
        while self._skip:
            data = self._response.read(min(self._skip, _CHUNK))
            if not data:
                raise ConnectionResetError("the file is shorter than before")
            self._skip -= len(data)
        return self._response.read(size)

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None


class _Throttle:
    """Keeps to a mean of so many bytes a second."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._start = time.monotonic()
        self._total = 0

    def wait(self, count: int) -> None:
        self._total += count
        ahead = self._total / self._rate - (time.monotonic() - self._start)
        if ahead > 0:
            time.sleep(ahead)


def require_url(text: str) -> str:
    """Raises StoreError for what is no URL of a server."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StoreError(f"'{text}' is no address of a server")
    try:
        _ = parts.port
    except ValueError as error:
        raise StoreError(f"'{text}' is no address of a server: {error}") from error
    return text
