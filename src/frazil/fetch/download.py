"""Transfers: a URL in, a file out, with what the server says about it.

`file:`, `http:`, `https:` and `s3:`. Retried with growing pauses, resumed where the server can, bounded in size. Source
of truth: the settings `connect-timeout`, `stalled-download-timeout`, `download-attempts`, `netrc-file` and
`ssl-cert-file`; the lockable tarball protocol for `Link: <…>; rel="immutable"`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frazil.activity import Activity, ActivityType, Verbosity
from frazil.fetch.errors import DownloadError
from frazil.fetch.url import parse_url, url_path_to_path

if TYPE_CHECKING:
    import httpx

    from frazil.activity import Reporter
    from frazil.fetch.settings import FetchSettings

_CHUNK = 1 << 16
_MAXIMUM_REDIRECTS = 10
_IMMUTABLE = re.compile(r'<([^>]*)>\s*;\s*rel="immutable"')
_FATAL_STATUS = frozenset({501, 505, 511})
_FIRST_PAUSE = 0.25
_MAXIMUM_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class Downloaded:
    """`unchanged`: the server says that what `etag` named is current, and no file was made. `urls`: the asked one, then
    each redirection."""

    unchanged: bool
    etag: str
    urls: tuple[str, ...]
    immutable_url: str | None


def _reason(error: Exception) -> str:
    """`[Errno -2] Name or service not known` without its number, which says nothing to people."""
    text = str(error) or type(error).__name__
    return re.sub(r"^\[Errno -?\d+\] ", "", text)


def _unreachable_hint(error: Exception) -> str | None:
    import httpx

    if not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        return None
    return "is there a network? a flake input can be replaced, for example by a folder: --override-input NAME PATH"


class _Transient(Exception):
    """A failure that may pass. Carries the DownloadError to raise when it does not."""

    def __init__(self, error: DownloadError, pause: float = 0.0) -> None:
        super().__init__(error.message)
        self.error = error
        self.pause = pause


def download(
    url: str,
    destination: str,
    settings: FetchSettings,
    reporter: Reporter,
    *,
    headers: Mapping[str, str] | None = None,
    etag: str = "",
    maximum: int | None = None,
    proxy: str | None = None,
) -> Downloaded:
    """Makes or replaces the file `destination`. Raises DownloadError.

    `etag`: what an earlier transfer gave; `maximum`: bytes that are too many; `proxy`: instead of those that the
    environment names, `DIRECT` for none.
    """
    parsed = parse_url(url)
    limit = settings.maximum_download if maximum is None else maximum
    if parsed.scheme not in ("http", "https", "file", "s3"):
        raise DownloadError(f"unable to download '{url}': unsupported scheme '{parsed.scheme}'")
    if settings.offline and parsed.scheme != "file":
        raise DownloadError(f"unable to download '{url}': --offline forbids it")
    text = f"downloading '{_without_password(url)}'"
    with Activity(reporter, ActivityType.FILE_TRANSFER, text, fields=(url,), level=Verbosity.TALKATIVE) as activity:
        if parsed.scheme == "file":
            return _copy_local(url, url_path_to_path(parsed.path), destination, limit, etag)
        given = dict(headers or {})
        if parsed.scheme == "s3":
            return _S3Transfer(url, destination, settings, given, etag, limit, activity, reporter, proxy).run()
        return _Transfer(url, destination, settings, given, etag, limit, activity, reporter, proxy).run()


def _without_password(url: str) -> str:
    return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:…@", url)


def _copy_local(url: str, path: str, destination: str, limit: int, etag: str) -> Downloaded:
    """A local file's stamp serves as its etag."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as source:
            status = os.fstat(source.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise DownloadError(f"unable to download '{url}': '{path}' is not a regular file")
            stamp = f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"
            if etag == stamp:
                return Downloaded(True, stamp, (url,), None)
            with open(destination, "wb") as target:
                total = 0
                while data := source.read(_CHUNK):
                    total += len(data)
                    if total > limit:
                        raise DownloadError(f"'{url}' is larger than {limit} bytes")
                    target.write(data)
    except FileNotFoundError as error:
        raise DownloadError(f"unable to download '{url}': Could not open file {path}", status=404) from error
    except OSError as error:
        raise DownloadError(f"unable to download '{url}': {error.strerror}") from error
    return Downloaded(False, stamp, (url,), None)


class _Transfer:
    """One download with its attempts; bytes gained stay across attempts where the server allows."""

    def __init__(
        self,
        url: str,
        destination: str,
        settings: FetchSettings,
        headers: dict[str, str],
        etag: str,
        limit: int,
        activity: Activity,
        reporter: Reporter,
        proxy: str | None,
    ) -> None:
        self.url = url
        self.proxy = proxy
        self.destination = destination
        self.settings = settings
        self.headers = headers
        self.etag = etag
        self.limit = limit
        self.activity = activity
        self.reporter = reporter
        self.received = 0
        self.validator = ""

    def run(self) -> Downloaded:
        import random
        import time

        attempts = max(1, self.settings.download_attempts)
        with make_client(self.settings, self.reporter, self.proxy) as client:
            for attempt in range(1, attempts + 1):
                try:
                    return self._attempt(client)
                except _Transient as failure:
                    if attempt == attempts:
                        raise failure.error from failure
                    pause = max(failure.pause, _FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(1, 1.5))
                    self.reporter.log(
                        Verbosity.WARN, f"warning: {failure.error.message}; retrying in {pause * 1000:.0f} ms"
                    )
                    time.sleep(pause)
        raise AssertionError("unreachable")

    def _request_headers(self) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity", "User-Agent": _user_agent(self.settings), **self.headers}
        if self.etag:
            headers["If-None-Match"] = self.etag
        if self.received and self.validator:
            headers["Range"] = f"bytes={self.received}-"
            headers["If-Range"] = self.validator
        else:
            self.received = 0
        return headers

    def _attempt(self, client: httpx.Client) -> Downloaded:
        import httpx

        try:
            with client.stream("GET", self.url, headers=self._request_headers()) as response:
                return self._receive(response)
        except httpx.TooManyRedirects as error:
            raise self._error("too many redirections") from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.DecodingError) as error:
            raise self._error(str(error)) from error
        except (httpx.TransportError, httpx.StreamError) as error:
            failure = self._error(_reason(error), hint=_unreachable_hint(error))
            if "Name or service not known" in failure.message:
                raise failure from error  # trying again soon finds no name either
            raise _Transient(failure) from error

    def _error(self, reason: str, status: int | None = None, hint: str | None = None) -> DownloadError:
        if status in (401, 403):
            hint = "does it ask for a password? see the settings `access-tokens` and `netrc-file`"
        return DownloadError(f"unable to download '{_without_password(self.url)}': {reason}", status=status, hint=hint)

    def _receive(self, response: httpx.Response) -> Downloaded:
        status = response.status_code
        urls = tuple(str(part.request.url) for part in (*response.history, response))
        immutable = _immutable_url([*response.history, response])
        etag = response.headers.get("etag", "")
        if status == 304 and self.etag:
            return Downloaded(True, self.etag, (self.url, *urls[1:]), immutable)
        if status not in (200, 206):
            self._fail(response)
        if status == 200:
            self.received = 0
        elif not response.headers.get("content-range", "").startswith(f"bytes {self.received}-"):
            raise self._error("the server answers with another part than was asked for")
        encoded = bool(response.headers.get("content-encoding"))
        resumable = response.headers.get("accept-ranges") == "bytes" or status == 206
        self.validator = etag if resumable and not encoded and not etag.startswith("W/") else ""
        self._write(response, encoded)
        return Downloaded(False, etag, (self.url, *urls[1:]), immutable)

    def _fail(self, response: httpx.Response) -> None:
        status = response.status_code
        error = self._error(f"HTTP error {status} ({response.reason_phrase})", status)
        if status in (408, 429) or (status >= 500 and status not in _FATAL_STATUS):
            from frazil.store.transfer import retry_after

            raise _Transient(error, min(retry_after(response.headers.get("retry-after", "")), _MAXIMUM_PAUSE))
        raise error

    def _write(self, response: httpx.Response, encoded: bool) -> None:
        length = response.headers.get("content-length", "")
        expected = self.received + int(length) if length.isdigit() and not encoded else 0
        if expected > self.limit:
            raise self._error(f"it is larger than {self.limit} bytes")
        throttle = _Throttle(self.settings.download_speed * 1024)
        shown = 0
        with open(self.destination, "r+b" if self.received else "wb") as file:
            file.seek(self.received)
            for chunk in response.iter_bytes(_CHUNK) if encoded else response.iter_raw(_CHUNK):
                self.received += len(chunk)
                if self.received > self.limit:
                    raise self._error(f"it is larger than {self.limit} bytes")
                file.write(chunk)
                throttle.wait(len(chunk))
                if self.received - shown > 1 << 18:
                    shown = self.received
                    self.activity.progress(self.received, expected)
            file.truncate()
        if expected and self.received < expected:
            raise _Transient(self._error("the connection was closed too early"))
        self.activity.progress(self.received, max(expected, self.received))


class _S3Transfer(_Transfer):
    """Of an object in a bucket, by the URL behind which it is; signed anew for each attempt, where there are keys."""

    def __init__(self, url: str, *rest: Any) -> None:
        from frazil.store.errors import StoreError
        from frazil.store.s3_address import S3Address, find_keys

        super().__init__(url, *rest)
        address = S3Address.parse(url)
        for text in address.warnings:
            self.reporter.log(Verbosity.WARN, text)
        try:
            self.keys = find_keys(address.profile, os.environ)
        except StoreError as error:
            raise DownloadError(f"unable to download '{url}': {error.message}", hint=error.hint) from error
        self.url, self.region = address.url, address.region

    def _request_headers(self) -> dict[str, str]:
        from frazil.store.s3_address import signed

        own = {} if self.keys is None else signed("GET", self.url, self.region, self.keys)
        return super()._request_headers() | own

    def _error(self, reason: str, status: int | None = None, hint: str | None = None) -> DownloadError:
        error = super()._error(reason, status, hint)
        if status in (401, 403):
            who = "no keys were found" if self.keys is None else f"asked as '{self.keys.access}'"
            error.hint = f"{who}: keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or from the profile"
        return error


class _Throttle:
    """Keeps to a mean of so many bytes a second; 0 is no bound."""

    def __init__(self, rate: int) -> None:
        import time

        self.rate = rate
        self.start = time.monotonic()
        self.total = 0

    def wait(self, count: int) -> None:
        if not self.rate:
            return
        import time

        self.total += count
        ahead = self.total / self.rate - (time.monotonic() - self.start)
        if ahead > 0:
            time.sleep(ahead)


def _immutable_url(responses: list[httpx.Response]) -> str | None:
    found = None
    for response in responses:
        match = _IMMUTABLE.search(response.headers.get("link", ""))
        if match:
            found = str(response.request.url.join(match.group(1)))
    return found


def _user_agent(settings: FetchSettings) -> str:
    from frazil import __version__

    return f"frazil/{__version__} {settings.user_agent_suffix}".strip()


def make_client(settings: FetchSettings, reporter: Reporter, proxy: str | None = None) -> httpx.Client:
    """Proxies come from the environment unless one is given. Raises DownloadError for unreadable certificates."""
    import httpx

    timeout = httpx.Timeout(settings.stalled_timeout or None, connect=settings.connect_timeout or None)
    return httpx.Client(
        http2=settings.http2,
        verify=_certificates(settings),
        timeout=timeout,
        follow_redirects=True,
        max_redirects=_MAXIMUM_REDIRECTS,
        auth=_netrc(settings, reporter),
        proxy=None if proxy == "DIRECT" else proxy,
        trust_env=proxy is None,
    )


def _certificates(settings: FetchSettings) -> Any:
    import ssl

    path = settings.ssl_cert_file or os.environ.get("NIX_SSL_CERT_FILE") or os.environ.get("SSL_CERT_FILE")
    try:
        if path:
            return ssl.create_default_context(cafile=path)
        context = ssl.create_default_context()
        if not context.cert_store_stats()["x509_ca"]:
            import certifi

            context.load_verify_locations(certifi.where())
        return context
    except (OSError, ssl.SSLError) as error:
        raise DownloadError(f"cannot read certificates from '{path}': {error}") from error


def _netrc(settings: FetchSettings, reporter: Reporter) -> Any:
    if not settings.netrc_file or not os.path.exists(settings.netrc_file):
        return None
    import netrc

    import httpx

    try:
        return httpx.NetRCAuth(settings.netrc_file)
    except (netrc.NetrcParseError, OSError) as error:
        reporter.log(Verbosity.WARN, f"warning: cannot read '{settings.netrc_file}': {error}")
        return None
