"""The family of errors of this room; those of `frazil.packages.oci` become its members at the door."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from frazil.errors import FrazilError
from frazil.packages.oci.errors import OciError


class ImageError(FrazilError):
    """An image that cannot be made, read or sent."""


class RegistryError(ImageError):
    """A registry that cannot be reached, refuses, or says impossible things. `status`: HTTP's, or 0."""

    def __init__(self, message: str, *, status: int = 0, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


@contextmanager
def translated(place: str | None = None) -> Iterator[None]:
    """Errors of the shared code, and of the file system, as this room's. `place`: what is written, where no other file
    is to blame."""
    try:
        yield
    except OciError as error:
        raise ImageError(error.message, hint=error.hint) from error
    except OSError as error:
        name = f"'{error.filename or place}': " if error.filename or place else ""
        hint = "is the disk full?" if error.errno == 28 else None
        raise ImageError(f"{name}{error.strerror or error}", hint=hint) from error
