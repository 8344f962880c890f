"""What became of one target of `realise`.

Source: libstore's build results; the JSON of `nix build --json` and the daemon protocol carry the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from frazil.build.errors import DerivationFailed
from frazil.store.derived_path import DerivedPath
from frazil.store.path import StorePath


class Status(Enum):
    """Numbers as in the daemon protocol."""

    BUILT = 0
    SUBSTITUTED = 1
    ALREADY_VALID = 2
    RESOLVES_TO_ALREADY_VALID = 13

    @property
    def title(self) -> str:
        return "".join(word.capitalize() for word in self.name.split("_"))


@dataclass(frozen=True, slots=True)
class BuildResult:
    """`outputs` of the derivation `derivation`, the wanted ones; both empty for a plain store path.

    `failure` set: nothing came of it. Times in seconds since the epoch, 0 where nothing was built.
    """

    path: DerivedPath
    status: Status | None = None
    derivation: StorePath | None = None
    outputs: Mapping[str, StorePath] = field(default_factory=dict)
    failure: DerivationFailed | None = None
    start_time: int = 0
    stop_time: int = 0
    cpu_user: int | None = None
    """Microseconds, where a control group counted them."""
    cpu_system: int | None = None

    @property
    def succeeded(self) -> bool:
        return self.failure is None
