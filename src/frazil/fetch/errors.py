"""The error family of the fetchers."""

from __future__ import annotations

from frazil.errors import FrazilError


class FetchError(FrazilError):
    """An input cannot be fetched, or what came is not what was asked for."""


class BadURL(FetchError):
    """A text that is no URL, or a URL that no input scheme can take."""


class BadAttributes(FetchError):
    """Input attributes that contradict their scheme."""


class HashMismatch(FetchError):
    """What was fetched has another hash than the one that was pinned."""

    exit_status = 102


class DownloadError(FetchError):
    """A transfer failed. `status`: the HTTP status where there was an answer."""

    def __init__(self, message: str, *, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class BadArchive(FetchError):
    """An archive that is damaged, of unknown format, or hostile."""


class BadSignature(FetchError):
    """A signed index whose signature does not stand."""


class GitError(FetchError):
    """A repository that cannot be read, or a git program that failed."""
