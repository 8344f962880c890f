"""Recipes, preparation, layouts, registries: one package through the whole room."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.image.conftest import FakeRegistry, Make

from frazil.image import layouts
from frazil.image import registry as registry_module
from frazil.image.difference import LayerSummary, compare
from frazil.image.errors import ImageError, RegistryError
from frazil.image.inventory import packages_of, split_name
from frazil.image.layouts import add_to_index, write_layout
from frazil.image.memory import LayerMemory
from frazil.image.prepared import Prepared, Preparer
from frazil.image.pull import pull
from frazil.image.push import Whereabouts, push
from frazil.image.recipe import Recipe, make_image, planned_image
from frazil.image.reference import ImageName
from frazil.image.registry import Registry
from frazil.image.sbom import cyclonedx, provenance, spdx
from frazil.packages.oci.builder import assemble
from frazil.packages.oci.image import MANIFEST_MEDIA, describe, write_docker_archive
from frazil.packages.oci.read import Container, open_image
from frazil.store.local import LocalStore


def prepare(store: LocalStore, make: Make, preparer: Preparer, text: str = "x", **options: str) -> Prepared:
    path = make("tool-1.0", text)
    recipe = Recipe((f"{store.show(path)}/bin/tool",), **options)  # type: ignore[arg-type]
    return preparer.of_recipe(make_image(store, [path], recipe))


def registry_of(fake: FakeRegistry, name: str = "team/app:1", **options: object) -> Registry:
    arguments = {"push": True, "pause": lambda _: None, "environment": {"HOME": "/nowhere"}, **options}
    return Registry(ImageName.parse(f"{fake.host}/{name}"), **arguments)  # type: ignore[arg-type]


def test_digests_do_not_depend_on_the_machine(store: LocalStore, make: Make, tmp_path: Path) -> None:
    memory = LayerMemory(str(tmp_path / "memory"))
    with Preparer(memory, threads=1) as one, Preparer(LayerMemory(None), threads=3) as two:
        first, second = prepare(store, make, one), prepare(store, make, two)
        assert first.manifest == second.manifest
    with Preparer(memory) as again:
        third = prepare(store, make, again)
        assert third.manifest == first.manifest
        assert third.made == {}
        assert all(
            os.path.getsize(third.blob_file(layer.descriptor.digest)) == layer.descriptor.size for layer in third.layers
        )


def test_digests_without_bytes(store: LocalStore, make: Make, tmp_path: Path) -> None:
    path = make("tool-1.0")
    made = make_image(store, [path], Recipe(("/bin/tool",)))
    with Preparer(LayerMemory(str(tmp_path / "memory"))) as preparer:
        found = preparer.diff_ids(made)
        assert found == preparer.diff_ids(made) == [layer.diff_id for layer in preparer.of_recipe(made).layers]


def test_threads_share_one_folder(tmp_path: Path) -> None:
    """Else the folder of one of them would go while its file is sent."""
    with Preparer(LayerMemory(None), near=str(tmp_path)) as preparer:
        start = threading.Barrier(8)
        found: list[str] = []

        def make() -> None:
            start.wait()
            with preparer.file() as file:
                found.append(os.path.dirname(file.name))

        threads = [threading.Thread(target=make) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8 and len(set(found)) == 1
    assert not os.listdir(tmp_path)


def test_what_is_remembered_wrongly_is_noticed(store: LocalStore, make: Make, tmp_path: Path) -> None:
    memory = LayerMemory(str(tmp_path / "memory"))
    with Preparer(memory) as preparer:
        prepare(store, make, preparer)
    for path in (tmp_path / "memory").iterdir():
        path.write_text(json.dumps({"digest": "sha256:" + "0" * 64, "size": 1, "diff_id": "sha256:" + "0" * 64}))
    with Preparer(memory) as preparer:
        prepared = prepare(store, make, preparer)
        with pytest.raises(ImageError, match="where it was"):
            prepared.blob_file("sha256:" + "0" * 64)
    for path in (tmp_path / "memory").iterdir():
        path.write_text("nonsense")
    with Preparer(memory) as preparer:
        prepare(store, make, preparer)


def test_configuration(store: LocalStore, make: Make, tmp_path: Path) -> None:
    path = make("tool-1.0")
    recipe = Recipe(
        ("/bin/tool",),
        ("a",),
        ("A=1",),
        ("80", "53/udp"),
        ("/data",),
        "app:web",
        {"x": "y"},
        "/tmp",
        architecture="arm64",
    )
    made = make_image(store, [path], recipe)
    assert made.image.configuration == {
        "Entrypoint": ["/bin/tool"],
        "Cmd": ["a"],
        "Env": ["PATH=/bin", "A=1"],
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Volumes": {"/data": {}},
        "User": "app:web",
        "Labels": {"x": "y"},
        "WorkingDir": "/tmp",
    }
    with Preparer(LayerMemory(None)) as preparer:
        write_layout(str(tmp_path / "layout"), [preparer.of_recipe(made)], "1")
    image = open_image(Container(str(tmp_path / "layout")))
    assert image.config["architecture"] == "arm64"


@pytest.mark.parametrize(
    "options",
    [
        {"environment": ("A",)},
        {"environment": ("=1",)},
        {"ports": ("99999",)},
        {"ports": ("http",)},
        {"user": "a b"},
        {"max_layers": 1},
        {"created": "soon"},
    ],
)
def test_wrong_recipes(store: LocalStore, make: Make, options: dict[str, object]) -> None:
    path = make("tool-1.0")
    with pytest.raises(ImageError):
        make_image(store, [path], Recipe(("/bin/tool",), **options))  # type: ignore[arg-type]


def test_layouts_take_what_they_lack(store: LocalStore, make: Make, tmp_path: Path) -> None:
    folder = str(tmp_path / "layout")
    with Preparer(LayerMemory(None)) as preparer:
        first = prepare(store, make, preparer)
        assert write_layout(folder, [first], "1")[0] == 2
        assert write_layout(folder, [first], "1")[0] == 0
        write_layout(folder, [prepare(store, make, preparer, "y")], "2")
    container = Container(folder)
    assert open_image(container, tag="1").identity == first.config.digest
    assert open_image(container, tag="2").identity != first.config.digest
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("mine")
    with Preparer(LayerMemory(None)) as preparer, pytest.raises(ImageError, match="no OCI layout"):
        write_layout(str(tmp_path / "other"), [first], "1")


def test_push_and_pull(store: LocalStore, make: Make, fake: FakeRegistry, tmp_path: Path) -> None:
    whereabouts = Whereabouts(str(tmp_path / "blobs.json"))
    with Preparer(LayerMemory(None)) as preparer, registry_of(fake) as registry:
        image = prepare(store, make, preparer)
        done = push(registry, [image], whereabouts)
        assert (done.sent, done.mounted, done.present) == (2, 0, 0)
        done = push(registry, [image], whereabouts)
        assert (done.sent, done.mounted, done.present) == (0, 0, 2)
        with registry_of(fake, "team/other:1") as other:
            done = push(other, [image], Whereabouts(str(tmp_path / "blobs.json")))
            assert (done.sent, done.mounted, done.present) == (0, 2, 0)
        assert pull(registry, str(tmp_path / "layout"), "amd64") == image.manifest.digest
    assert open_image(Container(str(tmp_path / "layout"))).identity == image.config.digest


def test_one_change_sends_one_layer(store: LocalStore, make: Make, fake: FakeRegistry, tmp_path: Path) -> None:
    library = make("library-1.0")
    with Preparer(LayerMemory(None)) as preparer, registry_of(fake) as registry:
        sent = []
        for text in ("one", "two"):
            path = make("tool-1.0", text)
            made = make_image(store, [path, library], Recipe(("/bin/tool",)))
            sent.append(push(registry, [preparer.of_recipe(made)], Whereabouts(None)).sent)
    assert sent == [3, 2]  # the program, and the links to it


def test_uploads_go_on_after_a_cut(
    store: LocalStore, make: Make, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "CHUNK", 1000)
    fake.cut = 2
    with Preparer(LayerMemory(None), "none") as preparer, registry_of(fake) as registry:
        image = prepare(store, make, preparer, "z" * 5000)
        assert push(registry, [image], Whereabouts(None)).sent == 2
    assert all(("team/app", layer.descriptor.digest) in fake.blobs for layer in image.layers)


def test_busy_registries_are_asked_again(store: LocalStore, make: Make, fake: FakeRegistry) -> None:
    fake.unavailable = 2
    with Preparer(LayerMemory(None)) as preparer, registry_of(fake) as registry:
        push(registry, [prepare(store, make, preparer)], Whereabouts(None))


def test_tokens(store: LocalStore, make: Make, fake: FakeRegistry, tmp_path: Path) -> None:
    fake.token, fake.password = "t0", "Basic bWU6c2VjcmV0"
    auth = tmp_path / "auth.json"
    auth.write_text(json.dumps({"auths": {fake.host: {"auth": "bWU6c2VjcmV0"}}}))
    with Preparer(LayerMemory(None)) as preparer:
        image = prepare(store, make, preparer)
        with registry_of(fake) as registry, pytest.raises(RegistryError, match="who are you") as caught:
            push(registry, [image], Whereabouts(None))
        assert caught.value.hint is not None and "log in" in caught.value.hint
        assert fake.manifests == {}
        with registry_of(fake, environment={"REGISTRY_AUTH_FILE": str(auth)}) as registry:
            push(registry, [image], Whereabouts(None))
    assert any("scope=repository%3Ateam%2Fapp%3Apull%2Cpush" in line for line in fake.log)


def test_wrong_bytes_are_refused(store: LocalStore, make: Make, fake: FakeRegistry, tmp_path: Path) -> None:
    with Preparer(LayerMemory(None)) as preparer, registry_of(fake) as registry:
        push(registry, [prepare(store, make, preparer)], Whereabouts(None))
        fake.lie = True
        with pytest.raises(ImageError, match="other bytes"):
            pull(registry, str(tmp_path / "layout"), "amd64")
    assert not (tmp_path / "layout/index.json").exists()


def test_several_architectures(store: LocalStore, make: Make, fake: FakeRegistry, tmp_path: Path) -> None:
    with Preparer(LayerMemory(None)) as preparer, registry_of(fake) as registry:
        images = [prepare(store, make, preparer, architecture=name) for name in ("amd64", "arm64")]
        digest = push(registry, images, Whereabouts(None)).digest
        assert pull(registry, str(tmp_path / "arm"), "arm64") == images[1].manifest.digest
        assert pull(registry, str(tmp_path / "all"), "arm64", everything=True) == digest
        with pytest.raises(ImageError, match="no image for riscv64"):
            pull(registry, str(tmp_path / "none"), "riscv64")
        with pytest.raises(ImageError, match="same platform"):
            push(registry, [images[0], images[0]], Whereabouts(None))
    assert open_image(Container(str(tmp_path / "all")), architecture="arm64").config["architecture"] == "arm64"


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"layers": [{}]}',
        b'{"config": {"digest": "sha256:../x", "size": 1}, "layers": []}',
        b'{"manifests": [{"digest": "md5:0"}]}',
        b'{"manifests": 3}',
    ],
)
def test_hostile_manifests(fake: FakeRegistry, tmp_path: Path, content: bytes) -> None:
    fake.manifests["team/app", "1"] = ("application/vnd.oci.image.manifest.v1+json", content)
    with registry_of(fake) as registry, pytest.raises(ImageError):
        pull(registry, str(tmp_path / "layout"), "amd64", everything=True)


def test_nobody_there(store: LocalStore, make: Make) -> None:
    name = ImageName.parse("127.0.0.1:1/a:1")
    with Registry(name, pause=lambda _: None) as registry, pytest.raises(RegistryError, match="cannot be reached"):
        registry.manifest("1")


def test_bills_of_materials(store: LocalStore, make: Make) -> None:
    library = make("library-2.0")
    made = make_image(store, [make("tool-1.0"), library], Recipe(("/bin/tool",)))
    packages = packages_of(made.infos, store.directory)
    assert [(package.name, package.version) for package in packages if package.path == store.show(library)] == [
        ("library", "2.0")
    ]
    document = spdx("tool", packages)
    assert {package["name"] for package in document["packages"]} == {"tool", "library"}
    assert document == spdx("tool", packages)
    assert cyclonedx("tool", packages)["dependencies"][0]["ref"] == "image"
    statement = provenance("tool", "sha256:" + "1" * 64, packages, {"installable": ".#tool"}, "0")
    assert statement["subject"][0]["digest"] == {"sha256": "1" * 64}
    assert all(
        len(one["digest"]["sha256"]) == 64 for one in statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    )


def test_names_and_versions() -> None:
    assert split_name("hello-2.12.1") == ("hello", "2.12.1")
    assert split_name("gtk-3-doc-1.0") == ("gtk", "3-doc-1.0")
    assert split_name("passwd") == ("passwd", None)


def test_differences(store: LocalStore, make: Make) -> None:
    def packages(*paths: object) -> list[object]:
        return packages_of(store.query_infos(paths), store.directory)  # type: ignore[arg-type, return-value]

    old, new = make("tool-1.0"), make("tool-2.0")
    layers = [LayerSummary(f"sha256:{number}", 10, ()) for number in range(3)]
    found = compare(layers[:2], layers[1:], packages(old), packages(new))  # type: ignore[arg-type]
    assert (found.added, found.removed, found.kept) == ((layers[2],), (layers[0],), 1)
    assert [(change.name, change.old, change.new, change.size) for change in found.changes] == [
        ("tool", "1.0", "2.0", 0)
    ]


def test_two_write_to_one_layout(store: LocalStore, make: Make, tmp_path: Path) -> None:
    """Each keeps what the other has put there meanwhile; so does who brings an image without a tag."""
    folder = str(tmp_path / "layout")
    with Preparer(LayerMemory(None)) as preparer:
        images = [prepare(store, make, preparer, str(number)) for number in range(8)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: write_layout(folder, [images[number]], f"v{number}"), range(8)))
    descriptor = describe(MANIFEST_MEDIA, images[0].contents[images[0].manifest.digest])
    add_to_index(folder, descriptor, {}, None)
    index = json.loads((tmp_path / "layout/index.json").read_text())["manifests"]
    names = [item.get("annotations", {}).get("org.opencontainers.image.ref.name") for item in index]
    assert names[0] is None and sorted(names[1:]) == [f"v{number}" for number in range(8)]


def test_a_copy_that_fails_leaves_nothing(
    store: LocalStore, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    folder = tmp_path / "layout"
    with Preparer(LayerMemory(None)) as preparer:
        image = prepare(store, make, preparer)
        monkeypatch.setattr(layouts, "_link", lambda *_: False)
        monkeypatch.setattr("shutil.copyfile", full)
        with pytest.raises(ImageError, match="No space left"):
            write_layout(str(folder), [image], "1")
    assert os.listdir(folder / "blobs/sha256") == []
    memory = tmp_path / "memory"
    monkeypatch.setattr("os.replace", full)
    LayerMemory(str(memory)).keep("key", "gz", image.layers[0])
    assert os.listdir(memory) == []


def test_two_fetch_one_blob(store: LocalStore, make: Make, fake: FakeRegistry, tmp_path: Path) -> None:
    with Preparer(LayerMemory(None)) as preparer, registry_of(fake) as registry:
        image = prepare(store, make, preparer, "x" * 100_000)
        push(registry, [image], Whereabouts(None))
        fake.log.clear()
        with ThreadPoolExecutor(6) as pool:
            jobs = [pool.submit(pull, registry, str(tmp_path / "layout"), "amd64") for _ in range(6)]
            assert {job.result() for job in jobs} == {image.manifest.digest}
    blobs = [line for line in fake.log if "/blobs/" in line]
    assert len(blobs) == len(set(blobs)) == 3
    assert not [name for name in os.listdir(tmp_path / "layout/blobs/sha256") if name.endswith(".part")]


def test_what_is_fetched_ends_with_an_interrupt(
    store: LocalStore, make: Make, fake: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Preparer(LayerMemory(None)) as preparer, registry_of(fake) as registry:
        push(registry, [prepare(store, make, preparer)], Whereabouts(None))
        fetched = registry.fetch_blob

        def interrupted(digest: str, size: int, path: str) -> None:
            registry.stop()
            fetched(digest, size, path)

        monkeypatch.setattr(registry, "fetch_blob", interrupted)
        with pytest.raises(RegistryError, match="interrupted"):
            pull(registry, str(tmp_path / "layout"), "amd64")
    assert not (tmp_path / "layout/index.json").exists()


def test_more_layers_than_anybody_takes(store: LocalStore, make: Make) -> None:
    paths = [make(f"tool{number}-1.0") for number in range(130)]
    assert len(make_image(store, paths, Recipe(max_layers=127)).image.layers) == 127
    with pytest.raises(ImageError, match="would have 131 layers, and container programs take at most 127"):
        make_image(store, paths, Recipe(max_layers=1000))


def test_what_is_no_plan(store: LocalStore, tmp_path: Path) -> None:
    for text in ("[]", "{}", '{"storeLayers": 1, "customisationLayer": "x", "imageName": "a", "imageTag": "b"}', "{"):
        (tmp_path / "conf.json").write_text(text)
        with pytest.raises(ImageError, match=r"no plan of an image|is not JSON"):
            planned_image(store, str(tmp_path / "conf.json"))
    (tmp_path / "conf.json").write_text('{"fromImage": "/nix/store/x"}')
    assert planned_image(store, str(tmp_path / "conf.json")) is None


def test_a_plan(store: LocalStore, make: Make, tmp_path: Path) -> None:
    """Its layers are those of other images of the same paths, and what it makes is what it would stream."""
    library = make("library-1.0")
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom/layer.tar").write_bytes(bytes(10240))
    (tmp_path / "custom/checksum").write_text(hashlib.sha256(bytes(10240)).hexdigest())
    custom = store.add_path("custom", str(tmp_path / "custom"))
    spec = {
        "architecture": "amd64",
        "config": {"Cmd": ["/bin/x"]},
        "imageName": "app",
        "imageTag": "1",
        "storeLayers": [[store.show(library)]],
        "customisationLayer": store.show(custom),
    }
    (tmp_path / "conf.json").write_text(json.dumps(spec))
    planned = planned_image(store, str(tmp_path / "conf.json"))
    assert planned is not None and (planned.name, planned.tag) == ("app", "1")
    assert planned.made.packages == ((store.show(library),), ())
    own = make_image(store, [library], Recipe())
    assert planned.made.keys[0] == own.keys[0]
    with Preparer(LayerMemory(None), "none") as preparer:
        prepared = preparer.of_recipe(planned.made)
        assert prepared.layers[0] == preparer.of_recipe(own).layers[0]
    real = {**spec, "storeLayers": [], "customisationLayer": store.real_path(custom)}
    image, names, _ = assemble(real)
    assert names == ["app:1"]
    image.layers.insert(0, planned.made.image.layers[0])
    assert write_docker_archive(image, lambda _: None, names) == prepared.config.digest
