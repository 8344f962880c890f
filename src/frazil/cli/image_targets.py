"""What `image …` commands are about: packages become images by a recipe, files and folders are images already.

In: installables and options. Out: `Subject`s, which know their image, its name, and the packages in it.
"""

from __future__ import annotations

import os

from frazil.cli.build_command import build_paths, outputs_of
from frazil.cli.context import Context
from frazil.cli.options import APPEND, Arguments, Option
from frazil.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from frazil.image.inventory import Package
    from frazil.image.memory import LayerMemory
    from frazil.image.prepared import Offer, Prepared, Preparer
    from frazil.image.recipe import Made, Recipe
    from frazil.packages.oci.image import Image
    from frazil.packages.oci.read import StoredImage
    from frazil.store.derived_path import DerivedPath
    from frazil.store.path import StorePath

RECIPE = (
    Option("--name", "Call the image *name* (default: the package's name and its hash).", "name"),
    Option(
        "--entrypoint",
        "Start *program*: a path, a name in `bin`, or empty: none.",
        "program",
    ),
    Option("--cmd", "One more argument that the program gets by default.", "argument", kind=APPEND),
    Option("--env -e", "One more variable, *name=value*.", "variable", kind=APPEND, key="env"),
    Option("--port -p", "A port that the program listens on, such as 8080 or 53/udp.", "port", kind=APPEND, key="port"),
    Option("--volume", "A folder whose contents outlive a container.", "folder", kind=APPEND),
    Option("--user -u", "Run as *user*: a name, a number, or *user:group*.", "user", key="user"),
    Option("--label -l", "One more label, *name=value*.", "label", kind=APPEND, key="label"),
    Option("--workdir -w", "Start in *folder*.", "folder", key="workdir"),
    Option("--with", "Put the package *installable* into the image, too.", "installable", kind=APPEND),
    Option("--max-layers", "At most *n* layers (default: 100).", "n"),
    Option("--created", "When the image was made: `now`, or a time (default: 1970).", "time"),
    Option("--architecture", "What the image is for (default: as the package).", "name"),
)
COMPRESSION = (Option("--compression", "How layers travel: gz (the default), zstd or none.", "kind"),)


class Subject:
    """One image. Either `made` (from a package) or `stored` (read from a file) is there."""

    def __init__(
        self,
        name: str,
        tag: str,
        made: Made | None = None,
        stored: StoredImage | None = None,
        parameters: dict[str, object] | None = None,
    ) -> None:
        self.name, self.tag = name, tag
        self.made, self.stored = made, stored
        self.parameters = parameters or {}

    @property
    def full_name(self) -> str:
        return f"{self.name}:{self.tag}"

    def prepare(self, preparer: Preparer) -> Prepared:
        if self.made is not None:
            return preparer.of_recipe(self.made)
        assert self.stored is not None
        return preparer.of_stored(self.stored)

    def offer(self, preparer: Preparer) -> Offer:
        if self.made is not None:
            return preparer.offer(self.made)
        assert self.stored is not None
        return preparer.offer_stored(self.stored)

    def image(self) -> Image:
        from frazil.image.engines import as_archive

        if self.made is not None:
            return self.made.image
        assert self.stored is not None
        return as_archive(self.stored)

    def packages(self, context: Context) -> list[Package]:
        """Of a stored image those store objects that the store still knows."""
        from frazil.image.inventory import packages_of

        store = context.store
        if self.made is not None:
            return packages_of(self.made.infos, store.directory)
        assert self.stored is not None
        paths = {path for layer in stored_paths(context, self.stored) for path in layer}
        return packages_of([info for info in store.find_infos(sorted(paths)) if info is not None], store.directory)


def stored_paths(context: Context, image: StoredImage) -> list[list[StorePath]]:
    """The store objects in each layer."""
    from frazil.image.errors import translated
    from frazil.packages.oci.read import opened
    from frazil.packages.oci.tar_reader import TarReader
    from frazil.store.errors import StoreError

    prefix = context.directory.path.strip("/").encode() + b"/"
    result = []
    with translated():
        for source in opened(image.layers):
            found: dict[StorePath, None] = {}
            for entry in TarReader(source):
                if entry.name.startswith(prefix) and entry.kind != "link":
                    base = entry.name[len(prefix) :].partition(b"/")[0].decode(errors="replace")
                    try:
                        found[context.directory.parse(f"{context.directory.path}/{base}")] = None
                    except StoreError:
                        continue
            result.append(list(found))
    return result


def memory_of(context: Context) -> LayerMemory:
    from frazil.fetch.settings import cache_directory
    from frazil.image.memory import LayerMemory

    return LayerMemory(os.path.join(cache_directory(context.fetch_settings), "image-layers"))


def subject(context: Context, arguments: Arguments, text: str) -> Subject:
    """The image that an installable, an archive or a layout stands for. Raises FrazilError."""
    if _is_image_file(context, text):
        found = _from_file(context, text, text, os.path.basename(text.rstrip("/")).partition(".")[0])
        return _as_it_is(arguments, text, found)
    from frazil.cli.evaluation import with_deep_stack
    from frazil.cli.run_commands import program_of, resolve_placeholders
    from frazil.store.derived_path import DerivedPath

    plain = _plain_path(context, text)
    if plain is not None:
        program, needed = "", [plain]
    else:
        program, needed = with_deep_stack(lambda: program_of(context, arguments, text))
    targets = [path for path in needed if isinstance(path, DerivedPath)]
    planned = _planned(context, arguments, text, targets)
    if planned is not None:
        return planned
    extra = _extra(context, arguments)
    build_paths(context, [*targets, *extra])
    program = resolve_placeholders(context, program, targets) if program else ""
    roots = _roots(context, program, targets)
    context.store.flush()
    archive = context.store.real_path(roots[0])
    if os.path.isfile(archive):
        return _as_it_is(arguments, text, _archive(context, roots[0], archive))
    more = [output for path in extra for _, output in outputs_of(context, path)]
    return _package(context, arguments, text, program, roots, more)


def _as_it_is(arguments: Arguments, text: str, one: Subject) -> Subject:
    """An image that is made already: it can be called otherwise, and nothing else."""
    for option in RECIPE:
        if option.key != "name" and arguments.has(option.key):
            raise UsageError(
                f"'{text}' is an image already, and {option.names[0]} says how one is made of a package",
                hint="leave it out, or name the package that the image was made of",
            )
    given = arguments.value("name")
    if given is not None:
        one.name, one.tag = _names(given, one.name, one.tag)
    return one


def from_layout(folder: str, name: str, tag: str) -> Subject:
    """The only image of a layout of ours."""
    from frazil.image.errors import translated
    from frazil.packages.oci.read import Container, open_image

    with translated():
        return Subject(name, tag, stored=open_image(Container(folder)), parameters={"image": name})


def is_evaluated(context: Context, text: str) -> bool:
    """Whether evaluation says what this is: neither a file nor a store path does."""
    return not _is_image_file(context, text) and _plain_path(context, text) is None


def _is_image_file(context: Context, text: str) -> bool:
    if "#" in text or _plain_path(context, text) is not None:
        return False
    return os.path.isfile(text) or os.path.isfile(os.path.join(text, "oci-layout"))


def _plain_path(context: Context, text: str) -> DerivedPath | None:
    from frazil.cli.store_paths import stored_path

    return stored_path(context, text)


def _from_file(context: Context, text: str, path: str, called: str) -> Subject:
    from frazil.image.errors import translated
    from frazil.packages.oci.described import is_described
    from frazil.packages.oci.errors import BadImage, OciError
    from frazil.packages.oci.read import Container, open_image

    if is_described(path):
        from frazil.image.recipe import described_image

        made = described_image(context.store, path)
        assert made.ready is not None
        # Without a tag it is the hash of the store object, as everywhere.
        tag = made.ready.tag or os.path.basename(os.path.realpath(path)).partition("-")[0]
        return Subject(made.ready.name or called.lower(), tag, made=made, parameters={"image": text})
    with translated():
        try:
            container = Container(path)
            context.at_close(container.close)
            stored = open_image(container)
        except BadImage as error:
            raise OciError(f"'{text}' is no image that can be read: {error.message}", error.hint) from error
    name, _, tag = (stored.names[0] if stored.names else "").rpartition(":")
    return Subject(name or called.lower(), tag or "latest", stored=stored, parameters={"image": text})


def _archive(context: Context, root: StorePath, path: str) -> Subject:
    """What `dockerTools` made: an archive, or a script that streams one."""
    if not os.stat(path).st_mode & 0o100:
        return _from_file(context, context.directory.show(root), path, root.name)
    import tempfile

    from frazil.build.view import run_in_view
    from frazil.errors import FrazilError

    spool = tempfile.NamedTemporaryFile(prefix="frazil-image-")  # noqa: SIM115
    context.at_close(spool.close)
    shown = context.directory.show(root)
    saved = os.dup(1)
    try:
        os.dup2(spool.fileno(), 1)
        status = run_in_view(context.store, [shown], dict(os.environ))
    finally:
        os.dup2(saved, 1)
        os.close(saved)
    if status:
        raise FrazilError(f"'{shown}' made no image (status {status})")
    return _from_file(context, shown, spool.name, root.name)


def _planned(context: Context, arguments: Arguments, text: str, targets: Sequence[DerivedPath]) -> Subject | None:
    """An image that `dockerTools` makes in layers: of its plan, without the archive, whose layers would be packed and
    unpacked once more. None where it is none."""
    plan = _plan_of(context, targets[0].base) if len(targets) == 1 and targets[0].is_built else None
    if plan is None:
        return None
    from frazil.image.recipe import planned_image

    build_paths(context, [plan])
    context.store.flush()
    ((_, output),) = outputs_of(context, plan)
    found = planned_image(context.store, context.store.real_path(output))
    if found is None:
        return None
    return _as_it_is(arguments, text, Subject(found.name, found.tag, made=found.made, parameters={"image": text}))


def _plan_of(context: Context, derivation: StorePath) -> DerivedPath | None:
    """What the package set says of an image's derivation: which of its inputs is the plan."""
    import json

    from frazil.store.derived_path import DerivedPath, OutputsSpec

    if not context.store.is_valid(derivation):
        return None
    read = context.store.read_derivation(derivation)
    known = read.environment
    attributes = json.loads(known["__json"]) if "__json" in known else known
    plan = attributes.get("imagePlan")
    if not isinstance(plan, str):
        return None
    for path, names in read.input_derivations.items():
        if not plan.endswith("-" + path.name.removesuffix(".drv")):
            continue
        outputs = context.store.read_derivation(path).output_paths(context.directory)
        for name in names:
            output = outputs.get(name)
            if output is not None and context.directory.show(output) == plan:
                return DerivedPath(path, OutputsSpec(frozenset((name,))))
    return None


def _extra(context: Context, arguments: Arguments) -> list[DerivedPath]:
    from frazil.cli.store_paths import derived_paths

    texts = [str(text) for text in arguments.all("with")]
    return derived_paths(context, arguments, texts) if texts else []


def _roots(context: Context, program: str, targets: Sequence[DerivedPath]) -> list[StorePath]:
    """The store object with the program first."""
    found = list(dict.fromkeys(output for path in targets for _, output in outputs_of(context, path)))
    if program:
        own, _ = context.directory.split(program)
        found = [own, *(path for path in found if path != own)]
    if not found:
        raise UsageError("there is nothing to make an image of")
    return found


def _package(
    context: Context, arguments: Arguments, text: str, program: str, roots: list[StorePath], extra: list[StorePath]
) -> Subject:
    from frazil.image.inventory import split_name
    from frazil.image.recipe import make_image

    recipe = _recipe(context, arguments, _entry_point(context, arguments, program, roots))
    made = make_image(context.store, list(dict.fromkeys([*roots, *extra])), recipe)
    name, tag = _names(arguments.value("name"), split_name(roots[0].name)[0], roots[0].hash_part)
    parameters: dict[str, object] = {"installable": text, "entryPoint": list(recipe.entry_point)}
    return Subject(name, tag, made=made, parameters=parameters)


def _names(given: str | None, package: str, hash_part: str) -> tuple[str, str]:
    if given is None:
        import re

        clean = re.sub(r"(?!(?:[._]|__|-+)[a-z0-9])[^a-z0-9]+", "-", package.lower()).strip("._-")
        return clean or "image", hash_part
    from frazil.image.reference import ImageName

    parsed = ImageName.parse(given)
    prefix = f"{parsed.registry}/" if parsed.registry else ""
    return prefix + parsed.repository, parsed.tag or hash_part


def _entry_point(context: Context, arguments: Arguments, program: str, roots: Sequence[StorePath]) -> tuple[str, ...]:
    """Raises FrazilError where the program is not there."""
    from frazil.errors import FrazilError

    given = arguments.value("entrypoint")
    if given == "":
        return ()
    candidates = [program] if program else []
    if given is not None:
        shown = [context.directory.show(root) for root in roots]
        candidates = [given] if given.startswith("/") else [f"{root}/bin/{given}" for root in shown]
        if given.startswith("/") and not context.directory.is_inside(given):
            return (given,)
    for candidate in candidates:
        if os.path.lexists(context.store.to_real(candidate)):
            return (candidate,)
    folder = os.path.join(context.store.real_path(roots[0]), "bin")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    if not candidates and len(names) == 1:
        return (f"{context.directory.show(roots[0])}/bin/{names[0]}",)
    hint = f"say which with --entrypoint: {', '.join(names[:12])}" if names else "set meta.mainProgram, or --entrypoint"
    missing = f"'{candidates[0]}' is not there" if candidates else "which program it shall start is not known"
    raise FrazilError(f"an image of '{context.directory.show(roots[0])}' has no entry point: {missing}", hint=hint)


def _recipe(context: Context, arguments: Arguments, entry_point: tuple[str, ...]) -> Recipe:
    from frazil.image.recipe import DEFAULT_LAYERS, Recipe

    layers = arguments.value("max-layers", str(DEFAULT_LAYERS)) or ""
    if not layers.isascii() or not layers.isdigit() or len(layers) > 6:
        raise UsageError(f"'--max-layers' is a number, not '{layers}'")
    labels = {}
    for label in arguments.all("label"):
        name, equals, value = str(label).partition("=")
        if not equals or not name:
            raise UsageError(f"'{label}' is not a label", hint="write NAME=VALUE")
        labels[name] = value
    return Recipe(
        entry_point,
        tuple(map(str, arguments.all("cmd"))),
        tuple(map(str, arguments.all("env"))),
        tuple(map(str, arguments.all("port"))),
        tuple(map(str, arguments.all("volume"))),
        arguments.value("user"),
        labels,
        arguments.value("workdir"),
        max_layers=int(layers),
        created=arguments.value("created") or "1970-01-01T00:00:01Z",
        architecture=arguments.value("architecture") or architecture_of(context),
    )


def architecture_of(context: Context) -> str:
    """This machine's, or that of the setting `system`, as images call it."""
    from frazil.packages.oci.image import ARCHITECTURES

    machine = context.settings.text("system").partition("-")[0] or os.uname().machine
    return ARCHITECTURES.get(machine, machine)
