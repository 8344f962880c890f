"""`flake metadata`."""

from __future__ import annotations

import time

from frazil.cli.common_options import EVALUATION, FLAKE_LOCK, JSON
from frazil.cli.context import Context
from frazil.cli.evaluation import with_deep_stack
from frazil.cli.flake_options import lock_flags, open_trees, parse_reference, print_json, standard_output_colours
from frazil.cli.options import Arguments, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.flake.lock import Node
    from frazil.flake.locking import LockedFlake
    from frazil.flake.tree import Trees

BRANCH, LAST, LINE, BLANK = "├───", "└───", "│   ", "    "


def metadata(context: Context, arguments: Arguments) -> None:
    trees = open_trees(context, arguments)
    reference = parse_reference(context, trees, (arguments.positional or ["."])[0])
    flags = lock_flags(context, arguments, trees, apply_config=False)
    locked = with_deep_stack(lambda: trees.lock(reference, flags))
    if arguments.flag("json"):
        print_json(context, arguments, as_json(trees, locked))
    else:
        _Printer(context).show(trees, locked)


def info(context: Context, arguments: Arguments) -> None:
    context.warn("'nix flake info' is a deprecated alias for 'nix flake metadata'")
    metadata(context, arguments)


def as_json(trees: Trees, locked: LockedFlake) -> dict[str, Any]:
    from frazil.flake.fingerprint import fingerprint

    flake = locked.flake
    attributes = flake.locked.to_attributes()
    result: dict[str, Any] = {
        "originalUrl": str(flake.original),
        "original": flake.original.to_attributes(),
        "resolvedUrl": str(flake.resolved),
        "resolved": flake.resolved.to_attributes(),
        "url": str(flake.locked),
        "locked": {**attributes, "__final": True},
        "path": trees.root_of(flake.folder),
        "locks": locked.lock_file.to_json()[0],
    }
    optional = {
        "description": flake.description,
        "revision": attributes.get("rev"),
        "dirtyRevision": attributes.get("dirtyRev"),
        "revCount": attributes.get("revCount"),
        "lastModified": attributes.get("lastModified"),
        "fingerprint": fingerprint(trees, locked),
    }
    return result | {name: value for name, value in optional.items() if value is not None}


class _Printer:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.bold, self.normal = ("\033[1m", "\033[0m") if standard_output_colours(context) else ("", "")

    def field(self, name: str, value: object) -> None:
        if value is not None:
            label = f"{name}:"
            self.context.print(f"{self.bold}{label}{self.normal}{' ' * (15 - len(label))}{value}")

    def show(self, trees: Trees, locked: LockedFlake) -> None:
        from frazil.fetch.inputs import is_locked
        from frazil.flake.fingerprint import fingerprint

        flake = locked.flake
        attributes = flake.locked.to_attributes()
        self.field("Resolved URL", flake.resolved)
        if is_locked(dict(flake.locked.attributes)):
            self.field("Locked URL", flake.locked)
        self.field("Description", flake.description)
        self.field("Path", trees.root_of(flake.folder))
        self.field("Revision", attributes.get("rev"))
        self.field("Revision", attributes.get("dirtyRev"))
        self.field("Revisions", attributes.get("revCount"))
        modified = flake.locked.last_modified
        if modified is not None:
            self.field("Last modified", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(modified)))
        self.field("Fingerprint", fingerprint(trees, locked))
        if locked.lock_file.root.inputs:
            self.context.print(f"{self.bold}Inputs:{self.normal}")
        self.inputs(locked.lock_file.root, "", {id(locked.lock_file.root)})

    def inputs(self, node: Node, prefix: str, visited: set[int]) -> None:
        from frazil.flake.lock import LockedNode, print_input_path

        edges = node.sorted_inputs()
        for index, (name, edge) in enumerate(edges):
            last = index == len(edges) - 1
            head = f"{prefix}{LAST if last else BRANCH}{self.bold}{name}{self.normal}"
            if not isinstance(edge, LockedNode):
                self.context.print(f"{head} follows input '{print_input_path(edge)}'")
                continue
            modified = edge.locked.last_modified
            date = "" if modified is None else time.strftime(" (%Y-%m-%d %H:%M:%S)", time.gmtime(modified))
            self.context.print(f"{head}: {edge.locked}{date}")
            if id(edge) not in visited:
                visited.add(id(edge))
                self.inputs(edge, prefix + (BLANK if last else LINE), visited)


def _command(run: Any) -> Command:
    return Command(
        run,
        "show flake metadata",
        JSON,
        EVALUATION,
        FLAKE_LOCK,
        positional="flake-url",
        at_most=1,
        examples=(("Show what the flake in this folder is locked to", "frazil flake metadata"),),
        experimental="flakes",
    )


COMMANDS = {"flake metadata": _command(metadata), "flake info": _command(info)}
