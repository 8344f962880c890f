"""`sourceInfo`: what a flake can know of the tree it comes from.

Source: the manual page of `nix flake` (attributes of `self`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from frazil.flake.reference import Attribute

SHORT_REVISION = 7


def source_info(evaluator: Any, path: str, attributes: Mapping[str, Attribute], *, force_dirty: bool = False) -> Any:
    """A set. `path`: the store path; `force_dirty` leaves out what the tree no longer is (its lock file changed)."""
    from frazil.lang.values import ContextString

    values: dict[str, Any] = {"outPath": ContextString(path, frozenset({path}))}
    nar_hash = attributes.get("narHash")
    if isinstance(nar_hash, str):
        values["narHash"] = nar_hash
    if attributes["type"] == "git":
        values["submodules"] = attributes.get("submodules") is True
    if not force_dirty:
        revision = attributes.get("rev")
        if isinstance(revision, str):
            values["rev"] = revision
            values["shortRev"] = revision[:SHORT_REVISION]
        if "revCount" in attributes:
            values["revCount"] = evaluator.lazy(lambda: attributes["revCount"])
    for name in ("dirtyRev", "dirtyShortRev"):
        if isinstance(attributes.get(name), str):
            values[name] = attributes[name]
    modified = attributes.get("lastModified")
    if isinstance(modified, int):
        values["lastModified"] = modified
        values["lastModifiedDate"] = time.strftime("%Y%m%d%H%M%S", time.gmtime(modified))
    return evaluator.make_attrs(values)
