"""`flake archive`, `flake clone` and `flake prefetch`: sources of flakes, copied somewhere."""

from __future__ import annotations

from frazil.activity import Verbosity
from frazil.cli.common_options import EVALUATION, FLAKE_LOCK, JSON
from frazil.cli.context import Context
from frazil.cli.evaluation import with_deep_stack
from frazil.cli.flake_options import lock_flags, open_trees, parse_reference, print_json
from frazil.cli.options import Arguments, Command, Option
from frazil.errors import FrazilError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.flake.lock import Node
    from frazil.flake.reference import FlakeReference
    from frazil.flake.tree import Tree, Trees
    from frazil.store.path import StorePath


def clone(context: Context, arguments: Arguments) -> None:
    from frazil.fetch.inputs import clone_input

    destination = arguments.value("dest")
    if not destination:
        raise FrazilError("missing flag '--dest'")
    trees = open_trees(context, arguments)
    reference = parse_reference(context, trees, (arguments.positional or ["."])[0])
    clone_input(dict(trees.resolve(reference, "all").attributes), destination, trees.context)


def prefetch(context: Context, arguments: Arguments) -> None:
    trees = open_trees(context, arguments)
    reference = parse_reference(context, trees, (arguments.positional or ["."])[0])
    tree = trees.fetch(reference, "all" if trees.use_registries else "no")
    nar_hash = trees.context.store.query_info(tree.fetched.store_path).nar_hash.sri
    locked = _as_fetched(tree)
    if arguments.flag("json"):
        record = {
            "storePath": tree.path,
            "hash": nar_hash,
            "original": tree.resolved.to_attributes(),
            "locked": {name: value for name, value in locked.to_attributes().items() if name != "__final"},
        }
        print_json(context, arguments, record)
    else:
        context.note(f"Downloaded '{locked}' to '{tree.path}' (hash '{nar_hash}').", Verbosity.NOTICE)
    link = arguments.value("out-link")
    if link:
        import os

        trees.context.store.add_permanent_root(tree.fetched.store_path, os.path.abspath(link))


def _as_fetched(tree: Tree) -> FlakeReference:
    """What names the tree. As in Nix, `narHash` is part of that only where it was asked for or the kind needs it."""
    from frazil.flake.reference import FlakeReference

    attributes = dict(tree.locked.attributes)
    if tree.locked.type in ("git", "github", "gitlab", "hg", "path", "sourcehut") and (
        "narHash" not in tree.resolved.attributes
    ):
        attributes.pop("narHash", None)
    return FlakeReference(attributes, tree.locked.subdirectory)


class _Archiver:
    """Collects the sources of a flake and its inputs."""

    def __init__(self, trees: Trees, dry_run: bool) -> None:
        self.trees, self.dry_run = trees, dry_run
        self.found: set[StorePath] = set()

    def store_path(self, locked: FlakeReference) -> StorePath:
        if self.dry_run:
            from frazil.digest import Hash

            nar_hash = locked.attributes.get("narHash")
            if not isinstance(nar_hash, str):
                raise FrazilError(f"cannot compute store path for unlocked input '{locked}'")
            directory = self.trees.context.store.directory
            path = directory.make_fixed_output_path("nar", Hash.parse(nar_hash), "source")
        else:
            path = self.trees.fetch_locked(locked).fetched.store_path
        self.found.add(path)
        return path

    def record(self, locked: FlakeReference | None, node: Node) -> dict[str, Any]:
        from frazil.flake.lock import LockedNode

        result: dict[str, Any] = {}
        if locked is not None and locked.relative_path is None:
            result["path"] = self.trees.context.store.directory.show(self.store_path(locked))
        result["inputs"] = {
            name: self.record(edge.locked, edge) for name, edge in node.sorted_inputs() if isinstance(edge, LockedNode)
        }
        return result


def archive(context: Context, arguments: Arguments) -> None:
    trees = open_trees(context, arguments)
    reference = parse_reference(context, trees, (arguments.positional or ["."])[0])
    flags = lock_flags(context, arguments, trees, apply_config=False)
    locked = with_deep_stack(lambda: trees.lock(reference, flags))
    archiver = _Archiver(trees, arguments.flag("dry-run"))
    record = archiver.record(locked.flake.locked, locked.lock_file.root)
    if arguments.flag("json"):
        print_json(context, arguments, record)
    destination = arguments.value("to")
    if destination and not arguments.flag("dry-run"):
        from frazil.cli.copying import copy_paths_to

        copy_paths_to(
            context, destination, sorted(archiver.found), check_signatures=not arguments.flag("no-check-sigs")
        )


def prefetch_inputs(context: Context, arguments: Arguments) -> int:
    """Every input once, inputs' inputs too; one that fails is told and does not keep the others."""
    from frazil.flake.lock import LockedNode

    trees = open_trees(context, arguments)
    reference = parse_reference(context, trees, (arguments.positional or ["."])[0])
    flags = lock_flags(context, arguments, trees)
    locked = with_deep_stack(lambda: trees.lock(reference, flags))
    failed = False
    seen: set[int] = set()
    pending: list[Node] = [locked.lock_file.root]
    for node in pending:
        if isinstance(node, LockedNode) and node.locked.relative_path is None:
            context.note(f"fetching '{node.locked}'...")
            try:
                trees.fetch_locked(node.locked)
            except FrazilError as error:
                context.note(f"error: {error.message}", Verbosity.ERROR)
                failed = True
        for _, edge in node.sorted_inputs():
            if isinstance(edge, LockedNode) and id(edge) not in seen:
                seen.add(id(edge))
                pending.append(edge)
    return int(failed)


_URL: dict[str, Any] = {"positional": "flake-url", "at_most": 1, "experimental": "flakes"}

COMMANDS = {
    "flake archive": Command(
        archive,
        "copy a flake and all its inputs to a store",
        JSON,
        (
            Option("--to", "URI of the destination Nix store", "store-uri"),
            Option("--dry-run", "Show what this command would do without doing it."),
            Option("--no-check-sigs", "Do not require that paths are signed by trusted keys."),
        ),
        EVALUATION,
        FLAKE_LOCK,
        examples=(("Fetch all inputs, for work without a network", "frazil flake archive"),),
        **_URL,
    ),
    "flake clone": Command(
        clone,
        "clone flake repository",
        (Option("--dest -f", "Clone the flake to path *dest*.", "path"),),
        EVALUATION,
        FLAKE_LOCK,
        **_URL,
        examples=[("Get the source of a flake", "frazil flake clone nixpkgs --dest ./nixpkgs")],
    ),
    "flake prefetch-inputs": Command(
        prefetch_inputs,
        "fetch the inputs of a flake",
        EVALUATION,
        FLAKE_LOCK,
        **_URL,
        examples=[("Have everything here before the network goes", "frazil flake prefetch-inputs")],
    ),
    "flake prefetch": Command(
        prefetch,
        "download the source tree denoted by a flake reference into the Nix store",
        JSON,
        (Option("--out-link -o", "Create symlink named *path* to the resulting store path.", "path"),),
        EVALUATION,
        FLAKE_LOCK,
        **_URL,
        examples=[("Fetch a flake's source into the store", "frazil flake prefetch github:numtide/flake-utils")],
    ),
}
