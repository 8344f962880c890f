"""Copying store objects with what they refer to into another store."""

from __future__ import annotations

from collections.abc import Iterable

from frazil.cli.context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath

SPOOL = 64 << 20
"""Archives up to this size pass through memory, bytes."""


def copy_paths_to(
    context: Context, destination: str, paths: Iterable[StorePath], *, check_signatures: bool = False
) -> int:
    """Copies the closure of `paths` to the store that `destination` names; how many objects it lacked."""
    from frazil.cli.room_settings import store_settings
    from frazil.store.config import StoreConfig
    from frazil.store.local import LocalStore

    source = context.store
    config = StoreConfig.from_uri(destination, context.settings.environment)
    with LocalStore(config, store_settings(context.settings), context.reporter) as target:
        closure = source.closure(list(paths))
        missing = closure - target.valid_among(closure)
        for path in source.topological(missing):
            context.note(f"copying path '{source.show(path)}' to '{destination}'...")
            _copy(source, target, path, check_signatures)
    return len(missing)


def _copy(source: LocalStore, target: LocalStore, path: StorePath, check_signatures: bool) -> None:
    import tempfile

    with tempfile.SpooledTemporaryFile(max_size=SPOOL) as spool:
        source.dump_nar(path, spool.write)
        spool.seek(0)
        target.add_nar(source.query_info(path), spool.read, check_signatures=check_signatures)
