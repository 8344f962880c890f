"""What can go wrong between two programs that talk. `cli` prints."""

from __future__ import annotations

from frazil.errors import FrazilError


class ProtocolError(FrazilError):
    """The peer does not keep to the protocol."""


class Disconnected(ProtocolError):
    """The peer hung up, perhaps in the middle of a message."""


class RemoteError(FrazilError):
    """An error that the peer reports; `status` as it says, `level` its severity."""

    def __init__(self, message: str, *, status: int = 1, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, exit_status=status)
        self.status = status


class NotStarted(ProtocolError):
    """There is nobody to talk to: the program that would connect us ended."""
