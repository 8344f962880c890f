"""Writing to the store what an evaluation made: sources first, then texts and derivations in one transaction.

Nothing is registered before all of it is on disk; what references something is written after it. What a thread wrote
meanwhile (`store.ahead`) only needs to be put in its place.
"""

from __future__ import annotations

import os

from frazil.lang.errors import EvalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from frazil.instantiate.effects import PendingSource, StoreEffects
    from frazil.store.ahead import Ahead
    from frazil.store.path import StorePath


def flush(effects: StoreEffects) -> None:
    """Empties the effects' lists of what is pending."""
    if effects.store.refuses:
        only_derivations = not (effects.pending_sources or effects.pending_texts)
        effects.store.unsupported("writeDerivation" if only_derivations else "addToStoreFromDump")
    store, prefix = effects.store, effects.directory.path + "/"
    ahead = effects.take_ahead()
    if ahead is not None and store.repairs:
        ahead.close()
        ahead = None
    sources, effects.pending_sources = effects.pending_sources, {}
    texts, effects.pending_texts = effects.pending_texts, {}
    derivations, effects.instantiator.pending = effects.instantiator.pending, {}
    try:
        shown = [*(prefix + base for base in (*sources, *texts)), *derivations]
        valid = ahead.protect(shown) if ahead is not None else _protect(effects, shown)
        if len(valid) < len(shown):
            if ahead is not None:
                ahead.finish()
            with store.deferred_registration():
                _write_sources(effects, {b: s for b, s in sources.items() if prefix + b not in valid}, ahead)
                plain = {base: text for base, text in texts.items() if prefix + base not in valid}
                batch = _text_batch(effects, plain)
                batch += _derivation_batch(effects, {d: made for d, made in derivations.items() if d not in valid})
                (store if ahead is None else ahead).add_texts(batch)
    finally:
        effects.instantiator.known_outputs = {}
        if ahead is not None:
            ahead.close()


def _protect(effects: StoreEffects, shown: list[str]) -> set[str]:
    """Makes temporary roots. -> which of the paths are valid."""
    show = effects.directory.show
    paths = list(map(effects.directory.parse, shown))
    effects.store.add_temporary_roots(paths)
    return set() if effects.store.repairs else {show(path) for path in effects.store.valid_among(paths)}


def _write_sources(effects: StoreEffects, missing: dict[str, PendingSource], ahead: Ahead | None) -> None:
    if not missing:
        return
    from frazil.store.path import StorePath

    store, directory = effects.store, effects.directory
    paths = {base: StorePath.from_base(base) for base in missing}
    said = store.settings.warn_large_path_threshold > 0  # what is placed ahead is not weighed
    placed = ahead.place_archives(paths.values()) if ahead is not None and not said else set()
    for base, source in missing.items():
        path = paths[base]
        if path in placed:
            continue
        added = store.add_path(
            source.name,
            os.fsdecode(source.real_path),
            method=source.method,
            filter=source.filter,
            references=source.references,
        )
        if added != path:
            raise EvalError(
                f"path '{os.fsdecode(source.real_path)}' changed while it was copied to the store",
                hint=f"it was '{directory.show(path)}' at first and '{directory.show(added)}' later; try again",
            )


def _text_batch(
    effects: StoreEffects, missing: dict[str, tuple[str, bytes, frozenset[str]]]
) -> list[tuple[StorePath, bytes, Collection[str]]]:
    """Those that are stored as texts are; the others are written here."""
    if not missing:
        return []
    from frazil.store.path import StorePath

    batch: list[tuple[StorePath, bytes, Collection[str]]] = []
    for base, (method, contents, references) in missing.items():
        path = StorePath.from_base(base)
        if method == "text":
            batch.append((path, contents, references))
            continue
        added = effects.store.add_bytes(path.name, contents, method=method)
        if added != path:
            raise EvalError(f"'{effects.directory.show(added)}' is not where '{path.base}' was expected")
    return batch


def _derivation_batch(
    effects: StoreEffects, missing: dict[str, tuple[bytes, tuple[str, ...]]]
) -> list[tuple[StorePath, bytes, Collection[str]]]:
    parse, known_outputs = effects.directory.parse, effects.instantiator.known_outputs
    batch: list[tuple[StorePath, bytes, Collection[str]]] = []
    for shown, (contents, references) in missing.items():
        path = parse(shown)
        if shown in known_outputs:
            effects.store.trust_outputs(path, known_outputs[shown])
        batch.append((path, contents, references))
    return batch
