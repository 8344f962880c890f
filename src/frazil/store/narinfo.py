"""`.narinfo` files of binary caches, and caches that are folders.

In: text from anywhere, bounded and checked. Out: `NarInfo`. Source of truth: the manual's `protocols/binary-cache`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frazil.digest import DigestError, Hash
from frazil.store import nar
from frazil.store.content_address import ContentAddress
from frazil.store.errors import FormatError, HashMismatch, StoreError, from_os_error
from frazil.store.path import StoreDirectory, StorePath
from frazil.store.path_info import PathInfo
from frazil.store.signatures import Signature

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frazil.store.local import LocalStore

MAXIMUM_SIZE = 1 << 24
"""Characters: the longest real ones, of huge closures, are below 100 kB."""
COMPRESSIONS = frozenset(
    ("none", "bzip2", "xz", "gzip", "zstd", "br", "lzip", "lz4", "compress", "grzip", "lrzip", "lzma")
)
_LARGEST = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class NarInfo:
    """`url` is relative to the cache; sizes in bytes, 0 where unknown."""

    info: PathInfo
    url: str
    compression: str = "none"
    file_hash: Hash | None = None
    file_size: int = 0

    def show(self, directory: StoreDirectory) -> str:
        info = self.info
        lines = [f"StorePath: {directory.show(info.path)}", f"URL: {self.url}", f"Compression: {self.compression}"]
        if self.file_hash is not None:
            lines.append(f"FileHash: {self.file_hash}")
        if self.file_size:
            lines.append(f"FileSize: {self.file_size}")
        lines += [f"NarHash: {info.nar_hash}", f"NarSize: {info.nar_size}"]
        lines.append("References: " + " ".join(path.base for path in sorted(info.references)))
        if info.deriver is not None:
            lines.append(f"Deriver: {info.deriver.base}")
        lines += [f"Sig: {signature}" for signature in sorted(info.signatures)]
        if info.content_address is not None:
            lines.append(f"CA: {info.content_address}")
        return "".join(f"{line}\n" for line in lines)


class _Parser:
    def __init__(self, directory: StoreDirectory, whence: str) -> None:
        self.directory = directory
        self.whence = whence
        self.line = 0
        self.fields: dict[str, str] = {}
        self.signatures: set[str] = set()

    def corrupt(self, reason: str, *, with_line: bool = True) -> FormatError:
        where = f" at line {self.line}" if with_line else ""
        return FormatError(f"NAR info file '{self.whence}' is corrupt: {reason}{where}")

    def read(self, text: str) -> None:
        position = 0
        while position < len(text):
            self.line += 1
            colon = text.find(":", position)
            if colon < 0:
                raise self.corrupt("expecting ':'")
            end = text.find("\n", colon)
            if end < 0:
                raise self.corrupt("expecting '\\n'")
            name, value = text[position:colon], text[colon + 2 : end]
            position = end + 1
            if name == "Sig":
                try:
                    self.signatures.add(str(Signature.parse(value)))
                except FormatError as error:
                    raise self.corrupt(error.message) from error
            elif name in ("References", "CA") and self.fields.get(name):
                raise self.corrupt(f"extra {name}")
            else:
                self.fields[name] = value
                self._check(name, value)

    def _check(self, name: str, value: str) -> None:
        if name in ("NarSize", "FileSize"):
            if not (value.isascii() and value.isdigit() and len(value) <= 20 and int(value) <= _LARGEST):
                raise self.corrupt(f"invalid {name}")
        elif name in ("NarHash", "FileHash"):
            self.hash(value)
        elif name == "Compression" and value and value not in COMPRESSIONS:
            raise self.corrupt("invalid Compression")

    def hash(self, value: str) -> Hash:
        try:
            return Hash.parse(value)
        except DigestError as error:
            raise self.corrupt("bad hash") from error

    def result(self) -> NarInfo:
        fields = self.fields
        for name, missing in (("StorePath", ""), ("NarHash", ""), ("URL", "")):
            if not fields.get(name, missing):
                raise self.corrupt(f"{name} missing", with_line=False)
        if int(fields.get("NarSize", "0")) == 0:
            raise self.corrupt("NarSize missing or zero", with_line=False)
        deriver = fields.get("Deriver", "")
        nar_hash = self.hash(fields["NarHash"])
        if nar_hash.algorithm != "sha256":
            raise self.corrupt("bad hash", with_line=False)
        info = PathInfo(
            self.directory.parse(fields["StorePath"]),
            nar_hash,
            int(fields["NarSize"]),
            frozenset([StorePath.from_base(base) for base in fields.get("References", "").split()]),
            StorePath.from_base(deriver) if deriver not in ("", "unknown-deriver") else None,
            signatures=frozenset(self.signatures),
            content_address=ContentAddress.parse(fields["CA"]) if fields.get("CA") else None,
        )
        file_hash = fields.get("FileHash")
        return NarInfo(
            info,
            fields["URL"],
            fields.get("Compression") or "bzip2",
            self.hash(file_hash) if file_hash else None,
            int(fields.get("FileSize", "0")),
        )


def parse(text: str, directory: StoreDirectory, whence: str = "narinfo") -> NarInfo:
    """Raises FormatError or BadStorePath. `whence` names the file in messages."""
    if len(text) > MAXIMUM_SIZE:
        raise FormatError(f"NAR info file '{whence}' is corrupt: it is longer than {MAXIMUM_SIZE} characters")
    if "\0" in text:
        raise FormatError(f"NAR info file '{whence}' is corrupt: it holds a zero byte")
    parser = _Parser(directory, whence)
    parser.read(text)
    return parser.result()


# ---------------------------------------------------------------------------------------------------- unpacking files


def open_decompressed(path: str, compression: str) -> Iterator[bytes]:
    """The unpacked bytes of a cache's file, in chunks. Raises StoreError."""
    if compression == "none":
        opener = _open_plain
    elif compression in ("xz", "lzma"):
        opener = _open_xz
    elif compression == "bzip2":
        opener = _open_bzip2
    elif compression == "gzip":
        opener = _open_gzip
    elif compression == "zstd":
        opener = _open_zstd
    elif compression == "br":
        opener = _open_brotli
    else:
        raise StoreError(f"cannot unpack compression '{compression}'")
    try:
        yield from opener(path)
    except OSError as error:
        raise from_os_error(error, f"reading '{path}'") from error
    except (EOFError, ValueError) as error:
        raise StoreError(f"file '{path}' is damaged: {error}") from error


_CHUNK = 1 << 18


def _open_plain(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while data := file.read(_CHUNK):
            yield data


def _open_xz(path: str) -> Iterator[bytes]:
    import lzma

    try:
        with lzma.open(path) as file:
            while data := file.read(_CHUNK):
                yield data
    except lzma.LZMAError as error:
        raise ValueError(str(error)) from error


def _open_bzip2(path: str) -> Iterator[bytes]:
    import bz2

    with bz2.open(path) as file:
        while data := file.read(_CHUNK):
            yield data


def _open_gzip(path: str) -> Iterator[bytes]:
    import gzip
    import zlib

    try:
        with gzip.open(path) as file:
            while data := file.read(_CHUNK):
                yield data
    except zlib.error as error:
        raise ValueError(str(error)) from error


def _open_zstd(path: str) -> Iterator[bytes]:
    import zstandard

    try:
        with open(path, "rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as file:
            while data := file.read(_CHUNK):
                yield data
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


def _open_brotli(path: str) -> Iterator[bytes]:
    import brotli  # type: ignore[import-untyped]

    decompressor = brotli.Decompressor()
    try:
        for data in _open_plain(path):
            yield decompressor.process(data)
    except brotli.error as error:
        raise ValueError(str(error)) from error
    if not decompressor.is_finished():
        raise EOFError("unexpected end")


def chunk_reader(chunks: Iterator[bytes]) -> nar.Read:
    """A `read` function over chunks."""
    held = b""

    def read(size: int) -> bytes:
        nonlocal held
        while not held:
            data = next(chunks, None)
            if data is None:
                return b""
            held = data
        data, held = held[:size], held[size:]
        return data

    return read


# --------------------------------------------------------------------------------------------------- caches on disk


class FolderCache:
    """A binary cache in a folder (`file://…`), for reading."""

    def __init__(self, folder: str, directory: StoreDirectory) -> None:
        self.folder = folder
        self.directory = directory

    def check(self) -> None:
        """Raises StoreError where the cache is for another store directory."""
        try:
            with open(f"{self.folder}/nix-cache-info", encoding="utf-8", errors="replace") as file:
                text = file.read(1 << 16)
        except FileNotFoundError as error:
            raise StoreError(f"'{self.folder}' does not appear to be a binary cache") from error
        except OSError as error:
            raise from_os_error(error, f"reading '{self.folder}/nix-cache-info'") from error
        for line in text.splitlines():
            name, _, value = line.partition(":")
            if name == "StoreDir" and value.strip() != self.directory.path:
                raise StoreError(
                    f"binary cache '{self.folder}' is for Nix stores with prefix '{value.strip()}', "
                    f"not '{self.directory.path}'"
                )

    def query(self, path: StorePath) -> NarInfo | None:
        """Raises FormatError for a damaged or lying file."""
        name = f"{self.folder}/{path.hash_part}.narinfo"
        try:
            with open(name, encoding="utf-8", errors="surrogateescape") as file:
                found = parse(file.read(MAXIMUM_SIZE + 1), self.directory, name)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise from_os_error(error, f"reading '{name}'") from error
        if found.info.path != path:
            raise FormatError(f"NAR info file '{name}' is for another path, '{self.directory.show(found.info.path)}'")
        return found

    def fetch(self, store: LocalStore, found: NarInfo, *, check_signatures: bool = True) -> None:
        """Adds the path to a store, everything checked."""
        if found.url.startswith("/") or ".." in found.url.split("/"):
            raise FormatError(f"binary cache names the file '{found.url}' outside itself")
        name = f"{self.folder}/{found.url}"
        if found.file_hash is not None and os.path.exists(name):
            actual = nar.hash_flat(name, found.file_hash.algorithm)[0]
            if actual != found.file_hash:
                raise HashMismatch(
                    f"hash mismatch in file '{name}';\n  specified: {found.file_hash}\n  got:       {actual}"
                )
        read = chunk_reader(open_decompressed(name, found.compression))
        store.add_nar(found.info, read, check_signatures=check_signatures)
