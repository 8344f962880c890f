"""An image about to be written: its configuration, its layers, and the two forms that programs take it in.

Source of truth: OCI image specification 1.1 (config.md, manifest.md, image-layout.md); Docker's archive, as Podman and
`docker load` read it. JSON is written in one way (sorted keys, no spaces), so equal images have equal digests.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Protocol

from .errors import OciError
from .streams import LAYER_MEDIA, Deflate, Hasher, Meter, compressor
from .tar import END, Entry, TarWriter, Write, encode_header, padding
from .tar_reader import TarReader
from .tree import direct, measured

CONFIG_MEDIA = "application/vnd.oci.image.config.v1+json"
MANIFEST_MEDIA = "application/vnd.oci.image.manifest.v1+json"
INDEX_MEDIA = "application/vnd.oci.image.index.v1+json"
EPOCH = "1970-01-01T00:00:01Z"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}


def canonical_json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def variables(entries: Any) -> dict[str, str]:
    """An image's `Env`, by name. Raises OciError."""
    if not isinstance(entries or [], list) or not all(isinstance(entry, str) for entry in entries or ()):
        raise OciError("the image's Env is not a list of texts", 'write Env = [ "NAME=VALUE" … ]')
    return {entry.partition("=")[0]: entry for entry in entries or ()}


class Layer(Protocol):
    """The bytes of one layer's tar, made when asked for, always the same."""

    def size(self) -> int: ...
    def write(self, write: Write) -> None: ...


@dataclass(frozen=True, slots=True)
class Described:
    """A layer and what the image's history says of it."""

    layer: Layer
    comment: str
    name: str
    """What tells it from other layers of the image, without its bytes having been read."""
    empty_history: bool = False


@dataclass(frozen=True, slots=True)
class TarLayer:
    """A tar archive of ours that lies ready, and store objects that go into the same layer."""

    archive: str
    more: Any = None  # StoreLayer | None

    def _own_size(self) -> int:
        return os.stat(self.archive).st_size - len(END)

    def _names(self) -> set[bytes]:
        with open(self.archive, "rb") as file:
            return {entry.name for entry in TarReader(file)}

    def _added(self) -> list[tuple[Entry, bytes]]:
        if self.more is None or not self.more.paths:
            return []
        present = self._names()
        return [(entry, file) for entry, file in self.more.entries() if entry.name not in present]

    def size(self) -> int:
        from .tree import entries_size

        return self._own_size() + entries_size(iter(self._added()))

    def write(self, write: Write) -> None:
        from .tree import write_entries

        with open(self.archive, "rb", buffering=0) as file:
            left = self._own_size()
            while left > 0 and (chunk := file.read(min(left, 1 << 20))):
                left -= len(chunk)
                write(chunk)
        write_entries(iter(self._added()), write)


@dataclass(slots=True)
class Image:
    """`configuration`: what is under `config` in the image's JSON (Env, Cmd, …)."""

    configuration: dict[str, Any]
    architecture: str
    created: str
    layers: list[Described]
    base_history: list[dict[str, Any]] = field(default_factory=list)
    base_count: int = 0
    """How many of the layers are those of the base image."""
    os: str = "linux"
    more: dict[str, Any] = field(default_factory=dict)
    """Further fields of the configuration, such as `variant`."""

    def config_json(self, diff_ids: Sequence[str]) -> bytes:
        history = list(self.base_history)
        if self.base_count and not history:
            history = [{"created": self.created}] * self.base_count
        history += [
            {"created": self.created, "created_by": "frazil", "comment": described.comment}
            for described in self.layers[self.base_count :]
        ]
        return canonical_json(
            {
                **self.more,
                "architecture": self.architecture,
                "os": self.os,
                "created": self.created,
                "config": self.configuration,
                "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
                "history": history,
            }
        )


Note = Callable[[str], object]


def _silent(_: str) -> None: ...


def write_docker_archive(
    image: Image,
    write: Write,
    names: Sequence[str],
    mtime: int = 1,
    note: Note = _silent,
    learned: list[Packed] | None = None,
    file: IO[bytes] | None = None,
) -> str:
    """The image as `docker load` takes it, in one pass. Returns the image's ID (`sha256:…`). `learned`: gets what the
    layers turn out to be. `file`: what `write` writes to, if it is a file: who is quicker may write there, too."""
    tar = TarWriter(write)
    files: list[str] = []
    found: list[Packed] = []
    hasher = Hasher(write)
    try:
        for number, described in enumerate(image.layers, start=1):
            note(f"layer {number} of {len(image.layers)}: {described.comment}")
            name = f"{described.name}/layer.tar"
            if name in files:  # a base image may hold one layer twice
                name = f"{described.name}-{number}/layer.tar"
            quick = direct(described.layer) if file is not None else None
            size, send = (quick.size, None) if quick is not None else measured(described.layer)
            write(encode_header(Entry(name.encode(), mode=0o444, size=size, mtime=mtime)))
            if quick is not None and file is not None:
                file.flush()
                digest = "sha256:" + quick.write(file.fileno())
            elif send is not None:
                hasher.start()
                send(hasher.write)
                hasher.finish()
                if hasher.size != size:
                    raise OciError(f"a layer changed while it was written ({described.comment})")
                digest = hasher.digest
            write(padding(size))
            found.append(Packed(Descriptor(LAYER_MEDIA["none"], digest, size), digest))
            files.append(name)
    finally:
        hasher.close()
    if learned is not None:
        learned += found
    diff_ids = [packed.diff_id for packed in found]
    config = image.config_json(diff_ids)
    identity = hashlib.sha256(config).hexdigest()
    tar.add_bytes(f"{identity}.json", config, mtime)
    manifest = [{"Config": f"{identity}.json", "RepoTags": list(names) or None, "Layers": files}]
    tar.add_bytes("manifest.json", canonical_json(manifest), mtime)
    tar.finish()
    return "sha256:" + identity


@dataclass(frozen=True, slots=True)
class Descriptor:
    media: str
    digest: str
    size: int
    annotations: tuple[tuple[str, str], ...] = ()
    platform: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        result: dict[str, Any] = {"mediaType": self.media, "digest": self.digest, "size": self.size}
        if self.annotations:
            result["annotations"] = dict(self.annotations)
        if self.platform:
            result["platform"] = dict(self.platform)
        return result


@dataclass(frozen=True, slots=True)
class Packed:
    """A layer as it travels, and what it is unpacked."""

    descriptor: Descriptor
    diff_id: str


def pack_layer(
    layer: Layer, compression: str, write: Write | None, threads: int = 1, deflate: Deflate | None = None
) -> Packed:
    """Writes the layer compressed, or with `write` None nowhere. Flat memory."""
    quick = direct(layer)
    if quick is not None and compression == "none":
        digest = "sha256:" + quick.write(write)
        return Packed(Descriptor(LAYER_MEDIA["none"], digest, quick.size), digest)
    outer = Meter(write)
    packer = compressor(compression, outer.write, threads, deflate)
    try:
        if quick is not None:
            diff_id = "sha256:" + quick.write(packer.write)
        else:
            inner = Meter(packer.write)
            layer.write(inner.write)
            diff_id = inner.digest
        packer.finish()
    except BaseException:
        packer.abandon()
        raise
    return Packed(Descriptor(LAYER_MEDIA[compression], outer.digest, outer.size), diff_id)


def manifest_json(config: Descriptor, layers: Sequence[Descriptor], annotations: dict[str, str] | None = None) -> bytes:
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_MEDIA,
            "config": config.to_json(),
            "layers": [layer.to_json() for layer in layers],
            **({"annotations": annotations} if annotations else {}),
        }
    )


def index_json(manifests: Sequence[Descriptor], annotations: dict[str, str] | None = None) -> bytes:
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": INDEX_MEDIA,
            "manifests": [manifest.to_json() for manifest in manifests],
            **({"annotations": annotations} if annotations else {}),
        }
    )


def describe(media: str, content: bytes) -> Descriptor:
    return Descriptor(media, "sha256:" + hashlib.sha256(content).hexdigest(), len(content))
