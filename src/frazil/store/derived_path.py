"""What a user asks for: a store path, or outputs of a derivation (`/nix/store/….drv^out,dev`, `….drv^*`, `….drv!out`).

Source of truth: the manual's `nix` installables and C++ Nix's derived paths.
"""

from __future__ import annotations

from collections.abc import Iterable

from frazil.record import Record
from frazil.store.errors import BadStorePath
from frazil.store.path import StoreDirectory, StorePath, check_name

MAXIMUM_DEPTH = 64


class OutputsSpec(Record):
    """Names of outputs; None means all (`*`)."""

    names: frozenset[str] | None

    @classmethod
    def parse(cls, text: str) -> OutputsSpec:
        if text == "*":
            return ALL_OUTPUTS
        names = text.split(",")
        for name in names:
            check_name(name)
        return cls(frozenset(names))

    def __str__(self) -> str:
        return "*" if self.names is None else ",".join(sorted(self.names))

    def contains(self, name: str) -> bool:
        return self.names is None or name in self.names

    def union(self, other: OutputsSpec) -> OutputsSpec:
        if self.names is None or other.names is None:
            return ALL_OUTPUTS
        return OutputsSpec(self.names | other.names)

    def choose(self, available: Iterable[str]) -> list[str]:
        """The wanted ones among `available`, sorted."""
        return sorted(name for name in available if self.contains(name))


ALL_OUTPUTS = OutputsSpec(None)


class DerivedPath(Record):
    """`base` as it is, or, with `outputs`, those outputs of the derivation `base` (through `through`: outputs of
    derivations that are derivations in turn)."""

    base: StorePath
    outputs: OutputsSpec | None = None
    through: tuple[str, ...] = ()

    @property
    def is_built(self) -> bool:
        return self.outputs is not None

    @classmethod
    def parse(cls, text: str, directory: StoreDirectory, separator: str = "^") -> DerivedPath:
        """`separator`: `^`, or the older `!`. Raises BadStorePath."""
        path, *rest = text.split(separator)
        if len(rest) > MAXIMUM_DEPTH:
            raise BadStorePath(f"'{text[:200]}' nests outputs too deeply")
        base = directory.parse(path)
        if not rest:
            return cls(base)
        for name in rest[:-1]:
            check_name(name)
        return cls(base, OutputsSpec.parse(rest[-1]), tuple(rest[:-1]))

    def show(self, directory: StoreDirectory, separator: str = "^") -> str:
        parts = [directory.show(self.base), *self.through]
        if self.outputs is not None:
            parts.append(str(self.outputs))
        return separator.join(parts)
