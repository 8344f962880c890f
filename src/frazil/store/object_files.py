"""Binary caches in buckets: `s3://`, on Amazon's servers or any that speak their protocol.

In: names relative to the bucket. Out: contents. The library `obstore` does the talking; it comes with `frazil[s3]`.
Source of truth: the manual's `store/types/s3-binary-cache-store`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from frazil.errors import UsageError
from frazil.store.address import Parameters, StoreReference
from frazil.store.cache_files import Told
from frazil.store.cache_opening import open_cache
from frazil.store.compression import check_known, compress
from frazil.store.errors import StoreError, SubstituteGone, TransferFailed, UnsupportedStore
from frazil.store.streams import read_all, read_chunks

if TYPE_CHECKING:
    from frazil.activity import Reporter
    from frazil.store.binary_cache import BinaryCache
    from frazil.store.config import StoreSettings, TransferSettings
    from frazil.store.nar import Read

_CHUNK = 1 << 18
_WHERE = ("addressing-style", "endpoint", "profile", "region", "scheme")
"""Parameters that are a part of a bucket's address."""
_LEAST_PART = 5 << 20
_SINGLE_PUT = 5 << 30
"""Bytes that one request may carry at most, by the protocol."""


def open_s3(
    reference: StoreReference, settings: StoreSettings, reporter: Reporter, environment: Mapping[str, str]
) -> BinaryCache:
    """`s3://BUCKET[/PREFIX]?region=…&endpoint=…`."""
    bucket, _, prefix = reference.authority.partition("/")
    if not bucket:
        raise UsageError("an s3 store address needs the name of a bucket", hint="say s3://BUCKET")
    parameters = Parameters(reference.parameters)
    encodings = {}
    for name, mark in (("narinfo", ".narinfo"), ("ls", ".ls"), ("log", "log/")):
        method = parameters.text(f"{name}-compression")
        if method and method != "none":
            encodings[mark] = check_known(method)
    part = parameters.number("multipart-chunk-size", _LEAST_PART)
    if part < _LEAST_PART:
        raise UsageError(f"'multipart-chunk-size' must be at least {_LEAST_PART} bytes")
    # Unlike C++ Nix by default: what is sent in one piece is held in memory.
    threshold = parameters.number("multipart-threshold", 100 << 20)
    parts = threshold if parameters.flag("multipart-upload", True) else _SINGLE_PUT
    store = _bucket(bucket, parameters, settings.transfer, environment)
    files = ObjectFiles(store, _shown(reference), prefix.strip("/"), settings.transfer, encodings, part, parts)
    return open_cache(files, parameters, settings, reporter, environment, is_local=False)


def _shown(reference: StoreReference) -> str:
    """With what tells buckets of one name from each other: answers are remembered by it."""
    from urllib.parse import quote

    given = sorted(set(_WHERE) & set(reference.parameters))
    query = "&".join(f"{name}={quote(reference.parameters[name], safe=':@/?-._~')}" for name in given)
    return f"s3://{reference.authority}" + (f"?{query}" if query else "")


def _library() -> Any:
    try:
        import obstore
        import obstore.store
    except ImportError as error:
        raise UnsupportedStore(
            "cannot open s3 stores: the library 'obstore' is not installed", hint="pip install 'frazil[s3]'"
        ) from error
    return obstore


def _bucket(bucket: str, parameters: Parameters, transfer: TransferSettings, environment: Mapping[str, str]) -> Any:
    endpoint = parameters.text("endpoint")
    scheme = parameters.text("scheme", "https")
    if endpoint and "://" not in endpoint:
        endpoint = f"{scheme}://{endpoint}"
    style = parameters.text("addressing-style", "auto")
    if style not in ("auto", "path", "virtual"):
        raise UsageError(f"unknown S3 addressing style '{style}', expected 'auto', 'path', or 'virtual'")
    virtual = style == "virtual" or (style == "auto" and not endpoint and "." not in bucket)
    config: dict[str, Any] = {
        "region": parameters.text("region", "us-east-1"),
        "virtual_hosted_style_request": virtual,
        **_credentials(parameters.text("profile", "default"), environment),
    }
    if endpoint:
        config["endpoint"] = endpoint
    client: dict[str, Any] = {"allow_http": True, "user_agent": "frazil"}
    if transfer.connect_timeout:
        client["connect_timeout"] = f"{transfer.connect_timeout} seconds"
    client["timeout"] = f"{transfer.stalled_timeout or 86400} seconds"
    from datetime import timedelta

    retry = {
        "max_retries": max(0, transfer.attempts - 1),
        "retry_timeout": timedelta(minutes=5),
        "backoff": {
            "init_backoff": timedelta(milliseconds=max(1, transfer.retry_delay)),
            "max_backoff": timedelta(milliseconds=max(1, transfer.retry_max_delay)),
            "base": 2,
        },
    }
    return _library().store.S3Store(bucket, config=config, client_options=client, retry_config=retry)


def _credentials(profile: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """From the environment, else the profile's section in the credentials file, else the machine's role; without any
    of these requests are not signed, as public buckets want it."""
    if environment.get("AWS_ACCESS_KEY_ID") and profile == "default":
        found = {
            "access_key_id": environment["AWS_ACCESS_KEY_ID"],
            "secret_access_key": environment.get("AWS_SECRET_ACCESS_KEY", ""),
        }
        if environment.get("AWS_SESSION_TOKEN"):
            found["session_token"] = environment["AWS_SESSION_TOKEN"]
        return found
    section = _profile(profile, environment)
    if section:
        return section
    if profile != "default":
        raise StoreError(f"there is no AWS profile '{profile}' with keys in the credentials file")
    roles = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    if any(environment.get(name) for name in roles) or _is_amazon():
        return {}
    return {"skip_signature": True}


def _profile(profile: str, environment: Mapping[str, str]) -> dict[str, Any]:
    import configparser

    home = environment.get("HOME") or os.path.expanduser("~")
    file = environment.get("AWS_SHARED_CREDENTIALS_FILE") or f"{home}/.aws/credentials"
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with open(file, encoding="utf-8") as opened:
            parser.read_string(opened.read(1 << 20))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read the AWS credentials file '{file}': {error}") from error
    if not parser.has_section(profile) or not parser.has_option(profile, "aws_access_key_id"):
        return {}
    found = {
        "access_key_id": parser.get(profile, "aws_access_key_id"),
        "secret_access_key": parser.get(profile, "aws_secret_access_key", fallback=""),
    }
    if parser.has_option(profile, "aws_session_token"):
        found["session_token"] = parser.get(profile, "aws_session_token")
    return found


def _is_amazon() -> bool:
    try:
        with open("/sys/class/dmi/id/sys_vendor", encoding="ascii", errors="replace") as file:
            return "Amazon" in file.read(100)
    except OSError:
        return False


class ObjectFiles:
    """A `CacheFiles`. For all threads."""

    def __init__(
        self,
        store: Any,
        uri: str,
        prefix: str,
        settings: TransferSettings,
        encodings: Mapping[str, str],
        part_size: int,
        single_put: int,
    ) -> None:
        """`single_put`: larger files go in several parts of `part_size` bytes."""
        self._store, self._uri, self._prefix, self._settings = store, uri, prefix, settings
        self._base = uri.partition("?")[0]
        self._encodings, self._part_size, self._single_put = encodings, part_size, single_put
        self._library = _library()

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

    @contextmanager
    def _told(self, name: str, doing: str) -> Iterator[None]:
        """Errors of the library in our words."""
        try:
            yield
        except (FileNotFoundError, self._library.exceptions.NotFoundError) as error:
            raise SubstituteGone(f"file '{name}' does not exist in binary cache '{self.uri}'") from error
        except PermissionError as error:
            failed = TransferFailed(f"unable to {doing} '{self._base}/{name}': permission denied")
            failed.status = 403
            raise failed from error
        except (self._library.exceptions.BaseError, OSError) as error:
            reason = str(error).strip().split("\n")[0]
            if "403 Forbidden" in str(error) or "status 403" in str(error).lower():
                failed = TransferFailed(f"unable to {doing} '{self._base}/{name}': permission denied")
                failed.status = 403
                raise failed from error
            raise TransferFailed(f"unable to {doing} '{self._base}/{name}': {reason}") from error

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
    def stream(self, name: str, told: Told | None = None, *, size: int = 0) -> Iterator[Read]:
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
        attributes = {"Content-Type": kind}
        for mark, method in self._encodings.items():
            if name.endswith(mark) or name.startswith(mark):
                import io

                body.seek(0)
                packed = compress(body.read(), method)
                body, length = io.BytesIO(packed), len(packed)
                attributes["Content-Encoding"] = method
                break
        body.seek(0)
        with self._told(name, "upload"):
            several = length > self._single_put
            self._library.put(
                self._store,
                self._key(name),
                body if several else body.read(),
                attributes=attributes,
                use_multipart=several,
                chunk_size=self._part_size,
            )

    def names(self, ending: str) -> Iterator[str]:
        start = f"{self._prefix}/" if self._prefix else ""
        with self._told("", "list"):
            for batch in self._library.list(self._store, self._prefix or None):
                for found in batch:
                    name = str(found["path"]).removeprefix(start)
                    if "/" not in name and name.endswith(ending):
                        yield name
