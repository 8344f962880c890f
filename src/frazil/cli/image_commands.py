"""`image …`: container images of packages: made, looked at, compared, sent, fetched, run. frazil's own commands."""

from __future__ import annotations

import os

from frazil.cli.common_options import EVALUATION, FLAKE_LOCK, SOURCE
from frazil.cli.context import Context
from frazil.cli.display import decimal_size, plain_text
from frazil.cli.image_targets import COMPRESSION, RECIPE, Subject, architecture_of, memory_of, subject
from frazil.cli.options import APPEND, Arguments, Command, Option
from frazil.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

    from frazil.image.difference import LayerSummary
    from frazil.image.prepared import Preparer
    from frazil.image.reference import Destination, ImageName
    from frazil.image.registry import Registry

ENGINE = (Option("--engine", "Use the command line *program* (default: podman, else docker).", "program"),)
PLAIN = (Option("--plain-http", "Speak to the registry without TLS."),)
SIGN = (Option("--sign-key", "Sign the image with the private key in *file* (EC, P-256, PEM).", "file"),)
KEY = (Option("--key", "The key in *file* (EC, P-256, PEM).", "file"),)


def _preparer(context: Context, arguments: Arguments, near: str | None = None) -> Preparer:
    from frazil.image.prepared import Preparer
    from frazil.packages.oci.streams import LAYER_MEDIA

    compression = arguments.value("compression", "gz") or "gz"
    if compression not in LAYER_MEDIA:
        raise UsageError(f"'--compression' is gz, zstd or none, not '{compression}'")
    return Preparer(memory_of(context), compression, near=near)


# -- build, push, load ---------------------------------------------------------------------------------------------


def build(context: Context, arguments: Arguments) -> None:
    from frazil.image.reference import Destination

    destination = Destination.parse(arguments.value("to") or "oci:image")
    subjects = [subject(context, arguments, text) for text in arguments.positional or ["."]]
    _deliver(context, arguments, subjects, destination)


def _deliver(context: Context, arguments: Arguments, subjects: list[Subject], destination: Destination) -> None:
    if destination.kind in ("docker-archive", "podman", "docker") and len(subjects) > 1:
        raise UsageError("several images are for an OCI layout or a registry", hint="--to oci:FOLDER")
    if destination.kind != "registry" and arguments.has("sign-key"):
        raise UsageError("signatures lie in registries", hint="--to docker://REGISTRY/NAME:TAG")
    if destination.kind == "registry":
        assert destination.name is not None
        _send(context, arguments, subjects, destination.name)
    elif destination.kind == "oci":
        _layout(context, arguments, subjects, destination)
    elif destination.kind == "docker-archive":
        _archive(context, subjects[0], destination)
    else:
        _load(context, arguments, subjects[0], destination, destination.kind)


def _layout(context: Context, arguments: Arguments, subjects: list[Subject], destination: Destination) -> None:
    from frazil.image.layouts import write_layout

    tag = destination.name.tag if destination.name is not None else None
    near = os.path.dirname(os.path.abspath(destination.path))
    with _preparer(context, arguments, near if os.path.isdir(near) else None) as preparer:
        images = [one.prepare(preparer) for one in subjects]
        count, total = write_layout(destination.path, images, tag or subjects[0].tag)
        for image in images:
            context.print(image.manifest.digest)
    context.note(f"'{destination.path}': {count} layers written, {decimal_size(total)}")


def _archive(context: Context, one: Subject, destination: Destination) -> None:
    from frazil.image.errors import ImageError, translated

    name = str(destination.name) if destination.name is not None else one.full_name
    path = destination.path
    if os.path.isdir(path):
        raise ImageError(f"'{path}' is a folder", hint="an archive is one file; for a folder: --to oci:FOLDER")
    if not os.path.isdir(folder := os.path.dirname(os.path.abspath(path))):
        raise ImageError(f"the folder '{folder}' is not there")
    with translated(path):
        if os.path.exists(path) and not os.path.isfile(path):  # a pipe or a device gets the bytes and stays what it is
            with open(path, "wb", buffering=1 << 20) as file:
                identity = _write_archive(one, name, file)
            if os.path.samestat(os.stat(path), os.fstat(1)):
                context.note(identity)  # standard output has the archive
                return
        else:
            identity = _archive_file(one, name, path)
    context.print(identity)


def _write_archive(one: Subject, name: str, file: IO[bytes]) -> str:
    from frazil.packages.oci.image import write_docker_archive

    identity = write_docker_archive(one.image(), file.write, [name], file=file)
    file.flush()
    return identity


def _archive_file(one: Subject, name: str, path: str) -> str:
    """There in one step, or not at all."""
    from frazil.image.files import replacing

    with replacing(os.path.realpath(path)) as temporary, open(temporary, "wb", buffering=1 << 20) as file:
        return _write_archive(one, name, file)


def load(context: Context, arguments: Arguments) -> None:
    from frazil.image.reference import Destination

    texts = arguments.positional or ["."]
    one = subject(context, arguments, texts[0])
    name = arguments.value("name")
    _load(context, arguments, one, Destination.parse(f"podman:{name or ''}"))


def _load(
    context: Context, arguments: Arguments, one: Subject, destination: Destination, kind: str | None = None
) -> None:
    """`kind`: of the engine, None where any will do."""
    from frazil.image.engines import find_engine

    engine = find_engine(arguments.value("engine") or kind)
    name = str(destination.name) if destination.name is not None else one.full_name
    context.print(_give(context, arguments, one, engine, name))


def _give(context: Context, arguments: Arguments, one: Subject, engine: list[str], name: str) -> str:
    """Layers that the engine has are not sent. The first time nothing is known of the layers, and all go as an archive,
    for which they are read once; but not to Docker, which knows only layers again that it fetched."""
    from frazil.image.engines import fetch, knows_layers_of_archives
    from frazil.image.engines import load as load_into
    from frazil.packages.oci.image import Packed

    with _preparer(context, arguments) as preparer:
        if one.made is None or not preparer.is_new(one.made) or not knows_layers_of_archives(engine):
            found = fetch(engine, one.offer(preparer), name)
            if found is not None:
                sent = f"{found.sent} of {found.layers} layers sent ({decimal_size(found.bytes_sent)})"
                context.note(f"loaded '{name}': {sent}")
                return found.identity
        learned: list[Packed] = []
        identity = load_into(engine, one.image(), name, learned)
        if one.made is not None:
            preparer.learn(one.made, learned)
    total = sum(packed.descriptor.size for packed in learned)
    context.note(f"loaded '{name}': all {len(learned)} layers sent ({decimal_size(total)})")
    return identity


def push(context: Context, arguments: Arguments) -> None:
    from frazil.image.reference import ImageName

    if len(arguments.positional) < 2:
        raise UsageError("say what to push, and where to", hint="frazil image push .#app registry.example/team/app:1.0")
    *texts, target = arguments.positional
    name = ImageName.parse(target.removeprefix("docker://"))
    subjects = [subject(context, arguments, text) for text in texts]
    _send(context, arguments, subjects, name)


def _registry(context: Context, arguments: Arguments, name: ImageName, *, pushing: bool) -> Registry:
    from frazil.cli.room_settings import transfer_settings
    from frazil.fetch.settings import cache_directory
    from frazil.image.registry import Registry

    return Registry(
        name,
        push=pushing,
        plain_http=arguments.flag("plain-http"),
        settings=transfer_settings(context.settings),
        uploads=os.path.join(cache_directory(context.fetch_settings), "image-uploads"),
    )


def _send(context: Context, arguments: Arguments, subjects: list[Subject], name: ImageName) -> None:
    from frazil.fetch.settings import cache_directory
    from frazil.image.push import Whereabouts
    from frazil.image.push import push as push_images

    path = os.path.join(cache_directory(context.fetch_settings), "image-blobs.json")
    with _preparer(context, arguments) as preparer, _registry(context, arguments, name, pushing=True) as registry:
        images = [one.prepare(preparer) for one in subjects]
        key = arguments.value("sign-key")
        signer = None
        if key is not None:
            from frazil.image.signing import private_key

            signer = private_key(key)  # before anything travels
        done = push_images(registry, images, Whereabouts(path), context.note)
        if signer is not None:
            from frazil.image.signing import sign as sign_image

            sign_image(registry, done.digest, signer)
            context.note(f"signed {done.digest}")
    sent = f"{done.sent} layers sent ({decimal_size(done.bytes_sent)})"
    context.note(f"'{name}': {sent}, {done.mounted} mounted, {done.present} there before")
    context.print(done.digest)


def pull(context: Context, arguments: Arguments) -> None:
    from frazil.image.reference import Destination, ImageName

    name = ImageName.parse(arguments.positional[0].removeprefix("docker://"))
    destination = Destination.parse(arguments.positional[1] if len(arguments.positional) > 1 else "oci:image")
    if destination.kind == "oci":
        context.print(_fetch(context, arguments, name, destination.path))
    elif arguments.flag("all"):
        raise UsageError("images of all architectures are for an OCI layout", hint="pull to oci:FOLDER")
    else:
        import tempfile

        from frazil.cli.image_targets import from_layout

        with tempfile.TemporaryDirectory(prefix="frazil-image-") as folder:
            _fetch(context, arguments, name, os.path.join(folder, "image"))
            called = f"{name.registry}/{name.repository}" if name.registry else name.repository
            one = from_layout(os.path.join(folder, "image"), called, name.tag or "latest")
            _deliver(context, arguments, [one], destination)


def _fetch(context: Context, arguments: Arguments, name: ImageName, folder: str) -> str:
    """Into a layout. The digest."""
    from frazil.image.pull import pull as pull_image

    architecture = arguments.value("architecture") or architecture_of(context)
    with _registry(context, arguments, name, pushing=False) as registry:
        key = arguments.value("key")
        if key is not None:
            from frazil.image.signing import public_key
            from frazil.image.signing import verify as verify_image

            trusted = _named_digest(registry)
            verify_image(registry, trusted, public_key(key))
            registry.name = name.at(trusted)
        return pull_image(registry, folder, architecture, everything=arguments.flag("all"), note=context.note)


def _named_digest(registry: Registry) -> str:
    """Of what the registry has under the name."""
    from frazil.packages.oci.image import describe

    return registry.name.digest or describe("", registry.manifest(registry.name.wanted)[1]).digest


def sign(context: Context, arguments: Arguments) -> None:
    from frazil.image.reference import ImageName
    from frazil.image.signing import private_key
    from frazil.image.signing import sign as sign_image

    name = ImageName.parse(arguments.positional[0].removeprefix("docker://"))
    signer = private_key(_key(arguments))
    with _registry(context, arguments, name, pushing=True) as registry:
        digest = _named_digest(registry)
        new = sign_image(registry, digest, signer)
    context.note(f"signed '{name}'" if new else f"'{name}' was signed with this key before")
    context.print(digest)


def verify(context: Context, arguments: Arguments) -> None:
    from frazil.image.reference import ImageName
    from frazil.image.signing import public_key
    from frazil.image.signing import verify as verify_image

    name = ImageName.parse(arguments.positional[0].removeprefix("docker://"))
    key = public_key(_key(arguments))
    with _registry(context, arguments, name, pushing=False) as registry:
        digest = _named_digest(registry)
        verify_image(registry, digest, key)
    context.print(digest)


def _key(arguments: Arguments) -> str:
    key = arguments.value("key")
    if key is None:
        raise UsageError("say which key: --key FILE")
    return key


def run(context: Context, arguments: Arguments) -> int:
    from frazil.image.engines import find_engine, has_image
    from frazil.image.running import run as run_in

    text, *rest = arguments.positional or ["."]
    engine = find_engine(arguments.value("engine"))
    one = subject(context, arguments, text)
    identity = _identity(context, arguments, one)
    if not has_image(engine, identity):
        identity = _give(context, arguments, one, engine, one.full_name)
    context.close()
    return run_in(engine, identity, [str(option) for option in arguments.all("engine-option")], rest, context.note)


def _identity(context: Context, arguments: Arguments, one: Subject) -> str:
    """What engines call the image."""
    import hashlib

    if one.stored is not None:
        return one.stored.identity
    return "sha256:" + hashlib.sha256(_config_bytes(context, arguments, one)).hexdigest()


# -- looking -------------------------------------------------------------------------------------------------------


def inspect(context: Context, arguments: Arguments) -> None:
    one = subject(context, arguments, (arguments.positional or ["."])[0])
    layers = _layers(context, arguments, one)
    config = _config(context, arguments, one)
    if arguments.flag("json"):
        import json

        described = [{"diffID": layer.diff_id, "size": layer.size, "paths": list(layer.names)} for layer in layers]
        context.print(json.dumps({"name": one.full_name, "config": config, "layers": described}, indent=2))
        return
    machine = f"{config.get('os')}/{config.get('architecture')}"
    context.print(plain_text(f"{one.full_name}  {machine}  {config.get('created')}"))
    for key, value in sorted((config.get("config") or {}).items()):
        context.print(plain_text(f"  {key}: {_shown(value)}"))
    context.print(f"{len(layers)} layers, {decimal_size(sum(layer.size for layer in layers))}")
    for layer in layers:
        context.print(f"  {layer.diff_id[7:19]}  {decimal_size(layer.size):>9}  {_few(layer.names)}")


def _shown(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" if item not in ({}, None) else str(key) for key, item in value.items())
    return str(value)


def _few(names: tuple[str, ...], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return f"{shown}, and {len(names) - most} more" if len(names) > most else shown or "links, users and folders"


def _config_bytes(context: Context, arguments: Arguments, one: Subject) -> bytes:
    if one.made is None:
        assert one.stored is not None
        return one.stored.config_bytes
    with _preparer(context, arguments) as preparer:
        return one.made.image.config_json(preparer.diff_ids(one.made))


def _config(context: Context, arguments: Arguments, one: Subject) -> dict[str, Any]:
    import json

    found: dict[str, Any] = json.loads(_config_bytes(context, arguments, one))
    return found


def _layers(context: Context, arguments: Arguments, one: Subject) -> list[LayerSummary]:
    from frazil.image.difference import LayerSummary

    if one.made is not None:
        with _preparer(context, arguments) as preparer:
            identities = preparer.diff_ids(one.made)
        names = [tuple(path.rsplit("/", 1)[-1][33:] for path in paths) for paths in one.made.packages]
        sizes = [described.layer.size() for described in one.made.image.layers]
        return [LayerSummary(*row) for row in zip(identities, sizes, names, strict=True)]
    from frazil.cli.image_targets import stored_paths

    assert one.stored is not None
    paths = stored_paths(context, one.stored)
    return [
        LayerSummary(layer.diff_id, layer.size(), tuple(path.name for path in inside))
        for layer, inside in zip(one.stored.layers, paths, strict=True)
    ]


def diff(context: Context, arguments: Arguments) -> None:
    from frazil.image.difference import compare

    old, new = (subject(context, arguments, text) for text in arguments.positional)
    found = compare(
        _layers(context, arguments, old),
        _layers(context, arguments, new),
        old.packages(context),
        new.packages(context),
    )
    if arguments.flag("json"):
        import json

        def layer(one: LayerSummary) -> dict[str, object]:
            return {"diffID": one.diff_id, "size": one.size, "paths": list(one.names)}

        value = {
            "added": [layer(one) for one in found.added],
            "removed": [layer(one) for one in found.removed],
            "kept": found.kept,
            "packages": [{"name": one.name, "old": one.old, "new": one.new, "size": one.size} for one in found.changes],
        }
        context.print(json.dumps(value, indent=2))
        return
    context.print(
        f"{found.kept} layers stay, {len(found.added)} are new ({decimal_size(sum(one.size for one in found.added))}), "
        f"{len(found.removed)} go"
    )
    for sign, layers in (("+", found.added), ("-", found.removed)):
        for one in layers:
            context.print(f"{sign} {one.diff_id[7:19]}  {decimal_size(one.size):>9}  {_few(one.names)}")
    for change in found.changes:
        grown = f"{'+' if change.size >= 0 else '-'}{decimal_size(abs(change.size))}"
        context.print(f"{change.name}: {change.old or '∅'} → {change.new or '∅'}, {grown}")


def sbom(context: Context, arguments: Arguments) -> None:
    import json

    from frazil.image import sbom as forms

    text = (arguments.positional or ["."])[0]
    one = subject(context, arguments, text)
    packages = one.packages(context)
    kind = arguments.value("format", "spdx")
    if kind in ("slsa", "in-toto", "provenance"):
        from frazil import __version__

        with _preparer(context, arguments) as preparer:
            digest = one.prepare(preparer).manifest.digest
        value = forms.provenance(one.full_name, digest, packages, one.parameters, __version__)
    elif kind in ("spdx", "cyclonedx"):
        from frazil.cli.image_licences import licences_of
        from frazil.cli.image_targets import is_evaluated

        licences = licences_of(context, arguments, text if is_evaluated(context, text) else None, packages)
        form = forms.spdx if kind == "spdx" else forms.cyclonedx
        value = form(one.full_name, packages, licences=licences)
    else:
        raise UsageError(f"'--format' is spdx, cyclonedx or slsa, not '{kind}'")
    context.print(json.dumps(value, indent=2))


COMMON = (SOURCE, EVALUATION, FLAKE_LOCK, RECIPE)
JSON = (Option("--json", "Print JSON."),)
COMMANDS = {
    "image build": Command(
        build,
        "make a container image of a package",
        *COMMON,
        COMPRESSION,
        ENGINE,
        PLAIN,
        SIGN,
        (
            Option(
                "--to",
                "Where the image goes: oci:*folder*[:*tag*] (default: oci:image), docker-archive:*file*, "
                "docker://*registry/name:tag*, podman: or docker:.",
                "destination",
            ),
        ),
        positional="installables…",
        at_most=None,
        examples=[
            ("An OCI layout in ./image", "frazil image build .#app"),
            ("For `podman load`", "frazil image build .#app --to docker-archive:app.tar --port 8080 --user 1000"),
        ],
    ),
    "image inspect": Command(
        inspect,
        "show an image's configuration, layers and packages",
        *COMMON,
        JSON,
        positional="installable",
        at_most=1,
        examples=[("A package's image", "frazil image inspect .#app"), ("An archive", "frazil image inspect app.tar")],
    ),
    "image load": Command(
        load,
        "give an image to Podman or Docker",
        *COMMON,
        ENGINE,
        positional="installable",
        at_most=1,
        examples=[("Under a name", "frazil image load .#app --name app:1.0")],
    ),
    "image push": Command(
        push,
        "send an image to a registry",
        *COMMON,
        COMPRESSION,
        PLAIN,
        SIGN,
        positional="installables… name",
        at_least=2,
        at_most=None,
        examples=[("Only changed layers travel", "frazil image push .#app registry.example/team/app:1.0")],
    ),
    "image sign": Command(
        sign,
        "sign an image in a registry, as cosign does with a key",
        PLAIN,
        KEY,
        positional="name",
        at_least=1,
        at_most=1,
        examples=[("With a key of your own", "frazil image sign registry.example/team/app:1.0 --key key.pem")],
    ),
    "image verify": Command(
        verify,
        "check that an image in a registry was signed with a key",
        PLAIN,
        KEY,
        positional="name",
        at_least=1,
        at_most=1,
        examples=[("Its digest, if it is good", "frazil image verify registry.example/team/app:1.0 --key key.pub")],
    ),
    "image pull": Command(
        pull,
        "fetch an image from a registry",
        PLAIN,
        ENGINE,
        (
            Option("--architecture", "Which image of several (default: this machine's).", "name"),
            Option("--all", "Images of all architectures."),
            Option("--key", "Take it only where it is signed with the key in *file*.", "file"),
        ),
        positional="name destination",
        at_least=1,
        at_most=2,
        examples=[
            ("Into an OCI layout", "frazil image pull registry.example/team/app:1.0 oci:app"),
            ("Into one file", "frazil image pull registry.example/team/app:1.0 docker-archive:app.tar"),
        ],
    ),
    "image run": Command(
        run,
        "run a package in a container of Podman or Docker",
        *COMMON,
        ENGINE,
        (Option("--engine-option", "One more option for `podman run`.", "option", kind=APPEND),),
        positional="installable arguments…",
        at_most=None,
        examples=[("With an argument", "frazil image run .#app -- --help")],
    ),
    "image diff": Command(
        diff,
        "show what a new image adds to an old one, by layer and package",
        *COMMON,
        JSON,
        positional="old new",
        at_least=2,
        at_most=2,
        examples=[("What a change adds", "frazil image diff ./image .#app")],
    ),
    "image sbom": Command(
        sbom,
        "list what is in an image, for other programs",
        *COMMON,
        COMPRESSION,
        (Option("--format", "spdx (the default), cyclonedx or slsa (in-toto provenance).", "format"),),
        positional="installable",
        at_most=1,
        examples=[("For a scanner", "frazil image sbom .#app --format cyclonedx")],
    ),
}
