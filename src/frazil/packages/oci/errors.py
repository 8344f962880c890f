"""What can be wrong with an image. The room `image` turns it into the project's own family of errors."""

from __future__ import annotations


class OciError(Exception):
    """`message`: one sentence without a full stop; `hint`: what to do about it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadImage(OciError):
    """An image from elsewhere that is damaged or hostile."""
