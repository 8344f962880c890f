"""`registry list`, `add`, `remove`, `pin`, `resolve`."""

from __future__ import annotations

import os

from frazil.cli.common_options import EVALUATION
from frazil.cli.context import Context
from frazil.cli.flake_options import open_trees
from frazil.cli.options import Arguments, Command, Option
from frazil.errors import FrazilError
from frazil.flake.reference import FlakeReference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.fetch.registry import Registry


SHOWN = {"flag": "flags"}


def _registry(context: Context, arguments: Arguments) -> tuple[Registry, str]:
    """The user's registry, or the one that `--registry` names, and its file."""
    from frazil.fetch.registry import Registry, user_registry_path

    named = arguments.value("registry")
    path = os.path.abspath(named) if named else user_registry_path(context.fetch_settings)
    return Registry.read(path, _unreadable, "custom" if named else "user"), path


def _unreadable(text: str) -> None:
    """It is about to be written back: passing over the error would lose what it holds."""
    raise FrazilError(text, hint="repair the file or move it away")


def list_entries(context: Context, arguments: Arguments) -> None:
    trees = open_trees(context, arguments)
    for kind, source, target in trees.registry_entries():
        if kind == "built-in":
            continue  # nothing that the user could change
        context.print(f"{SHOWN.get(kind, kind):<6} {source} {target}")


def add(context: Context, arguments: Arguments) -> None:
    source, target = (FlakeReference.parse(text) for text in arguments.positional)
    registry, path = _registry(context, arguments)
    registry.replace(dict(source.attributes), dict(target.attributes), target.subdirectory)
    registry.write(path)


def remove(context: Context, arguments: Arguments) -> None:
    registry, path = _registry(context, arguments)
    registry.remove(dict(FlakeReference.parse(arguments.positional[0]).attributes))
    registry.write(path)


def pin(context: Context, arguments: Arguments) -> None:
    from frazil.fetch.inputs import is_locked

    url = arguments.positional[0]
    source = FlakeReference.parse(url)
    target = FlakeReference.parse(arguments.positional[-1])
    trees = open_trees(context, arguments)
    locked = dict(trees.fetch(target, "all").locked.attributes)
    if not is_locked(locked):
        context.warn(f"flake '{FlakeReference(locked)}' is not locked")
    registry, path = _registry(context, arguments)
    registry.replace(dict(source.attributes), locked, source.subdirectory)
    registry.write(path)


def resolve(context: Context, arguments: Arguments) -> None:
    trees = open_trees(context, arguments)
    for text in arguments.positional:
        context.print(str(trees.resolve(FlakeReference.parse(text), "all")))


_REGISTRY = (Option("--registry", "The registry to operate on.", "registry"),)

COMMANDS = {
    "registry list": Command(
        list_entries,
        "list available Nix flakes",
        EVALUATION,
        experimental="flakes",
        examples=[("Show all entries", "frazil registry list")],
    ),
    "registry add": Command(
        add,
        "add/replace flake in user flake registry",
        _REGISTRY,
        EVALUATION,
        positional="from-url to-url",
        at_least=2,
        at_most=2,
        examples=(("Give a flake a short name", "frazil registry add blog path:/home/me/blog"),),
        experimental="flakes",
    ),
    "registry remove": Command(
        remove,
        "remove flake from user flake registry",
        _REGISTRY,
        EVALUATION,
        positional="url",
        at_least=1,
        at_most=1,
        experimental="flakes",
        examples=[("Forget a name", "frazil registry remove blog")],
    ),
    "registry pin": Command(
        pin,
        "pin a flake to its current version or to that of a flake URL",
        _REGISTRY,
        EVALUATION,
        positional="url",
        at_least=1,
        at_most=2,
        experimental="flakes",
        examples=[("Keep nixpkgs as it is now", "frazil registry pin nixpkgs")],
    ),
    "registry resolve": Command(
        resolve,
        "resolve flake references using the registry",
        EVALUATION,
        positional="flake-refs",
        at_most=None,
        experimental="flakes",
        examples=[("What does a name stand for?", "frazil registry resolve nixpkgs")],
    ),
}
