"""`result` links: roots that people run programs through."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath


def add_result_link(store: LocalStore, path: StorePath, link: str) -> None:
    """A link that keeps `path`, and that leads to something usable also where the store is a user's own."""
    if not store.config.is_user_default:
        store.add_permanent_root(path, os.path.abspath(link))
        return
    from frazil.dev.outside import Place, outside_object

    place = Place(store.config.store_dir, store.config.real_store_dir)
    target = outside_object(path.base, place, store.config.outside_dir)
    store.add_permanent_root(path, os.path.abspath(link), target)
