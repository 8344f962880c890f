"""Images and registries that say anything: a field of another kind than it should be is an error with a message, or is
as good as not there; never a traceback."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.image.conftest import FakeRegistry

from frazil.errors import FrazilError
from frazil.image.engines import as_archive
from frazil.image.errors import ImageError
from frazil.image.memory import LayerMemory
from frazil.image.prepared import Preparer
from frazil.image.pull import pull
from frazil.image.reference import ImageName
from frazil.image.registry import Registry
from frazil.packages.oci.builder import assemble
from frazil.packages.oci.errors import OciError
from frazil.packages.oci.extract import unpack_image
from frazil.packages.oci.image import CONFIG_MEDIA, MANIFEST_MEDIA, write_docker_archive
from frazil.packages.oci.merge import merge_archives
from frazil.packages.oci.read import Container, open_image, opened

LAYER = bytes(10240)
LAYER_DIGEST = "sha256:" + hashlib.sha256(LAYER).hexdigest()
ODD: list[Any] = [
    None,
    0,
    -1,
    1 << 70,
    0.5,
    True,
    "",
    "x",
    "\ud800",
    [],
    {},
    [1],
    [None],
    [[]],
    {"a": 1},
    [{}],
    {"x": []},
]
CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "created": "1970-01-01T00:00:01Z",
    "config": {"Env": ["A=1"], "Cmd": ["/bin/sh"], "Labels": {"a": "b"}},
    "rootfs": {"type": "layers", "diff_ids": [LAYER_DIGEST]},
    "history": [{"created": "1970-01-01T00:00:01Z"}],
}
ANNOTATIONS = {"org.opencontainers.image.ref.name": "1"}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*path, key))


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """With one field of another kind, or none."""
    value = copy.deepcopy(value)
    path = draw(st.sampled_from(list(places(value))))
    odd = draw(st.sampled_from(ODD))
    if not path:
        return draw(st.sampled_from([value, odd]))
    place = value
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = odd
    return value


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def described(media: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media, "digest": digest(content), "size": len(content)}


def use(path: str, folder: Path) -> None:
    """All that is done with images from elsewhere."""
    container = Container(path)
    try:
        image = open_image(container)
        with Preparer(LayerMemory(None)) as preparer:
            prepared = preparer.of_stored(image)
            for layer in prepared.layers:
                prepared.blob_file(layer.descriptor.digest)
            preparer.offer_stored(image)
        write_docker_archive(as_archive(image), lambda _: None, image.names)
        unpack_image(opened(image.layers), str(folder), owners=False)
        merge_archives([path], lambda _: None)
        spec = {
            "fromImage": path,
            "architecture": "amd64",
            "imageName": "a",
            "imageTag": "b",
            "config": {"Env": ["B=1"]},
        }
        own = folder / "own"
        own.mkdir(exist_ok=True)
        (own / "layer.tar").write_bytes(LAYER)
        (own / "checksum").write_text(LAYER_DIGEST[7:])
        made, names, _ = assemble({**spec, "storeLayers": [], "customisationLayer": str(own)})
        write_docker_archive(made, lambda _: None, names)
        open_image(container, name="x", tag="1")
    finally:
        container.close()


def survives(path: str, folder: Path) -> None:
    try:
        use(path, folder)
    except (OciError, FrazilError) as error:
        assert str(error)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changed(CONFIG), st.data())
def test_archives(tmp_path: Path, config: Any, data: st.DataObject) -> None:
    content = text(config)
    manifest = data.draw(changed([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["l.tar"]}]))
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, part in (("c.json", content), ("l.tar", LAYER), ("manifest.json", text(manifest))):
            entry = tarfile.TarInfo(name)
            entry.size = len(part)
            tar.addfile(entry, io.BytesIO(part))
    survives(str(tmp_path / "a.tar"), tmp_path)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changed(CONFIG), st.data())
def test_layouts(tmp_path: Path, config: Any, data: st.DataObject) -> None:
    content = text(config)
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": LAYER_DIGEST, "size": len(LAYER)}
    manifest = text(data.draw(changed({"config": described(CONFIG_MEDIA, content), "layers": [layer]})))
    entry = {**described(MANIFEST_MEDIA, manifest), "annotations": ANNOTATIONS, "platform": {"architecture": "amd64"}}
    index = data.draw(changed({"schemaVersion": 2, "manifests": [entry]}))
    blobs = tmp_path / "layout/blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    for part in (content, manifest, LAYER):
        (blobs / digest(part)[7:]).write_bytes(part)
    (tmp_path / "layout/index.json").write_bytes(text(index))
    survives(str(tmp_path / "layout"), tmp_path)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.booleans(), st.data())
def test_registries(fake: FakeRegistry, tmp_path: Path, everything: bool, data: st.DataObject) -> None:
    content = text(CONFIG)
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": LAYER_DIGEST, "size": len(LAYER)}
    manifest = text(data.draw(changed({"config": described(CONFIG_MEDIA, content), "layers": [layer]})))
    entry = {**described(MANIFEST_MEDIA, manifest), "platform": {"architecture": "amd64", "os": "linux"}}
    index = text(data.draw(changed({"schemaVersion": 2, "manifests": [entry]})))
    for part in (content, LAYER):
        fake.blobs["team/app", digest(part)] = part
    fake.manifests["team/app", digest(manifest)] = (MANIFEST_MEDIA, manifest)
    fake.manifests["team/app", "1"] = ("application/vnd.oci.image.index.v1+json", index)
    name = ImageName.parse(f"{fake.host}/team/app:1")
    with Registry(name, pause=lambda _: None) as registry:
        try:
            pull(registry, str(tmp_path / "layout"), "amd64", everything=everything)
        except FrazilError as error:
            assert str(error)


def test_digests_of_no_known_kind(fake: FakeRegistry, tmp_path: Path) -> None:
    with Registry(ImageName.parse(f"{fake.host}/team/app:1"), pause=lambda _: None) as registry:
        for odd in ("evil:00", "sha256:../x", "x"):
            with pytest.raises(ImageError, match="not a digest"):
                registry.fetch_blob(odd, 1, str(tmp_path / "blob"))
    assert fake.log == []
