"""What was learnt about layers: their digests and sizes, so that a layer need not be made to know its name.

A file for each layer and compression, written beside its place and renamed; a damaged one is as good as none. What is
remembered is checked again whenever the layer's bytes are made.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from frazil.image.files import replace_file
from frazil.packages.oci.image import Descriptor, Packed
from frazil.packages.oci.streams import LAYER_MEDIA, ZSTD_LEVEL

_LARGEST = 1 << 16


def _compression_key(compression: str) -> str:
    """The same bytes come out only of the same library at the same level; `_deflate` is this program's own."""
    if compression == "gz":
        return "gz-own1"
    if compression == "zstd":
        import zstandard

        return f"zstd{ZSTD_LEVEL}-{'.'.join(map(str, zstandard.ZSTD_VERSION))}"
    return compression


@dataclass(frozen=True, slots=True)
class LayerMemory:
    folder: str | None
    """None: nothing is remembered."""

    def _path(self, key: str, compression: str) -> str | None:
        if self.folder is None:
            return None
        return os.path.join(self.folder, f"{key}.{_compression_key(compression)}.json")

    def get(self, key: str, compression: str) -> Packed | None:
        path = self._path(key, compression)
        if path is None:
            return None
        try:
            with open(path, "rb") as file:
                found = json.loads(file.read(_LARGEST))
            digest, size, diff_id = found["digest"], found["size"], found["diff_id"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        if not (isinstance(digest, str) and isinstance(size, int) and isinstance(diff_id, str)):
            return None
        return Packed(Descriptor(LAYER_MEDIA[compression], digest, size), diff_id)

    def keep(self, key: str, compression: str, packed: Packed) -> None:
        path = self._path(key, compression)
        if path is None or self.folder is None:
            return
        text = json.dumps(
            {"digest": packed.descriptor.digest, "size": packed.descriptor.size, "diff_id": packed.diff_id}
        )
        try:
            os.makedirs(self.folder, exist_ok=True)
            replace_file(path, text.encode())
        except OSError:
            return  # it is made again next time
