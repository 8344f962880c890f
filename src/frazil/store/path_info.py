"""What a store knows of a valid path.

In and out: database rows, JSON of `nix path-info` in its three formats, the text of `nix-store --dump-db`.
Source of truth: the manual's `protocols/json/store-object-info`.
"""

from __future__ import annotations

from frazil.digest import Hash
from frazil.record import Record
from frazil.store.content_address import ContentAddress
from frazil.store.errors import StoreError
from frazil.store.path import References, StoreDirectory, StorePath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_NO_PATHS: frozenset[StorePath] = frozenset()
_NO_SIGNATURES: frozenset[str] = frozenset()


class PathInfo(Record):
    """`nar_size` in bytes; `registration_time` in seconds since the epoch; `signatures` as `KEY:BASE64`.

    `ultimate`: built here, so trusted without signatures.
    """

    path: StorePath
    nar_hash: Hash
    nar_size: int
    references: frozenset[StorePath] = frozenset()
    deriver: StorePath | None = None
    registration_time: int = 0
    ultimate: bool = False
    signatures: frozenset[str] = frozenset()
    content_address: ContentAddress | None = None

    def __init__(  # as `Record` does it, only faster: a store has many
        self,
        path: StorePath,
        nar_hash: Hash,
        nar_size: int,
        references: frozenset[StorePath] = _NO_PATHS,
        deriver: StorePath | None = None,
        registration_time: int = 0,
        ultimate: bool = False,
        signatures: frozenset[str] = _NO_SIGNATURES,
        content_address: ContentAddress | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "path", path)
        put(self, "nar_hash", nar_hash)
        put(self, "nar_size", nar_size)
        put(self, "references", references)
        put(self, "deriver", deriver)
        put(self, "registration_time", registration_time)
        put(self, "ultimate", ultimate)
        put(self, "signatures", signatures)
        put(self, "content_address", content_address)

    def fingerprint(self, directory: StoreDirectory) -> str:
        """What signatures sign. Raises StoreError where the size is unknown."""
        if self.nar_size == 0:
            raise StoreError(
                f"cannot calculate fingerprint of path '{directory.show(self.path)}' because its size is not known"
            )
        references = ",".join([directory.show(path) for path in sorted(self.references)])
        return f"1;{directory.show(self.path)};{self.nar_hash};{self.nar_size};{references}"

    def references_split(self) -> References:
        return References(self.references - {self.path}, self.path in self.references)

    def is_content_addressed(self, directory: StoreDirectory) -> bool:
        """Whether the path follows from the content address it claims."""
        if self.content_address is None:
            return False
        try:
            path = self.content_address.store_path(directory, self.path.name, self.references_split())
        except StoreError:
            return False
        return path == self.path

    def to_json(self, directory: StoreDirectory, *, version: int = 1, impure: bool = True) -> dict[str, object]:
        """Formats 1 (whole store paths), 2 (base names) and 3 (signatures as objects)."""
        if version not in (1, 2, 3):
            raise StoreError(f"unsupported path info JSON format version {version}; supported versions are 1, 2 and 3")
        address = self.content_address

        def show(path: StorePath) -> str:
            return directory.show(path) if version == 1 else path.base

        result: dict[str, object] = {
            "version": version,
            "storeDir": directory.path,
            "narHash": self.nar_hash.sri,
            "narSize": self.nar_size,
            "references": [show(path) for path in sorted(self.references)],
            "ca": None if address is None else str(address) if version == 1 else address.to_json(),
        }
        if impure:
            result["deriver"] = None if self.deriver is None else show(self.deriver)
            result["registrationTime"] = self.registration_time or None
            result["ultimate"] = self.ultimate
            result["signatures"] = [_signature_json(s, version) for s in sorted(self.signatures)]
        return result


def _signature_json(signature: str, version: int) -> object:
    if version < 3:
        return signature
    name, _, text = signature.partition(":")
    return {"keyName": name, "sig": text}


def show_registration(infos: Iterable[PathInfo], directory: StoreDirectory) -> str:
    """The text that `nix-store --load-db` reads: path, hash, size, deriver, references."""
    lines = []
    for info in infos:
        lines += [directory.show(info.path), info.nar_hash.base16, str(info.nar_size)]
        lines.append(directory.show(info.deriver) if info.deriver else "")
        lines.append(str(len(info.references)))
        lines += [directory.show(path) for path in sorted(info.references)]
    return "".join(f"{line}\n" for line in lines)


def parse_registration(text: str, directory: StoreDirectory, *, with_hash: bool = True) -> list[PathInfo]:
    """Reads what `show_registration` writes; without hashes, NAR hash and size come out as zeros, to be computed.

    Raises StoreError or BadStorePath.
    """
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    cursor = iter(lines)
    infos = []

    def take() -> str:
        line = next(cursor, None)
        if line is None:
            raise StoreError("unexpected end of the registration text")
        return line

    def number() -> int:
        line = take()
        if not (line.isascii() and line.isdigit() and len(line) < 20):
            raise StoreError(f"number expected, but found '{line[:80]}'")
        return int(line)

    for first in cursor:
        path = directory.parse(first)
        nar_hash, size = Hash("sha256", bytes(32)), 0
        if with_hash:
            nar_hash, size = Hash.parse(take(), "sha256"), number()
        deriver = take()
        references = frozenset([directory.parse(take()) for _ in range(number())])
        infos.append(
            PathInfo(
                path,
                nar_hash,
                size,
                references,
                deriver=directory.parse(deriver) if deriver else None,
            )
        )
    return infos
