"""The family of errors of this room."""

from __future__ import annotations

from frazil.errors import FrazilError


class PortableError(FrazilError):
    """A portable service that cannot be read, brought to a machine, or attached there."""


class BadImage(PortableError):
    """A file that is no image of a portable service, or a damaged one."""
