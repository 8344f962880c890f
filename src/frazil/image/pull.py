"""Images from a registry into an OCI layout: everything checked, what is there already not fetched again."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from frazil.image.errors import ImageError, translated
from frazil.image.layouts import add_to_index, open_layout
from frazil.image.registry import Registry
from frazil.packages.oci.errors import BadImage
from frazil.packages.oci.image import Descriptor, describe
from frazil.packages.oci.layout import blob_path
from frazil.packages.oci.read import fields, parse_json

PARALLEL = 4
_LARGEST_BLOB = 1 << 40


def pull(
    registry: Registry,
    folder: str,
    architecture: str,
    *,
    everything: bool = False,
    note: Callable[[str], object] = lambda _: None,
) -> str:
    """The image's digest. Of an index the manifest for the architecture, or with `everything` all of them."""
    with translated():
        media, content = registry.manifest(registry.name.wanted)
        descriptor = describe(media, content)
        manifest = _manifest(content)
        contents = {descriptor.digest: content}
        manifests = [manifest]
        if "manifests" in manifest:
            manifests = []
            for item in _choose(manifest["manifests"], architecture, everything):
                inner_media, inner = registry.manifest(str(item.get("digest")))
                contents[str(item["digest"])] = inner
                manifests.append(_manifest(inner))
                if not everything:
                    platform = tuple((str(k), str(v)) for k, v in sorted(fields(item.get("platform")).items()))
                    found = describe(inner_media or media, inner)
                    descriptor = Descriptor(found.media, found.digest, found.size, (), platform)
                    contents.pop(describe(media, content).digest)
        blobs = [_blob(item) for one in manifests for item in [one.get("config"), *_layers(one)]]
        open_layout(folder)
        with ThreadPoolExecutor(PARALLEL) as pool:
            try:
                list(pool.map(lambda blob: _fetch(registry, folder, blob[0], blob[1], note), dict.fromkeys(blobs)))
            except BaseException:
                registry.stop()
                raise
        add_to_index(folder, descriptor, contents, registry.name.tag)
    return descriptor.digest


def _manifest(content: bytes) -> dict[str, Any]:
    found = parse_json(content, "the manifest")
    if not isinstance(found, dict):
        raise BadImage("the manifest is not a set of fields")
    return found


def _layers(manifest: dict[str, Any]) -> list[Any]:
    layers = manifest.get("layers") or []
    if not isinstance(layers, list):
        raise BadImage("the manifest lists no layers")
    return layers


def _choose(items: Any, architecture: str, everything: bool) -> list[dict[str, Any]]:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items) or len(items) > 1000:
        raise BadImage("the index is not a list of manifests")
    if everything:
        return items
    for item in items:
        platform = fields(item.get("platform"))
        if platform.get("architecture") == architecture and platform.get("os", "linux") == "linux":
            return [item]
    there = ", ".join(sorted({str(fields(item.get("platform")).get("architecture")) for item in items}))
    raise ImageError(f"there is no image for {architecture}", hint=f"there are images for {there}: --architecture")


def _blob(item: Any) -> tuple[str, int]:
    if not isinstance(item, dict) or not isinstance(item.get("digest"), str) or not isinstance(item.get("size"), int):
        raise BadImage("the manifest describes a blob without digest and size")
    if not 0 <= item["size"] <= _LARGEST_BLOB:
        raise BadImage("the manifest describes a blob of an impossible size")
    return item["digest"], item["size"]


def _fetch(registry: Registry, folder: str, digest: str, size: int, note: Callable[[str], object]) -> None:
    path = blob_path(folder, digest)
    if os.path.exists(path):
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = f"{path}.part"
    with open(part, "ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # another process may be fetching it
        if os.path.exists(path):
            if not os.path.samestat(os.stat(path), os.fstat(held.fileno())):
                os.unlink(part)
            return
        note(f"fetching {digest}")
        registry.fetch_blob(digest, size, part)
        os.replace(part, path)
