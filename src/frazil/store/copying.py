"""Copying store objects from any store to any other.

In: a source, a target, paths. What the target lacks is copied, many paths at once; nothing becomes valid there before
what it refers to. Source of truth: C++ Nix's `copyPaths`, for messages and order.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from frazil.activity import Activity, ActivityType, Verbosity
from frazil.store.errors import InvalidPath, StoreError
from frazil.store.interface import Terms, opened
from frazil.store.path_info import PathInfo

if TYPE_CHECKING:
    from frazil.activity import Reporter
    from frazil.store.interface import Archives, Store
    from frazil.store.nar import Read
    from frazil.store.path import StorePath


def copy_closure(
    source: Store,
    target: Store,
    paths: Iterable[StorePath],
    reporter: Reporter,
    *,
    check_signatures: bool = True,
    repair: bool = False,
) -> int:
    """Copies what `paths` need, too; how many objects the target lacked."""
    return copy_paths(source, target, source.closure(paths), reporter, check_signatures=check_signatures, repair=repair)


def copy_paths(
    source: Store,
    target: Store,
    paths: Iterable[StorePath],
    reporter: Reporter,
    *,
    check_signatures: bool = True,
    repair: bool = False,
) -> int:
    """Exactly these paths; how many the target lacked. Raises StoreError."""
    wanted = set(paths)
    moved = _moved(source, target, wanted)
    here = target.valid_among(moved.values()) if not repair else set()
    missing = [path for path in wanted if moved[path] not in here]
    if not missing:
        return 0
    words = f"copying {len(missing)} paths"
    with Activity(reporter, ActivityType.COPY_PATHS, words, level=Verbosity.INFO) as activity:
        infos = list(source.query_infos(source.topological(missing)))
        progress = _Progress(source, target, reporter, activity, infos)
        target.add_from(
            _Renaming(source, moved) if any(old != new for old, new in moved.items()) else source,
            [info.with_(path=moved[info.path], ultimate=False) for info in infos],
            Terms(repair, check_signatures, progress.started),
        )
    return len(missing)


def _moved(source: Store, target: Store, paths: set[StorePath]) -> dict[StorePath, StorePath]:
    """Where each will be: objects without references go to stores of another directory by their content address."""
    if source.directory == target.directory:
        return {path: path for path in paths}
    moved = {}
    for info in source.query_infos(sorted(paths)):
        address = info.content_address
        if address is None or info.references:
            raise StoreError(
                f"cannot copy path '{source.show(info.path)}' to the store '{target.uri}': its store directory is "
                f"'{target.directory.path}'",
                hint="paths depend on the store directory; build or download it there",
            )
        moved[info.path] = address.store_path(target.directory, info.path.name)
    return moved


class _Renaming:
    """A source whose paths have other names in the target."""

    def __init__(self, source: Store, moved: dict[StorePath, StorePath]) -> None:
        self._source = source
        self.transfers = source.transfers
        self._back = {new: old for old, new in moved.items()}

    def take_nar(self, path: StorePath) -> bytes | AbstractContextManager[Read]:
        return self._source.take_nar(self._back[path])


class _Progress:
    def __init__(
        self, source: Store, target: Store, reporter: Reporter, activity: Activity, infos: list[PathInfo]
    ) -> None:
        self.source, self.target, self.reporter = source, target, reporter
        self.activity, self.total, self.done, self.running = activity, len(infos), 0, 0

    def started(self, info: PathInfo) -> AbstractContextManager[object]:
        return _Copied(self, copying_activity(self.source, self.target, info.path, self.reporter))

    def count(self, *, done: int = 0, running: int) -> None:
        self.done += done
        self.running += running
        self.activity.progress(self.done, self.total, max(0, self.running))


class _Copied:
    def __init__(self, progress: _Progress, activity: Activity) -> None:
        self._progress, self._activity = progress, activity

    def __enter__(self) -> Activity:
        self._progress.count(running=1)
        return self._activity.__enter__()

    def __exit__(self, *details: object) -> None:
        self._activity.__exit__(None, None, None)
        self._progress.count(done=1, running=-1)


def copying_activity(
    source: Store, target: Store, path: StorePath, reporter: Reporter, parent: Activity | None = None
) -> Activity:
    """Says which path is copied, from where to where: the local store goes without saying."""
    shown, origin, destination = source.show(path), source.uri, target.uri
    if source.goes_without_saying:
        text = f"copying path '{shown}' to '{destination}'"
    elif target.goes_without_saying:
        text = f"copying path '{shown}' from '{origin}'"
    else:
        text = f"copying path '{shown}' from '{origin}' to '{destination}'"
    fields = (shown, origin, destination)
    return Activity(reporter, ActivityType.COPY_PATH, text, fields=fields, level=Verbosity.INFO, parent=parent)


def add_one_by_one(target: Store, source: Archives, infos: Iterable[PathInfo], terms: Terms) -> None:
    """For stores that have no faster way. `infos`: references first."""
    for info in infos:
        with terms.around(info) as told, opened(source.take_nar(info.path)) as read:
            seen = terms.watched(info, told, read)
            target.add_nar(info, seen, repair=terms.repair, check_signatures=terms.check_signatures)


def copy_realisations(
    source: Store, target: Store, outputs: Iterable[tuple[StorePath, str]], *, check_signatures: bool = True
) -> None:
    """Where outputs of floating derivations went, for those that are in the target."""
    for derivation, output in outputs:
        found = source.realisation(derivation, output)
        if found is not None and target.is_valid(found.path) and target.realisation(derivation, output) is None:
            target.add_realisation(found, check_signatures=check_signatures)


def require_valid(store: Store, paths: Iterable[StorePath]) -> None:
    wanted = set(paths)
    for path in sorted(wanted - store.valid_among(wanted)):
        raise InvalidPath(f"path '{store.show(path)}' is not valid")
