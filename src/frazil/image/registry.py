"""A registry: blobs and manifests of one repository, sent and fetched.

In: blobs and manifests by digest. Out: requests of the distribution protocol, authenticated when the registry asks for
it, tried again when the network fails, resumed where they were cut off. Source of truth: OCI distribution specification
1.1; Docker's token authentication.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urljoin, urlsplit

from frazil.image.auth import Credentials, find_credentials
from frazil.image.errors import RegistryError
from frazil.image.reference import ImageName
from frazil.image.uploads import Upload
from frazil.packages.oci.image import INDEX_MEDIA, MANIFEST_MEDIA
from frazil.packages.oci.read import LARGEST_JSON
from frazil.store.config import TransferSettings
from frazil.store.errors import StoreError
from frazil.store.http import Client, Response

CHUNK = 8 << 20
"""Larger blobs are sent in pieces, so that one that is cut off goes on where it was. Some registries want 5 MiB at
least."""
ATTEMPTS = 5
MANIFESTS = (
    MANIFEST_MEDIA,
    INDEX_MEDIA,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
Body = Callable[[], Callable[[], bytes]]


def _is_loopback(host: str) -> bool:
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return name in ("localhost", "[::1]") or name.startswith("127.")


class Registry:
    """For all threads of a process. `actions`: pull, or pull,push."""

    def __init__(
        self,
        name: ImageName,
        *,
        push: bool = False,
        plain_http: bool = False,
        settings: TransferSettings | None = None,
        environment: Mapping[str, str] | None = None,
        pause: Callable[[float], object] = time.sleep,
        uploads: str | None = None,
    ) -> None:
        """`uploads`: the folder that remembers uploads that were begun."""
        self.name = name
        self._uploads = uploads
        self._stopped = False
        scheme = "http" if plain_http or _is_loopback(name.host) else "https"
        self.base = f"{scheme}://{name.host}/v2/"
        self._client = Client(settings or TransferSettings())
        self._actions = "pull,push" if push else "pull"
        self._pause = pause
        self._environment = environment
        self._credentials: Credentials | None = None
        self._asked_credentials = False
        self._authorization: dict[str, str] = {}
        self._mutex = threading.Lock()

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- requests ------------------------------------------------------------------------------------------------------

    def _url(self, what: str) -> str:
        return f"{self.base}{self.name.path}/{what}"

    def _is_own(self, url: str) -> bool:
        """Whether credentials may go there, and to the token server named there: a registry may lead to other
        servers, or away from TLS."""
        own, other = urlsplit(self.base), urlsplit(url)
        return own.netloc == other.netloc and other.scheme in (own.scheme, "https")

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        length: int | None = None,
        extra_scope: str = "",
        attempts: int = ATTEMPTS,
    ) -> Response:
        """One request with all that it needs to succeed but a server that is willing."""
        scope = extra_scope or "own"
        asked = False
        for attempt in range(attempts):
            all_headers = dict(headers or {})
            if scope in self._authorization and self._is_own(url):
                all_headers["Authorization"] = self._authorization[scope]
            try:
                response = self._client.request(method, url, all_headers, body() if body else None, length)
            except (OSError, StoreError) as error:
                if attempt + 1 == attempts:
                    raise RegistryError(
                        f"the registry '{self.name.host}' cannot be reached: {_reason(error)}",
                        hint="is its name right, and is there a network? for one without TLS: --plain-http",
                    ) from error
                self._pause(0.2 * 2**attempt)
                continue
            if response.status == 401 and not asked and self._is_own(url):
                asked = True
                challenge = response.headers.get("www-authenticate", "")
                response.close()
                self._authenticate(challenge, scope, extra_scope)
                continue
            if response.status in _PASSING and attempt + 1 < attempts:
                response.close()
                self._pause(_wait(response, attempt))
                continue
            return response
        raise RegistryError(f"the registry '{self.name.host}' does not answer")

    def _refused(self, response: Response, what: str) -> RegistryError:
        """With what the registry says, and what to do."""
        details = ""
        try:
            answer = json.loads(response.read_all(1 << 16))
            details = "; ".join(str(item.get("message") or item.get("code")) for item in answer["errors"])[:500]
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError, StoreError, OSError):
            pass
        response.close()
        hint = None
        if response.status in (401, 403):
            who = f"as '{self._credentials.user}'" if self._credentials else "without credentials"
            hint = f"asked {who}; log in with: podman login {self.name.registry or self.name.host}"
        elif response.status == 404:
            hint = f"is '{self.name}' spelled right?"
        text = f"the registry '{self.name.host}' refuses to {what}: {response.status} {response.reason}"
        return RegistryError(f"{text}{': ' + details if details else ''}", status=response.status, hint=hint)

    def _authenticate(self, challenge: str, scope: str, extra_scope: str) -> None:
        with self._mutex:
            if not self._asked_credentials:
                self._credentials = find_credentials(self.name.host, self.name.path, self._environment)
                self._asked_credentials = True
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic":
            if self._credentials is not None:
                self._authorization[scope] = self._credentials.basic
            return
        if kind.lower() != "bearer":
            return
        fields = dict(_CHALLENGE.findall(rest))
        if "realm" not in fields:
            raise RegistryError(f"the registry '{self.name.host}' does not say where to get a token")
        self._authorization[scope] = "Bearer " + self._token(fields, extra_scope)

    def _token(self, fields: Mapping[str, str], extra_scope: str) -> str:
        scopes = [f"repository:{self.name.path}:{self._actions}", *([extra_scope] if extra_scope else [])]
        realm, service = fields["realm"], fields.get("service", "")
        if urlsplit(realm).scheme != "https" and urlsplit(self.base).scheme == "https":
            raise RegistryError(f"the registry '{self.name.host}' wants its token fetched without encryption")
        headers: dict[str, str] = {}
        credentials = self._credentials
        try:
            if credentials is not None and credentials.token is not None:
                form = urlencode(
                    {
                        "grant_type": "refresh_token",
                        "service": service,
                        "client_id": "frazil",
                        "scope": " ".join(scopes),
                        "refresh_token": credentials.token,
                    }
                ).encode()
                headers["Content-Type"] = "application/x-www-form-urlencoded"
                response = self._client.request("POST", realm, headers, _once(form)(), len(form))
            else:
                if credentials is not None:
                    headers["Authorization"] = credentials.basic
                query = urlencode([("service", service), *(("scope", scope) for scope in scopes)])
                response = self._client.request("GET", f"{realm}{'&' if '?' in realm else '?'}{query}", headers)
            with response:
                if response.status != 200:
                    raise self._refused(response, "give a token")
                answer = json.loads(response.read_all(1 << 20))
            token = answer.get("token") or answer.get("access_token")
        except (OSError, StoreError) as error:
            raise RegistryError(f"the token server '{realm}' cannot be reached: {_reason(error)}") from error
        except (ValueError, RecursionError, AttributeError):
            token = None
        if not isinstance(token, str):
            raise RegistryError(f"the token server '{realm}' gives no token")
        return token

    # -- blobs ---------------------------------------------------------------------------------------------------------

    def has_blob(self, digest: str) -> bool:
        with self._send("HEAD", self._url(f"blobs/{digest}")) as response:
            if response.status == 200:
                return True
            if response.status in (404, 307, 302):
                return response.status != 404
            raise self._refused(response, f"say whether it has {digest}")

    def mount_blob(self, digest: str, repository: str) -> str | None:
        """Takes a blob over from another repository of the registry. Else None or where it can be sent to."""
        query = urlencode({"mount": digest, "from": repository})
        url = f"{self._url('blobs/uploads/')}?{query}"
        scope = f"repository:{repository}:pull"
        try:
            with self._send("POST", url, body=_once(b""), length=0, extra_scope=scope) as response:
                if response.status == 201:
                    return ""
                return self._location(response) if response.status == 202 else None
        except RegistryError as error:
            if error.status in (401, 403):  # no token for the other repository
                return None
            raise

    def _location(self, response: Response) -> str:
        location = response.headers.get("location")
        if not location:
            raise RegistryError(f"the registry '{self.name.host}' does not say where to send a blob")
        try:
            return urljoin(response.url, location)
        except ValueError as error:
            raise RegistryError(f"the registry '{self.name.host}' leads to no address: {error}") from error

    def _begin(self) -> str:
        with self._send("POST", self._url("blobs/uploads/"), body=_once(b""), length=0) as response:
            if response.status != 202:
                raise self._refused(response, "take a blob")
            return self._location(response)

    def stop(self) -> None:
        """Ends uploads after the piece that each of them is sending, and what is fetched at once, so that they can be
        taken up later."""
        self._stopped = True

    def send_blob(self, digest: str, path: str, place: str | None = None) -> int:
        """The file's bytes; how many of them travelled. What the registry already took of it, from this process or one
        before, is not sent again. `place`: where an upload was begun."""
        size = os.stat(path).st_size
        folder = self._uploads if size > CHUNK else None
        with Upload(folder, f"{self.base}{self.name.path}", digest) as upload:
            sending = _Sending(path, size, upload)
            taken_up = self._take_up(sending)
            if not taken_up:
                self._start(sending, place or self._begin())
            try:
                self._send_pieces(sending)
                self._finish(sending, digest)
            except RegistryError as error:
                if not taken_up or self._stopped or error.status == 0:
                    raise
                self._start(sending, self._begin())  # what was there was not what we thought
                self._send_pieces(sending)
                self._finish(sending, digest)
            upload.forget()
        return sending.sent

    def _take_up(self, sending: _Sending) -> bool:
        """Whether an earlier upload goes on."""
        place = sending.upload.place()
        if place is None:
            return False
        try:
            with self._send("GET", place, attempts=2) as response:
                offset = _accepted(response, 0)
                if response.status != 204 or not 0 < offset <= sending.size:
                    return False
                if response.headers.get("location"):
                    place = self._location(response)
        except (RegistryError, ValueError):  # nobody is there any more, or it is no address
            return False
        sending.place, sending.offset = place, offset
        return True

    def _start(self, sending: _Sending, place: str) -> None:
        sending.place, sending.offset = place, 0
        sending.upload.keep(place)

    def _send_pieces(self, sending: _Sending) -> None:
        failures, furthest = 0, sending.offset
        while sending.size > CHUNK and sending.offset < sending.size:
            if self._stopped:
                raise RegistryError("the upload was interrupted")
            offset, count = sending.offset, min(CHUNK, sending.size - sending.offset)
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{offset}-{offset + count - 1}",
            }
            body = _stretch(sending.path, offset, count)
            try:
                with self._send("PATCH", sending.place, headers, body, count, attempts=1) as response:
                    if response.status != 202:
                        raise self._refused(response, "take a part of a blob")
                    sending.place = self._location(response)
                    sending.offset = min(_accepted(response, offset + count), sending.size)
                sending.sent += count
                sending.upload.keep(sending.place)
                if sending.offset <= offset:
                    raise RegistryError(f"the registry '{self.name.host}' takes nothing of what it is sent")
                if sending.offset > furthest:
                    failures, furthest = 0, sending.offset
            except RegistryError as error:
                failures += 1
                if failures >= ATTEMPTS or error.status in (400, 401, 403):
                    raise
                self._pause(0.2 * 2**failures)
                self._find(sending)

    def _finish(self, sending: _Sending, digest: str) -> None:
        left = sending.size - sending.offset
        url = f"{sending.place}{'&' if '?' in sending.place else '?'}digest={quote(digest, safe=':')}"
        headers = {"Content-Type": "application/octet-stream"}
        body = _stretch(sending.path, sending.offset, left)
        with self._send("PUT", url, headers, body, left) as response:
            if response.status != 201:
                raise self._refused(response, f"take the blob {digest}")
        sending.sent += left

    def _find(self, sending: _Sending) -> None:
        """How far an upload came; a lost one begins again."""
        with self._send("GET", sending.place) as response:
            if response.status == 204:
                if response.headers.get("location"):
                    sending.place = self._location(response)
                sending.offset = min(_accepted(response, 0), sending.size)
                return
        self._start(sending, self._begin())

    def fetch_blob(self, digest: str, size: int, path: str) -> None:
        """Into the file, which may hold a beginning of it. Raises RegistryError where the bytes are others."""
        algorithm, _, wanted = digest.partition(":")
        if algorithm not in ("sha256", "sha512") or not re.fullmatch("[0-9a-f]+", wanted):
            raise RegistryError(f"'{digest}' is not a digest of a blob")
        for attempt in range(ATTEMPTS):
            have = os.stat(path).st_size if os.path.exists(path) else 0
            if have > size:
                os.unlink(path)
                have = 0
            if have == size and attempt:
                break
            try:
                self._fetch_part(digest, size, path, have)
                break
            except (OSError, StoreError) as error:
                if attempt + 1 == ATTEMPTS:
                    raise RegistryError(f"fetching {digest}: {_reason(error)}") from error
                self._pause(0.2 * 2**attempt)
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
        if found != wanted:
            os.unlink(path)
            raise RegistryError(f"the registry '{self.name.host}' gives other bytes for {digest}")

    def _fetch_part(self, digest: str, size: int, path: str, have: int) -> None:
        url = self._url(f"blobs/{digest}")
        headers = {"Range": f"bytes={have}-"} if have and have < size else {}
        for _ in range(5):
            with self._send("GET", url, headers) as response:
                if response.status in (301, 302, 303, 307, 308):
                    url = self._location(response)
                    continue
                if response.status not in (200, 206):
                    raise self._refused(response, f"give the blob {digest}")
                with open(path, "ab" if response.status == 206 else "wb") as file:
                    left = size - (have if response.status == 206 else 0)
                    while data := response.read():
                        left -= len(data)
                        if self._stopped:
                            raise RegistryError(f"fetching {digest} was interrupted")
                        if left < 0:
                            raise RegistryError(f"the registry '{self.name.host}' gives too many bytes for {digest}")
                        file.write(data)
                if left:
                    raise ConnectionResetError("the connection was closed too early")
                return
        raise RegistryError(f"the registry '{self.name.host}' leads in circles for {digest}")

    def send_small(self, digest: str, content: bytes) -> None:
        """A blob of a few kilobytes, unless it is there."""
        if self.has_blob(digest):
            return
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            self.send_blob(digest, file.name)

    def read_small(self, digest: str, size: int) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "blob")
            self.fetch_blob(digest, size, path)
            with open(path, "rb") as file:
                return file.read()

    # -- manifests -----------------------------------------------------------------------------------------------------

    def put_manifest(self, wanted: str, media: str, content: bytes) -> None:
        headers = {"Content-Type": media}
        with self._send("PUT", self._url(f"manifests/{wanted}"), headers, _once(content), len(content)) as response:
            if response.status not in (200, 201, 202):
                raise self._refused(response, f"take the manifest '{wanted}'")

    def manifest(self, wanted: str) -> tuple[str, bytes]:
        """(media type, content); checked where it is asked for by digest."""
        if ":" in wanted and not wanted.startswith(("sha256:", "sha512:")):
            raise RegistryError(f"'{wanted}' is not a digest")
        headers = {"Accept": ", ".join(MANIFESTS)}
        with self._send("GET", self._url(f"manifests/{wanted}"), headers) as response:
            if response.status != 200:
                raise self._refused(response, f"give '{wanted}'")
            try:
                content = response.read_all(LARGEST_JSON)
            except (OSError, StoreError) as error:
                raise RegistryError(f"reading the manifest '{wanted}': {_reason(error)}") from error
            media = response.headers.get("content-type", "").partition(";")[0].strip()
        if ":" in wanted:
            algorithm, _, value = wanted.partition(":")
            if hashlib.new(algorithm, content).hexdigest() != value:
                raise RegistryError(f"the registry '{self.name.host}' gives another manifest than {wanted}")
        return media, content


@dataclass(slots=True)
class _Sending:
    """A blob on its way. `sent`: bytes that travelled."""

    path: str
    size: int
    upload: Upload
    place: str = ""
    offset: int = 0
    sent: int = 0


def _accepted(response: Response, otherwise: int) -> int:
    """How many bytes an upload has, of `Range: 0-LAST`."""
    match = re.fullmatch(r"(?:bytes=)?0-(\d{1,15})", response.headers.get("range", ""))
    if not match:
        return otherwise
    last = int(match[1])
    return last + 1 if last else min(otherwise, 1) if otherwise == 1 else 0


def _wait(response: Response, attempt: int) -> float:
    after = response.headers.get("retry-after", "")
    return min(30.0, float(after)) if after.isdecimal() else 0.2 * 2**attempt


def _reason(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return re.sub(r"^\[Errno -?\d+\] ", "", text)


def _once(content: bytes) -> Body:
    def start() -> Callable[[], bytes]:
        pieces = iter([content] if content else [])
        return lambda: next(pieces, b"")

    return start


def _stretch(path: str, offset: int, count: int) -> Body:
    """Bytes of a file, from the beginning each time the request is tried. The file is open only while it is read, since
    nobody says when a request was given up."""

    def start() -> Callable[[], bytes]:
        place = offset

        def piece() -> bytes:
            nonlocal place
            wanted = min(1 << 18, offset + count - place)
            if not wanted:
                return b""
            with open(path, "rb", buffering=0) as file:
                data = os.pread(file.fileno(), wanted, place)
            place += len(data)
            return data

        return piece

    return start
