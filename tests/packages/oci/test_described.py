"""Images as lists of what their layers hold: planned, hashed, placed at the root, offered to who lacks them."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from frazil.packages.oci import skopeo
from frazil.packages.oci.described import (
    DescribedImage,
    describe_folder,
    describe_image,
    describe_layers,
    is_described,
    open_described,
)
from frazil.packages.oci.errors import OciError
from frazil.packages.oci.image import CONFIG_MEDIA, Descriptor, Packed, describe, manifest_json, pack_layer
from frazil.packages.oci.placed import Permission, Placed, PlacedLayer
from frazil.packages.oci.serve import ImageServer
from frazil.packages.oci.tree import StoreLayer


class Store:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "store"
        self.folder.mkdir()
        self.references: dict[str, list[str]] = {}

    def add(self, name: str, files: dict[str, str], references: tuple[str, ...] = ()) -> str:
        path = self.folder / name
        for file, text in files.items():
            (path / file).parent.mkdir(parents=True, exist_ok=True)
            (path / file).write_text(text)
        self.references[str(path)] = list(references)
        return str(path)

    def graph(self, *names: str) -> list[dict[str, Any]]:
        return [
            {"path": path, "references": references}
            for path, references in self.references.items()
            if not names or path in names
        ]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def layers(store: Store, tmp_path: Path, name: str = "layers", **more: Any) -> list[dict[str, Any]]:
    describe_layers({"graph": store.graph(), "metadata": {"created_by": "test"}, **more}, str(tmp_path / name))
    found: list[dict[str, Any]] = json.loads((tmp_path / name / "layers.json").read_text())
    return found


def image(tmp_path: Path, *folders: str, **more: Any) -> DescribedImage:
    (tmp_path / "config.json").write_text(json.dumps(more.pop("config", {"entrypoint": ["/bin/x"]})))
    spec = {"configFile": str(tmp_path / "config.json"), "arch": "amd64", "imageName": "x"}
    describe_image({**spec, "layers": [str(tmp_path / folder) for folder in folders], **more}, str(tmp_path / "image"))
    return open_described(str(tmp_path / "image"))


def members(layer: Any) -> dict[str, tarfile.TarInfo]:
    buffer = io.BytesIO()
    layer.write(buffer.write)
    assert layer.size() == len(buffer.getvalue())
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as archive:
        return {member.name: member for member in archive}


def test_layers_are_planned_and_never_stored(store: Store, tmp_path: Path) -> None:
    base = store.add("a-base", {"lib": "base"})
    app = store.add("b-app", {"bin/app": "app"}, (base,))
    config = store.add("c-config", {"x": "y"}, (app,))
    (found,) = layers(store, tmp_path, ignore=[config])
    assert [one["path"] for one in found["paths"]] == [base, app]
    assert found["history"] == {"created_by": "test"}
    assert [path.name for path in (tmp_path / "layers").iterdir()] == ["layers.json"]
    two = layers(store, tmp_path, "two", ignore=[config], maxLayers=2)
    assert [[one["path"] for one in layer["paths"]] for layer in two] == [[base], [app]]
    opened = image(tmp_path, "two", tag=None)
    assert opened.paths == ((base,), (app,)) and opened.name == "x" and opened.tag is None
    written = [pack_layer(part.layer, "none", lambda _: None).diff_id for part in opened.image.layers]
    assert written == [layer["digest"] for layer in two]
    assert json.loads(opened.config)["config"] == {"Entrypoint": ["/bin/x"]}
    assert json.loads(opened.config)["history"][0]["created_by"] == "test"


def test_what_an_earlier_layer_has_is_left_out(store: Store, tmp_path: Path) -> None:
    base = store.add("a-base", {"lib": "base"})
    layers(store, tmp_path, "first")
    app = store.add("b-app", {"bin/app": "app"}, (base,))
    (second,) = layers(store, tmp_path, "second", layers=[str(tmp_path / "first")])
    assert [one["path"] for one in second["paths"]] == [app]
    assert layers(store, tmp_path, "third", layers=[str(tmp_path / "first"), str(tmp_path / "second")]) == []
    # Named twice, it is in the image once.
    assert image(tmp_path, "first", "second", "first").paths == ((base,), (app,))


def test_the_same_bytes_as_layers_of_other_images(store: Store, tmp_path: Path) -> None:
    paths = tuple(sorted([store.add("a", {"f": "1", "d/g": "2"}), store.add("b", {"f": "3"})]))
    (found,) = layers(store, tmp_path)
    assert found["digest"] == pack_layer(StoreLayer(paths), "none", lambda _: None).diff_id


def test_roots_and_permissions(store: Store, tmp_path: Path) -> None:
    lib = store.add("a-lib", {"lib/x": "x"})
    root = store.add("b-root", {"home/u/file": "f", "bin/app": "#!"}, (lib,))
    perms = [
        {"path": root, "regex": "/home/u", "mode": "0744", "uid": 1000, "gid": 100, "uname": "u", "gname": "g"},
        {"path": root, "regex": "/file$", "mode": "0600"},
    ]
    (found,) = layers(store, tmp_path, copyToRoot=[root], perms=perms)
    layer = PlacedLayer(tuple(map(Placed.parse, found["paths"])))
    inside = members(layer)
    assert inside["home/u"].mode == 0o744 and inside["home/u"].uid == 1000 and inside["home/u"].uname == "u"
    assert inside["home/u/file"].mode == 0o600 and inside["home/u/file"].gid == 100
    assert inside["bin/app"].uid == 0
    (found,) = layers(store, tmp_path, "unnamed", copyToRoot=[root], perms=[{"path": root, "regex": "/file", "uid": 7}])
    inside = members(PlacedLayer(tuple(map(Placed.parse, found["paths"]))))
    assert (inside["home/u/file"].uname, inside["home/u/file"].gname) == ("", "root")
    assert f"{lib[1:]}/lib/x" in inside
    # What is at the root alone is not in the store as well ...
    assert not any(name.startswith(root[1:]) for name in inside)
    # ... unless something needs it there.
    store.references[lib] = [root]
    (found,) = layers(store, tmp_path, "again", copyToRoot=[root])
    inside = members(PlacedLayer(tuple(map(Placed.parse, found["paths"]))))
    assert f"{root[1:]}/bin/app" in inside and "bin/app" in inside
    # A layer of its own, where there may be several.
    assert len(layers(store, tmp_path, "more", copyToRoot=[root], maxLayers=5)) == 3


def test_roots_that_collide(store: Store, tmp_path: Path) -> None:
    one, two = store.add("a", {"etc/same": "1", "etc/x": "1"}), store.add("b", {"etc/same": "1", "etc/x": "2"})
    with pytest.raises(OciError, match="two things want the same place in the image") as caught:
        layers(store, tmp_path, copyToRoot=[one, two])
    assert one in caught.value.message and two in caught.value.message and "buildEnv" in (caught.value.hint or "")
    (Path(two) / "etc/x").write_text("1")
    layers(store, tmp_path, "fine", copyToRoot=[one, two])
    (store.folder / "file").write_text("x")
    store.references[str(store.folder / "file")] = []
    with pytest.raises(OciError, match="is a file, and only what folders hold"):
        layers(store, tmp_path, "file", copyToRoot=[str(store.folder / "file")])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"regex": ".*", "mode": "999"}, "is not a mode"),
        ({"regex": "(", "mode": "0755"}, "is not a regular expression"),
        ({"mode": "0755"}, "needs a path, a regex"),
        ({"regex": ".*", "uid": -1}, "has a number from 0"),
        ({"regex": ".*", "uid": "x"}, "needs a path, a regex"),
        ("text", "needs a path, a regex"),
    ],
)
def test_permissions_that_are_none(value: Any, message: str) -> None:
    with pytest.raises(OciError, match=message):
        Permission.parse(value)


def test_permissions_for_what_is_not_there(store: Store, tmp_path: Path) -> None:
    store.add("a", {"f": "1"})
    with pytest.raises(OciError, match="not in this layer"):
        layers(store, tmp_path, perms=[{"path": "/nowhere", "regex": ".*", "mode": "0755"}])


def test_a_layer_that_is_not_reproducible_keeps_its_bytes(store: Store, tmp_path: Path) -> None:
    path = store.add("a", {"f": "1"})
    (kept,) = layers(store, tmp_path, "kept", reproducible=False)
    made = image(tmp_path, "kept")
    layers(store, tmp_path, "named")
    named = image(tmp_path, "named")
    Path(path, "f").write_text("2")
    buffer = io.BytesIO()
    made.image.layers[0].layer.write(buffer.write)
    assert "sha256:" + hashlib.sha256(buffer.getvalue()).hexdigest() == kept["digest"]
    with pytest.raises(OciError, match="where the image says") as caught:
        named.image.layers[0].layer.write(lambda _: None)
    assert "reproducible = false" in (caught.value.hint or "")


def test_an_image_from_elsewhere_is_a_base(store: Store, tmp_path: Path) -> None:
    path = store.add("a", {"f": "1"})
    folder = tmp_path / "pulled"
    folder.mkdir()
    with open(folder / "layer", "wb") as file:
        packed = pack_layer(StoreLayer((path,)), "gz", file.write)
    (folder / "layer").rename(folder / packed.descriptor.digest[7:])
    config = json.dumps(
        {
            "architecture": "arm64",
            "created": "2020-01-01T00:00:00Z",
            "config": {"Env": ["A=1", "B=2"]},
            "rootfs": {"diff_ids": [packed.diff_id]},
            "history": [{"created_by": "ADD", "comment": "c"}, {"empty_layer": True}],
        }
    ).encode()
    described = describe(CONFIG_MEDIA, config)
    (folder / described.digest[7:]).write_bytes(config)
    (folder / "manifest.json").write_bytes(manifest_json(described, [packed.descriptor]))
    describe_folder({"folder": str(folder)}, str(tmp_path / "base"))
    store.add("b", {"f": "2"})
    layers(store, tmp_path)
    made = image(tmp_path, "layers", fromImage=str(tmp_path / "base"), config={"Env": ["B=3"]})
    assert json.loads(made.config)["config"]["Env"] == ["A=1", "B=3"]
    lower = image(tmp_path, "layers", fromImage=str(tmp_path / "base"), config={"env": ["B=3"], "cmd": ["x"]})
    assert json.loads(lower.config)["config"] == {"Env": ["A=1", "B=3"], "Cmd": ["x"]}
    assert json.loads(made.config)["history"][0]["created_by"] == "ADD"
    assert made.packed[0] == packed
    sent = io.BytesIO()
    next(made.senders())(sent.write)
    assert len(sent.getvalue()) == packed.descriptor.size
    (folder / packed.descriptor.digest[7:]).write_bytes(b"other")
    with pytest.raises(OciError, match="where the image says"):
        next(made.senders())(sent.write)
    (folder / "manifest.json").write_text('{"manifests": []}')
    with pytest.raises(OciError, match="not one of a single image"):
        describe_folder({"folder": str(folder)}, str(tmp_path / "base"))


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"layers": {}},
        {"layers": [{"digest": "sha256:x"}]},
        {"layers": [{"digest": "sha256:" + "0" * 64, "diff_ids": "sha256:" + "0" * 64, "size": -1}]},
        {"image-config": []},
        {"arch": 1},
    ],
)
def test_descriptions_that_are_damaged(store: Store, tmp_path: Path, change: dict[str, Any]) -> None:
    image(tmp_path)
    value = json.loads((tmp_path / "image").read_text())
    assert is_described(str(tmp_path / "image")) and not is_described(str(tmp_path))
    (tmp_path / "image").write_text(json.dumps({**value, **change}))
    with pytest.raises(OciError):
        open_described(str(tmp_path / "image"))


@pytest.mark.parametrize(
    "value",
    [
        {"path": "relative"},
        {"path": "/nix/store/../../etc"},
        {"path": "/a", "options": {"rewrite": {"regex": "^/b", "repl": ""}}},
        {"path": "/a", "options": {"perms": [{}]}},
        {},
        [],
    ],
)
def test_places_that_are_refused(value: Any) -> None:
    with pytest.raises(OciError):
        Placed.parse(value)


def request(server: ImageServer, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.host, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        connection.close()


def test_only_what_is_asked_for_is_made() -> None:
    made: list[str] = []

    def layer(name: str) -> tuple[Descriptor, Any]:
        content = name.encode() * 1000

        def send(write: Any) -> None:
            made.append(name)
            write(content)

        return Descriptor("m", "sha256:" + hashlib.sha256(content).hexdigest(), len(content)), send

    one, two = layer("one"), layer("two")
    with ImageServer(b"{}", [one, two]) as server:
        assert request(server, "/v2/")[0] == 200
        status, manifest = request(server, f"/v2/{server.name}/manifests/{server.digest}")
        assert status == 200 and [entry["size"] for entry in json.loads(manifest)["layers"]] == [3000, 3000]
        assert request(server, f"/v2/{server.name}/blobs/{one[0].digest}", "HEAD") == (200, b"")
        assert made == []
        assert request(server, f"/v2/{server.name}/blobs/{two[0].digest}")[1] == b"two" * 1000
        assert request(server, f"/v2/{server.name}/blobs/sha256:{hashlib.sha256(b'{}').hexdigest()}")[1] == b"{}"
        # Nobody finds it who was not told its name.
        assert request(server, f"/v2/frazil/{'0' * 32}/manifests/latest")[0] == 404
        assert request(server, f"/v2/{server.name}/blobs/sha256:{'0' * 64}")[0] == 404
    assert made == ["two"] and server.sent == {two[0].digest: 3000}


def test_a_layer_that_cannot_be_made_is_told() -> None:
    def send(write: Any) -> None:
        write(b"x")
        raise OciError("no")

    digest = "sha256:" + "1" * 64
    server = ImageServer(b"{}", [(Descriptor("m", digest, 5), send)])
    with server, pytest.raises(http.client.IncompleteRead):
        request(server, f"/v2/{server.name}/blobs/{digest}")
    assert isinstance(server.failure, OciError) and not server.sent


def test_a_disk_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not skopeo's view of it alone."""

    def send(write: Any) -> None:
        raise OSError(5, "Input/output error", "/nix/store/x")

    digest = "sha256:" + "1" * 64
    broken = SimpleNamespace(config=b"{}", packed=[Packed(Descriptor("m", digest, 5), digest)], senders=lambda: [send])
    monkeypatch.setattr(skopeo, "open_described", lambda path: broken)
    program = tmp_path / "skopeo"
    fetch = "import sys, urllib.request; url = next(w for w in sys.argv if w.startswith('docker://'))[9:]; "
    fetch += "url = 'http://' + url.rpartition(':')[0].replace('/', '/v2/', 1); "
    fetch += f"urllib.request.urlopen(url + '/blobs/{digest}').read()"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{fetch}" "$@"\n')
    program.chmod(0o755)
    with pytest.raises(OSError, match="Input/output"):
        skopeo.run(str(program), ["copy", "nix:image.json", "docker://elsewhere/x"])
