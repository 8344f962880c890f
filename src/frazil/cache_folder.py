"""Where frazil keeps what it can find out again."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def cache_folder(environment: Mapping[str, str]) -> str:
    """Obeys NIX_CACHE_HOME and XDG_CACHE_HOME."""
    if environment.get("NIX_CACHE_HOME"):
        return environment["NIX_CACHE_HOME"]
    base = environment.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "frazil")


def make_optional_folder(folder: str) -> None:
    """For what one can do without. Raises OSError; never makes a home: one that is absent, as a builder's, stays so."""
    home = os.path.expanduser("~").rstrip("/")
    if home and folder.startswith(home + "/") and not os.path.isdir(home):
        raise FileNotFoundError(2, os.strerror(2), home)
    os.makedirs(folder, mode=0o700, exist_ok=True)


def file_identity(path: str) -> tuple[int, int] | None:
    """Device and inode: whoever finds a cache damaged deletes the file it had opened, not one begun in its place."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
