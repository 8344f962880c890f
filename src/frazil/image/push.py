"""Images to a registry: what it lacks is sent, in parallel, the manifest last: no tag ever leads to half an image."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from frazil.image.errors import ImageError
from frazil.image.files import replace_file
from frazil.image.prepared import Prepared
from frazil.image.registry import Registry
from frazil.packages.oci.image import INDEX_MEDIA, MANIFEST_MEDIA, Descriptor, describe, index_json

PARALLEL = 4


@dataclass(frozen=True, slots=True)
class Pushed:
    """`sent`: blobs that the registry lacked; `bytes_sent`: what travelled of them; `mounted`: taken over from other
    repositories."""

    digest: str
    sent: int
    bytes_sent: int
    mounted: int
    present: int


class Whereabouts:
    """In which repositories of a registry a blob was seen: hints for mounting, wrong ones do no harm."""

    def __init__(self, path: str | None) -> None:
        self.path = path
        self._found: dict[str, str] = {}
        if path is not None:
            try:
                with open(path, "rb") as file:
                    found = json.loads(file.read(8 << 20))
                if isinstance(found, dict):
                    self._found = {key: value for key, value in found.items() if isinstance(value, str)}
            except (OSError, ValueError, RecursionError):
                pass  # nothing is known

    def get(self, host: str, digest: str) -> str | None:
        return self._found.get(f"{host} {digest}")

    def keep(self, host: str, digests: Iterable[str], repository: str) -> None:
        if self.path is None:
            return
        for digest in digests:
            self._found[f"{host} {digest}"] = repository
        newest = dict(list(self._found.items())[-20_000:])
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            replace_file(self.path, json.dumps(newest).encode())
        except OSError:
            pass  # the next push asks the registry again


def push(
    registry: Registry,
    images: Sequence[Prepared],
    whereabouts: Whereabouts,
    note: Callable[[str], object] = lambda _: None,
) -> Pushed:
    """All of the images under the registry's name; several become one index. Raises ImageError."""
    if len({image.platform for image in images}) != len(images):
        raise ImageError("two of the images are for the same platform, and an index can hold one for each")
    blobs: dict[str, Prepared] = {}
    for image in images:
        for layer in image.layers:
            blobs.setdefault(layer.descriptor.digest, image)
    with ThreadPoolExecutor(PARALLEL) as pool:
        jobs = [pool.submit(_blob, registry, digest, image, whereabouts, note) for digest, image in blobs.items()]
        try:
            outcomes = dict(zip(blobs, [job.result() for job in jobs], strict=True))
        except BaseException:
            registry.stop()
            pool.shutdown(cancel_futures=True)
            raise
    for image in images:
        registry.send_small(image.config.digest, image.contents[image.config.digest])
    digest = _manifests(registry, images)
    whereabouts.keep(registry.name.host, [*blobs], registry.name.path)
    sent = [outcome for outcome in outcomes.values() if isinstance(outcome, int)]
    return Pushed(
        digest,
        len(sent),
        sum(sent),
        sum(outcome == "mounted" for outcome in outcomes.values()),
        sum(outcome == "present" for outcome in outcomes.values()),
    )


def _blob(
    registry: Registry, digest: str, image: Prepared, whereabouts: Whereabouts, note: Callable[[str], object]
) -> str | int:
    """`present`, `mounted`, or how many bytes were sent."""
    if registry.has_blob(digest):
        return "present"
    place = None
    other = whereabouts.get(registry.name.host, digest)
    if other is not None and other != registry.name.path:
        place = registry.mount_blob(digest, other)
        if place == "":
            return "mounted"
    note(f"sending {digest}")
    return registry.send_blob(digest, image.blob_file(digest), place)


def _manifests(registry: Registry, images: Sequence[Prepared]) -> str:
    if len(images) == 1:
        digest = images[0].manifest.digest
        registry.put_manifest(registry.name.tag or digest, MANIFEST_MEDIA, images[0].contents[digest])
        return digest
    described: list[Descriptor] = []
    for image in images:
        digest = image.manifest.digest
        registry.put_manifest(digest, MANIFEST_MEDIA, image.contents[digest])
        described.append(image.manifest)
    content = index_json(described)
    digest = describe(INDEX_MEDIA, content).digest
    registry.put_manifest(registry.name.tag or digest, INDEX_MEDIA, content)
    return digest
