"""`.narinfo` files of binary caches.

In: text from anywhere, bounded and checked. Out: `NarInfo`. Source of truth: the manual's `protocols/binary-cache`.
"""

from __future__ import annotations

from dataclasses import dataclass

from frazil.digest import DigestError, Hash
from frazil.errors import FrazilError
from frazil.store.compression import KNOWN
from frazil.store.content_address import ContentAddress
from frazil.store.errors import FormatError, StoreError
from frazil.store.path import StoreDirectory, StorePath
from frazil.store.path_info import PathInfo
from frazil.store.signatures import Signature, sort_signatures

MAXIMUM_SIZE = 1 << 24
"""Characters: the longest real ones, of huge closures, are below 100 kB."""
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
        lines += [f"Sig: {signature}" for signature in sort_signatures(info.signatures)]
        if info.content_address is not None:
            lines.append(f"CA: {info.content_address}")
        return "".join(f"{line}\n" for line in lines)

    def download_json(self, version: int) -> dict[str, object]:
        """What `path-info --json` adds for caches; `version` of its format."""
        found: dict[str, object] = {"url": self.url, "compression": self.compression}
        if self.file_hash is not None:
            found["downloadHash"] = self.file_hash.sri
        if self.file_size:
            found["downloadSize"] = self.file_size
        return found


class _Parser:
    def __init__(self, directory: StoreDirectory, whence: str) -> None:
        self.directory = directory
        self.whence = whence
        self.line = 0
        self.fields: dict[str, str] = {}
        self.signatures: set[str] = set()
        self._hashes: dict[str, Hash] = {}

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
        elif name == "Compression" and value and value not in KNOWN:
            raise self.corrupt("invalid Compression")

    def hash(self, value: str) -> Hash:
        found = self._hashes.get(value)
        if found is None:
            try:
                found = self._hashes[value] = Hash.parse(value)
            except DigestError as error:
                raise self.corrupt("bad hash") from error
        return found

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
        try:
            info = PathInfo(
                self.directory.parse(fields["StorePath"]),
                nar_hash,
                int(fields["NarSize"]),
                frozenset([StorePath.from_base(base) for base in fields.get("References", "").split()]),
                StorePath.from_base(deriver) if deriver not in ("", "unknown-deriver") else None,
                signatures=frozenset(self.signatures),
                content_address=ContentAddress.parse(fields["CA"]) if fields.get("CA") else None,
            )
        except StoreError as error:  # names and addresses that are none
            raise self.corrupt(error.message, with_line=False) from error
        file_hash = fields.get("FileHash")
        return NarInfo(
            info,
            fields["URL"],
            fields.get("Compression") or "bzip2",
            self.hash(file_hash) if file_hash else None,
            int(fields.get("FileSize", "0")),
        )


def _quick(text: str, directory: StoreDirectory) -> NarInfo | None:
    """What is as usual, at a third of the time; None for all that needs a closer look, or an error."""
    if not text.isascii() or "\0" in text:
        return None
    fields: dict[str, str] = {}
    signatures: list[str] = []
    lines = text.split("\n")
    if lines.pop():
        return None
    for line in lines:
        name, mark, value = line.partition(": ")
        if name == "Sig":
            signatures.append(value)
        elif not mark or name in fields or ":" in name:
            return None
        else:
            fields[name] = value
    get = fields.get
    nar_size, file_size, deriver = get("NarSize", ""), get("FileSize", "0"), get("Deriver", "")
    compression, url = get("Compression", ""), get("URL", "")
    sizes = nar_size.isdigit() and file_size.isdigit() and len(nar_size) < 19 and len(file_size) < 19
    if not sizes or nar_size[0] == "0" or compression not in KNOWN or not url or "StorePath" not in fields:
        return None
    try:
        nar_hash = Hash.parse(get("NarHash", ""))
        file_hash = Hash.parse(fields["FileHash"]) if "FileHash" in fields else None
        if nar_hash.algorithm != "sha256":
            return None
        info = PathInfo(
            directory.parse(fields["StorePath"]),
            nar_hash,
            int(nar_size),
            frozenset([StorePath.from_base(base) for base in get("References", "").split()]),
            StorePath.from_base(deriver) if deriver not in ("", "unknown-deriver") else None,
            signatures=frozenset([str(Signature.parse(value)) for value in signatures]),
            content_address=ContentAddress.parse(fields["CA"]) if get("CA") else None,
        )
    except FrazilError:
        return None
    return NarInfo(info, url, compression, file_hash, int(file_size))


def parse(text: str, directory: StoreDirectory, whence: str = "narinfo") -> NarInfo:
    """Raises FormatError or BadStorePath. `whence` names the file in messages."""
    if len(text) > MAXIMUM_SIZE:
        raise FormatError(f"NAR info file '{whence}' is corrupt: it is longer than {MAXIMUM_SIZE} characters")
    quick = _quick(text, directory)
    if quick is not None:
        return quick
    if "\0" in text:
        raise FormatError(f"NAR info file '{whence}' is corrupt: it holds a zero byte")
    parser = _Parser(directory, whence)
    parser.read(text)
    return parser.result()
