"""A Debian suite's `Packages` into the tree of JSON shards that docs/design/debian.md describes.

In: the text of `Packages`, for each architecture. Out: files, whose bytes follow from the text alone. Hostile input
cannot leave the tree: file names come from hash digits and from architecture names that were checked before.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from frazil.fetch.errors import BadArchive

FORMAT = 1
SHARD_DIGITS = 3
"""Hexadecimal digits of a shard's name; part of the format."""
_FIELDS = "Package|Source|Version|Architecture|Essential|Depends|Pre-Depends|Recommends|Provides|Filename|Size|SHA256"
_FIELD = re.compile(rf"^({_FIELDS}):[ \t]*(.*(?:\n[ \t].*)*)$", re.M)
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_QUALIFIER = re.compile(r"[\s(:\[<]")

Package = dict[str, Any]


def parse_packages(text: str, architecture: str) -> dict[str, Package]:
    """The packages by name; of several versions of one the highest. Raises BadArchive for a malformed paragraph."""
    packages: dict[str, Package] = {}
    for paragraph in text.split("\n\n"):
        if not paragraph.strip():
            continue
        fields: dict[str, str] = dict(_FIELD.findall(paragraph))
        name = fields.get("Package", "")
        package = _package(name, fields, architecture)
        known = packages.get(name)
        if known is None or compare_versions(package["version"], known["version"]) > 0:
            packages[name] = package
    return packages


def _package(name: str, fields: dict[str, str], architecture: str) -> Package:
    size, filename = fields.get("Size", ""), fields.get("Filename", "")
    good = _NAME.match(name) and size.isdigit() and _SHA256.match(fields.get("SHA256", "")) and fields.get("Version")
    if not good or not filename.startswith("pool/") or ".." in filename.split("/"):
        raise BadArchive(f"damaged package index for {architecture}: package '{name[:60]}'")
    package: Package = {
        "architecture": fields.get("Architecture", architecture),
        "depends": parse_depends(fields.get("Pre-Depends", ""), fields.get("Depends", "")),
        "filename": filename,
        "sha256": fields["SHA256"],
        "size": int(size),
        "source": fields.get("Source", name).partition(" ")[0],
        "version": fields["Version"],
    }
    if fields.get("Essential") == "yes":
        package["essential"] = True
    if fields.get("Recommends"):
        package["recommends"] = parse_depends(fields["Recommends"])
    if fields.get("Provides"):
        package["provides"] = sorted({group[0] for group in parse_depends(fields["Provides"])})
    return package


def parse_depends(*texts: str) -> list[list[str]]:
    """Alternatives in the order written, names only, repeated groups dropped."""
    groups: dict[tuple[str, ...], None] = {}
    for text in texts:
        for part in text.split(",") if text else ():
            group = tuple([_QUALIFIER.split(alternative.strip(), maxsplit=1)[0] for alternative in part.split("|")])
            if group[0]:
                groups[group if len(group) == 1 else tuple(dict.fromkeys(filter(None, group)))] = None
    return [list(group) for group in groups]


def shard_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:SHARD_DIGITS]


def write_index(
    destination: str, information: dict[str, Any], read_packages: Callable[[str], Iterable[tuple[str, str]]]
) -> None:
    """Makes the tree in an empty folder. `read_packages(architecture)` gives (component, text of Packages)."""
    essential: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for architecture in information["architectures"]:
        packages: dict[str, Package] = {}
        for _, text in read_packages(architecture):
            for name, package in parse_packages(text, architecture).items():
                packages.setdefault(name, package)
        essential[architecture] = sorted(name for name, package in packages.items() if package.get("essential"))
        counts[architecture] = len(packages)
        _write_shards(os.path.join(destination, architecture), packages)
    _write_json(
        os.path.join(destination, "info.json"),
        {**information, "format": FORMAT, "essential": essential, "packages": counts},
    )


def _write_shards(folder: str, packages: dict[str, Package]) -> None:
    shards: dict[str, dict[str, dict[str, Any]]] = {
        f"{number:0{SHARD_DIGITS}x}": {"packages": {}, "virtual": {}} for number in range(16**SHARD_DIGITS)
    }
    for name in sorted(packages):
        shards[shard_of(name)]["packages"][name] = packages[name]
        for virtual in packages[name].get("provides", ()):
            shards[shard_of(virtual)]["virtual"].setdefault(virtual, []).append(name)
    os.mkdir(folder)
    for prefix, shard in shards.items():
        _write_json(f"{folder}/{prefix}.json", shard)


@functools.cache
def _encoder() -> Callable[[Any], str]:
    import json

    return json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False).encode


def _write_json(path: str, value: Any) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(_encoder()(value) + "\n")


# -------------------------------------------------------------------------------------------------------- versions

_PARTS = re.compile(r"(\D*)(\d*)")


def compare_versions(left: str, right: str) -> int:
    """Debian's order: epoch, upstream version, revision; `~` sorts before everything, also the end."""
    a, b = _version_key(left), _version_key(right)
    return (a > b) - (a < b)


def _version_key(version: str) -> tuple[int, list[Any], list[Any]]:
    epoch, mark, rest = version.partition(":")
    if not mark or not epoch.isdigit():
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")
    return int(epoch), _part_key(upstream), _part_key(revision)


def _part_key(text: str) -> list[Any]:
    """Non-digits and numbers in turn; each run of non-digits ends with the weight of the end."""
    key: list[Any] = []
    for words, digits in _PARTS.findall(text):
        if words or digits:
            key.append([_weight(character) for character in words] + [0])
            key.append(int(digits or "0"))
    key.append([0])
    return key


def _weight(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256
