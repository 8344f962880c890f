"""The errors of flakes: references, `flake.nix`, lock files, outputs."""

from __future__ import annotations

from frazil.errors import FrazilError


class FlakeError(FrazilError):
    """Anything wrong with a flake that is not an evaluation, fetch or build error."""


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

    def __init__(self, message: str, suggestions: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.suggestions = suggestions
