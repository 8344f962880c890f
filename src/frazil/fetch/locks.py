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
def locked(path: str, context: FetchContext, what: str = "", *, delete: bool = False) -> Iterator[None]:
    """By the file `PATH.lock`, whose folder exists. `delete`: the file goes with the lock."""
    import fcntl

    name = f"{path}.lock"
    while True:
        with open(name, "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                shown = what or f"into '{path}'"
                context.reporter.log(Verbosity.NOTICE, f"waiting for another Nix process to finish fetching {shown}...")
                fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_current(file.fileno(), name):
                continue  # whoever held it has deleted it, and a third process may hold another by now
            try:
                yield
            finally:
                if delete:
                    with contextlib.suppress(OSError):
                        os.unlink(name)
            return


def _is_current(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


@contextlib.contextmanager
def input_lock(attributes: InputAttributes, context: FetchContext, shown: str) -> Iterator[None]:
    """So that two processes do not download the same; each would be right without. No cache folder, no lock.

    `shown`: the input as people read it.
    """
    import hashlib

    folder = os.path.join(shared_cache_directory(context.settings), "fetcher-locks")
    name = hashlib.sha256(show_attributes(attributes).encode("utf-8", "surrogateescape")).hexdigest()
    try:
        os.makedirs(folder, exist_ok=True)
        usable = os.access(folder, os.W_OK)
    except OSError:
        usable = False
    if not usable:
        yield
        return
    with locked(os.path.join(folder, name), context, f"input '{shown}'", delete=True):
        if os.environ.get("_NIX_TEST_CONCURRENT_FETCHES") == "1":  # as in C++ Nix: its tests want two to meet here
            import time

            time.sleep(1)
        yield
