"""What a server needs of the program it runs in: a store, settings that clients may change, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from frazil.activity import Reporter
    from frazil.build.settings import BuildSettings
    from frazil.build.substituters import Substituters
    from frazil.store.derived_path import DerivedPath
    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """What a client asks for in `SetOptions`. `overrides`: settings by name."""

    keep_failed: bool = False
    keep_going: bool = False
    fallback: bool = False
    verbosity: int = 3
    max_jobs: int = 1
    max_silent_time: int = 0
    verbose_build: bool = True
    cores: int = 0
    substitute: bool = True
    overrides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MissingPaths:
    """Sizes in bytes."""

    will_build: frozenset[StorePath] = frozenset()
    will_substitute: frozenset[StorePath] = frozenset()
    unknown: frozenset[StorePath] = frozenset()
    download_size: int = 0
    nar_size: int = 0


class Host(Protocol):
    """`store` reports to the reporter that `open` got."""

    def open(self, reporter: Reporter) -> LocalStore: ...

    @property
    def build_settings(self) -> BuildSettings: ...

    def apply(self, options: ClientOptions, *, trusted: bool, warn: Callable[[str], None]) -> None:
        """Takes over what the client may change."""

    def substituters(self) -> Substituters | None: ...

    def missing(self, targets: Sequence[DerivedPath]) -> MissingPaths: ...

    @property
    def nix_version(self) -> str: ...
