"""What changed between two closures: packages, versions, sizes. Source: the manual page of `store diff-closures`."""

from __future__ import annotations

import re

from frazil.cli.env_names import split_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from frazil.cli.context import Context
    from frazil.store.path import StorePath

_OUTPUT = re.compile("(.*)-([a-z]+|lib32|lib64)")
_NOTABLE = 8 * 1024
"""Smaller changes of size are not shown, bytes."""


def show_versions(versions: set[str]) -> str:
    """`∅` for none, `ε` for an empty one."""
    return ", ".join(sorted(version or "ε" for version in versions)) or "∅"


def difference(context: Context, before: StorePath, after: StorePath) -> Iterator[str]:
    """Lines `NAME: OLD → NEW, SIZE`."""
    from frazil.store.garbage import render_size

    old, new = _grouped(context, before), _grouped(context, after)
    for name in sorted({*old, *new}):
        old_versions, new_versions = old.get(name, {}), new.get(name, {})
        size = sum(new_versions.values()) - sum(old_versions.values())
        removed, added = set(old_versions) - set(new_versions), set(new_versions) - set(old_versions)
        items = []
        if removed or added:
            items.append(f"{show_versions(removed)} → {show_versions(added)}")
        if abs(size) >= _NOTABLE:
            items.append(render_size(size))
        if items:
            yield f"{name}: {', '.join(items)}"


def _grouped(context: Context, path: StorePath) -> dict[str, dict[str, int]]:
    """Package → version → bytes. What looks like an output's name at the end is taken off."""
    found: dict[str, dict[str, int]] = {}
    store = context.store
    for info in store.query_infos(sorted(store.closure([path]))):
        match = _OUTPUT.fullmatch(info.path.name)
        name, version = split_name(match[1] if match else info.path.name)
        versions = found.setdefault(name, {})
        versions[version] = versions.get(version, 0) + info.nar_size
    return found


def run_difference(context: Context, before: StorePath, after: StorePath, indent: str = "") -> None:
    for line in difference(context, before, after):
        context.print(indent + line)
