"""What a new image has that an old one had not: layers that travel, packages that came, went or changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from frazil.image.inventory import Package


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """`names`: of the packages in it, as far as they are known."""

    diff_id: str
    size: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """`old`, `new`: versions (or parts of hashes); None where the package is not there. `size`: growth in bytes."""

    name: str
    old: str | None
    new: str | None
    size: int


@dataclass(frozen=True, slots=True)
class Difference:
    added: tuple[LayerSummary, ...]
    removed: tuple[LayerSummary, ...]
    kept: int
    changes: tuple[Change, ...]


def compare(
    old: Sequence[LayerSummary], new: Sequence[LayerSummary], before: Sequence[Package], after: Sequence[Package]
) -> Difference:
    had, has = {layer.diff_id for layer in old}, {layer.diff_id for layer in new}
    return Difference(
        tuple(layer for layer in new if layer.diff_id not in had),
        tuple(layer for layer in old if layer.diff_id not in has),
        sum(layer.diff_id in had for layer in new),
        tuple(_changes(before, after)),
    )


def _by_name(packages: Sequence[Package]) -> dict[str, list[Package]]:
    found: dict[str, list[Package]] = {}
    for package in packages:
        found.setdefault(package.name, []).append(package)
    return found


def _label(packages: Sequence[Package]) -> str | None:
    if not packages:
        return None
    return ", ".join(package.version or package.path.rsplit("/", 1)[-1][:7] for package in packages)


def _changes(before: Sequence[Package], after: Sequence[Package]) -> list[Change]:
    olds, news = _by_name(before), _by_name(after)
    changes = []
    for name in sorted({*olds, *news}):
        old, new = olds.get(name, []), news.get(name, [])
        if {package.path for package in old} == {package.path for package in new}:
            continue
        size = sum(package.nar_size for package in new) - sum(package.nar_size for package in old)
        changes.append(Change(name, _label(old), _label(new), size))
    return changes
