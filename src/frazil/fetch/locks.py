"""One process at a time. A lock ends with its process, however that ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from frazil.activity import Verbosity
from frazil.fetch.attributes import InputAttributes, show_attributes
from frazil.fetch.errors import FetchError
from frazil.fetch.scheme import FetchContext
from frazil.fetch.settings import shared_cache_directory


def make_cache_folder(path: str) -> None:
    """Raises FetchError with a hint where the cache folder cannot be written."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise FetchError(
            f"creating the cache folder '{path}': {error.strerror}", hint="set XDG_CACHE_HOME to a folder of yours"
        ) from error


@contextlib.contextmanager
def locked(path: str, context: FetchContext, what: str = "") -> Iterator[None]:
    """By the file `PATH.lock`, whose folder exists."""
    import fcntl

    with open(f"{path}.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            shown = what or f"into '{path}'"
            context.reporter.log(Verbosity.NOTICE, f"waiting for another process to finish fetching {shown}...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def input_lock(attributes: InputAttributes, context: FetchContext) -> Iterator[None]:
    """So that two processes do not download the same; each would be right without. No cache folder, no lock."""
    import hashlib

    shown = show_attributes(attributes)
    folder = os.path.join(shared_cache_directory(context.settings), "fetcher-locks")
    name = hashlib.sha256(shown.encode("utf-8", "surrogateescape")).hexdigest()
    try:
        os.makedirs(folder, exist_ok=True)
        usable = os.access(folder, os.W_OK)
    except OSError:
        usable = False
    if not usable:
        yield
        return
    with locked(os.path.join(folder, name), context, f"input '{shown}'"):
        yield
