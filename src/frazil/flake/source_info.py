"""`sourceInfo`: what a flake can know of the tree it comes from.

Source: the manual page of `nix flake` (attributes of `self`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from frazil.flake.reference import Attribute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


SHORT_REVISION = 7


def source_info(
    evaluator: Any,
    path: str,
    attributes: Mapping[str, Attribute],
    *,
    force_dirty: bool = False,
    looked_at: Callable[[], None] | None = None,
) -> Any:
    """A set. `path`: the store path; `force_dirty` leaves out what the tree no longer is (its lock file changed).

    `looked_at` is called when an attribute is evaluated that says which tree it is.
    """
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
    if looked_at is not None:
        values = {name: watched(evaluator, value, looked_at) for name, value in values.items()}
    return evaluator.make_attrs(values)


def watched(evaluator: Any, value: Any, looked_at: Callable[[], None]) -> Any:
    """A value that tells when it is evaluated."""

    def look() -> Any:
        looked_at()
        return evaluator.force(value)

    return evaluator.lazy(look)
