"""What `flake check` finds, apart from how: a remembered result needs no evaluator."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.store.path import StorePath


class CheckResult:
    """`derivations`: what `checks` wants built, with the attribute paths that name each."""

    __slots__ = ("derivations", "has_errors", "omitted_systems")

    def __init__(
        self,
        derivations: dict[StorePath, list[str]] | None = None,
        omitted_systems: set[str] | None = None,
        has_errors: bool = False,
    ) -> None:
        self.derivations: dict[StorePath, list[str]] = derivations or {}
        self.omitted_systems: set[str] = omitted_systems or set()
        self.has_errors = has_errors
