"""The fingerprint of a locked flake that `flake metadata` shows: the same number as Nix's for the same flake.

In: `LockedFlake`. Out: a SHA-256 in base 16, or None where an input is not locked. It names what evaluation depends on;
the cache of outputs has a stricter key of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from frazil.flake.reference import Attribute

if TYPE_CHECKING:
    from frazil.flake.locking import LockedFlake
    from frazil.flake.tree import Trees


def tree_fingerprint(attributes: Mapping[str, Attribute]) -> str | None:
    """What names the contents of a tree, by its kind."""
    kind = attributes["type"]
    revision, nar_hash = attributes.get("rev"), attributes.get("narHash")
    if kind == "path":
        return f"path:{nar_hash}" if nar_hash else None
    if kind == "git":
        if not isinstance(revision, str):
            return f"git:{attributes.get('dirtyRev', '')};d={nar_hash}" if nar_hash else None
        flags = (("submodules", ";s"), ("exportIgnore", ";e"), ("lfs", ";l"))
        return f"git:{revision}" + "".join([mark for name, mark in flags if attributes.get(name) is True])
    if kind in ("github", "gitlab", "sourcehut"):
        return f"{kind}:{revision}" if revision else None
    if revision:
        return f"{kind}:{revision}"
    return f"{kind}:{nar_hash}" if nar_hash else None


def fingerprint(trees: Trees, locked: LockedFlake) -> str | None:
    import hashlib

    if locked.lock_file.unlocked_input(allow_dirty_locks=False) is not None:
        return None
    reference = locked.flake.locked
    text = tree_fingerprint(reference.attributes)
    if text is None:
        return None
    text += f";{reference.subdirectory};{locked.lock_file.to_string()}"
    if "revCount" in reference.attributes:
        text += ";hasRevCount"
    if reference.last_modified is not None:
        text += f";lastModified={reference.last_modified}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
