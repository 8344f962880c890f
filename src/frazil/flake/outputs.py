"""What an argument of a command stands for: reading installables.

In: `nixpkgs#hello^dev`, `.`, `/nix/store/….drv^out`, or an attribute path of `--file`/`--expr`. Out: `Installable`s.
Source: the manual page of `nix` ("Installables").
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from frazil.errors import UsageError
from frazil.flake.attribute_paths import attribute_path_prefixes, default_attribute_paths
from frazil.flake.installable import (
    App,
    AttributeInstallable,
    FlakeInstallable,
    Installable,
    StorePathInstallable,
    Target,
    ValueInstallable,
)
from frazil.flake.reference import OutputsSpecification, parse_with_fragment, split_outputs
from frazil.flake.selection import select
from frazil.record import Record
from frazil.store.derived_path import DerivedPath
from frazil.store.errors import BadStorePath
from frazil.store.path import StorePath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.flake.locking import LockFlags
    from frazil.flake.tree import Trees

    Value = Any


__all__ = [
    "App",
    "AttributeInstallable",
    "FlakeInstallable",
    "Installable",
    "Source",
    "StorePathInstallable",
    "Target",
    "ValueInstallable",
    "attribute_path_prefixes",
    "default_attribute_paths",
    "follow_links",
    "parse_installable",
    "parse_installables",
    "select",
]


class Source(Record):
    """How arguments are read. `root` gives the value of `--file` or `--expr`, where one is used."""

    trees: Trees
    base_directory: str
    system: str
    flags: LockFlags
    command: str = "build"
    root: Callable[[], Value] | None = None
    auto_arguments: Mapping[str, Value] | None = None


def parse_installables(texts: Sequence[str], source: Source) -> list[Installable]:
    """In the order given. Raises the error of the last reading tried."""
    if source.root is not None:
        root = source.root()
        arguments = source.auto_arguments or {}
        split = [split_outputs(text) for text in texts]
        return [AttributeInstallable(source.trees, root, path, outputs, arguments) for path, outputs in split]
    if source.auto_arguments:
        raise UsageError("'--arg' and '--argstr' are incompatible with flakes")
    return [parse_installable(text, source) for text in texts]


def parse_installable(text: str, source: Source) -> Installable:
    """A store path (or a link to one) where it can be read so, else a flake's output."""
    prefix, outputs = split_outputs(text)
    if "/" in prefix:
        try:
            return StorePathInstallable(_store_path(prefix, outputs, source), source.trees)
        except (BadStorePath, OSError):
            pass
    trees = source.trees
    reference, fragment = parse_with_fragment(prefix, source.base_directory, notice=trees.notice, warn=trees.warn)
    default_paths = default_attribute_paths(source.system, source.command)
    prefixes = attribute_path_prefixes(source.system, source.command)
    return FlakeInstallable(trees, reference, fragment, outputs, default_paths, prefixes, source.flags)


def _store_path(prefix: str, outputs: OutputsSpecification, source: Source) -> DerivedPath:
    directory = source.trees.context.store.directory
    if not outputs.default:
        return DerivedPath.parse(f"{prefix}{outputs}", directory)
    return DerivedPath(follow_links(prefix, source))


def follow_links(path: str, source: Source) -> StorePath:
    """The store path that a path in the file system leads into. Raises BadStorePath."""
    directory = source.trees.context.store.directory
    path = os.path.normpath(os.path.join(source.base_directory, path))
    for _ in range(1024):
        if directory.is_inside(path):
            return directory.split(path)[0]
        target = _read_link(path)
        if target is None:
            raise BadStorePath(f"path '{path}' is not in the Nix store")
        path = target
    raise BadStorePath(f"too many symbolic links in '{path}'")


def _read_link(path: str) -> str | None:
    """The path with its last component's link followed, None where it is no link."""
    try:
        target = os.readlink(path)
    except OSError:
        return None
    return os.path.normpath(os.path.join(os.path.dirname(path), target))
