"""Which packages an image holds: names, versions, sizes, what needs what. Read by `sbom` and `difference`.

In: what the store knows of a closure. Out: one record for each store object that is a package's output, by path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.store.path import StoreDirectory
    from frazil.store.path_info import PathInfo

_VERSION = re.compile(r"(.+?)-(\d.*)")


@dataclass(frozen=True, slots=True)
class Package:
    """`version`: None where the name has none. `nar_hash`: SRI."""

    path: str
    name: str
    version: str | None
    nar_hash: str
    nar_size: int
    references: tuple[str, ...]
    deriver: str | None


def packages_of(infos: Iterable[PathInfo], directory: StoreDirectory) -> list[Package]:
    found = []
    for info in infos:
        name, version = split_name(info.path.name)
        found.append(
            Package(
                directory.show(info.path),
                name,
                version,
                info.nar_hash.sri,
                info.nar_size,
                tuple(sorted(directory.show(path) for path in info.references if path != info.path)),
                directory.show(info.deriver) if info.deriver is not None else None,
            )
        )
    return sorted(found, key=lambda package: package.path)


def split_name(text: str) -> tuple[str, str | None]:
    """`hello-2.12` is hello, 2.12; as `builtins.parseDrvName`, the first dash before a digit."""
    match = _VERSION.fullmatch(text)
    return (match[1], match[2]) if match else (text, None)
