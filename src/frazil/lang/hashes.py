"""Hashes as the language's builtins make and read them.

In: byte strings. Out: digests and their spellings, or EvalError in Nix's words. Source of truth: Nix's `hash.cc`.
"""

from __future__ import annotations

import binascii
import sys

from frazil.digest import ALGORITHMS as SIZES
from frazil.digest import DigestError, base32_length, decode_base32, encode_base32
from frazil.errors import UsageError
from frazil.lang.errors import EvalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SMALL = 1 << 18
"""As many bytes are hashed sooner than OpenSSL is loaded."""
OWN_MODULES = {"md5": "_md5", "sha1": "_sha1", "sha256": "_sha256", "sha512": "_sha512"}
"""Python's own implementations, up to its version 3.11."""
FORMATS = {"base16": "base16", "nix32": "nix32", "base32": "nix32", "base64": "base64", "sri": "sri"}


class HashUsageError(EvalError, UsageError):
    """A name of an algorithm or format that does not exist."""


def check_algorithm(name: str, features: frozenset[str]) -> str:
    """The name of a known algorithm; BLAKE3 must have been asked for."""
    if name not in SIZES:
        raise HashUsageError(f"unknown hash algorithm '{name}', expect 'blake3', 'md5', 'sha1', 'sha256', or 'sha512'")
    if name == "blake3" and "blake3-hashes" not in features:
        raise EvalError(
            "experimental Nix feature 'blake3-hashes' is disabled; add '--extra-experimental-features blake3-hashes' to"
            " enable it"
        )
    return name


def new_hash(algorithm: str) -> Any:
    """An object with `update` and `digest`."""
    if algorithm == "blake3":
        from frazil._blake3 import Blake3

        return Blake3()
    if algorithm == "sha256":
        from frazil._native import Sha256

        return Sha256()
    import hashlib

    return hashlib.new(algorithm, usedforsecurity=False)


def small_hash(algorithm: str) -> Any:
    """The same for little data."""
    if "hashlib" not in sys.modules and algorithm != "sha256":
        try:
            return getattr(__import__(OWN_MODULES[algorithm]), algorithm)()
        except (KeyError, ImportError):
            pass
    return new_hash(algorithm)


def hash_hex(algorithm: str, data: bytes) -> str:
    state = small_hash(algorithm) if len(data) <= SMALL else new_hash(algorithm)
    state.update(data)
    return str(state.digest().hex())


def _split_prefix(text: str) -> tuple[str | None, str, bool]:
    """(algorithm, rest, whether it is SRI)."""
    for separator in ":-":
        head, mark, tail = text.partition(separator)
        if mark:
            return head, tail, separator == "-"
    return None, text, False


def parse_hash(text: str, algorithm: str | None, features: frozenset[str]) -> tuple[str, bytes]:
    """(algorithm, digest) of a hash in any spelling; a missing prefix needs `algorithm`."""
    found, rest, is_sri = _split_prefix(text)
    if found is not None:
        check_algorithm(found, features)
    if found is None and algorithm is None:
        raise EvalError(f"hash '{text}' does not include a type, nor is the type otherwise known from context")
    if found is not None and algorithm is not None and found != algorithm:
        raise EvalError(f"hash '{text}' should have type '{algorithm}'")
    kind = found or algorithm or ""
    size = SIZES[kind]
    if is_sri:
        name, decode = "SRI", _base64
    elif len(rest) == size * 2:
        name, decode = "base16", _base16
    elif len(rest) == base32_length(size):
        name, decode = "nix32", _base32
    elif len(rest) == (size + 2) // 3 * 4:
        name, decode = "Base64", _base64
    else:
        raise EvalError(f"hash '{rest}' has wrong length for hash algorithm '{kind}'")
    digest = decode(rest)
    if len(digest) != size:
        raise EvalError(f"invalid {name} hash '{rest}', length {len(digest)} != expected length {size}")
    return kind, digest


def _base16(text: str) -> bytes:
    try:
        return binascii.unhexlify(text)
    except (binascii.Error, ValueError):
        return b""


def _base32(text: str) -> bytes:
    try:
        return decode_base32(text)
    except DigestError:
        return b""


def _base64(text: str) -> bytes:
    body = text.replace("\n", "").partition("=")[0]
    if not body.isascii() or not all(c.isalnum() or c in "+/" for c in body):
        return b""
    try:
        return binascii.a2b_base64(body + "=" * (-len(body) % 4))
    except (binascii.Error, ValueError):
        # One character over a multiple of four adds nothing.
        return binascii.a2b_base64(body[:-1]) if len(body) % 4 == 1 else b""


def format_hash(algorithm: str, digest: bytes, form: str) -> str:
    """`form` is a value of FORMATS; only SRI names the algorithm."""
    if form == "base16":
        return digest.hex()
    if form == "nix32":
        return encode_base32(digest)
    text = binascii.b2a_base64(digest, newline=False).decode("ascii")
    return f"{algorithm}-{text}" if form == "sri" else text
