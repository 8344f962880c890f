"""OCI image layouts: a folder with `oci-layout`, `index.json` and `blobs/`.

Written beside its place and moved there when it is whole; blobs that are already in a layout are kept as they are.
Source of truth: OCI image specification 1.1, image-layout.md.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from types import TracebackType

from .errors import OciError
from .image import Descriptor, Layer, Packed, canonical_json, describe, index_json, pack_layer

MARKER = canonical_json({"imageLayoutVersion": "1.0.0"})


def blob_path(folder: str, digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    if algorithm not in ("sha256", "sha512") or not value.isalnum():
        raise OciError(f"'{digest}' is not a digest of a blob")
    return os.path.join(folder, "blobs", algorithm, value)


class LayoutWriter:
    """A new layout at `folder`, which must not exist. Nothing is there unless `finish` was reached."""

    def __init__(self, folder: str) -> None:
        self.folder = os.path.abspath(folder)
        if os.path.lexists(self.folder):
            raise OciError(f"'{folder}' is already there", "give another place, or remove it")
        parent = os.path.dirname(self.folder)
        if not os.path.isdir(parent):
            raise OciError(f"the folder '{parent}' is not there")
        self.work = tempfile.mkdtemp(prefix=f".{os.path.basename(self.folder)}.", dir=parent)
        os.chmod(self.work, 0o755)
        os.makedirs(os.path.join(self.work, "blobs", "sha256"))

    def __enter__(self) -> LayoutWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import shutil

        if os.path.exists(self.work):
            shutil.rmtree(self.work)

    def add_layer(self, layer: Layer, compression: str, threads: int = 1) -> Packed:
        place, path = tempfile.mkstemp(dir=self.work)
        with open(place, "wb", buffering=1 << 20) as file:
            packed = pack_layer(layer, compression, file.write, threads)
        self._settle(path, packed.descriptor.digest)
        return packed

    def add_file(self, path: str, digest: str) -> None:
        """A blob that lies ready elsewhere; its digest is believed."""
        import shutil

        target = blob_path(self.work, digest)
        if not os.path.exists(target):
            place, copy = tempfile.mkstemp(dir=self.work)
            os.close(place)
            shutil.copyfile(path, copy)
            self._settle(copy, digest)

    def _settle(self, path: str, digest: str) -> None:
        os.chmod(path, 0o444)
        os.rename(path, blob_path(self.work, digest))

    def add_bytes(self, media: str, content: bytes) -> Descriptor:
        descriptor = describe(media, content)
        target = blob_path(self.work, descriptor.digest)
        if not os.path.exists(target):
            place, path = tempfile.mkstemp(dir=self.work)
            with open(place, "wb") as file:
                file.write(content)
            self._settle(path, descriptor.digest)
        return descriptor

    def finish(self, manifests: Sequence[Descriptor]) -> None:
        for name, content in (("oci-layout", MARKER), ("index.json", index_json(manifests))):
            with open(os.path.join(self.work, name), "wb") as file:
                file.write(content)
        try:
            os.rename(self.work, self.folder)
        except OSError as error:
            raise OciError(f"cannot make '{self.folder}': {error.strerror}") from None
