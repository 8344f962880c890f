"""What the image of a portable service says of itself.

In: a `.raw` file. Out: one frozen record; BadImage where it is none. Source of truth: systemd's
`PORTABLE_SERVICES.md`, os-release(5).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from frazil.portable.errors import BadImage
from frazil.portable.squashfs import Squashfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.portable.squashfs import Node

SUFFIX = ".raw"
UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
UNIT_KINDS = ("service", "socket", "target", "timer", "path")
_FOLDERS_WANTED = ("proc", "sys", "dev", "run", "tmp", "var/tmp")
_FILES_WANTED = ("etc/resolv.conf", "etc/machine-id")
_LARGEST_TEXT = 1 << 20
_MOST_UNITS = 1000
# What may be the name of an image, and so of a file on another machine.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,200}")


@dataclass(frozen=True, slots=True)
class Unit:
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Held:
    """A store object in an image. `size`: bytes of its files."""

    path: str
    size: int
    files: int


@dataclass(frozen=True, slots=True)
class PortableImage:
    """`missing`: what systemd wants to mount over and is not there."""

    path: str
    name: str
    file_size: int
    size: int
    files: int
    compression: str
    block_size: int
    os_release: dict[str, str]
    units: tuple[Unit, ...]
    held: tuple[Held, ...]
    missing: tuple[str, ...]

    @property
    def service(self) -> str:
        """What its units' names begin with."""
        said = self.os_release.get("PORTABLE_ID", "")
        return said if _NAME.fullmatch(said) else self.name.partition("_")[0]

    @property
    def version(self) -> str:
        prefix = self.service + "_"
        return self.name[len(prefix) :] if self.name.startswith(prefix) else self.name.partition("_")[2]

    @property
    def matching(self) -> tuple[Unit, ...]:
        """The units that attaching it brings."""
        return tuple(unit for unit in self.units if belongs(unit.name, self.service))


def belongs(unit: str, service: str) -> bool:
    """systemd's rule: the name, then the end of a word."""
    return unit.startswith(service) and unit[len(service) : len(service) + 1] in ("-", ".", "@")


def image_name(path: str) -> str:
    """`web-server_1.0` of `…/web-server_1.0.raw`. Raises BadImage."""
    base = os.path.basename(path)
    name = base.removesuffix(SUFFIX)
    if not base.endswith(SUFFIX) or not _NAME.fullmatch(name):
        raise BadImage(f"'{base}' cannot be the image of a portable service", hint="its name is NAME_VERSION.raw")
    return name


def read_image(path: str) -> PortableImage:
    """Raises BadImage, and OSError where the file cannot be read."""
    name = image_name(path)
    with Squashfs(path) as image:
        release = parse_os_release(_text(image, "/etc/os-release") or _text(image, "/usr/lib/os-release") or "")
        units = _units(image)
        if not release:
            raise BadImage(f"'{path}' has no etc/os-release: it is not the image of a portable service")
        held, size, files = _contents(image)
        return PortableImage(
            path,
            name,
            image.file_size,
            size,
            files,
            image.compressor,
            image.block_size,
            release,
            units,
            held,
            tuple(_missing(image)),
        )


def _text(image: Squashfs, path: str) -> str | None:
    node = image.find(path)
    if node is None or node.kind != "regular":
        return None
    return image.read(node, _LARGEST_TEXT).decode(errors="replace")


def _units(image: Squashfs) -> tuple[Unit, ...]:
    found: dict[str, Unit] = {}
    for folder in UNIT_FOLDERS:
        node = image.find(folder)
        if node is None or node.kind != "directory":
            continue
        for raw, _ in image.children(node):
            name = raw.decode(errors="replace")
            if name.rpartition(".")[2] in UNIT_KINDS and name not in found:
                text = _text(image, f"{folder}/{os.fsdecode(raw)}")
                if text is not None:
                    found[name] = Unit(name, text)
                if len(found) > _MOST_UNITS:
                    raise BadImage(f"the image has more than {_MOST_UNITS} units")
    return tuple(found[name] for name in sorted(found))


def _missing(image: Squashfs) -> list[str]:
    def kind(path: str) -> str:
        node: Node | None = image.find(path)
        return node.kind if node is not None else ""

    folders = [path for path in _FOLDERS_WANTED if kind(path) != "directory"]
    return folders + [path for path in _FILES_WANTED if kind(path) != "regular"]


def _contents(image: Squashfs) -> tuple[tuple[Held, ...], int, int]:
    """Store objects, bytes and files of all."""
    store = image.find("/nix/store")
    objects: dict[bytes, list[int]] = {}
    size = files = 0
    prefix = b"nix/store/"
    inside = store is not None and store.kind == "directory"
    for path, node in image.walk(image.root):
        length = node.size if node.kind == "regular" else 0
        count = node.kind != "directory"
        size, files = size + length, files + count
        if inside and path.startswith(prefix):
            entry = objects.setdefault(path[len(prefix) :].partition(b"/")[0], [0, 0])
            entry[0] += length
            entry[1] += count
    held = (Held("/nix/store/" + base.decode(errors="replace"), *entry) for base, entry in objects.items())
    return tuple(sorted(held, key=lambda one: one.path)), size, files


def parse_os_release(text: str) -> dict[str, str]:
    """os-release(5): shell assignments without expansion; lines that are none are passed over."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            found[name] = _unquoted(value)
    return found


def _unquoted(value: str) -> str:
    quote = value[:1]
    if quote == "'" and value.endswith("'") and len(value) > 1:
        return value[1:-1]
    if quote == '"' and value.endswith('"') and len(value) > 1:
        return re.sub(r'\\([\\"$`])', r"\1", value[1:-1])
    return value
