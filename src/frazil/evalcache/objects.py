"""Store objects that facts and answers name.

In: a store and the texts of store paths. Out: whether they are there, as what. Source of truth: the store's database.
"""

from __future__ import annotations

import os

from frazil.store.errors import BadStorePath
from frazil.store.path import StorePath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from frazil.store.local import LocalStore


def object_hash(store: LocalStore, base: str) -> str | None:
    """The NAR hash of a store path, "-" where it is not there, None where something unregistered is."""
    try:
        path: StorePath = StorePath.from_base(base)
    except BadStorePath:
        return None if os.path.lexists(os.path.join(store.config.real_store_dir, base)) else "-"
    info = store.query_info_or_none(path)
    if info is not None:
        return info.nar_hash.base16
    return None if os.path.lexists(store.real_path(path)) else "-"


def are_present(store: LocalStore, texts: Iterable[object]) -> bool:
    """Whether all are valid; if so, they stay for as long as this process."""
    try:
        paths = {store.directory.parse(text) for text in texts if isinstance(text, str)}
    except BadStorePath:
        return False
    if not paths:
        return True
    store.add_temporary_roots(paths)
    return store.valid_among(paths) == paths
