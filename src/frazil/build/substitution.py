"""The place where binary caches will come in.

A substituter makes a path and its closure valid without building. The worker asks it before it builds anything; without
one, everything is built.
"""

from __future__ import annotations

from typing import Protocol

from frazil.activity import Activity
from frazil.store.path import StorePath


class Substituter(Protocol):
    """Raises FrazilError where a cache has the path but fetching it fails."""

    def substitute(self, path: StorePath, parent: Activity | None) -> bool:
        """Makes `path` and its closure valid; False where no cache has it."""

    def query_realisation(self, derivation: StorePath, output: str) -> StorePath | None:
        """Where a cache says that an output of a floating derivation is."""
