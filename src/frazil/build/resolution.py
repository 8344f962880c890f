"""From a derivation with inputs to one whose inputs are plain store paths.

In: a derivation and where its inputs' outputs really are. Out: an equal derivation that refers to store paths only
("resolved"), placeholders replaced. Source of truth: the manual's "derivation resolution", libstore's `resolution`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from frazil.store.derivation import Derivation, InputNode, ModuloCache, fill_in_output_paths, rewrite
from frazil.store.path import StorePath, unknown_output_placeholder

if TYPE_CHECKING:
    from frazil.store.interface import Store

Chain = tuple[StorePath, tuple[str, ...]]
"""A derivation, an output of it, an output of the derivation that this output is, and so on."""


def input_chains(drv: Derivation) -> Iterator[Chain]:
    """In the order of their names, which is the order in which they are built."""
    for path in sorted({*drv.input_derivations, *drv.dynamic_inputs}, key=lambda path: (path.name, path)):
        for names in _chains(drv.input_node(path)):
            yield path, names


def _chains(node: InputNode) -> Iterator[tuple[str, ...]]:
    for name in sorted(node.outputs):
        yield (name,)
    for name in sorted(node.dynamic):
        for rest in _chains(node.dynamic[name]):
            yield (name, *rest)


def needs_resolution(drv: Derivation, content_addressed: bool) -> bool:
    """`content_addressed`: whether that feature is on, which lets fixed outputs share builds too."""
    if not drv.input_derivations and not drv.dynamic_inputs:
        return False
    kind = drv.type().kind
    return (
        kind in ("deferred", "floating", "impure")
        or (kind == "fixed" and content_addressed)
        or bool(drv.dynamic_inputs)
    )


def with_plain_inputs(drv: Derivation, found: Mapping[Chain, StorePath]) -> Derivation:
    """The inputs' outputs as sources; the text of the derivation stays."""
    return drv.with_(
        input_sources=drv.input_sources.union(found.values()),
        input_derivations={},
        dynamic_inputs={},
    )


def resolve(store: Store, drv: Derivation, found: Mapping[Chain, StorePath]) -> Derivation:
    """As `with_plain_inputs`, with placeholders for outputs replaced and deferred output paths computed."""
    rewrites = {
        unknown_output_placeholder(path, names[0], *names[1:]): store.show(output)
        for (path, names), output in found.items()
    }
    plain = rewrite(with_plain_inputs(drv, found), rewrites)
    if drv.type().kind != "deferred":
        return plain
    return fill_in_output_paths(plain, store.directory, ModuloCache(store.directory, store.read_derivation))


def resolved_path(store: Store, path: StorePath) -> StorePath | None:
    """Under which path a derivation was really built, where that is another one; None where not all is known."""
    drv = store.read_derivation(path)
    if not needs_resolution(drv, True):
        return None
    found: dict[Chain, StorePath] = {}
    for start, names in input_chains(drv):
        current: StorePath | None = start
        for name in names:
            current = store.query_derivation_outputs(current).get(name) if current is not None else None
        if current is None:
            return None
        found[start, names] = current
    return resolve(store, drv, found).store_path(store.directory)
