"""A local store on top of another one that is only read: `local-overlay://`.

In: a lower store, an upper layer, an overlay file system mounted over both. Out: a store that has what either has;
what is added goes to the upper layer. Paths of the lower store are registered in the upper database when first asked
for. The overlay is mounted by somebody else. Source of truth: the manual's page on this type of store.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from frazil.errors import UsageError
from frazil.store.config import StoreConfig
from frazil.store.errors import BadStorePath, StoreError
from frazil.store.interface import Store
from frazil.store.local import LocalStore
from frazil.store.metadata import delete_tree
from frazil.store.path import StorePath

if TYPE_CHECKING:
    from frazil.activity import Reporter
    from frazil.digest import Hash
    from frazil.store.address import StoreReference
    from frazil.store.config import StoreSettings
    from frazil.store.garbage import Options, Results
    from frazil.store.path_info import PathInfo
    from frazil.store.realisation import Realisation

_OWN = frozenset(("lower-store", "upper-layer", "check-mount", "remount-hook"))


def open_overlay(
    reference: StoreReference, settings: StoreSettings, reporter: Reporter, environment: Mapping[str, str]
) -> LocalOverlayStore:
    from frazil.store.address import Parameters
    from frazil.store.opening import open_store

    parameters = Parameters(reference.parameters)
    upper, hook = parameters.path("upper-layer"), parameters.path("remount-hook")
    checks = parameters.flag("check-mount", True)
    lower = open_store(parameters.text("lower-store"), settings, reporter, environment)
    if not isinstance(lower, LocalStore):
        raise UsageError(f"the lower store '{lower.uri}' of an overlay must be in the file system")
    plain = {name: text for name, text in reference.parameters.items() if name not in _OWN}
    config = StoreConfig.from_parameters(plain, environment, reference.show())
    config = config.with_(scheme="local-overlay", parameters=dict(reference.parameters))
    if upper is None:
        raise UsageError(f"overlay store at '{config.real_store_dir}' requires the 'upper-layer' setting")
    if checks:
        check_mount(config.real_store_dir, lower.config.real_store_dir, upper)
    return LocalOverlayStore(config, settings, reporter, lower, upper, hook)


def check_mount(place: str, lower: str, upper: str) -> None:
    """Raises StoreError where `place` is not an overlay of these two."""
    options: list[str] = []
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            words = line.split(" ")
            if len(words) > 3 and words[0] == "overlay" and _unescaped(words[1]) == place:
                options = [_unescaped(word) for word in words[3].split(",")]  # the last mount is the one in force
    if f"lowerdir={lower}" not in options or f"upperdir={upper}" not in options:
        raise StoreError(
            f"overlay filesystem '{place}' mounted incorrectly",
            hint=f"it must be an overlay of the lower folder '{lower}' and the upper one '{upper}'",
        )


def _unescaped(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


class LocalOverlayStore(LocalStore):
    """`upper`: the folder that holds what the lower store has not."""

    def __init__(
        self,
        config: StoreConfig,
        settings: StoreSettings,
        reporter: Reporter,
        lower: LocalStore,
        upper: str,
        remount_hook: str | None,
    ) -> None:
        super().__init__(config, settings, reporter)
        self.lower = lower
        self.upper = upper
        self._remount_hook = remount_hook
        self._needs_remount = False

    def close(self) -> None:
        super().close()
        self.lower.close()

    # ---------------------------------------------------------------------------------------------------- queries

    def is_valid(self, path: StorePath) -> bool:
        return super().is_valid(path) or self._take_over(path)

    def is_registered(self, path: StorePath) -> bool:
        return super().is_registered(path) or self._take_over(path)

    def _take_over(self, path: StorePath) -> bool:
        """Registers a path of the lower store, with all that it needs, in the upper database."""
        if not self.lower.is_registered(path):
            return False
        closure = self.lower.closure([path])
        missing = closure - super().valid_among(closure)
        infos = list(self.lower.query_infos(self.lower.topological(missing)))
        if infos and not self.config.read_only:
            super().register(infos)
        return True

    def valid_among(self, paths: Iterable[StorePath]) -> set[StorePath]:
        wanted = set(paths)
        found = super().valid_among(wanted)
        return found | {path for path in wanted - found if self._take_over(path)}

    def query_info_or_none(self, path: StorePath) -> PathInfo | None:
        return super().query_info_or_none(path) or self.lower.query_info_or_none(path)

    def find_infos(self, paths: Iterable[StorePath]) -> list[PathInfo | None]:
        wanted = list(paths)
        found = super().find_infos(wanted)
        return [info or self.lower.query_info_or_none(path) for path, info in zip(wanted, found)]

    def query_infos(self, paths: Iterable[StorePath]) -> Iterator[PathInfo]:
        return Store.query_infos(self, paths)

    def query_nar_hashes(self, paths: Iterable[StorePath]) -> Iterator[Hash]:
        return Store.query_nar_hashes(self, paths)

    def query_sizes(self, paths: Iterable[StorePath]) -> dict[StorePath, tuple[int, Collection[StorePath]]]:
        return Store.query_sizes(self, paths)

    def query_references(self, path: StorePath) -> set[StorePath]:
        return set(self.query_info(path).references)

    def _references_of(self, paths: Sequence[StorePath]) -> dict[StorePath, set[StorePath]]:
        return {}

    def query_referrers(self, path: StorePath) -> set[StorePath]:
        return super().query_referrers(path) | self.lower.query_referrers(path)

    def query_valid_derivers(self, path: StorePath) -> set[StorePath]:
        return super().query_valid_derivers(path) | self.lower.query_valid_derivers(path)

    def query_from_hash_part(self, hash_part: str) -> StorePath | None:
        return super().query_from_hash_part(hash_part) or self.lower.query_from_hash_part(hash_part)

    def realisation(self, derivation: StorePath, output: str) -> Realisation | None:
        return super().realisation(derivation, output) or self.lower.realisation(derivation, output)

    def query_realisation(self, derivation: StorePath, output: str) -> StorePath | None:
        return Store.query_realisation(self, derivation, output)

    # ------------------------------------------------------------------------------------------------- registering

    def register(self, infos: Sequence[PathInfo], *, computed: bool = False) -> None:
        """What the lower store has of these keeps what is known of it there."""
        paths = {info.path for info in infos}
        needed = paths.union(*(info.references for info in infos))
        for path in self.lower.valid_among(needed - super().valid_among(needed)):
            self._take_over(path)
        super().register(infos, computed=computed)

    def add_signatures(self, path: StorePath, signatures: Iterable[str]) -> None:
        self._take_over(path)
        super().add_signatures(path, signatures)

    def register_realisation(
        self, derivation: StorePath, output: str, path: StorePath, signatures: frozenset[str] = frozenset()
    ) -> None:
        below = self.lower.realisation(derivation, output)
        if below is not None:
            super().register_realisation(derivation, output, below.path, below.signatures)
        super().register_realisation(derivation, output, path, signatures)

    # ------------------------------------------------------------------------------------------------ housekeeping

    def owns(self, base: str) -> bool:
        return os.path.lexists(f"{self.upper}/{base}")

    def delete_object(self, base: str) -> int:
        """In the upper layer where the lower store has it, too: the overlay would hide it for good."""
        if not self.owns(base):
            return 0
        try:
            below = self.lower.is_registered(StorePath.from_base(base))
        except BadStorePath:
            below = False
        if not below:
            return super().delete_object(base)
        self._needs_remount = True
        return delete_tree(f"{self.upper}/{base}")

    def collect_garbage(self, options: Options) -> Results:
        try:
            return super().collect_garbage(options)
        finally:
            self._remount()

    def optimise(self) -> None:
        """Deletes from the upper layer what the lower store has."""
        self.require_writable()
        for path in sorted(self.query_all_valid()):
            if self.lower.is_registered(path):
                self.delete_object(path.base)
        self._remount()

    def _remount(self) -> None:
        """An overlay does not notice what changed below it."""
        if not self._needs_remount:
            return
        self._needs_remount = False
        place = self.config.real_store_dir
        if self._remount_hook is None:
            self.warn(f"'{place}' needs remounting, set remount-hook to do this automatically")
            return
        import subprocess

        try:
            status = subprocess.run([self._remount_hook, place], check=False).returncode
        except OSError as error:
            raise StoreError(f"cannot run the remount hook '{self._remount_hook}': {error.strerror}") from error
        if status:
            raise StoreError(f"program '{self._remount_hook}' failed with exit code {status}")
