"""Writing to the store what an evaluation made: sources first, then texts and derivations in one transaction.

Nothing is registered before all of it is on disk; what references something is written after it.
"""

from __future__ import annotations

import os

from frazil.lang.errors import EvalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.instantiate.effects import StoreEffects
    from frazil.store.path import StorePath


def flush(effects: StoreEffects) -> None:
    """Empties the effects' lists of what is pending."""
    with effects.store.deferred_registration():
        _write_sources(effects)
        _write_texts(effects)


def _write_sources(effects: StoreEffects) -> None:
    store, directory = effects.store, effects.directory
    pending, effects.pending_sources = effects.pending_sources, {}
    if not pending:
        return
    from frazil.store.path import StorePath

    paths = {base: StorePath.from_base(base) for base in pending}
    store.add_temporary_roots(paths.values())
    valid = store.valid_among(paths.values())
    for base, source in pending.items():
        path = paths[base]
        if path in valid:
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


def _write_texts(effects: StoreEffects) -> None:
    store, directory = effects.store, effects.directory
    texts, effects.pending_texts = effects.pending_texts, {}
    derivations, effects.instantiator.pending = effects.instantiator.pending, {}
    if not texts and not derivations:
        return
    from frazil.store.path import StorePath

    batch: list[tuple[StorePath, bytes, frozenset[str]]] = []
    for base, (method, contents, references) in texts.items():
        path = StorePath.from_base(base)
        if method != "text":
            _write_plain(effects, path, contents, method)
            continue
        batch.append((path, contents, references))
    known_outputs, effects.instantiator.known_outputs = effects.instantiator.known_outputs, {}
    for shown, (contents, references) in derivations.items():
        path = directory.parse(shown)
        if shown in known_outputs:
            store.trust_outputs(path, known_outputs[shown])
        batch.append((path, contents, references))
    store.add_texts(batch)


def _write_plain(effects: StoreEffects, path: StorePath, contents: bytes, method: str) -> None:
    added = effects.store.add_bytes(path.name, contents, method=method)
    if added != path:
        raise EvalError(f"'{effects.directory.show(added)}' is not where '{path.base}' was expected")
