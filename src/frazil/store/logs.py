"""Where build logs lie, and reading them: `DIR/drvs/xx/REST` plain, `.bz2` or `.zst`.

Source of truth: the manual's `nix log`; C++ Nix's local log store.
"""

from __future__ import annotations

import os

from frazil.store.errors import StoreError
from frazil.store.path import StorePath


def log_path(log_dir: str, derivation: StorePath) -> str:
    """Without the ending of its compression."""
    base = derivation.base
    return f"{log_dir}/drvs/{base[:2]}/{base[2:]}"


def read_log(log_dir: str, derivation: StorePath) -> bytes | None:
    """The unpacked log of a derivation's last build; None where there is none, or none that can be read."""
    for path in (log_path(log_dir, derivation), f"{log_dir}/drvs/{derivation.base}"):
        for ending, unpack in (("", _plain), (".bz2", _bzip2), (".zst", _zstandard)):
            try:
                with open(path + ending, "rb") as file:
                    contents = file.read()
            except OSError:
                continue
            try:
                return unpack(contents)
            except (OSError, ValueError, EOFError):
                continue
    return None


def _plain(contents: bytes) -> bytes:
    return contents


def _bzip2(contents: bytes) -> bytes:
    import bz2

    return bz2.decompress(contents)


def _zstandard(contents: bytes) -> bytes:
    import zstandard

    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(contents)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


def write_log(log_dir: str, derivation: StorePath, contents: bytes) -> None:
    """Keeps a log that came from elsewhere, unless there is one."""
    import bz2

    final = log_path(log_dir, derivation) + ".bz2"
    if os.path.exists(final):
        return
    temporary = f"{final}.tmp.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(final), exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(bz2.compress(contents))
        os.rename(temporary, final)
    except OSError as error:
        raise StoreError(f"writing '{final}': {error.strerror}") from error
