"""SHA-256 without OpenSSL, whose loading takes longer than everything that is hashed to find an answer."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import sha256
else:
    for _name in ("_sha2", "_sha256", "hashlib"):
        try:
            sha256 = import_module(_name).sha256
            break
        except (ImportError, AttributeError):
            continue

__all__ = ["sha256"]
