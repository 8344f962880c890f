"""The builder `builtin:unpack-channel`: the one folder of a tarball, renamed.

In: the attributes `channelName` and `src`. Out: `out/CHANNELNAME`. Source of truth: libstore's `unpack-channel`.
"""

from __future__ import annotations

import os

from frazil.build.builtin import BuiltinContext, BuiltinFailed


def unpack_tarball(source: str, destination: str) -> None:
    """Any compression; nothing outside `destination`, no devices, owners or special modes. Raises BuiltinFailed."""
    import tarfile

    try:
        with tarfile.open(source, "r:*") as archive:
            if hasattr(tarfile, "data_filter"):
                archive.extractall(destination, filter="data")
            else:
                raise BuiltinFailed("this Python is too old to unpack archives safely: 3.11.4 or later is needed")
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise BuiltinFailed(f"cannot unpack '{source}': {error}") from error


def build(context: BuiltinContext) -> None:
    name, source = context.attribute("channelName"), context.attribute("src")
    if "/" in name or name in ("", ".", ".."):
        raise BuiltinFailed(f"channelName is not allowed to contain filesystem separators, got {name}")
    out = context.real_output()
    os.makedirs(out, exist_ok=True)
    unpack_tarball(context.real_path(source), out)
    entries = os.listdir(out)
    if not entries:
        raise BuiltinFailed(f"channel tarball '{source}' is empty")
    if len(entries) != 1:
        raise BuiltinFailed(f"channel tarball '{source}' contains more than one file")
    os.rename(f"{out}/{entries[0]}", f"{out}/{name}")
