"""An image ready to travel: its configuration and manifest, its layers' digests, and bytes for who lacks them.

In: an image of ours (`Made`) or one that lies in a file. Out: descriptors, and a way to each blob's bytes.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

from frazil.image._deflate import deflate
from frazil.image.errors import ImageError, translated
from frazil.image.memory import LayerMemory
from frazil.image.recipe import Made
from frazil.packages.oci.described import MEDIA
from frazil.packages.oci.image import (
    CONFIG_MEDIA,
    MANIFEST_MEDIA,
    Descriptor,
    Packed,
    describe,
    manifest_json,
    pack_layer,
)
from frazil.packages.oci.read import StoredImage, StoredLayer
from frazil.packages.oci.streams import LAYER_MEDIA
from frazil.packages.oci.tar import Write

_PREFIX = ".frazil-image-"
Send = Callable[[Write], object]
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


@dataclass(frozen=True, slots=True)
class Offer:
    """`layers`: what each is called and a way to its bytes, which go nowhere but to who asks for them."""

    config: bytes
    layers: tuple[tuple[Descriptor, Send], ...]


class Preparer:
    """Makes layers in a folder of its own, which goes when it is closed. For several threads."""

    def __init__(
        self, memory: LayerMemory, compression: str = "gz", threads: int = 0, *, near: str | None = None
    ) -> None:
        """`near`: a folder in whose file system layers are made, by default that of temporary files."""
        self.near = near
        self.memory = memory
        self.compression = compression
        self.threads = threads or min(8, os.cpu_count() or 1)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._mutex = threading.Lock()

    def __enter__(self) -> Preparer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def file(self) -> IO[bytes]:
        """A new file; its `name` is its path."""
        with self._mutex:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=self.near)
        return tempfile.NamedTemporaryFile(dir=self._folder.name, delete=False)

    def _pack(self, made: Made, number: int) -> tuple[Packed, str]:
        layer = made.image.layers[number].layer
        with self.file() as file:
            packed = pack_layer(layer, self.compression, file.write, self.threads, deflate)
        self.memory.keep(made.keys[number], self.compression, packed)
        return packed, file.name

    def diff_ids(self, made: Made) -> list[str]:
        """Of the layers, unpacked."""
        return (
            [layer.diff_id for layer in made.ready.packed] if made.ready else [one.diff_id for one in self._plain(made)]
        )

    def _plain(self, made: Made) -> list[Packed]:
        """The layers unpacked. Those that are not known are read, and nothing is kept of them."""
        found = []
        with translated():
            for key, described in zip(made.keys, made.image.layers, strict=True):
                known = self.memory.get(key, "none")
                if known is None:
                    known = pack_layer(described.layer, "none", None)
                    self.memory.keep(key, "none", known)
                found.append(known)
        return found

    def is_new(self, made: Made) -> bool:
        """Whether nothing is known of any layer of the store's."""
        keys = made.keys[:-1] or made.keys
        return made.ready is None and all(self.memory.get(key, "none") is None for key in keys)

    def learn(self, made: Made, layers: Sequence[Packed]) -> None:
        """What the layers turned out to be, unpacked, when somebody made them."""
        for key, packed in zip(made.keys, layers, strict=True):
            self.memory.keep(key, "none", packed)

    def offer(self, made: Made) -> Offer:
        """The image as it goes to a neighbour, who asks for what is missing there."""
        if made.ready is not None:
            pairs = zip(made.ready.packed, made.ready.senders(), strict=True)
            return Offer(made.ready.config, tuple((packed.descriptor, send) for packed, send in pairs))
        packed = self._plain(made)
        config = made.image.config_json([layer.diff_id for layer in packed])
        writers = [described.layer.write for described in made.image.layers]
        return Offer(config, tuple((one.descriptor, write) for one, write in zip(packed, writers, strict=True)))

    def offer_stored(self, image: StoredImage) -> Offer:
        layers: list[tuple[Descriptor, Send]] = []
        with translated():
            for layer in image.layers:
                if layer.digest is not None and layer.media in MEDIA:
                    layers.append((Descriptor(MEDIA[layer.media], layer.digest, layer.stored), _copier(layer)))
                else:
                    layers.append((Descriptor(LAYER_MEDIA["none"], layer.diff_id, layer.size()), layer.write))
        return Offer(image.config_bytes, tuple(layers))

    def of_recipe(self, made: Made, annotations: dict[str, str] | None = None) -> Prepared:
        """Layers that are known by name are not made."""
        packed: list[Packed] = []
        makers: dict[str, Maker] = {}
        with translated():
            for number in range(len(made.image.layers)):
                known = self._ready(made, number)
                if known is not None:
                    packed.append(known)
                    makers[known.descriptor.digest] = self._sent(made, number)
                    continue
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

    def _ready(self, made: Made, number: int) -> Packed | None:
        """A layer that needs no compression."""
        packed = made.ready.packed[number] if made.ready else None
        if packed is None or (packed.descriptor.media == LAYER_MEDIA["none"] and self.compression != "none"):
            return None
        return packed

    def _sent(self, made: Made, number: int) -> Maker:
        def make() -> str:
            assert made.ready is not None
            with self.file() as file:
                list(made.ready.senders())[number](file.write)
            return file.name

        return make

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

    def _stored(self, layer: StoredLayer, makers: dict[str, Maker]) -> Packed:
        if layer.digest is not None and layer.media in MEDIA and layer.file is not None:
            makers[layer.digest] = lambda: _whole_blob(layer.file or "", layer.digest or "")
            return Packed(Descriptor(MEDIA[layer.media], layer.digest, layer.stored), layer.diff_id)
        key = "stored-" + layer.diff_id.replace(":", "-")
        known = self.memory.get(key, self.compression)
        if known is None or known.diff_id != layer.diff_id:
            with self.file() as file:
                known = pack_layer(layer, self.compression, file.write, self.threads, deflate)
            self.memory.keep(key, self.compression, known)
            makers[known.descriptor.digest] = lambda path=file.name: path  # type: ignore[misc]
            return known

        def make() -> str:
            with self.file() as file:
                pack_layer(layer, self.compression, file.write, self.threads, deflate)
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


def _whole_blob(path: str, digest: str) -> str:
    """The path of a blob that lies ready. Raises ImageError where it is another than its name says."""
    import hashlib

    with open(path, "rb") as file:
        found = hashlib.file_digest(file, digest.partition(":")[0]).hexdigest()
    if found != digest.partition(":")[2]:
        raise ImageError(f"the blob '{path}' is damaged: it is sha256:{found}", hint="fetch or make the image again")
    return path


def _copier(layer: StoredLayer) -> Send:
    """Sends a layer's bytes as they lie there."""

    def send(write: Write) -> None:
        reader = layer.open()
        try:
            while chunk := reader.read(1 << 20):
                write(chunk)
        finally:
            reader.close()

    return send
