"""What somebody wants an image of a package to be, and the image made of it.

In: store paths that are built, the program to start, options. Out: an `oci.image.Image` whose layers are made when
somebody needs their bytes. Only the runtime closure is in it; what is no store object (links in `/bin`, users, `/tmp`)
is the last layer.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from frazil.image.errors import ImageError, translated
from frazil.image.layers import ObjectLayer
from frazil.packages.oci.image import Described, Image
from frazil.packages.oci.plan import check_count, plan_layers, restrict
from frazil.packages.oci.tar import Entry, Write
from frazil.packages.oci.tree import Owner, entries_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.packages.oci.described import DescribedImage
    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath
    from frazil.store.path_info import PathInfo

DEFAULT_LAYERS = 100
_PORT = re.compile(r"[0-9]{1,5}(?:-[0-9]{1,5})?(?:/(?:tcp|udp|sctp))?")
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9_]*")
_USER = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]*)?")


@dataclass(frozen=True, slots=True)
class Recipe:
    """`user`: `NAME`, `UID` or `UID:GID`. `entry_point`: the program and its first arguments."""

    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    user: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    working_directory: str | None = None
    max_layers: int = DEFAULT_LAYERS
    created: str = "1970-01-01T00:00:01Z"
    architecture: str = "amd64"

    def __post_init__(self) -> None:
        for entry in self.environment:
            if "=" not in entry or entry.startswith("="):
                raise ImageError(f"'{entry}' is not a variable of an environment", hint="write NAME=VALUE")
        for port in self.ports:
            if not _PORT.fullmatch(port) or not all(0 < int(n) < 65536 for n in re.findall(r"\d+", port)):
                raise ImageError(f"'{port}' is not a port", hint="for example 8080, or 53/udp")
        if self.user is not None and not _USER.fullmatch(self.user):
            raise ImageError(f"'{self.user}' is not a user", hint="write a name, 1000, or 1000:1000")
        for folder in (*self.volumes, *((self.working_directory,) if self.working_directory is not None else ())):
            if not folder.startswith("/"):
                raise ImageError(f"'{folder}' is not a folder in an image", hint=f"write it from the root: /{folder}")
        if not _ARCHITECTURE.fullmatch(self.architecture):
            raise ImageError(f"'{self.architecture}' is not an architecture", hint="for example amd64 or arm64")
        if self.max_layers < 2:
            raise ImageError(
                f"an image of at most {self.max_layers} layers cannot be made",
                hint="it needs one for the store and one for links and users",
            )

    def configuration(self) -> dict[str, object]:
        """What the image's JSON says under `config`."""
        names = {entry.partition("=")[0] for entry in self.environment}
        environment = [*self.environment]
        if "PATH" not in names:
            environment.insert(0, "PATH=/bin")
        result: dict[str, object] = {"Env": environment}
        if self.entry_point:
            result["Entrypoint"] = list(self.entry_point)
        if self.command:
            result["Cmd"] = list(self.command)
        if self.ports:
            result["ExposedPorts"] = {port if "/" in port else port + "/tcp": {} for port in self.ports}
        if self.volumes:
            result["Volumes"] = {volume: {} for volume in self.volumes}
        if self.user is not None:
            result["User"] = self.user
        if self.labels:
            result["Labels"] = dict(sorted(self.labels.items()))
        if self.working_directory is not None:
            result["WorkingDir"] = self.working_directory
        return result


@dataclass(frozen=True, slots=True)
class MadeLayer:
    """Entries that are on no disk, with their contents."""

    items: tuple[tuple[Entry, bytes], ...]

    def size(self) -> int:
        return entries_size((entry, b"") for entry, _ in self.items)

    def write(self, write: Write) -> None:
        from frazil.packages.oci.tar import TarWriter

        tar = TarWriter(write)
        for entry, content in self.items:
            tar.add(entry, (content,))
        tar.finish()


@dataclass(frozen=True, slots=True)
class Made:
    """An image and what is known of its parts. `packages`: of each layer, in order; `infos`: the closure."""

    image: Image
    packages: tuple[tuple[str, ...], ...]
    infos: tuple[PathInfo, ...]
    keys: tuple[str, ...]
    """What a layer's bytes depend on, hashed: equal keys, equal layers."""
    ready: DescribedImage | None = None
    """Where a description has said already what the layers are."""


def make_image(store: LocalStore, roots: Sequence[StorePath], recipe: Recipe) -> Made:
    """The image of these paths and all they need. Raises ImageError."""
    from frazil.packages.oci.times import resolve_time

    closure = store.closure(roots)
    infos = tuple(store.query_infos(sorted(closure)))
    show = store.directory.show
    graph = {show(info.path): frozenset(map(show, info.references - {info.path})) for info in infos}
    by_path = {show(info.path): info for info in infos}
    with translated():
        created, mtime = resolve_time(recipe.created)
        owner = Owner(mtime=mtime)
        planned = plan_layers(restrict(graph, graph), recipe.max_layers - 1)
        check_count(len(planned) + 1, f"--max-layers {DEFAULT_LAYERS}")
        real = {show(info.path): store.real_path(info.path) for info in infos}
        root = _root_layer(store, roots, recipe, mtime)
    described, keys = [], []
    for paths in planned:
        key = layer_key(paths, [by_path[path] for path in paths], owner)
        layer = ObjectLayer(paths, owner, tuple((path, real[path]) for path in paths))
        described.append(Described(layer, f"store paths: {' '.join(paths)}", key))
        keys.append(key)
    own = hashlib.sha256(repr(root.items).encode()).hexdigest()
    described.append(Described(root, "programs, users and folders", own))
    image = Image(dict(recipe.configuration()), recipe.architecture, created, described)
    return Made(image, (*planned, ()), infos, (*keys, own))


def described_image(store: LocalStore, file: str) -> Made:
    """Of a description that the package set's `nix2container` made. Raises ImageError."""
    from frazil.packages.oci.described import open_described
    from frazil.store.errors import StoreError

    def real(path: str) -> str:
        try:
            return store.real_path(store.directory.split(path)[0]) + store.directory.split(path)[1]
        except StoreError as error:
            raise ImageError(f"the image '{file}' wants what is no store path: {path}") from error

    with translated():
        found = open_described(file, real, ObjectLayer)
    paths = {store.directory.parse(path) for layer in found.paths for path in layer}
    infos = tuple(info for info in store.find_infos(sorted(paths)) if info is not None)
    if len(infos) < len(paths):
        missing = min(map(store.directory.show, paths - {info.path for info in infos}))
        raise ImageError(f"the image '{file}' holds '{missing}', which the store has not", hint="build the image again")
    keys = tuple("stored-" + layer.diff_id.replace(":", "-") for layer in found.packed)
    return Made(found.image, found.paths, infos, keys, found)


@dataclass(frozen=True, slots=True)
class Planned:
    """`name`, `tag`: what the image is called."""

    made: Made
    name: str
    tag: str


def planned_image(store: LocalStore, file: str) -> Planned | None:
    """Of what the package set's `streamLayeredImage` has planned, to the byte what it streams. None where there is a
    base image, which is better read as a whole. Raises ImageError."""
    from frazil.packages.oci.builder import assemble
    from frazil.packages.oci.image import TarLayer
    from frazil.packages.oci.read import LARGEST_JSON, parse_json
    from frazil.packages.oci.tree import StoreLayer

    def real(path: str) -> str:
        return store.real_path(store.directory.parse(path))

    with translated():
        with open(file, "rb") as content:
            spec = parse_json(content.read(LARGEST_JSON), file)
        try:
            if spec.get("fromImage"):
                return None
            folder, named = spec["customisationLayer"], (spec["imageName"], spec["imageTag"])
            names = sorted({path for paths in spec["storeLayers"] for path in paths})
        except (KeyError, TypeError, AttributeError):
            raise ImageError(f"'{file}' is no plan of an image") from None
        image, _, _ = assemble({**spec, "customisationLayer": real(folder)})
        by_path = {store.show(info.path): info for info in store.query_infos([*map(store.directory.parse, names)])}
        keys, packages = [], []
        for number, part in enumerate(image.layers):
            layer = part.layer
            if isinstance(layer, StoreLayer):
                packages.append(layer.paths)
                keys.append(layer_key(layer.paths, [by_path[path] for path in layer.paths], layer.owner))
                quick = ObjectLayer(layer.paths, layer.owner, tuple((path, real(path)) for path in layer.paths))
                image.layers[number] = Described(quick, part.comment, part.name)
            else:
                assert isinstance(layer, TarLayer)
                packages.append(())
                keys.append("stored-sha256-" + part.name)
    made = Made(image, tuple(packages), tuple(by_path[path] for path in names), tuple(keys))
    return Planned(made, *named)


def layer_key(paths: Sequence[str], infos: Sequence[PathInfo], owner: Owner) -> str:
    meter = hashlib.sha256(b"frazil layer 1\0")
    meter.update(repr(owner).encode())
    for path, info in zip(paths, infos, strict=True):
        meter.update(f"\0{path}\0{info.nar_hash}".encode())
    return meter.hexdigest()


def _root_layer(store: LocalStore, roots: Sequence[StorePath], recipe: Recipe, mtime: int) -> MadeLayer:
    def folder(name: str, mode: int = 0o755) -> tuple[Entry, bytes]:
        return Entry(name.encode(), "dir", mode, mtime=mtime), b""

    def file(name: str, text: str) -> tuple[Entry, bytes]:
        return Entry(name.encode(), size=len(text), mtime=mtime), text.encode()

    users, groups = _users(recipe.user)
    items = [folder("bin")]
    for name, target in sorted(_programs(store, roots).items()):
        items.append((Entry(b"bin/" + name, "symlink", 0o777, mtime=mtime, target=target), b""))
    items += [
        folder("etc"),
        file("etc/group", groups),
        file("etc/nsswitch.conf", "hosts: files dns\n"),
        file("etc/passwd", users),
        folder("tmp", 0o1777),
        folder("var"),
        folder("var/empty", 0o555),
    ]
    return MadeLayer(tuple(items))


def _users(user: str | None) -> tuple[str, str]:
    """/etc/passwd and /etc/group with root, nobody and whoever the image runs as."""
    users = ["root:x:0:0:root user:/:/bin/sh", "nobody:x:65534:65534:nobody:/var/empty:/bin/sh"]
    groups = ["root:x:0:", "nobody:x:65534:"]
    name, _, group = (user or "root").partition(":")
    if name not in ("root", "0", "nobody", "65534"):
        number = name if name.isdigit() else "1000"
        group_number = group if group.isdigit() else number
        called = "user" if name.isdigit() else name
        users.append(f"{called}:x:{number}:{group_number}:{called}:/tmp:/bin/sh")
        if group_number not in ("0", "65534"):
            groups.append(f"{group if group and not group.isdigit() else called}:x:{group_number}:")
    return "\n".join(users) + "\n", "\n".join(groups) + "\n"


def _programs(store: LocalStore, roots: Sequence[StorePath]) -> dict[bytes, bytes]:
    """Links for `/bin`: of the first root that has a program of this name."""
    found: dict[bytes, bytes] = {}
    for root in roots:
        place = os.path.join(os.fsencode(store.real_path(root)), b"bin")
        try:
            names = os.listdir(place)
        except OSError:
            continue
        shown = os.fsencode(store.directory.show(root)) + b"/bin/"
        for name in names:
            found.setdefault(name, shown + name)
    return found
