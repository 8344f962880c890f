"""Where a binary cache's files are: in a folder, or behind an HTTP server.

In: names relative to the cache. Out: contents, whole or as streams. Source of truth: the manual's
`protocols/binary-cache`.
"""

from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, TYPE_CHECKING, Protocol, TypeAlias
from urllib.parse import urljoin

from frazil.store.errors import StoreError, SubstituteGone, TransferFailed, UnsupportedOperation, from_os_error

if TYPE_CHECKING:
    from frazil.activity import Reporter
    from frazil.store.http import Response
    from frazil.store.nar import Read
    from frazil.store.transfer import Transfers

Told = Callable[[int, int], object]
Got = bytes | Callable[[], bytes | None] | None
Begun: TypeAlias = "bytes | Response | Exception | None"
_CHUNK = 1 << 18
_AT_ONCE = 64
"""Requests that one connection carries."""
_SHARED = 1 << 20
"""Bytes of files that come over such a connection."""
_SIMPLE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.=+?-]*(/[A-Za-z0-9_-][A-Za-z0-9_.=+?-]*)*").fullmatch
"""Names that are simply what follows the address of a cache."""
_DISABLED_SECONDS = 60


class CacheFiles(Protocol):
    """Raises StoreError for everything but a file that is not there. For all threads."""

    @property
    def uri(self) -> str: ...

    @property
    def transfers(self) -> int: ...

    def prepare(self) -> None:
        """Makes the places where files will be, as far as such are needed."""

    def get(self, name: str, maximum: int) -> bytes | None:
        """None where it is not there."""

    def get_many(self, names: Iterator[str], maximum: int) -> Iterator[tuple[str, Got]]:
        """Files as they come, from a near server; the rest of `names` is not asked for. None: not there. What has to be
        tried again, or is not so simple, is a function that does the rest of it."""
        return iter(())

    def exists(self, name: str) -> bool: ...

    def take(self, name: str, size: int) -> Begun:
        """A small file in one go; else what came of that, to begin `stream` with."""
        return None

    def stream(
        self, name: str, told: Told | None = None, *, size: int = 0, begun: Response | Exception | None = None
    ) -> AbstractContextManager[Read]:
        """`told`: of bytes had and expected. `size`: of the file, roughly, where it is known. Raises SubstituteGone
        where it is not there."""

    def put(self, name: str, body: IO[bytes], length: int, kind: str) -> None:
        """Replaces what is there, in one step. `kind`: its media type."""

    def names(self, ending: str) -> Iterator[str]:
        """Of all files at the top. Raises UnsupportedOperation."""

    def close(self) -> None: ...


def put_bytes(files: CacheFiles, name: str, data: bytes, kind: str) -> None:
    files.put(name, io.BytesIO(data), len(data), kind)


class FolderFiles(CacheFiles):
    """`file://`."""

    def __init__(self, folder: str, *, far: Reporter | None = None) -> None:
        """`far`: it is treated as if it was far away: only read from, and who is told what is downloaded."""
        self.folder = folder
        self._far = far

    @property
    def uri(self) -> str:
        from urllib.parse import quote

        return "file://" + quote(self.folder, safe="/+:@!$&'()*,;=~-._")

    @property
    def transfers(self) -> int:
        return max(2, len(os.sched_getaffinity(0)))

    def prepare(self) -> None:
        for name in ("nar", "build-trace-v2", "log"):
            self._make(f"{self.folder}/{name}")

    def _make(self, folder: str) -> None:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise from_os_error(error, f"creating directory '{folder}'") from error

    def _place(self, name: str) -> str:
        """Raises StoreError for names that lead elsewhere."""
        if not name:
            raise StoreError("local binary cache path must not be empty")
        if name.startswith("/"):
            raise StoreError(f"local binary cache path '{name}' must not be absolute")
        if "\0" in name or any(part in (".", "..") for part in name.split("/")):
            raise StoreError(f"local binary cache path '{name}' must not contain '..' or '.' segments")
        return f"{self.folder}/{name}"

    def get(self, name: str, maximum: int) -> bytes | None:
        place = self._place(name)
        try:
            with open(place, "rb") as file:
                data = file.read(maximum + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise from_os_error(error, f"reading '{place}'") from error
        if len(data) > maximum:
            raise StoreError(f"file '{place}' is larger than {maximum} bytes")
        return data

    def exists(self, name: str) -> bool:
        return os.path.exists(self._place(name))

    @contextmanager
    def stream(
        self, name: str, told: Told | None = None, *, size: int = 0, begun: Response | Exception | None = None
    ) -> Iterator[Read]:
        place = self._place(name)
        if self._far is not None:
            from frazil.activity import Verbosity

            self._far.log(Verbosity.DEBUG, f"downloading '{self.uri}/{name}'...")
        try:
            file = open(place, "rb")  # noqa: SIM115 (closed below, after what the caller does)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SubstituteGone(f"file '{name}' does not exist in binary cache '{self.uri}'") from error
        except OSError as error:
            raise from_os_error(error, f"reading '{place}'") from error
        with file:
            expected, had = os.fstat(file.fileno()).st_size, 0

            def read(size: int) -> bytes:
                nonlocal had
                try:
                    data = file.read(size)
                except OSError as error:
                    raise from_os_error(error, f"reading '{place}'") from error
                had += len(data)
                if told is not None and data:
                    told(had, expected)
                return data

            yield read

    def put(self, name: str, body: IO[bytes], length: int, kind: str) -> None:
        place = self._place(name)
        if self._far is not None:
            raise UnsupportedOperation(f"uploading to '{self.uri}/{name}' is not supported")
        self._make(os.path.dirname(place))
        temporary = f"{place}.tmp.{os.getpid()}.{os.urandom(6).hex()}"
        try:
            body.seek(0)
            try:
                with open(temporary, "xb") as file:
                    while data := body.read(_CHUNK):
                        file.write(data)
                os.rename(temporary, place)
            except BaseException:
                try:
                    os.unlink(temporary)
                except OSError:
                    pass
                raise
        except OSError as error:
            raise from_os_error(error, f"writing '{place}'") from error

    def names(self, ending: str) -> Iterator[str]:
        try:
            with os.scandir(self.folder) as found:
                names = sorted(entry.name for entry in found if entry.name.endswith(ending))
        except OSError as error:
            raise from_os_error(error, f"reading '{self.folder}'") from error
        yield from names

    def close(self) -> None:
        pass


class HttpFiles(CacheFiles):
    """`http://`, `https://`. With `fallback`, a server that fails is left alone for a minute."""

    def __init__(
        self, base: str, transfers: Transfers, reporter: Reporter, *, encodings: dict[str, str], fallback: bool
    ) -> None:
        """`encodings`: endings or beginnings of names → how such files are compressed on the way up."""
        self._base = base.rstrip("/") + "/"
        self._is_plain = "?" not in base and "#" not in base
        self._transfers = transfers
        self._reporter = reporter
        self._encodings = encodings
        self._fallback = fallback
        self._disabled_until = 0.0

    @property
    def uri(self) -> str:
        from frazil.store.transfer import shown

        return shown(self._base.rstrip("/"))

    @property
    def transfers(self) -> int:
        shared = self._transfers.client.multiplexes(self._base)
        return _AT_ONCE if shared else self._transfers.settings.http_connections or 64

    def prepare(self) -> None:
        pass

    def _url(self, name: str) -> str:
        if self._is_plain and _SIMPLE(name):
            return self._base + name
        try:
            return urljoin(self._base, name)
        except ValueError as error:
            raise StoreError(f"binary cache '{self.uri}' names '{name}', which is no address: {error}") from error

    def _check_enabled(self) -> None:
        if self._disabled_until:
            if time.monotonic() < self._disabled_until:
                raise TransferFailed(f"substituter '{self.uri}' is disabled")
            self._disabled_until = 0.0

    @contextmanager
    def _watched(self) -> Iterator[None]:
        self._check_enabled()
        try:
            yield
        except TransferFailed as error:
            if self._fallback and not self._disabled_until and error.status not in (401, 403, 404, 407, 410):
                from frazil.activity import Verbosity

                text = f"disabling binary cache '{self.uri}' for {_DISABLED_SECONDS} seconds"
                self._reporter.log(Verbosity.ERROR, text)
                self._disabled_until = time.monotonic() + _DISABLED_SECONDS
            raise

    def get(self, name: str, maximum: int) -> bytes | None:
        return self._get(self._url(name), maximum)

    def _get(self, url: str, maximum: int, begun: Response | Exception | None = None) -> bytes | None:
        try:
            with self._watched():
                return self._transfers.fetch(url, maximum, begun)
        except TransferFailed as error:
            # Stores of objects that may not be listed say 403 of what is not there.
            if error.status in (403, 404, 410):
                return None
            raise

    def get_many(self, names: Iterator[str], maximum: int) -> Iterator[tuple[str, Got]]:
        if not self._base.startswith("http://"):
            return
        urls: dict[str, str] = {}

        def located() -> Iterator[str]:
            for name in names:
                url = self._url(name)
                urls[url] = name
                yield url

        with self._watched():
            for url, found in self._transfers.fetch_many(located(), maximum):
                yield urls.pop(url), self._got(url, found, maximum)

    def _got(self, url: str, found: Response | Exception, maximum: int) -> Got:
        if not isinstance(found, Exception):
            if found.status == 200:
                return self._get(url, maximum, found)
            found.close()
            if found.status in (403, 404, 410):
                return None
        return lambda: self._get(url, maximum, found)

    def exists(self, name: str) -> bool:
        with self._watched():
            return self._transfers.exists(self._url(name))

    def take(self, name: str, size: int) -> Begun:
        self._check_enabled()
        return self._transfers.take(self._url(name), size)

    @contextmanager
    def stream(
        self, name: str, told: Told | None = None, *, size: int = 0, begun: Response | Exception | None = None
    ) -> Iterator[Read]:
        try:
            large = not 0 < size <= _SHARED
            with self._watched(), self._transfers.stream(self._url(name), told, large=large, begun=begun) as read:
                yield read
        except TransferFailed as error:
            if error.status in (403, 404, 410):
                raise SubstituteGone(f"file '{name}' does not exist in binary cache '{self.uri}'") from error
            raise

    def put(self, name: str, body: IO[bytes], length: int, kind: str) -> None:
        headers = {}
        method = self._encoding(name)
        if method:
            from frazil.store.compression import compress

            body.seek(0)
            packed = compress(body.read(), method)
            body, length = io.BytesIO(packed), len(packed)
            headers["Content-Encoding"] = method
        with self._watched():
            self._transfers.put(self._url(name), body, length, kind, headers)

    def _encoding(self, name: str) -> str:
        for mark, method in self._encodings.items():
            if name.endswith(mark) or name.startswith(mark):
                return method
        return ""

    def names(self, ending: str) -> Iterator[str]:
        raise UnsupportedOperation(f"operation 'queryAllValidPaths' is not supported by store '{self.uri}'")

    def close(self) -> None:
        self._transfers.close()
