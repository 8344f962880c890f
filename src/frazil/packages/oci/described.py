"""Images as lists of what their layers hold: a JSON text that knows every digest and holds no layer's bytes.

In (`describe_layers`, `describe_image`): closures and wishes of the package set's `nix2container`. Out: JSON. In
(`open_described`): such a JSON; out: the image, whose layers are made out of the store when somebody lacks them.
The names in it are those of nix2container's own files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import BadImage, OciError
from .image import Described as Part
from .image import Descriptor, Image, Layer, Packed, variables
from .placed import Placed, PlacedLayer, permissions_by_path
from .plan import plan_layers, read_graph, restrict
from .read import LARGEST_IMAGE, parse_json
from .streams import LAYER_MEDIA, Decompressed, Meter
from .tar import Write
from .times import resolve_time
from .tree import Direct, StoreLayer

LARGEST = 64 << 20
VERSION = 1
MEDIA = {
    **{media: media for media in LAYER_MEDIA.values()},
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER_MEDIA["gz"],
    "application/vnd.docker.image.rootfs.diff.tar": LAYER_MEDIA["none"],
}


# -- planning ----------------------------------------------------------------------------------------------------------


def _read_layers(folder: str) -> list[dict[str, Any]]:
    with open(os.path.join(folder, "layers.json"), "rb") as file:
        layers = parse_json(file.read(LARGEST), folder)
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise OciError(f"'{folder}' is no layer that buildLayer made")
    return layers


def _taken(folders: Sequence[str]) -> tuple[set[str], set[str]]:
    """What earlier layers hold: at its place in the store, at the root."""
    stored: set[str] = set()
    at_root: set[str] = set()
    for folder in folders:
        for layer in _read_layers(folder):
            for placed in map(Placed.parse, layer.get("paths") or ()):
                (at_root if placed.at_root else stored).add(placed.path)
    return stored, at_root


def _plan(spec: dict[str, Any]) -> list[tuple[Placed, ...]]:
    graph = read_graph(spec["graph"])
    ignored = set(spec.get("ignore") or ())
    stored, rooted = _taken(spec.get("layers") or ())
    roots = [path for path in dict.fromkeys(spec.get("copyToRoot") or ()) if path not in rooted]
    # What lies at the root is not in the store as well, unless something refers to it there.
    wanted = {reference for record in spec["graph"] for reference in record["references"]}
    only_root = {path for path in roots if path not in wanted} | (rooted - wanted)
    kept = graph.keys() - ignored - stored - only_root
    permissions = permissions_by_path(spec.get("perms"))
    if unknown := permissions.keys() - kept - set(roots):
        raise OciError(f"a permission is for '{min(unknown)}', which is not in this layer")
    count = int(spec.get("maxLayers") or 1)
    if count < 1:
        raise OciError(f"an image cannot have at most {count} layers")
    own = tuple(Placed(path, True, permissions.get(path, ())) for path in roots)
    planned = plan_layers(restrict(graph, kept), count - 1 if own and count > 1 else count)
    layers = [tuple(Placed(path, False, permissions.get(path, ())) for path in paths) for paths in planned]
    if own and count == 1 and layers:
        layers[-1] += own
    elif own:
        layers.append(own)
    return layers


def describe_layers(spec: dict[str, Any], output: str) -> None:
    """OUTPUT/layers.json; where a layer is not reproducible its bytes beside it."""
    os.makedirs(output, exist_ok=True)
    described = []
    for paths in _plan(spec):
        layer = PlacedLayer(paths)
        found: dict[str, Any] = {"paths": [placed.to_json() for placed in paths], "mediatype": LAYER_MEDIA["none"]}
        if spec.get("reproducible", True):
            meter = Meter()
            layer.write(meter.write)
        else:
            place = os.path.join(output, "layer.tar")
            with open(place, "wb", buffering=1 << 20) as file:
                meter = Meter(file.write)
                layer.write(meter.write)
            found["layer-path"] = os.path.join(output, meter.hexdigest + ".tar")
            os.rename(place, found["layer-path"])
        found |= {"digest": meter.digest, "diff_ids": meter.digest, "size": meter.size}
        found["history"] = {key: value for key, value in (spec.get("metadata") or {}).items() if value}
        described.append(found)
    _write(os.path.join(output, "layers.json"), described)


def describe_image(spec: dict[str, Any], output: str) -> None:
    with open(spec["configFile"], "rb") as file:
        config = json.load(file)
    layers: list[dict[str, Any]] = []
    if spec.get("fromImage"):
        base = _read_image(spec["fromImage"])
        layers += base["layers"]
        config = {**config, **_joined(base["image-config"], config)}
    for folder in spec["layers"]:
        layers += _read_layers(folder)
    once = {layer["diff_ids"]: layer for layer in reversed(layers)}
    kept = [layer for number, layer in enumerate(layers) if layer not in layers[:number] and layer in once.values()]
    created, _ = resolve_time(spec.get("created", 1))
    value = {
        "version": VERSION,
        "image-config": config,
        "layers": kept,
        "arch": spec["arch"],
        "created": created,
        "name": spec["imageName"],
        **({"tag": spec["imageTag"]} if spec.get("imageTag") else {}),
    }
    _write(output, value)


def _joined(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The base image's environment under the image's own."""
    key = next((key for key in own if key.lower() == "env"), "Env")
    environment = variables(base.get("Env")) | variables(own.get(key))
    return {key: list(environment.values())} if environment else {}


def describe_folder(spec: dict[str, Any], output: str) -> None:
    """What `skopeo copy … dir:FOLDER` made (`folder`), or blobs by name (`blobs`) and their manifest."""
    blobs = spec.get("blobs")

    def place(digest: str) -> str:
        name = digest.partition(":")[2]
        return str(blobs[name]) if blobs else os.path.join(spec["folder"], name)

    with open(spec.get("manifest") or os.path.join(spec["folder"], "manifest.json"), "rb") as file:
        manifest = parse_json(file.read(LARGEST), "manifest.json")
    try:
        with open(place(manifest["config"]["digest"]), "rb") as file:
            config = parse_json(file.read(LARGEST), "the configuration")
        diff_ids = config["rootfs"]["diff_ids"]
        history = [item for item in config.get("history") or [] if not item.get("empty_layer")]
        if len(history) != len(diff_ids):
            history = [{}] * len(diff_ids)
        layers = [
            {
                "digest": layer["digest"],
                "diff_ids": diff_id,
                "size": layer["size"],
                "mediatype": MEDIA[layer["mediaType"]],
                "layer-path": place(layer["digest"]),
                "history": {key: item[key] for key in ("created_by", "author", "comment") if item.get(key)},
            }
            for layer, diff_id, item in zip(manifest["layers"], diff_ids, history, strict=True)
        ]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadImage(
            "the manifest is not one of a single image with layers that can be read",
            "an index of several images is none: ask for the digest of one of them",
        ) from None
    value = {
        "version": VERSION,
        "image-config": config.get("config") or {},
        "layers": layers,
        "arch": str(config.get("architecture") or "amd64"),
        "created": str(config.get("created") or ""),
    }
    _write(output, value)


def _write(path: str, value: Any) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, sort_keys=True, ensure_ascii=False)
        file.write("\n")


# -- reading -----------------------------------------------------------------------------------------------------------


def _read_image(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            value = parse_json(file.read(LARGEST), path)
    except OSError as error:
        raise OciError(f"cannot read the image '{path}': {error.strerror}") from None
    if (
        not isinstance(value, dict)
        or value.get("version") != VERSION
        or not isinstance(value.get("layers"), list)
        or not isinstance(value.get("image-config"), dict)
        or not isinstance(value.get("arch"), str)
        or not isinstance(value.get("created"), str)
    ):
        raise OciError(f"'{path}' does not describe an image", "it is not what nix2container.buildImage makes")
    return value


def is_described(path: str) -> bool:
    """Whether the file begins as descriptions do."""
    try:
        with open(path, "rb") as file:
            return file.read(64).lstrip()[:1] == b"{"
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class FileLayer:
    """A layer whose bytes lie in a file, perhaps compressed; they are compared when they are read."""

    path: str
    digest: str
    stored: int
    diff_id: str

    def send(self, write: Write) -> None:
        """The bytes as they lie there."""
        meter = Meter(write)
        with open(self.path, "rb") as file:
            while chunk := file.read(1 << 20):
                meter.write(chunk)
        self._compare(meter, self.digest)

    def write(self, write: Write) -> None:
        meter = Meter(write)
        with open(self.path, "rb") as file:
            source = Decompressed(file, LARGEST_IMAGE)
            while chunk := source.read(1 << 20):
                meter.write(chunk)
        self._compare(meter, self.diff_id)

    def _compare(self, meter: Meter, wanted: str) -> None:
        if meter.digest != wanted:
            raise BadImage(f"a layer is {meter.digest}, where the image says {wanted}")

    def size(self) -> int:
        counter = Meter()
        self.write(counter.write)
        return counter.size


@dataclass(frozen=True, slots=True)
class CheckedLayer:
    """A layer out of the store, compared with its description when it is made."""

    layer: PlacedLayer
    diff_id: str
    announced: int

    def write(self, write: Write) -> None:
        meter = Meter(write)
        self.layer.write(meter.write)
        self.compare(meter.digest)

    def compare(self, digest: str) -> None:
        if digest != self.diff_id:
            raise BadImage(
                f"a layer is {digest}, where the image says {self.diff_id}",
                "what it is made of is not reproducible: buildLayer { reproducible = false; … } keeps its bytes",
            )

    def direct(self) -> Direct | None:
        quick = self.layer.direct()
        return None if quick is None else _CheckedDirect(quick, self)

    def size(self) -> int:
        return self.announced


@dataclass(frozen=True, slots=True)
class _CheckedDirect:
    quick: Direct
    layer: CheckedLayer

    @property
    def size(self) -> int:
        return self.quick.size

    def write(self, target: int | Write | None, /) -> str:
        digest = self.quick.write(target)
        self.layer.compare("sha256:" + digest)
        return digest


@dataclass(frozen=True, slots=True)
class DescribedImage:
    """`packed`: how each layer travels as it is. `paths`: of each layer."""

    image: Image
    packed: tuple[Packed, ...]
    paths: tuple[tuple[str, ...], ...]
    name: str | None = None
    tag: str | None = None

    @property
    def config(self) -> bytes:
        return self.image.config_json([layer.diff_id for layer in self.packed])

    def senders(self) -> Iterator[Callable[[Write], None]]:
        """A way to each layer's bytes as they travel."""
        for part, packed in zip(self.image.layers, self.packed, strict=True):
            layer = part.layer
            kept = isinstance(layer, FileLayer) and packed.descriptor.media != LAYER_MEDIA["none"]
            yield layer.send if kept else layer.write  # type: ignore[attr-defined]


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 71 and value.startswith("sha256:") and value[7:].isalnum()


def open_described(
    path: str, real: Callable[[str], str] = lambda path: path, plain_layer: type[StoreLayer] = StoreLayer
) -> DescribedImage:
    """`real`: where a store path, or a file in one, lies on this disk. `plain_layer`: see PlacedLayer. Raises
    OciError."""
    value = _read_image(path)
    parts, packed, inside, history = [], [], [], []
    for item in value["layers"]:
        if not isinstance(item, dict) or not _is_digest(item.get("digest")) or not _is_digest(item.get("diff_ids")):
            raise OciError(f"'{path}' has a layer without a digest")
        digest, diff_id, size, media = item["digest"], item["diff_ids"], item.get("size"), item.get("mediatype")
        if not isinstance(size, int) or size < 0 or media not in MEDIA:
            raise OciError(f"'{path}' has a layer of no known size or kind")
        placed = tuple(map(Placed.parse, item.get("paths") or ()))
        layer: Layer
        if isinstance(item.get("layer-path"), str):
            layer = FileLayer(real(item["layer-path"]), digest, size, diff_id)
        else:
            places = tuple((one.path, real(one.path)) for one in placed)
            layer = CheckedLayer(PlacedLayer(placed, real=places, plain_layer=plain_layer), diff_id, size)
        said = item.get("history")
        parts.append(Part(layer, "", diff_id.partition(":")[2]))
        packed.append(Packed(Descriptor(MEDIA[media], digest, size), diff_id))
        inside.append(tuple(one.path for one in placed if not one.at_root))
        history.append({"created": value["created"], **(said if isinstance(said, dict) else {})})
    config = {_NAMES.get(key.lower(), key): content for key, content in value["image-config"].items()}
    image = Image(config, value["arch"], value["created"], parts, history, len(parts))
    names = [value[key] if isinstance(value.get(key), str) else None for key in ("name", "tag")]
    return DescribedImage(image, tuple(packed), tuple(inside), *names)


_NAMES = {
    name.lower(): name
    for name in (
        *("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal"),
        *("ArgsEscaped", "Healthcheck", "OnBuild", "Shell", "StopTimeout", "Memory", "MemorySwap", "CpuShares"),
    )
}
"""Go reads names of fields whatever their case, and so do existing flakes write them: `entrypoint`."""
