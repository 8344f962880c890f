"""What search path entries and fetchers take for addresses, and which of these restricted evaluation may use.

Source of truth: the manual's `nix-path` and `allowed-uris`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def is_pseudo_url(text: str) -> bool:
    """Search path entries that name something to download."""
    if text.startswith("channel:"):
        return True
    scheme, mark, _ = text.partition("://")
    return bool(mark) and scheme in {"http", "https", "file", "channel", "git", "s3", "ssh"}


def resolve_pseudo_url(url: str) -> str:
    if url.startswith("channel:"):
        return f"https://channels.nixos.org/{url[8:]}/nixexprs.tar.xz"
    return url


def is_allowed_uri(uri: str, prefixes: Iterable[str]) -> bool:
    """Equal to a prefix, or continuing it at a `/`; a prefix that is only a scheme (`https:`) takes all of it."""
    for prefix in prefixes:
        if uri == prefix:
            return True
        if not uri.startswith(prefix) or not prefix:
            continue
        is_scheme = prefix.endswith(":") and prefix[:-1].replace("+", "").replace("-", "").replace(".", "").isalnum()
        if is_scheme or prefix.endswith("/") or uri[len(prefix)] == "/":
            return True
    return False
