"""Binary caches in buckets: `s3://`, `gs://`, `az://`.

In: names relative to the bucket. Out: contents. The library `obstore` does the talking; see `buckets`. Source of truth:
the manual's `store/types/s3-binary-cache-store`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from frazil.activity import Verbosity
from frazil.errors import UsageError
from frazil.record import Record
from frazil.store import buckets
from frazil.store.address import Parameters, StoreReference
from frazil.store.cache_files import CacheFiles, Told
from frazil.store.cache_opening import open_cache
from frazil.store.compression import check_known, compress
from frazil.store.errors import StoreError, SubstituteGone, TransferFailed
from frazil.store.s3_address import WHERE, S3Address
from frazil.store.streams import read_all, read_chunks

if TYPE_CHECKING:
    from frazil.activity import Reporter
    from frazil.store.binary_cache import BinaryCache
    from frazil.store.config import StoreSettings, TransferSettings
    from frazil.store.http import Response
    from frazil.store.nar import Read

_CHUNK = 1 << 18
_WHERE = frozenset((*WHERE, "account", "service-account"))
_LEAST_PART = 5 << 20
_LARGEST_PART = 5 << 30
"""Bytes that one request may carry, by the protocol."""
_PARTS = 10_000


def open_s3(
    reference: StoreReference, settings: StoreSettings, reporter: Reporter, environment: Mapping[str, str]
) -> BinaryCache:
    """`s3://BUCKET[/PREFIX]?region=…&endpoint=…`."""
    parameters = Parameters(reference.parameters)
    address = S3Address.read(reference, parameters)
    for text in address.warnings:
        reporter.log(Verbosity.WARN, text)
    bucket = buckets.amazon(address, settings.transfer, environment)
    return _open(bucket, address.base, reference, parameters, settings, reporter, environment)


def open_google(
    reference: StoreReference, settings: StoreSettings, reporter: Reporter, environment: Mapping[str, str]
) -> BinaryCache:
    """`gs://BUCKET[/PREFIX]`."""
    parameters = Parameters(reference.parameters)
    bucket = buckets.google(reference, parameters, settings.transfer, environment)
    return _open(bucket, "", reference, parameters, settings, reporter, environment)


def open_microsoft(
    reference: StoreReference, settings: StoreSettings, reporter: Reporter, environment: Mapping[str, str]
) -> BinaryCache:
    """`az://CONTAINER[/PREFIX]?account=NAME`."""
    parameters = Parameters(reference.parameters)
    bucket = buckets.microsoft(reference, parameters, settings.transfer, environment)
    return _open(bucket, "", reference, parameters, settings, reporter, environment)


def _open(
    bucket: Any,
    base: str,
    reference: StoreReference,
    parameters: Parameters,
    settings: StoreSettings,
    reporter: Reporter,
    environment: Mapping[str, str],
) -> BinaryCache:
    from frazil.store.address import unquote

    encodings = {}
    for name, mark in (("narinfo", ".narinfo"), ("ls", ".ls"), ("log", "log/")):
        method = parameters.text(f"{name}-compression")
        if method and method != "none":
            encodings[mark] = check_known(method)
    prefix = unquote(reference.authority.partition("/")[2]).strip("/")
    sending = _sending(parameters, reporter, encodings)
    files = ObjectFiles(bucket, _shown(reference), prefix, settings.transfer, sending, reporter, base)
    return open_cache(files, parameters, settings, reporter, environment, is_local=False)


def _sending(parameters: Parameters, reporter: Reporter, encodings: dict[str, str]) -> Sending:
    old = parameters.optional("buffer-size")
    part = parameters.number(
        "multipart-chunk-size", _LEAST_PART if old is None else parameters.number("buffer-size", 0)
    )
    if not _LEAST_PART <= part <= _LARGEST_PART:
        bound = f"least {_LEAST_PART}" if part < _LEAST_PART else f"most {_LARGEST_PART}"
        raise UsageError(f"'multipart-chunk-size' must be at {bound} bytes, but is {part}")
    # Unlike C++ Nix by default: what is sent in one piece is held in memory.
    in_parts = parameters.flag("multipart-upload", True)
    threshold = parameters.number("multipart-threshold", 100 << 20)
    if in_parts and threshold < part:
        reporter.log(
            Verbosity.WARN,
            f"multipart-threshold ({threshold} bytes) is less than multipart-chunk-size ({part} bytes), "
            "which may result in single-part multipart uploads",
        )
    return Sending(encodings, part, threshold if in_parts else None, parameters.text("storage-class"))


class Sending(Record):
    """How files go up. `encodings`: endings or beginnings of names → how such files are compressed on the way;
    `threshold`: larger files go in several parts of `part_size` bytes, none if None."""

    encodings: Mapping[str, str]
    part_size: int
    threshold: int | None
    storage_class: str = ""


def _shown(reference: StoreReference) -> str:
    """With what tells buckets of one name from each other: answers are remembered by it."""
    from urllib.parse import quote

    given = sorted(_WHERE & set(reference.parameters))
    query = "&".join(f"{name}={quote(reference.parameters[name], safe=':@/?-._~')}" for name in given)
    return f"{reference.scheme}://{reference.authority}" + (f"?{query}" if query else "")


def _reason(text: str) -> str:
    """What went wrong, out of the library's long account of it."""
    status = re.search(r"status code: (\d{3})", text)
    if status:
        code = _code(text)
        return f"HTTP error {status[1]}" + (f" ({code})" if code else "")
    if "TimedOut" in text:
        return "the server did not answer in time"
    certificate = re.search(r"InvalidCertificate\(\s*(\w+)", text)
    if certificate:
        return f"the server's certificate is not to be trusted: {certificate[1]}"
    if "IncompleteBody" in text or "IncompleteMessage" in text:
        return "the connection was closed too early"
    if "InvalidMessage" in text:
        return "the server does not speak TLS"
    said = re.findall(r'(?:message|error): "([^"]+)"', text)
    return said[-1] if said else text.strip().split("\n")[0].rpartition(" - ")[2]


def _code(text: str) -> str:
    found = re.search(r"<Code>(\w{1,60})</Code>", text)
    return found[1] if found else ""


class ObjectFiles(CacheFiles):
    """For all threads."""

    def __init__(
        self,
        store: Any,
        uri: str,
        prefix: str,
        settings: TransferSettings,
        sending: Sending,
        reporter: Reporter,
        url: str = "",
    ) -> None:
        """`url`: to which names are added, where that is known."""
        self._store, self._uri, self._prefix, self._settings = store, uri, prefix, settings
        self._base = uri.partition("?")[0]
        self._sending, self._reporter, self._url = sending, reporter, url
        self._library = buckets.library()

    @property
    def uri(self) -> str:
        return self._uri

    @property
    def transfers(self) -> int:
        return self._settings.http_connections or 64

    def prepare(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _key(self, name: str) -> str:
        if not name or name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/")):
            raise StoreError(f"binary cache path '{name}' leads out of the cache")
        return f"{self._prefix}/{name}" if self._prefix else name

    def _say(self, doing: str, name: str) -> None:
        place = f"{self._url}/{self._key(name)}" if self._url else f"{self._base}/{name}"
        self._reporter.log(Verbosity.DEBUG, f"{doing} '{place}'...")

    @contextmanager
    def _told(self, name: str, doing: str) -> Iterator[None]:
        """Errors of the library in our words."""
        exceptions = self._library.exceptions
        try:
            yield
        except (FileNotFoundError, exceptions.NotFoundError) as error:
            if doing == "download":
                raise SubstituteGone(f"file '{name}' does not exist in binary cache '{self.uri}'") from error
            raise self._failed(name, doing, str(error), 404) from error
        except (PermissionError, exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise self._failed(name, doing, str(error), 403) from error
        except (exceptions.BaseError, OSError) as error:
            text = str(error)
            status = re.search(r"status code: (\d{3})", text)
            raise self._failed(name, doing, text, int(status[1]) if status else None) from error

    def _failed(self, name: str, doing: str, text: str, status: int | None) -> TransferFailed:
        reason, hint = _reason(text), None
        if status in (401, 403):
            code = _code(text)
            reason, status = "permission denied" + (f" ({code})" if code else ""), 403
            hint = "are the keys right, and may they do this? see `frazil help-stores` for where keys come from"
        elif status == 404:
            reason, hint = "there is no such bucket", "a bucket is made with its provider's own programs"
        elif "certificate" in reason:
            hint = "the setting `ssl-cert-file` names further certificates"
        failed = TransferFailed(f"unable to {doing} '{self._base}{'/' if name else ''}{name}': {reason}", hint=hint)
        failed.status = status
        return failed

    def get(self, name: str, maximum: int) -> bytes | None:
        try:
            with self.stream(name) as read:
                return read_all(read, maximum, f"'{self._base}/{name}'")
        except SubstituteGone:
            return None
        except TransferFailed as error:
            if error.status == 403:  # of what is not there, where one may not list
                return None
            raise

    def exists(self, name: str) -> bool:
        try:
            with self._told(name, "download"):
                self._library.head(self._store, self._key(name))
        except SubstituteGone:
            return False
        except TransferFailed as error:
            if error.status == 403:
                return False
            raise
        return True

    @contextmanager
    def stream(
        self, name: str, told: Told | None = None, *, size: int = 0, begun: Response | Exception | None = None
    ) -> Iterator[Read]:
        self._say("downloading", name)
        with self._told(name, "download"):
            found = self._library.get(self._store, self._key(name))
        expected, encoding = int(found.meta["size"]), dict(found.attributes).get("Content-Encoding", "")

        def pieces() -> Iterator[bytes]:
            had = 0
            with self._told(name, "download"):
                for piece in found.stream(min_chunk_size=_CHUNK):
                    data = bytes(piece)
                    had += len(data)
                    if told is not None:
                        told(had, expected)
                    yield data

        read = read_chunks(pieces())
        if encoding and encoding != "identity":
            from frazil.store.compression import decompressed

            read = read_chunks(decompressed(read, encoding, f"'{self._base}/{name}'"))
        yield read

    def put(self, name: str, body: IO[bytes], length: int, kind: str) -> None:
        sending, attributes = self._sending, {"Content-Type": kind}
        for mark, method in sending.encodings.items():
            if name.endswith(mark) or name.startswith(mark):
                import io

                body.seek(0)
                packed = compress(body.read(), method)
                body, length = io.BytesIO(packed), len(packed)
                attributes["Content-Encoding"] = method
                break
        if sending.storage_class:
            attributes["Storage-Class"] = sending.storage_class
        several = sending.threshold is not None and length > sending.threshold
        if length > _LARGEST_PART and not several:
            raise StoreError(
                f"file too large for an upload in one piece: '{name}' has {length} bytes, more than {_LARGEST_PART}",
                hint="say multipart-upload=true",
            )
        part = max(sending.part_size, -(-length // _PARTS))
        parts = -(-length // part)
        self._say("uploading", name)
        how = f"multipart upload for '{name}' ({length} bytes, {parts} parts)" if several else f"upload for '{name}'"
        self._reporter.log(Verbosity.DEBUG, f"using S3 {'' if several else 'regular '}{how}")
        body.seek(0)
        with self._told(name, "upload"):
            self._library.put(
                self._store,
                self._key(name),
                body if several else body.read(),
                attributes=attributes,
                use_multipart=several,
                chunk_size=part,
            )
        if several:
            self._reporter.log(Verbosity.DEBUG, f"S3 multipart upload completed: {parts} parts uploaded for '{name}'")

    def names(self, ending: str) -> Iterator[str]:
        start = f"{self._prefix}/" if self._prefix else ""
        with self._told("", "list"):
            for batch in self._library.list(self._store, self._prefix or None):
                for found in batch:
                    name = str(found["path"]).removeprefix(start)
                    if "/" not in name and name.endswith(ending):
                        yield name
