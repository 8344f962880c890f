"""Whole images: written, read again, unpacked; equal inputs give equal bytes; hostile images are refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from frazil.packages.oci import as_root, builder
from frazil.packages.oci.builder import main
from frazil.packages.oci.errors import BadImage, OciError
from frazil.packages.oci.extract import unpack_image
from frazil.packages.oci.image import (
    MANIFEST_MEDIA,
    Described,
    Image,
    describe,
    manifest_json,
    write_docker_archive,
)
from frazil.packages.oci.layout import LayoutWriter
from frazil.packages.oci.read import Container, open_image, opened
from frazil.packages.oci.root import changes, copy_contents, snapshot
from frazil.packages.oci.streams import compressor, kind_of
from frazil.packages.oci.tar import Entry, TarWriter
from frazil.packages.oci.times import resolve_time
from frazil.packages.oci.tree import FolderLayer, StoreLayer, walk


def make_store(folder: Path, name: str = "abc-tool") -> str:
    place = folder / "store" / name
    (place / "bin").mkdir(parents=True)
    (place / "bin/tool").write_bytes(b"#!x\n" * 300)
    (place / "bin/tool").chmod(0o755)
    (place / "data").write_bytes(b"d")
    (place / "link").symlink_to("data")
    return str(place)


def layer_bytes(layer: StoreLayer | FolderLayer) -> bytes:
    out = io.BytesIO()
    layer.write(out.write)
    assert layer.size() == len(out.getvalue())
    return out.getvalue()


def test_times_modes_and_hard_links_of_a_store_do_not_count(tmp_path: Path) -> None:
    one, two = make_store(tmp_path / "1"), make_store(tmp_path / "2")
    os.utime(Path(two, "data"), (5, 5))
    Path(two, "data").chmod(0o600)
    Path(two, "data").unlink()
    Path(tmp_path, "elsewhere").write_bytes(b"d")
    os.link(tmp_path / "elsewhere", Path(two, "data"))
    layers = [StoreLayer(("/nix/store/abc-tool",), real=(("/nix/store/abc-tool", real),)) for real in (one, two)]
    assert layer_bytes(layers[0]) == layer_bytes(layers[1])
    with tarfile.open(fileobj=io.BytesIO(layer_bytes(layers[0]))) as tar:
        assert [(member.name, member.mode, member.mtime, member.uid) for member in tar] == [
            ("nix", 0o755, 1, 0),
            ("nix/store", 0o755, 1, 0),
            ("nix/store/abc-tool", 0o555, 1, 0),
            ("nix/store/abc-tool/bin", 0o555, 1, 0),
            ("nix/store/abc-tool/bin/tool", 0o555, 1, 0),
            ("nix/store/abc-tool/data", 0o444, 1, 0),
            ("nix/store/abc-tool/link", 0o777, 1, 0),
        ]


def test_hard_links_of_a_root_stay(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("x")
    os.link(tmp_path / "b", tmp_path / "a")
    with tarfile.open(fileobj=io.BytesIO(layer_bytes(FolderLayer(str(tmp_path))))) as tar:
        assert [(member.name, member.islnk(), member.linkname) for member in tar] == [
            ("a", False, ""),
            ("b", True, "a"),
        ]


def image_of(folder: Path) -> Image:
    store = make_store(folder)
    root = folder / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/x").write_text("x")
    return Image(
        {"Cmd": ["/bin/tool"]},
        "amd64",
        "1970-01-01T00:00:01Z",
        [
            Described(StoreLayer(("/nix/store/abc-tool",), real=(("/nix/store/abc-tool", store),)), "store", "s"),
            Described(FolderLayer(str(root)), "root", "r"),
        ],
    )


def archive_of(image: Image, path: Path, name: str = "a:1") -> str:
    with open(path, "wb") as file:
        return write_docker_archive(image, file.write, [name])


def test_docker_archive(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    identity = archive_of(image_of(tmp_path), path)
    image = open_image(Container(str(path)))
    assert image.identity == identity
    assert image.names == ["a:1"]
    assert image.config["config"] == {"Cmd": ["/bin/tool"]}
    target = tmp_path / "out"
    target.mkdir()
    unpack_image(opened(image.layers), str(target), owners=False)
    assert (target / "etc/x").read_text() == "x"
    assert (target / "nix/store/abc-tool/link").readlink() == Path("data")


@pytest.mark.parametrize("compression", ["gz", "zstd", "none"])
def test_oci_layout(tmp_path: Path, compression: str) -> None:
    image, folder = image_of(tmp_path), tmp_path / "layout"
    with LayoutWriter(str(folder)) as writer:
        packed = [writer.add_layer(described.layer, compression) for described in image.layers]
        config = writer.add_bytes(
            "application/vnd.oci.image.config.v1+json", image.config_json([p.diff_id for p in packed])
        )
        manifest = manifest_json(config, [p.descriptor for p in packed])
        writer.finish([writer.add_bytes(MANIFEST_MEDIA, manifest)])
    read = open_image(Container(str(folder)))
    archive = tmp_path / "image.tar"
    assert read.identity == archive_of(image, archive)
    for layer in read.layers:
        assert layer.size() > 0
        layer.write(lambda _: None)
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []


def test_an_unfinished_layout_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), LayoutWriter(str(tmp_path / "l")):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []
    (tmp_path / "l").mkdir()
    with pytest.raises(OciError, match="already there"):
        LayoutWriter(str(tmp_path / "l"))


def test_a_wrong_blob_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    archive_of(image_of(tmp_path), path)
    data = path.read_bytes().replace(b"#!x\n", b"#!y\n", 1)
    path.write_bytes(data)
    image = open_image(Container(str(path)))
    with pytest.raises(BadImage, match="where the image says"):
        for layer in image.layers:
            layer.write(lambda _: None)


def unpack_entries(target: Path, *layers: list[tuple[Entry, bytes]]) -> int:
    streams = []
    for items in layers:
        out = io.BytesIO()
        tar = TarWriter(out.write)
        for entry, content in items:
            tar.add(entry, [content])
        tar.finish()
        streams.append(io.BytesIO(out.getvalue()))
    target.mkdir(exist_ok=True)
    return unpack_image(streams, str(target), owners=False)


def file(name: bytes, content: bytes = b"") -> tuple[Entry, bytes]:
    return Entry(name, size=len(content)), content


def test_links_never_lead_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = tmp_path / "root"
    unpack_entries(
        target,
        [
            (Entry(b"abs", "symlink", target=os.fsencode(outside)), b""),
            (Entry(b"up", "symlink", target=b"../outside"), b""),
            file(b"abs/one", b"1"),
            file(b"up/two", b"2"),
            (Entry(b"usr/lib", "dir", 0o755), b""),
            (Entry(b"lib", "symlink", target=b"usr/lib"), b""),
            file(b"lib/three", b"3"),
        ],
    )
    assert os.listdir(outside) == []
    assert (target / "usr/lib/three").read_text() == "3"
    assert (target / "outside/two").read_text() == "2"


def test_hard_links_lead_to_what_is_in_the_image(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    with pytest.raises(BadImage, match="not there"):
        unpack_entries(
            tmp_path / "root",
            [
                (Entry(b"out", "symlink", target=b".."), b""),
                (Entry(b"copy", "link", target=b"out/secret"), b""),
            ],
        )


def test_circles_of_links(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="in circles"):
        unpack_entries(
            tmp_path / "root",
            [
                (Entry(b"a", "symlink", target=b"b"), b""),
                (Entry(b"b", "symlink", target=b"a"), b""),
                file(b"a/x"),
            ],
        )


def test_whiteouts(tmp_path: Path) -> None:
    target = tmp_path / "root"
    unpack_entries(
        target,
        [file(b"a/one"), file(b"a/two"), file(b"b/old"), file(b"c/kept")],
        [file(b"a/.wh.one"), file(b"b/new"), file(b"b/.wh..wh..opq"), file(b".wh.c")],
    )
    assert sorted(os.path.relpath(os.path.join(f, n), target) for f, _, names in os.walk(target) for n in names) == [
        "a/two",
        "b/new",
    ]
    for name in (b".wh.", b".wh...", b"a/.wh..", b".wh..wh.plnk"):
        with pytest.raises(BadImage):
            unpack_entries(tmp_path / "other", [file(name)])


def test_a_folder_replaces_a_file_and_back(tmp_path: Path) -> None:
    target = tmp_path / "root"
    unpack_entries(target, [file(b"x"), file(b"y/z")], [file(b"x/inner"), file(b"y")])
    assert (target / "x/inner").is_file() and (target / "y").is_file()


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"manifest.json": b"[]"},
        {"manifest.json": b"{"},
        {"manifest.json": b'[{"Config": "c", "Layers": ["../x"]}]', "c": b'{"rootfs": {"diff_ids": ["sha256:0"]}}'},
        {"manifest.json": b'[{"Config": "c", "Layers": []}]', "c": b'{"rootfs": {"diff_ids": ["sha256:0"]}}'},
        {"manifest.json": b'[{"Config": 3, "Layers": []}]'},
        {"manifest.json": b"[" * 100000},
        {"index.json": b'{"manifests": [{"digest": "sha256:../../x"}]}'},
        {"index.json": b'{"manifests": [{"digest": "md5:abc"}]}'},
        {"index.json": b'{"manifests": 1}'},
    ],
)
def test_bad_images(tmp_path: Path, files: dict[str, bytes]) -> None:
    path = tmp_path / "bad.tar"
    with open(path, "wb") as out:
        tar = TarWriter(out.write)
        for name, content in files.items():
            tar.add_bytes(name, content)
        tar.finish()
    with pytest.raises(OciError):
        open_image(Container(str(path)))


def test_an_index_that_leads_in_circles_ends(tmp_path: Path) -> None:
    folder = tmp_path / "layout"
    content = json.dumps({"manifests": [{"digest": "sha256:" + "0" * 64}]}).encode()
    descriptor = describe("x", content)
    (folder / "blobs/sha256").mkdir(parents=True)
    (folder / "index.json").write_bytes(json.dumps({"manifests": [descriptor.to_json()]}).encode())
    (folder / "blobs/sha256" / descriptor.digest.partition(":")[2]).write_bytes(content)
    with pytest.raises(BadImage):
        open_image(Container(str(folder)))


def test_contents_collide(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin/x").write_text("same" if name != "three" else "other")
    target = tmp_path / "root"
    target.mkdir()
    copy_contents([str(tmp_path / "one"), str(tmp_path / "two")], str(target))
    assert (target / "bin/x").read_text() == "same"
    with pytest.raises(OciError, match="want the same place"):
        copy_contents([str(tmp_path / "three")], str(target))
    with pytest.raises(OciError, match="is a file"):
        copy_contents([str(tmp_path / "one/bin/x")], str(target))


def test_links_to_folders(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/x").write_text("x")
    (tmp_path / "item").mkdir()
    (tmp_path / "item/bin").symlink_to(tmp_path / "real")
    for keep in (False, True):
        target = tmp_path / f"root-{keep}"
        target.mkdir()
        copy_contents([str(tmp_path / "item")], str(target), keep_directory_links=keep)
        assert (target / "bin").is_symlink() is keep


def test_changes(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_text("1")
    (tmp_path / "gone/deep").mkdir(parents=True)
    before = snapshot(str(tmp_path))
    (tmp_path / "a/b/c").write_text("2")
    (tmp_path / "gone/deep").rmdir()
    (tmp_path / "gone").rmdir()
    changed, gone = changes(before, str(tmp_path))
    assert changed == {b"a", b"a/b", b"a/b/c"}
    assert gone == {b"gone"}


def test_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = make_store(tmp_path)
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bin/tool").symlink_to(f"{store}/bin/tool")
    (tmp_path / "layer.json").write_text(json.dumps({"folder": str(root), "mtime": 7}))
    assert main(["layer", str(tmp_path / "layer.json"), str(tmp_path / "layer")]) == 0
    graph = [{"path": path, "references": refs} for path, refs in (("/x/conf", []), ("/x/layer", [store]), (store, []))]
    spec = {
        "graph": graph,
        "exclude": ["/x/conf", "/x/layer"],
        "config": {"Cmd": ["/bin/tool"]},
        "customisationLayer": str(tmp_path / "layer"),
        "architecture": "amd64",
        "created": "now",
        "maxLayers": 5,
        "imageName": "a",
        "imageTag": "",
        "storeDir": str(tmp_path / "store"),
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    conf = tmp_path / "hashhash-conf.json"
    assert main(["plan", str(tmp_path / "spec.json"), str(conf)]) == 0
    planned = json.loads(conf.read_text())
    assert planned["imageTag"] == "hashhash"
    assert planned["storeLayers"] == [[store]]
    (tmp_path / "archive.json").write_text(json.dumps({"imagePlan": str(conf), "compressor": "gz"}))
    outputs = [tmp_path / "1.tar.gz", tmp_path / "2.tar.gz"]
    for output in outputs:
        assert main(["archive-stream", str(tmp_path / "archive.json"), str(output)]) == 0
    assert len(open_image(Container(str(outputs[0]))).layers) == 2
    spec["maxLayers"] = 1
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    assert main(["plan", str(tmp_path / "spec.json"), str(conf)]) == 1
    assert "leaves no layer for store paths" in capsys.readouterr().err


def test_base_images_and_merging(tmp_path: Path) -> None:
    base = tmp_path / "base.tar"
    archive_of(image_of(tmp_path / "b"), base)
    (tmp_path / "layer.json").write_text(json.dumps({"folder": str(tmp_path / "b/root"), "uid": 5}))
    assert main(["layer", str(tmp_path / "layer.json"), str(tmp_path / "layer")]) == 0
    spec = {
        "fromImage": str(base),
        "singleLayer": True,
        "graph": [{"path": "/nix/store/abc-tool", "references": []}],
        "config": {"Env": ["A=2"]},
        "customisationLayer": str(tmp_path / "layer"),
        "architecture": "amd64",
        "imageName": "b",
        "imageTag": "2",
        "storeDir": "/nix/store",
        "compressor": "none",
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    output = tmp_path / "image.tar"
    assert main(["archive", str(tmp_path / "spec.json"), str(output)]) == 0
    image = open_image(Container(str(output)))
    assert len(image.layers) == 3 and len(image.config["history"]) == 3
    (tmp_path / "merge.json").write_text(json.dumps({"images": [str(base), str(output)], "compressor": "none"}))
    assert main(["merge", str(tmp_path / "merge.json"), str(tmp_path / "merged.tar")]) == 0
    merged = Container(str(tmp_path / "merged.tar"))
    assert open_image(merged, name="b", tag="2").identity == image.identity
    assert len(open_image(merged, name="a").layers) == 2
    with pytest.raises(OciError, match="no image named"):
        open_image(merged, name="c")


def test_times() -> None:
    assert resolve_time("1970-01-01T00:00:01Z") == ("1970-01-01T00:00:01Z", 1)
    assert resolve_time("2000-01-01T00:00:00+01:00")[1] == 946681200
    assert resolve_time("now")[1] > 1_600_000_000
    with pytest.raises(OciError, match="not a time"):
        resolve_time("tomorrow")


def test_a_stream_to_a_full_disk(tmp_path: Path) -> None:
    """One message, and not a second one of Python's at its end."""
    layer = tmp_path / "layer"
    layer.mkdir()
    (layer / "layer.tar").write_bytes(bytes(1024))
    (layer / "checksum").write_text(hashlib.sha256(bytes(1024)).hexdigest() + "\n")
    spec = {"architecture": "amd64", "imageName": "a", "imageTag": "1", "config": {}, "storeLayers": []}
    (tmp_path / "conf.json").write_text(json.dumps({**spec, "customisationLayer": str(layer)}))
    program = str(Path(builder.__file__).parent)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-IB", program, "stream", str(tmp_path / "conf.json")],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == ["error: writing the image: No space left on device"]


@pytest.mark.parametrize("link_last", [False, True])
def test_modes_of_folders_stay_in_the_image(tmp_path: Path, link_last: bool) -> None:
    """Folders get their modes at the end, when something on the way to them may be a link that leads out."""
    outside = tmp_path / "outside"
    (outside / "below").mkdir(parents=True)
    (outside / "below").chmod(0o700)
    link = (Entry(b"out", "symlink", target=os.fsencode(outside)), b"")
    folder = (Entry(b"out/below", "dir", 0o777), b"")
    own = (Entry(b"own", "dir", 0o711), b"")
    target = tmp_path / "root"
    if link_last:
        unpack_entries(target, [own, folder], [link])
    else:
        unpack_entries(target, [link, folder, own, (Entry(b"gone/x", "dir", 0o700), b"")], [file(b".wh.gone")])
        assert (target / str(outside)[1:] / "below").stat().st_mode & 0o777 == 0o777
    assert (outside / "below").stat().st_mode & 0o777 == 0o700
    assert (target / "own").stat().st_mode & 0o777 == 0o711


def test_many_folders_in_one_another(tmp_path: Path) -> None:
    """Of an image: refused; of a root that is made here: as deep as the system lets it be."""
    with pytest.raises(BadImage, match="more than 250 folders"):
        unpack_entries(tmp_path / "root", [file(b"a/" * 300 + b"x")])
    links = [(Entry(b"l", "symlink", target=b"a/" * 200), b""), file(b"l/" + b"b/" * 100 + b"x")]
    with pytest.raises(BadImage, match="more than 250 folders"):
        unpack_entries(tmp_path / "other", links)
    folders = [str(tmp_path / "deep")]
    for _ in range(1500):
        folders.append(folders[-1] + "/d")
    for folder in folders:
        os.mkdir(folder)
    try:
        assert len(list(walk(os.fsencode(folders[0])))) == 1501
        assert len(changes({}, folders[0])[0]) == 1500
    finally:  # whoever clears up afterwards would not come so far
        for folder in reversed(folders):
            os.rmdir(folder)


@pytest.mark.parametrize("environment", ["A=1", [1], {"A": "1"}])
def test_an_environment_that_is_none(environment: object) -> None:
    with pytest.raises(OciError, match="Env is not a list of texts"):
        builder.overlay_configuration({}, {"Env": environment})


def test_layers_of_a_pipeline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says itself how many there are."""
    graph = [{"path": f"/nix/store/{number:032}-x", "references": []} for number in range(200)]
    spec = {"graph": graph, "maxLayers": 1, "imageName": "a", "imageTag": "1", "config": {}, "exclude": []}
    place = str(tmp_path / "conf.json")

    def planned(*steps: object) -> int:
        (tmp_path / "spec.json").write_text(json.dumps({**spec, "layeringPipeline": [["popularity_contest"], *steps]}))
        if main(["plan", str(tmp_path / "spec.json"), place]):
            return 0
        return len(json.loads(Path(place).read_text())["storeLayers"])

    assert planned(["limit_layers", 120]) == 120
    assert planned() == 0
    assert "would have 201 layers, and container programs take at most 127" in capsys.readouterr().err
    (tmp_path / "spec.json").write_text(json.dumps({**spec, "maxLayers": 150}))
    assert main(["plan", str(tmp_path / "spec.json"), place]) == 1
    assert "would have 150 layers" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["gz", "none", "zstd"])
def test_merged_images_are_packed_as_the_last(tmp_path: Path, kind: str) -> None:
    image = Image({}, "amd64", "1970-01-01T00:00:01Z", [])
    paths = []
    for number, own in enumerate(("none", kind)):
        paths.append(str(tmp_path / f"{number}.tar"))
        with open(paths[-1], "wb") as out:
            packer = compressor(own, out.write)
            write_docker_archive(image, packer.write, [f"a:{number}"])
            packer.finish()
    (tmp_path / "merge.json").write_text(json.dumps({"images": paths, "compressor": None}))
    assert main(["merge", str(tmp_path / "merge.json"), str(tmp_path / "merged")]) == 0
    assert kind_of(str(tmp_path / "merged")) == kind
    assert open_image(Container(str(tmp_path / "merged")), tag="0").names == ["a:0"]


@pytest.mark.parametrize("name", ["dev", "nix", "nix/store"])
def test_links_where_folders_are_mounted(tmp_path: Path, name: str) -> None:
    """What commands find there would lie outside the image."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    (root / name).parent.mkdir(parents=True)
    (root / name).symlink_to(outside)
    with pytest.raises(BadImage, match=f"a link at /{name},"):
        as_root._mount_points(str(root), "/nix/store")
    assert os.listdir(outside) == []


def test_names_as_container_programs_complete_them(tmp_path: Path) -> None:
    image = Image({}, "amd64", "1970-01-01T00:00:01Z", [])
    with open(tmp_path / "a.tar", "wb") as out:
        write_docker_archive(image, out.write, ["docker.io/library/app:1", "localhost/own:2", "docker.io/team/app:3"])
    container = Container(str(tmp_path / "a.tar"))
    for name, tag in (("app", "1"), ("docker.io/library/app", "1"), ("own", "2"), ("team/app", "3")):
        assert open_image(container, name=name, tag=tag).names
    for name, tag in (("app", "3"), ("own", "1"), ("other/own", "2")):
        with pytest.raises(OciError, match="no image named"):
            open_image(container, name=name, tag=tag)
