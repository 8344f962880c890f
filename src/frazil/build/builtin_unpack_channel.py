"""The builder `builtin:unpack-channel`: the one folder of a tarball, renamed.

In: the attributes `channelName` and `src`. Out: `out/CHANNELNAME`. Source of truth: libstore's `unpack-channel`.
"""

from __future__ import annotations

import os

from frazil.build.builtin import BuiltinContext, BuiltinFailed


def build(context: BuiltinContext) -> None:
    name, source = context.attribute("channelName"), context.attribute("src")
    if "/" in name or name in ("", ".", ".."):
        raise BuiltinFailed(f"channelName is not allowed to contain filesystem separators, got {name}")
    from frazil.fetch.archive import unpack

    out = context.real_output()
    os.makedirs(out, exist_ok=True)
    unpack(context.real_path(source), out, context.fetch_settings.maximum_unpacked)
    entries = os.listdir(out)
    if not entries:
        raise BuiltinFailed(f"channel tarball '{source}' is empty")
    if len(entries) != 1:
        raise BuiltinFailed(f"channel tarball '{source}' contains more than one file")
    os.rename(f"{out}/{entries[0]}", f"{out}/{name}")
