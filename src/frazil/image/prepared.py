"""An image ready to travel: its configuration and manifest, its layers' digests, and bytes for who lacks them.

In: an image of ours (`Made`) or one that lies in a file. Out: descriptors, and a way to each blob's bytes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

from frazil.image.errors import ImageError, translated
from frazil.image.memory import LayerMemory
from frazil.image.recipe import Made
from frazil.packages.oci.image import (
    CONFIG_MEDIA,
    MANIFEST_MEDIA,
    Descriptor,
    Packed,
    describe,
    manifest_json,
    pack_layer,
)
from frazil.packages.oci.read import StoredImage
from frazil.packages.oci.streams import LAYER_MEDIA

_PREFIX = ".frazil-image-"
Maker = Callable[[], str]
"""Makes a blob's file, or finds it; gives its path."""


def is_ours(path: str) -> bool:
    """Whether a blob's file was made by a `Preparer`, and so belongs to nobody else."""
    return os.path.basename(os.path.dirname(path)).startswith(_PREFIX)


@dataclass(slots=True)
class Prepared:
    """`contents`: of the configuration and the manifest. `makers`: of layers, by digest."""

    config: Descriptor
    manifest: Descriptor
    layers: tuple[Packed, ...]
    contents: dict[str, bytes]
    makers: dict[str, Maker]
    platform: tuple[tuple[str, str], ...]
    made: dict[str, str] = field(default_factory=dict)

    def blob_file(self, digest: str) -> str:
        """Raises ImageError."""
        if digest not in self.made:
            with translated():
                self.made[digest] = self.makers[digest]()
        return self.made[digest]


class Preparer:
    """Makes layers in a folder of its own, which goes when it is closed."""

    def __init__(
        self, memory: LayerMemory, compression: str = "gz", threads: int = 0, *, near: str | None = None
    ) -> None:
        """`near`: a folder in whose file system layers are made, by default that of temporary files."""
        self.near = near
        self.memory = memory
        self.compression = compression
        self.threads = threads or min(8, os.cpu_count() or 1)
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Preparer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def file(self) -> IO[bytes]:
        """A new file; its `name` is its path."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=self.near)
        return tempfile.NamedTemporaryFile(dir=self._folder.name, delete=False)

    def _pack(self, made: Made, number: int) -> tuple[Packed, str]:
        layer = made.image.layers[number].layer
        with self.file() as file:
            packed = pack_layer(layer, self.compression, file.write, self.threads)
        self.memory.keep(made.keys[number], self.compression, packed)
        return packed, file.name

    def diff_ids(self, made: Made) -> list[str]:
        """Of the layers, unpacked. Those that are not known are read, and nothing is kept of them."""
        found = []
        with translated():
            for key, described in zip(made.keys, made.image.layers, strict=True):
                known = self.memory.get(key, "none")
                if known is None:
                    known = pack_layer(described.layer, "none", lambda _: None)
                    self.memory.keep(key, "none", known)
                found.append(known.diff_id)
        return found

    def of_recipe(self, made: Made, annotations: dict[str, str] | None = None) -> Prepared:
        """Layers that are known by name are not made."""
        packed: list[Packed] = []
        makers: dict[str, Maker] = {}
        with translated():
            for number in range(len(made.image.layers)):
                known = self.memory.get(made.keys[number], self.compression)
                if known is None:
                    known, path = self._pack(made, number)
                    makers[known.descriptor.digest] = lambda path=path: path  # type: ignore[misc]
                else:
                    makers[known.descriptor.digest] = self._again(made, number, known)
                packed.append(known)
        config = made.image.config_json([layer.diff_id for layer in packed])
        platform = (("architecture", made.image.architecture), ("os", made.image.os))
        return self._whole(config, packed, makers, platform, annotations)

    def _again(self, made: Made, number: int, known: Packed) -> Maker:
        def make() -> str:
            packed, path = self._pack(made, number)
            if packed != known:
                raise ImageError(
                    f"a layer is {packed.descriptor.digest}, where it was {known.descriptor.digest} before",
                    hint="what was remembered of it is corrected now: try again",
                )
            return path

        return make

    def of_stored(self, image: StoredImage) -> Prepared:
        """Layers travel as they lie there where they are compressed and named, else compressed anew."""
        packed: list[Packed] = []
        makers: dict[str, Maker] = {}
        with translated():
            for layer in image.layers:
                one = self._stored(layer, makers)
                packed.append(one)
            architecture = str(image.config.get("architecture") or "amd64")
            platform = [("architecture", architecture), ("os", str(image.config.get("os") or "linux"))]
            if isinstance(image.config.get("variant"), str):
                platform.append(("variant", image.config["variant"]))
        return self._whole(image.config_bytes, packed, makers, tuple(platform), None)

    def _stored(self, layer: object, makers: dict[str, Maker]) -> Packed:
        from frazil.packages.oci.read import StoredLayer

        assert isinstance(layer, StoredLayer)
        known_media = {**{media: media for media in LAYER_MEDIA.values()}, **_DOCKER_MEDIA}
        if layer.digest is not None and layer.media in known_media and layer.file is not None:
            makers[layer.digest] = lambda: layer.file or ""
            return Packed(Descriptor(known_media[layer.media], layer.digest, layer.stored), layer.diff_id)
        key = "stored-" + layer.diff_id.replace(":", "-")
        known = self.memory.get(key, self.compression)
        if known is None or known.diff_id != layer.diff_id:
            with self.file() as file:
                known = pack_layer(layer, self.compression, file.write, self.threads)
            self.memory.keep(key, self.compression, known)
            makers[known.descriptor.digest] = lambda path=file.name: path  # type: ignore[misc]
            return known

        def make() -> str:
            with self.file() as file:
                pack_layer(layer, self.compression, file.write, self.threads)
            return file.name

        makers[known.descriptor.digest] = make
        return known

    def _whole(
        self,
        config: bytes,
        packed: Sequence[Packed],
        makers: dict[str, Maker],
        platform: tuple[tuple[str, str], ...],
        annotations: dict[str, str] | None,
    ) -> Prepared:
        config_descriptor = describe(CONFIG_MEDIA, config)
        manifest = manifest_json(config_descriptor, [layer.descriptor for layer in packed], annotations)
        descriptor = describe(MANIFEST_MEDIA, manifest)
        return Prepared(
            config_descriptor,
            Descriptor(descriptor.media, descriptor.digest, descriptor.size, platform=platform),
            tuple(packed),
            {config_descriptor.digest: config, descriptor.digest: manifest},
            makers,
            platform,
        )


_DOCKER_MEDIA = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER_MEDIA["gz"],
    "application/vnd.docker.image.rootfs.diff.tar": LAYER_MEDIA["none"],
}
