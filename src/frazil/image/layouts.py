"""OCI layouts as destinations: a folder that takes what it lacks and then, in one step, a new index."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from frazil.image.errors import ImageError, translated
from frazil.image.files import UNFINISHED, replace_file, replacing
from frazil.image.prepared import Prepared, is_ours
from frazil.packages.oci.image import Descriptor, index_json
from frazil.packages.oci.layout import MARKER, blob_path
from frazil.packages.oci.read import LARGEST_JSON

_NAME = "org.opencontainers.image.ref.name"


def write_layout(folder: str, images: Sequence[Prepared], tag: str | None = None) -> tuple[int, int]:
    """(blobs, bytes) that were written. An existing layout keeps what it has under other tags. Raises ImageError."""
    with translated():
        open_layout(folder)
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
        _list(folder, described, tag)
    return count, total


def add_to_index(folder: str, descriptor: Descriptor, contents: dict[str, bytes], tag: str | None) -> None:
    """An image whose blobs are there; `contents`: of its manifests."""
    open_layout(folder)
    for digest, content in contents.items():
        _add_bytes(folder, digest, content)
    annotations = ((_NAME, tag),) if tag else ()
    named = Descriptor(descriptor.media, descriptor.digest, descriptor.size, annotations, descriptor.platform)
    _list(folder, [named], tag)


def _list(folder: str, images: Sequence[Descriptor], tag: str | None) -> None:
    """The images into the index, before what is there; one process after the other."""
    with _locked(folder):
        replace_file(os.path.join(folder, "index.json"), index_json([*images, *_others(folder, tag)]))


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def open_layout(folder: str) -> None:
    """Makes the folders. Raises ImageError where something else is there."""
    marker = os.path.join(folder, "oci-layout")
    foreign = ImageError(f"'{folder}' is there and is no OCI layout", hint="give another folder")
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise foreign
    os.makedirs(folder, exist_ok=True)
    with _locked(folder):
        if not os.path.exists(marker):
            if any(name != "blobs" and not name.startswith(UNFINISHED) for name in os.listdir(folder)):
                raise foreign
            replace_file(marker, MARKER)
        os.makedirs(os.path.join(folder, "blobs/sha256"), exist_ok=True)
    _others(folder, None)  # a damaged one is told of before anything is made for it


def _others(folder: str, tag: str | None) -> list[Descriptor]:
    """What stays in the index: other tags."""
    try:
        with open(os.path.join(folder, "index.json"), "rb") as file:
            found = json.loads(file.read(LARGEST_JSON))["manifests"]
        kept = []
        for item in found:
            annotations = item.get("annotations") or {}
            if annotations.get(_NAME) not in (None, tag):
                platform = tuple(sorted((item.get("platform") or {}).items()))
                names = tuple(sorted(annotations.items()))
                kept.append(Descriptor(item["mediaType"], item["digest"], item["size"], names, platform))
        return kept
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ImageError(f"the OCI layout '{folder}' is damaged", hint="remove it, and it is made anew") from None


def _add_bytes(folder: str, digest: str, content: bytes) -> None:
    path = blob_path(folder, digest)
    if not os.path.exists(path):
        replace_file(path, content)


def _add(folder: str, digest: str, source: str) -> None:
    path = blob_path(folder, digest)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with replacing(path) as temporary:
        if not (is_ours(source) and _link(source, temporary)):
            shutil.copyfile(source, temporary)


def _link(source: str, place: str) -> bool:
    """Whether both could become one file: they lie in one file system."""
    os.unlink(place)
    try:
        os.link(source, place)
    except OSError:
        return False
    return True
