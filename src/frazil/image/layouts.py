"""OCI layouts as destinations: a folder that takes what it lacks and then, in one step, a new index."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence

from frazil.image.errors import ImageError, translated
from frazil.image.prepared import Prepared, is_ours
from frazil.packages.oci.image import Descriptor, index_json
from frazil.packages.oci.layout import MARKER, blob_path
from frazil.packages.oci.read import LARGEST_JSON

_NAME = "org.opencontainers.image.ref.name"


def write_layout(folder: str, images: Sequence[Prepared], tag: str | None = None) -> tuple[int, int]:
    """(blobs, bytes) that were written. An existing layout keeps what it has under other tags. Raises ImageError."""
    with translated():
        kept = _open(folder, tag)
        count = total = 0
        described: list[Descriptor] = []
        for image in images:
            for layer in image.layers:
                digest = layer.descriptor.digest
                if not os.path.exists(blob_path(folder, digest)):
                    _add(folder, digest, image.blob_file(digest))
                    count, total = count + 1, total + layer.descriptor.size
            for digest, content in image.contents.items():
                _add_bytes(folder, digest, content)
            annotations = ((_NAME, tag),) if tag else ()
            manifest = image.manifest
            described.append(Descriptor(manifest.media, manifest.digest, manifest.size, annotations, manifest.platform))
        _replace(os.path.join(folder, "index.json"), index_json([*kept, *described]))
    return count, total


def add_to_index(folder: str, descriptor: Descriptor, contents: dict[str, bytes], tag: str | None) -> None:
    """An image whose blobs are there; `contents`: of its manifests."""
    kept = _open(folder, tag)
    for digest, content in contents.items():
        _add_bytes(folder, digest, content)
    annotations = ((_NAME, tag),) if tag else ()
    named = Descriptor(descriptor.media, descriptor.digest, descriptor.size, annotations, descriptor.platform)
    _replace(os.path.join(folder, "index.json"), index_json([*kept, named]))


def _open(folder: str, tag: str | None) -> list[Descriptor]:
    """Makes the folders. What stays in the index: other tags."""
    marker = os.path.join(folder, "oci-layout")
    foreign = not os.path.isdir(folder) or set(os.listdir(folder)) - {"blobs"} if os.path.lexists(folder) else False
    if foreign and not os.path.exists(marker):
        raise ImageError(f"'{folder}' is there and is no OCI layout", hint="give another folder")
    os.makedirs(os.path.join(folder, "blobs/sha256"), exist_ok=True)
    if not os.path.exists(marker):
        _replace(marker, MARKER)
        return []
    try:
        with open(os.path.join(folder, "index.json"), "rb") as file:
            found = json.loads(file.read(LARGEST_JSON))["manifests"]
        kept = []
        for item in found:
            annotations = item.get("annotations") or {}
            if tag is not None and annotations.get(_NAME) not in (None, tag):
                platform = tuple(sorted((item.get("platform") or {}).items()))
                names = tuple(sorted(annotations.items()))
                kept.append(Descriptor(item["mediaType"], item["digest"], item["size"], names, platform))
        return kept
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ImageError(f"the OCI layout '{folder}' is damaged", hint="remove it, and it is made anew") from None


def _replace(path: str, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
    with open(handle, "wb") as file:
        file.write(content)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def _add_bytes(folder: str, digest: str, content: bytes) -> None:
    path = blob_path(folder, digest)
    if not os.path.exists(path):
        _replace(path, content)


def _add(folder: str, digest: str, source: str) -> None:
    path = blob_path(folder, digest)
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
    os.close(handle)
    if not (is_ours(source) and _link(source, temporary)):
        shutil.copyfile(source, temporary)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def _link(source: str, place: str) -> bool:
    """Whether both could become one file: they lie in one file system."""
    os.unlink(place)
    try:
        os.link(source, place)
    except OSError:
        return False
    return True
