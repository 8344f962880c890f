"""The errors of flakes: references, `flake.nix`, lock files, outputs."""

from __future__ import annotations

from frazil.errors import FrazilError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from frazil.position import Position


class FlakeError(FrazilError):
    """Anything wrong with a flake that is not an evaluation, fetch or build error.

    `asked`: gives the places of the attributes that lead to what was asked for, outermost first.
    """

    asked: Callable[[], list[Position]] | None = None

    def about(self, asked: Callable[[], list[Position]]) -> FlakeError:
        self.asked = asked
        return self


class BadFlakeReference(FlakeError):
    """A text or an attribute set that is no flake reference."""


class FlakeNotFound(FlakeError):
    """A path that leads to no `flake.nix`."""


class BadFlake(FlakeError):
    """A `flake.nix` that breaks the schema of flakes."""


class LockFileError(FlakeError):
    """A lock file that cannot be read, or that may not be written."""


class OutputNotFound(FlakeError):
    """No attribute path tried leads to a value; `suggestions` are near names, best first."""

    def __init__(
        self, message: str, suggestions: tuple[str, ...] = (), there: Callable[[], str | None] | None = None
    ) -> None:
        """`there`: says what there is instead, when asked."""
        super().__init__(message)
        self.suggestions = suggestions
        self.there = there
