"""What making some paths valid would take: what would be built, what fetched, what nobody knows how to make.

In: derived paths. Out: `Missing`. Level by level: everything that one level asks of binary caches is asked at once.
Source: libstore's `queryMissing`, for the lists that `nix-build --dry-run` prints.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frazil.store.errors import StoreError

if TYPE_CHECKING:
    from frazil.build.substituters import Substituters
    from frazil.store.content_address import ContentAddress
    from frazil.store.derivation import Derivation
    from frazil.store.derived_path import DerivedPath
    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath

    Wanted = tuple[StorePath, frozenset[str] | None]


@dataclass(slots=True)
class Missing:
    """`will_build`: what is needed first comes first. Sizes in bytes."""

    will_build: list[StorePath] = field(default_factory=list)
    will_substitute: list[StorePath] = field(default_factory=list)
    unknown: list[StorePath] = field(default_factory=list)
    download_size: int = 0
    nar_size: int = 0


def query_missing(
    store: LocalStore, targets: Iterable[DerivedPath], substituters: Substituters | None = None
) -> Missing:
    """Raises StoreError where a substituter fails and there is no `fallback`."""
    if store.builds_elsewhere and hasattr(store, "query_missing"):
        build, fetch, unknown, download_size, nar_size = store.query_missing(list(targets))
        fetched = sorted(fetch, key=lambda path: (path.name, path.base))
        return Missing(store.topological(build), fetched, sorted(unknown), download_size, nar_size)
    search = _Search(store, substituters)
    for target in targets:
        if target.outputs is None:
            search.paths[target.base] = None
        elif not target.through:
            search.derivations.append((target.base, target.outputs.names))
    search.run()
    return search.result()


class _Search:
    def __init__(self, store: LocalStore, substituters: Substituters | None) -> None:
        self.store = store
        self.substituters = substituters if substituters is not None and substituters.wanted else None
        self.to_build: set[StorePath] = set()
        self.missing = Missing()
        self.unknown: set[StorePath] = set()
        self.fetched: set[StorePath] = set()
        self.paths: dict[StorePath, ContentAddress | None] = {}
        """Plain paths that the next level is about."""
        self.derivations: list[Wanted] = []
        self.seen: set[object] = set()

    def run(self) -> None:
        while self.paths or self.derivations:
            paths, self.paths = self.paths, {}
            derivations, self.derivations = self.derivations, []
            self._plain(paths)
            self._derived(derivations)

    def _plain(self, paths: dict[StorePath, ContentAddress | None]) -> None:
        fresh = {path: address for path, address in paths.items() if path not in self.seen}
        self.seen.update(fresh)
        wanted = {path: fresh[path] for path in fresh.keys() - self.store.valid_among(fresh)}
        offers = self.substituters.find(self.store, wanted) if self.substituters and wanted else {}
        for path in wanted:
            offer = offers.get(path)
            if offer is None:
                self.unknown.add(path)
                continue
            self.fetched.add(path)
            self.missing.download_size += offer.download_size
            self.missing.nar_size += offer.info.nar_size
            for reference in offer.info.references:
                self.paths.setdefault(reference, None)

    def _derived(self, wanted: list[Wanted]) -> None:
        asked: list[tuple[StorePath, Derivation, dict[StorePath, ContentAddress | None]]] = []
        for item in wanted:
            if item in self.seen:
                continue
            self.seen.add(item)
            path, outputs = item
            if not self.store.is_valid(path):
                self.unknown.add(path)
                continue
            derivation = self.store.read_derivation(path)
            lacking = self._lacking(path, derivation, outputs)
            if lacking is None or (lacking and not self._may_fetch(derivation)):
                self._build(path, derivation)
            elif lacking:
                asked.append((path, derivation, lacking))
        every = {path: address for _, _, lacking in asked for path, address in lacking.items()}
        offers = self.substituters.find(self.store, every) if self.substituters and every else {}
        for path, derivation, lacking in asked:
            if all(output in offers for output in lacking):
                self.paths.update(lacking)
            else:
                self._build(path, derivation)

    def _lacking(
        self, path: StorePath, derivation: Derivation, wanted: frozenset[str] | None
    ) -> dict[StorePath, ContentAddress | None] | None:
        """Outputs that are not valid; None where a build alone can tell what they are."""
        if derivation.type().kind == "impure":
            return None
        try:
            known = self.store.query_derivation_outputs(path)
        except StoreError:
            return None
        found: dict[StorePath, ContentAddress | None] = {}
        for name in known if wanted is None else sorted(wanted & known.keys()):
            output = known[name]
            if output is None:
                output = self._realised(path, name)
            if output is None:
                return None
            if not self.store.is_valid(output):
                found[output] = fixed_address(derivation, name)
        return found

    def _realised(self, path: StorePath, output: str) -> StorePath | None:
        for store in self.substituters.stores if self.substituters else ():
            found = store.realisation(path, output)
            if found is not None:
                return found.path
        return None

    def _may_fetch(self, derivation: Derivation) -> bool:
        if self.substituters is None:
            return False
        if self.substituters.settings.always_allow_substitutes:
            return True
        from frazil.build.options import derivation_options

        return derivation_options(derivation, self.store.directory).allow_substitutes

    def _build(self, path: StorePath, derivation: Derivation) -> None:
        if path in self.to_build:
            return
        self.to_build.add(path)
        self.derivations += derivation.input_derivations.items()

    def result(self) -> Missing:
        missing = self.missing
        missing.will_build = self.store.topological(self.to_build)
        missing.will_substitute = sorted(self.fetched, key=lambda path: (path.name, path.base))
        missing.unknown = sorted(self.unknown)
        return missing


def fixed_address(derivation: Derivation, output: str) -> ContentAddress | None:
    """The content address that is stated for an output: it says what other stores call it."""
    from frazil.store.derivation import Fixed

    found = derivation.outputs.get(output)
    return found.content_address if isinstance(found, Fixed) else None
