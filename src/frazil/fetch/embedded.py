"""The embedded package set as an input: `frazilpkgs`.

In: nothing, or what a lock file pins. Out: the folder `frazil/packages` of this installation as a tree in the store.
"""

from __future__ import annotations

import os

from frazil.fetch import attributes as attr
from frazil.fetch.attributes import InputAttributes
from frazil.fetch.errors import FetchError
from frazil.fetch.scheme import FetchContext, FetchedTree
from frazil.fetch.tree import add_filtered_directory, find_tree

RELEASE_TIME = 1767225600
"""`lastModified` of every version: file times differ from one installation to the next."""


def packages_directory() -> str:
    import frazil

    return os.path.join(os.path.dirname(os.path.abspath(frazil.__file__)), "packages")


def _keep(path: str, kind: str) -> bool:
    """Nix expressions and data, not what makes the folder a Python package."""
    directory, name = os.path.split(path)
    if name == "__pycache__" or name.endswith((".pyc", "~")):
        return False
    return not (name.endswith(".py") or name == "py.typed") or directory != packages_directory()


def fetch_embedded(attributes: InputAttributes, context: FetchContext) -> FetchedTree:
    from frazil import __version__

    pinned = attr.nar_hash(attributes)
    if pinned is not None:
        stored = find_tree(context, pinned)
        if stored is not None:
            return FetchedTree(stored, context.store.real_path(stored), dict(attributes))
    store_path, hash_ = add_filtered_directory(packages_directory(), _keep, "frazilpkgs", context)
    if pinned is not None and hash_ != pinned:
        version = attr.optional_text(attributes, "version") or "unknown"
        raise FetchError(
            f"the locked frazilpkgs (version {version}, {pinned.sri}) is neither in the store nor what this frazil "
            f"carries (version {__version__}, {hash_.sri})",
            hint="lock the one it carries: frazil flake update, with the name of the input",
        )
    locked: InputAttributes = {
        "type": "frazilpkgs",
        "version": __version__,
        "lastModified": RELEASE_TIME,
        "narHash": hash_.sri,
    }
    return FetchedTree(store_path, context.store.real_path(store_path), {**locked, **_unknown(attributes)})


def _unknown(attributes: InputAttributes) -> InputAttributes:
    """What was asked for explicitly stays."""
    return {name: value for name, value in attributes.items() if name not in ("narHash", "version")}
