"""When an image was made, as its makers say it: `now`, an ISO 8601 text, or seconds since 1970."""

from __future__ import annotations

import datetime
import time

from .errors import OciError


def resolve_time(text: str | int) -> tuple[str, int]:
    """(RFC 3339 in UTC, whole seconds since 1970)."""
    if text == "now":
        seconds = int(time.time())
    elif isinstance(text, int) or (text.isascii() and text.isdigit()):
        seconds = int(text)
    else:
        try:
            moment = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise OciError(f"'{text}' is not a time", "write now, or for example 2026-01-31T12:00:00Z") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        seconds = int(moment.timestamp())
    try:
        shown = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        raise OciError(f"'{text}' is not a time that images can have") from None
    return shown.strftime("%Y-%m-%dT%H:%M:%SZ"), seconds
