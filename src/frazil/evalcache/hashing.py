"""SHA-256 without OpenSSL, whose loading takes longer than everything that is hashed to find an answer."""

from frazil._native import Sha256 as sha256

__all__ = ["sha256"]
