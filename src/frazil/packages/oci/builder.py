"""The program that builders of the package set run: `oci COMMAND FILE.json [OUTPUT] …`.

In: a JSON file that says what is wanted, closures, layers that lie ready; out: an image archive, a layer, a description
of either, a root file system. Standard output is an image (`stream`), standard error what is being done.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .errors import OciError
from .image import Described, Image, TarLayer, variables, write_docker_archive
from .plan import MOST_LAYERS, Graph, check_count, plan_layers, reachable, read_graph, restrict
from .streams import EXTENSIONS, Meter, compressor, kind_of
from .tar import Write
from .times import resolve_time
from .tree import FolderLayer, Owner, StoreLayer


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _threads() -> int:
    try:
        return max(1, min(64, int(os.environ.get("NIX_BUILD_CORES", "1")) or os.cpu_count() or 1))
    except ValueError:
        return 1


def _read(path: str) -> Any:
    with open(path, "rb") as file:
        return json.load(file)


def _owner(spec: dict[str, Any]) -> Owner:
    return Owner(
        int(spec.get("uid", 0)),
        int(spec.get("gid", 0)),
        spec.get("uname", "root"),
        spec.get("gname", "root"),
        resolve_time(spec.get("mtime", spec.get("created", 1)))[1],
    )


# -- layers ------------------------------------------------------------------------------------------------------------


def layer_from_folder(spec: dict[str, Any], output: str) -> None:
    """`folder` becomes OUTPUT/layer.tar, `checksum` beside it. `owners`: as in the folder (under fakeroot)."""
    owner = _owner(spec)
    layer = FolderLayer(spec["folder"], None if spec.get("owners") else owner, owner.mtime)
    os.makedirs(output, exist_ok=True)
    with open(os.path.join(output, "layer.tar"), "wb", buffering=1 << 20) as file:
        meter = Meter(file.write)
        layer.write(meter.write)
    with open(os.path.join(output, "checksum"), "w", encoding="ascii") as file:
        file.write(meter.hexdigest + "\n")


def copy_to_root(spec: dict[str, Any], output: str) -> None:
    from .root import copy_contents

    copy_contents(spec["contents"], output, keep_directory_links=bool(spec.get("keepContentsDirlinks")))


def unpack(spec: dict[str, Any], output: str) -> None:
    """The file system of the image `fromImage` into the folder."""
    from .extract import unpack_image
    from .read import Container, open_image, opened

    container = Container(spec["fromImage"], os.environ.get("TMPDIR"))
    image = open_image(container, name=spec.get("fromImageName"), tag=spec.get("fromImageTag"))
    os.makedirs(output, exist_ok=True)
    left_out = unpack_image(opened(image.layers), output, owners=bool(spec.get("owners")))
    container.close()
    if left_out:
        say(f"{left_out} devices or attributes of the base image could not be made")


def pack_root(spec: dict[str, Any], output: str) -> None:
    """A folder as a plain tar archive: what `exportImage` gives."""
    with open(output, "wb", buffering=1 << 20) as file:
        FolderLayer(spec["folder"], None if spec.get("owners") else _owner(spec)).write(file.write)


# -- images ------------------------------------------------------------------------------------------------------------


def overlay_configuration(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """What the image says, with the base image's environment under its own."""
    result = {key: value for key, value in own.items() if value is not None}
    environment = variables(base.get("Env")) | variables(result.get("Env"))
    if environment:
        result["Env"] = list(environment.values())
    return result


def assemble(spec: dict[str, Any], scratch: str | None = None) -> tuple[Image, list[str], int]:
    """The image a specification asks for, its names, and the time of its files."""
    created, _ = resolve_time(spec.get("created", 1))
    owner = _owner(spec)
    layers: list[Described] = []
    base_configuration: dict[str, Any] = {}
    history: list[dict[str, Any]] = []
    taken: set[str] = set()
    if spec.get("fromImage"):
        from .read import Container, open_image

        base = open_image(
            Container(spec["fromImage"], scratch), name=spec.get("fromImageName"), tag=spec.get("fromImageTag")
        )
        base_configuration = base.config.get("config") or {}
        history = list(base.config.get("history") or [])
        if sum(not item.get("empty_layer") for item in history) != len(base.layers):
            history = []
        layers = [Described(layer, "base image", layer.diff_id.partition(":")[2]) for layer in base.layers]
        if spec.get("singleLayer"):
            taken = _store_paths_in(base.layers, spec["storeDir"])
    base_count = len(layers)
    if spec.get("singleLayer"):
        layers.append(_single_layer(spec, _graph(spec), owner, taken))
    else:
        planned = [tuple(paths) for paths in spec["storeLayers"]]
        layers += [
            Described(StoreLayer(paths, owner), f"store paths: {' '.join(paths)}", _layer_name(paths, owner))
            for paths in planned
        ]
        layers.append(_customisation(spec["customisationLayer"]))
    image = Image(
        overlay_configuration(base_configuration, _configuration(spec)),
        spec["architecture"],
        created,
        layers,
        history,
        base_count,
    )
    return image, [f"{spec['imageName']}:{spec['imageTag']}"], owner.mtime


def _configuration(spec: dict[str, Any]) -> dict[str, Any]:
    config = spec["config"] if "config" in spec else _read(spec["configFile"])
    if not isinstance(config, dict):
        raise OciError("the image's config must be a set of fields, such as { Cmd = [ … ]; }")
    return config


def _graph(spec: dict[str, Any]) -> dict[str, frozenset[str]]:
    if not spec.get("includeStorePaths", True):
        return {}
    graph = read_graph(spec["graph"])
    excluded = set(spec.get("exclude", ()))
    roots = {reference for path in excluded & graph.keys() for reference in graph[path]}
    roots |= graph.keys() - excluded if not excluded else set()
    kept = reachable(graph, roots) - excluded if excluded else set(graph)
    return restrict(graph, kept)


def _layer_name(paths: Sequence[str], owner: Owner) -> str:
    meter = Meter()
    meter.write(repr((tuple(paths), owner)).encode())
    return meter.hexdigest


def plan(spec: dict[str, Any], output: str) -> None:
    """What `stream` needs to know: all is decided but the bytes."""
    graph = _graph(spec)
    pipeline = spec.get("layeringPipeline")  # which says itself how many layers there are
    maximum = int(spec["maxLayers"]) if pipeline is None else MOST_LAYERS
    base_count = 0
    if spec.get("fromImage"):
        from .read import Container, open_image

        container = Container(spec["fromImage"], os.environ.get("TMPDIR"))
        base_count = len(open_image(container).layers)
        container.close()
    room = maximum - base_count - 1  # the base image's layers and the customisation layer count too
    if graph and room < 1:
        raise OciError(
            f"maxLayers is {maximum}, which leaves no layer for store paths: the base image has {base_count}",
            f"give a larger maxLayers; container programs take at most {MOST_LAYERS}",
        )
    if isinstance(pipeline, str):
        pipeline = _read(pipeline)
    layers = plan_layers(graph, max(room, 1), pipeline)
    check_count(
        base_count + len(layers) + 1,
        "give a smaller maxLayers" if pipeline is None else 'end the pipeline with [ "limit_layers" N ]',
    )
    kept = ("architecture", "created", "mtime", "uid", "gid", "uname", "gname", "fromImage", "customisationLayer")
    result = {key: spec[key] for key in kept if spec.get(key) is not None}
    result |= {
        "imageName": spec["imageName"],
        "imageTag": _tag(spec, output),
        "config": _configuration(spec),
        "storeLayers": layers,
    }
    with open(output, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1, sort_keys=True, ensure_ascii=False)
        file.write("\n")


def _tag(spec: dict[str, Any], output: str) -> str:
    """The one that was given, or the hash in the output's name."""
    return str(spec.get("imageTag") or os.path.basename(output).partition("-")[0])


def _customisation(folder: str) -> Described:
    with open(os.path.join(folder, "checksum"), encoding="ascii") as file:
        checksum = file.read().strip()
    return Described(TarLayer(os.path.join(folder, "layer.tar")), "customisation layer", checksum)


def _single_layer(spec: dict[str, Any], graph: Graph, owner: Owner, taken: set[str]) -> Described:
    own = _customisation(spec["customisationLayer"])
    paths = tuple(sorted(set(graph) - taken))
    root_owner = Owner(mtime=owner.mtime)  # uid and gid are those of copyToRoot's files, the store is root's
    layer = TarLayer(os.path.join(spec["customisationLayer"], "layer.tar"), StoreLayer(paths, root_owner))
    return Described(layer, "root and store paths", _layer_name((own.name, *paths), owner))


def _store_paths_in(layers: Sequence[Any], store: str) -> set[str]:
    """Store objects that the base image has already."""
    from .streams import Decompressed
    from .tar_reader import TarReader

    prefix = store.strip("/").encode() + b"/"
    found: set[str] = set()
    for layer in layers:
        reader = layer.open()
        for entry in TarReader(Decompressed(reader)):
            if entry.name.startswith(prefix):
                name = entry.name[len(prefix) :].split(b"/")[0].decode(errors="replace")
                if not name.startswith(".wh."):
                    found.add(f"{store}/{name}")
        reader.close()
    return found


def stream(spec: dict[str, Any], *names: str) -> None:
    """The image to standard output. NAMES replace the image's own."""
    output = sys.stdout.buffer
    if output.isatty():
        raise OciError("an image is not for a terminal", "send it somewhere: … | podman load")
    image, own_names, mtime = assemble(spec)
    write_docker_archive(image, output.write, list(names) or own_names, mtime, say)
    output.flush()


@contextmanager
def _packed(spec: dict[str, Any], output: str) -> Iterator[Write]:
    """Writes to the file, compressed as `compressor` says."""
    with open(output, "wb", buffering=1 << 20) as file:
        packer = compressor(spec.get("compressor", "gz"), file.write, _threads(), small_start=True)
        try:
            yield packer.write
            packer.finish()
        except BaseException:
            packer.abandon()
            raise


def archive(spec: dict[str, Any], output: str) -> None:
    """The image into a file."""
    image, names, mtime = assemble({**spec, "imageTag": _tag(spec, output)}, os.environ.get("TMPDIR"))
    with _packed(spec, output) as write:
        identity = write_docker_archive(image, write, names, mtime, say)
    say(f"made {names[0]} ({identity})")


def archive_stream(spec: dict[str, Any], output: str) -> None:
    """What `stream` would say, into a file."""
    image, names, mtime = assemble(_read(spec["imagePlan"]), os.environ.get("TMPDIR"))
    with _packed(spec, output) as write:
        write_docker_archive(image, write, names, mtime, say)


def merge(spec: dict[str, Any], output: str) -> None:
    """Several images in one archive; each is an archive, or what `plan` made."""
    from .merge import merge_archives

    scratch = os.environ.get("TMPDIR", "/tmp")
    paths = []
    for number, path in enumerate(spec["images"]):
        if path.endswith("-conf.json"):
            image, names, mtime = assemble(_read(path), scratch)
            path = os.path.join(scratch, f"image-{number}.tar")
            with open(path, "wb", buffering=1 << 20) as file:
                write_docker_archive(image, file.write, names, mtime, say)
        paths.append(path)
    kind = spec.get("compressor") or (kind_of(paths[-1]) if paths else "gz")
    with _packed({**spec, "compressor": kind if kind in EXTENSIONS else "gz"}, output) as write:
        merge_archives(paths, write, scratch)


def export(spec: dict[str, Any], output: str) -> None:
    from .as_root import again, root_folder

    if not again(spec):
        root = root_folder()
        unpack({**spec, "owners": True}, root)
        pack_root({**spec, "folder": root, "owners": True}, output)


def store_database(spec: dict[str, Any], folder: str) -> None:
    """Of all in `graph` but what is in `ignore`, or in `atRoot` alone and so in no store."""
    from .database import write_database

    wanted = {reference for record in spec["graph"] for reference in record["references"]}
    absent = {*spec.get("ignore", ()), *(path for path in spec.get("atRoot", ()) if path not in wanted)}
    write_database((record for record in spec["graph"] if record["path"] not in absent), folder, spec["storeDir"])


def run_as_root(spec: dict[str, Any], output: str) -> None:
    from .as_root import run

    run(spec, output)


def describe_layers(spec: dict[str, Any], output: str) -> None:
    from . import described

    described.describe_layers(spec, output)


def describe_image(spec: dict[str, Any], output: str) -> None:
    from . import described

    described.describe_image(spec, output)


def describe_folder(spec: dict[str, Any], output: str) -> None:
    from . import described

    described.describe_folder(spec, output)


COMMANDS: dict[str, Callable[..., None]] = {
    "layer": layer_from_folder,
    "copy-to-root": copy_to_root,
    "unpack": unpack,
    "pack-root": pack_root,
    "plan": plan,
    "stream": stream,
    "archive": archive,
    "archive-stream": archive_stream,
    "export": export,
    "store-database": store_database,
    "merge": merge,
    "run-as-root": run_as_root,
    "describe-layers": describe_layers,
    "describe-image": describe_image,
    "describe-folder": describe_folder,
}


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0, or 1 after a message."""
    try:
        name, specification, *rest = arguments
        command = COMMANDS.get(name)
        if command is None and name != "skopeo":
            raise ValueError
    except ValueError:
        say("usage: oci " + "|".join(COMMANDS) + " FILE.json [OUTPUT], or oci skopeo PROGRAM ARGUMENTS…")
        return 2
    try:
        if command is None:
            from .skopeo import run

            return run(specification, rest)
        spec = _read(specification)
        if name == "stream":
            rest = _names(rest)
        command(spec, *rest)
    except OciError as error:
        say(f"error: {error.message}")
        if error.hint:
            say(f"\nhint: {error.hint}")
        return 1
    except BrokenPipeError:
        _give_up_output()
        say("error: whoever takes the image stopped reading")
        return 1
    except OSError as error:
        _give_up_output()
        say(f"error: {error.filename or 'writing the image'}: {error.strerror}")
        return 1
    return 0


def _give_up_output() -> None:
    """Else Python writes what is left at its end, and complains once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _names(arguments: Sequence[str]) -> list[str]:
    """`--repo_tag NAME:TAG` or `-t NAME:TAG`."""
    names = []
    left = list(arguments)
    while left:
        flag = left.pop(0)
        option, equals, value = flag.partition("=")
        if option not in ("--repo_tag", "-t") or not (equals or left):
            raise OciError(f"'{flag}' is not understood", "usage: … [--repo_tag NAME:TAG]")
        names.append(value if equals else left.pop(0))
    return names
