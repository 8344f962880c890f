"""Several image archives as one, that `docker load` takes at once; what they share is in it once."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import OciError
from .image import canonical_json
from .read import Container, StoredImage, open_image
from .tar import Entry, TarWriter, Write, encode_header, padding


def merge_archives(paths: Sequence[str], write: Write, scratch: str | None = None) -> None:
    tar = TarWriter(write)
    manifest: list[dict[str, object]] = []
    seen: set[str] = set()
    named: dict[str, str] = {}
    for path in paths:
        container = Container(path, scratch)
        image = open_image(container)
        for name in image.names:
            if named.setdefault(name, path) != path:
                raise OciError(f"two of the images are named '{name}': '{named[name]}' and '{path}'")
        manifest.append(_add(tar, image, seen, write))
        container.close()
    tar.add_bytes("manifest.json", canonical_json(manifest))
    tar.finish()


def _add(tar: TarWriter, image: StoredImage, seen: set[str], write: Write) -> dict[str, object]:
    files = []
    for layer in image.layers:
        name = f"{layer.diff_id.partition(':')[2]}/layer.tar"
        files.append(name)
        if name in seen:
            continue
        seen.add(name)
        size = layer.size()
        write(encode_header(Entry(name.encode(), mode=0o444, size=size)))
        layer.write(write)
        write(padding(size))
    config = f"{image.identity.partition(':')[2]}.json"
    if config not in seen:
        seen.add(config)
        tar.add_bytes(config, image.config_bytes)
    return {"Config": config, "RepoTags": image.names or None, "Layers": files}
