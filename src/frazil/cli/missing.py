"""What building some paths would take: derivations to build, paths nobody knows how to make.

Source: the list that `nix-build --dry-run` prints.
"""

from __future__ import annotations

from frazil.store.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from frazil.store.derivation import Derivation
    from frazil.store.derived_path import DerivedPath
    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath


class Missing:
    """`will_build`: what is needed first comes first."""

    __slots__ = ("unknown", "will_build")

    def __init__(self, will_build: list[StorePath], unknown: list[StorePath]) -> None:
        self.will_build = will_build
        self.unknown = unknown


def query_missing(store: LocalStore, targets: Iterable[DerivedPath]) -> Missing:
    if store.builds_elsewhere and hasattr(store, "query_missing"):
        build, _, unknown, _, _ = store.query_missing(list(targets))
        return Missing(store.topological(build), sorted(unknown))
    search = _Search(store)
    for target in targets:
        if target.outputs is None:
            search.source(target.base)
        else:
            search.derivation(target.base, target.outputs.names)
    search.run()
    order = store.topological(search.to_build)
    return Missing(order, sorted(search.unknown))


class _Search:
    def __init__(self, store: LocalStore) -> None:
        self.store = store
        self.to_build: set[StorePath] = set()
        self.unknown: set[StorePath] = set()
        self.pending: list[tuple[StorePath, frozenset[str] | None]] = []
        self.seen: set[tuple[StorePath, frozenset[str] | None]] = set()

    def source(self, path: StorePath) -> None:
        if not self.store.is_valid(path):
            self.unknown.add(path)

    def derivation(self, path: StorePath, outputs: frozenset[str] | None) -> None:
        self.pending.append((path, outputs))

    def run(self) -> None:
        while self.pending:
            item = self.pending.pop()
            if item in self.seen:
                continue
            self.seen.add(item)
            path, outputs = item
            if not self.store.is_valid(path):
                self.unknown.add(path)
                continue
            derivation = self.store.read_derivation(path)
            if not self._is_built(path, derivation, outputs) and path not in self.to_build:
                self.to_build.add(path)
                self.pending += derivation.input_derivations.items()

    def _is_built(self, path: StorePath, derivation: Derivation, outputs: frozenset[str] | None) -> bool:
        if derivation.type().kind == "impure":
            return False
        try:
            known = self.store.query_derivation_outputs(path)
        except StoreError:
            return False
        wanted = known if outputs is None else outputs
        return all(self._is_valid(known.get(name)) for name in wanted)

    def _is_valid(self, path: StorePath | None) -> bool:
        return path is not None and self.store.is_valid(path)
