"""Reading images made elsewhere: Docker archives and OCI layouts, as folders or tar archives, compressed or not.

Everything is checked: sizes are bounded, names stay inside, digests must match what is read. Layers are not unpacked
here; `extract` does that.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from .errors import BadImage, OciError
from .image import ARCHITECTURES
from .layout import blob_path
from .streams import Decompressed, Meter, is_bzip2
from .tar import Write
from .tar_reader import TarReader, safe_name
from .zstd_frames import Reader

LARGEST_JSON = 8 << 20
LARGEST_IMAGE = 1 << 40


class _Part:
    """A stretch of a file, closed when it was read to its end."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file, self._left = file, left
        if not left:
            file.close()

    def read(self, size: int = -1, /) -> bytes:
        if not self._left or self._file.closed:
            return b""
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        if not data and size:
            self._file.close()
            raise BadImage("the image ends early")
        if not self._left:
            self._file.close()
        return data

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer as it lies in an image. `digest`, `media`: of the stored bytes, where the image says so."""

    open: Callable[[], _Part]
    diff_id: str
    stored: int
    digest: str | None = None
    media: str | None = None
    file: str | None = None
    """Where the stored bytes lie by themselves."""

    def write(self, write: Write) -> None:
        """The unpacked bytes. Raises BadImage where they are not what the configuration says."""
        meter = Meter(write)
        reader = self.open()
        try:
            source = Decompressed(reader, LARGEST_IMAGE)
            while chunk := source.read(1 << 20):
                meter.write(chunk)
        finally:
            reader.close()
        if meter.digest != self.diff_id:
            raise BadImage(f"a layer is {meter.digest}, where the image says {self.diff_id}")

    def size(self) -> int:
        reader = self.open()
        try:
            start = reader.read(6)
        finally:
            reader.close()
        if start[:2] != b"\x1f\x8b" and start[:4] not in (b"\x28\xb5\x2f\xfd", b"\xfd7zX") and not is_bzip2(start):
            return self.stored
        counter = Meter()
        self.write(counter.write)
        return counter.size


class _Hashed:
    """Passes on what it reads, and hashes it."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._meter = Meter()

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self._meter.write(data)
        return data

    def compare(self, wanted: str) -> None:
        while self.read(1 << 20):
            pass
        if self._meter.digest != wanted:
            raise BadImage(f"a layer is {self._meter.digest}, where the image says {wanted}")


def opened(layers: Iterable[StoredLayer]) -> Iterator[Reader]:
    """The unpacked bytes of one layer after another; each is closed when the next is asked for. Raises BadImage then
    where they are not what the configuration says."""
    for layer in layers:
        reader = layer.open()
        try:
            hashed = _Hashed(Decompressed(reader, LARGEST_IMAGE))
            yield hashed
            hashed.compare(layer.diff_id)
        finally:
            reader.close()


@dataclass(slots=True)
class StoredImage:
    config: dict[str, Any]
    layers: list[StoredLayer]
    names: list[str] = field(default_factory=list)
    manifest: dict[str, Any] | None = None
    config_bytes: bytes = b""

    @property
    def identity(self) -> str:
        return "sha256:" + hashlib.sha256(self.config_bytes).hexdigest()


class Container:
    """Files by name, in a folder or a tar archive. `scratch`: where a compressed archive is unpacked to."""

    def __init__(self, path: str, scratch: str | None = None) -> None:
        self.path = path
        self._members: dict[str, tuple[int, int]] | None = None
        self._links: dict[str, str] = {}
        self._file = path
        self._temporary: Any = None
        if not os.path.isdir(path):
            self._open_archive(scratch)

    def _open_archive(self, scratch: str | None) -> None:
        try:
            with open(self.path, "rb") as file:
                source = Decompressed(file, LARGEST_IMAGE)
                if source.kind != "none":
                    self._temporary = tempfile.NamedTemporaryFile(dir=scratch)  # noqa: SIM115
                    while chunk := source.read(1 << 20):
                        self._temporary.write(chunk)
                    self._temporary.flush()
                    self._file = self._temporary.name
            with open(self._file, "rb") as file:
                self._index(file)
        except OSError as error:
            raise OciError(f"cannot read the image '{self.path}': {error.strerror}") from None

    def _index(self, file: BinaryIO) -> None:
        self._members = {}
        reader = TarReader(_Seeking(file))
        for entry in reader:
            name = os.fsdecode(entry.name)
            if entry.kind == "file":
                self._members[name] = (reader.offset, entry.size)
                self._links.pop(name, None)
            elif entry.kind in ("symlink", "link"):
                folder = os.path.dirname(name) if entry.kind == "symlink" else ""
                target = os.path.normpath(os.path.join(folder, os.fsdecode(entry.target)))
                self._links[name] = os.fsdecode(safe_name(os.fsencode(target)))
            if len(self._members) + len(self._links) > 100_000:
                raise BadImage("the image holds more files than any image does")

    def close(self) -> None:
        if self._temporary is not None:
            self._temporary.close()

    def _find(self, name: str) -> tuple[int, int]:
        name = os.fsdecode(safe_name(os.fsencode(name)))
        assert self._members is not None
        for _ in range(8):
            if name in self._members:
                return self._members[name]
            if name not in self._links:
                break
            name = self._links[name]
        raise BadImage(f"the image has no file '{name}'")

    def has(self, name: str) -> bool:
        if self._members is not None:
            return name in self._members or name in self._links
        return os.path.isfile(os.path.join(self.path, name))

    def place(self, name: str) -> tuple[str, int, int]:
        """The file that holds it, where it begins there, and its size."""
        if self._members is not None:
            return self._file, *self._find(name)
        path = os.path.join(self.path, os.fsdecode(safe_name(os.fsencode(name))))
        try:
            return path, 0, os.stat(path).st_size
        except OSError as error:
            raise BadImage(f"the image has no file '{name}': {error.strerror}") from None

    def open(self, name: str) -> _Part:
        path, offset, size = self.place(name)
        file = open(path, "rb")  # noqa: SIM115
        file.seek(offset)
        return _Part(file, size)

    def read(self, name: str, limit: int = LARGEST_JSON) -> bytes:
        size = self.place(name)[2]
        if size > limit:
            raise BadImage(f"'{name}' of the image has {size} bytes, where at most {limit} make sense")
        reader = self.open(name)
        parts = []
        while chunk := reader.read(1 << 20):
            parts.append(chunk)
        return b"".join(parts)

    def json(self, name: str) -> Any:
        return parse_json(self.read(name), name)


class _Seeking:
    """Passes over large contents by seeking."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        return self._file.read(size)


def parse_json(content: bytes, name: str) -> Any:
    try:
        found = json.loads(content)
        json.dumps(found, ensure_ascii=False).encode()  # halves of characters that belong to none cannot be written
        return found
    except (ValueError, RecursionError):
        raise BadImage(f"'{name}' of the image is not JSON") from None


def open_image(
    container: Container, *, name: str | None = None, tag: str | None = None, architecture: str | None = None
) -> StoredImage:
    """The image with this name and tag, or the only (first) one."""
    if container.has("index.json"):
        return _open_layout(container, name, tag, architecture)
    if container.has("manifest.json"):
        return _open_docker(container, name, tag)
    raise BadImage(
        f"'{container.path}' is neither an OCI layout nor an archive that `docker save` makes",
        "it has neither index.json nor manifest.json",
    )


def _wanted(candidate: str, name: str | None, tag: str | None) -> bool:
    own, _, own_tag = candidate.rpartition(":")
    return (name is None or _short(own) == _short(name)) and (tag is None or own_tag == tag)


def _short(name: str) -> str:
    """Without what container programs put before names that have no registry: `docker.io/library/app` is `app`."""
    return name.removeprefix("docker.io/").removeprefix("library/").removeprefix("localhost/")


def _dictionary(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadImage(f"{what} is not a set of fields")
    return value


def fields(value: Any) -> dict[str, Any]:
    """What may be left out, and is as good as left out where it is of another kind."""
    return value if isinstance(value, dict) else {}


def _configuration(content: bytes, name: str) -> dict[str, Any]:
    found = _dictionary(parse_json(content, name), "the image's configuration")
    _dictionary(found.get("config") or {}, "the image's config")
    history = found.get("history") or []
    if not isinstance(history, list) or not all(isinstance(item, dict) for item in history):
        raise BadImage("the image's history is not a list of sets of fields")
    return found


def _strings(value: Any, what: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadImage(f"{what} is not a list of texts")
    return value


def _diff_ids(config: dict[str, Any], count: int) -> list[str]:
    diff_ids = _strings(_dictionary(config.get("rootfs"), "the image's rootfs").get("diff_ids"), "diff_ids")
    if len(diff_ids) != count:
        raise BadImage(f"the image has {count} layers and says {len(diff_ids)}")
    if len(diff_ids) > 1000:
        raise BadImage("the image has more than a thousand layers")
    return diff_ids


def _open_docker(container: Container, name: str | None, tag: str | None) -> StoredImage:
    manifests = container.json("manifest.json")
    if not isinstance(manifests, list) or not manifests:
        raise BadImage("manifest.json of the image lists no image")
    for manifest in manifests:
        names = _dictionary(manifest, "manifest.json").get("RepoTags") or []
        names = _strings(names, "RepoTags")
        if (name is None and tag is None) or any(_wanted(candidate, name, tag) for candidate in names):
            break
    else:
        raise OciError(f"the image archive has no image named '{name or ''}:{tag or ''}'")
    config_name = manifest.get("Config")
    if not isinstance(config_name, str):
        raise BadImage("manifest.json of the image names no configuration")
    content = container.read(config_name)
    config = _configuration(content, config_name)
    files = _strings(manifest.get("Layers"), "Layers")
    layers = []
    for file, diff_id in zip(files, _diff_ids(config, len(files)), strict=True):
        layers.append(StoredLayer(_opener(container, file), diff_id, container.place(file)[2]))
    return StoredImage(config, layers, names, None, content)


def _opener(container: Container, file: str) -> Callable[[], _Part]:
    return lambda: container.open(file)


def _blob(container: Container, descriptor: Any, limit: int = LARGEST_JSON) -> bytes:
    described = _dictionary(descriptor, "a descriptor")
    digest = str(described.get("digest"))
    content = container.read(blob_path("", digest), limit)
    algorithm, _, value = digest.partition(":")
    if hashlib.new(algorithm, content).hexdigest() != value:
        raise BadImage(f"the blob {digest} of the image holds something else")
    return content


def _choose(descriptors: Any, name: str | None, tag: str | None, architecture: str | None) -> dict[str, Any]:
    if not isinstance(descriptors, list) or not descriptors:
        raise BadImage("the index of the image lists no manifest")
    found = [_dictionary(item, "a descriptor") for item in descriptors]
    if name is not None or tag is not None:
        reference = "org.opencontainers.image.ref.name"
        named = [
            item
            for item in found
            if (text := str(fields(item.get("annotations")).get(reference, ""))) == (tag or name)
            or _wanted(text, name, tag)
        ]
        if not named:
            raise OciError(f"the image layout has no image named '{name or ''}:{tag or ''}'")
        found = named
    wanted = architecture or ARCHITECTURES.get(os.uname().machine)
    for item in found:
        platform = fields(item.get("platform"))
        if platform.get("architecture") == wanted and platform.get("os", "linux") == "linux":
            return item
    return found[0]


def _open_layout(container: Container, name: str | None, tag: str | None, architecture: str | None) -> StoredImage:
    descriptor = _choose(
        _dictionary(container.json("index.json"), "index.json").get("manifests"), name, tag, architecture
    )
    for _ in range(4):
        content = _blob(container, descriptor)
        manifest = _dictionary(parse_json(content, "a manifest"), "a manifest")
        if "manifests" not in manifest:
            break
        descriptor = _choose(manifest["manifests"], None, None, architecture)
    else:
        raise BadImage("the index of the image leads from one to the next")
    config_bytes = _blob(container, manifest.get("config"))
    config = _configuration(config_bytes, "the configuration")
    described = manifest.get("layers")
    if not isinstance(described, list):
        raise BadImage("the manifest of the image lists no layers")
    layers = []
    for item, diff_id in zip(described, _diff_ids(config, len(described)), strict=True):
        digest = str(_dictionary(item, "a layer").get("digest"))
        place = blob_path("", digest)
        path, offset, size = container.place(place)
        alone = path if os.path.isdir(container.path) and not offset else None
        layers.append(StoredLayer(_opener(container, place), diff_id, size, digest, str(item.get("mediaType")), alone))
    reference = fields(descriptor.get("annotations")).get("org.opencontainers.image.ref.name")
    return StoredImage(config, layers, [reference] if isinstance(reference, str) else [], manifest, config_bytes)
