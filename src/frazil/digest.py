"""Hashes as Nix writes them: base 16, Nix's base 32, base 64, SRI. Leaf: standard library only.

Source: the store path specification in Nix's manual (`store/store-path`) and `nix hash`'s reference page.
"""

from __future__ import annotations

from frazil.errors import FrazilError
from frazil.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ALGORITHMS = {"blake3": 32, "md5": 16, "sha1": 20, "sha256": 32, "sha512": 64}
"""Digest sizes in bytes."""
_switched_off = {"blake3"}


def allow_blake3() -> None:
    """For the whole process: the feature `blake3-hashes` is on."""
    _switched_off.clear()


def _check_allowed(algorithm: str) -> None:
    if algorithm in _switched_off:
        raise DigestError(
            f"experimental Nix feature '{algorithm}-hashes' is disabled; "
            f"add '--extra-experimental-features {algorithm}-hashes' to enable it"
        )


BASE32_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"


class DigestError(FrazilError):
    """A text that is no hash, or one of another algorithm or length than wanted."""


def base32_length(size: int) -> int:
    """Characters that `size` bytes take in Nix's base 32."""
    return (size * 8 - 1) // 5 + 1 if size else 0


def encode_base32(data: bytes) -> str:
    """Nix's base 32: the bytes as a little-endian number, most significant digit first."""
    from frazil._native import base32

    return base32(data)


def decode_base32(text: str) -> bytes:
    """Raises DigestError for a foreign character or a digit that overflows the last byte."""
    from frazil._native import from_base32

    found = from_base32(text)
    if found is None:
        foreign = text.strip(BASE32_ALPHABET)
        if foreign:
            raise DigestError(f"invalid character '{foreign[0]}' in base-32 hash '{text}'")
        raise DigestError(f"invalid base-32 hash '{text}'")
    return found


def compress(data: bytes, size: int) -> bytes:
    """XOR-folds a digest to `size` bytes: the hash part of a store path is a SHA-256 folded to 20."""
    folded = bytearray(size)
    for i, byte in enumerate(data):
        folded[i % size] ^= byte
    return bytes(folded)


def new(algorithm: str) -> Any:
    """A `hashlib` object for one of `ALGORITHMS`; for SHA-256 our own: OpenSSL takes long to load."""
    if algorithm == "sha256":
        from frazil._native import Sha256

        return Sha256()
    if algorithm not in ALGORITHMS:
        raise DigestError(
            f"unknown hash algorithm '{algorithm}'", hint=f"known algorithms: {', '.join(sorted(ALGORITHMS))}"
        )
    if algorithm == "blake3":
        _check_allowed(algorithm)
        from frazil._blake3 import Blake3

        return Blake3()
    import hashlib

    return hashlib.new(algorithm, usedforsecurity=False)


def unknown_algorithm(name: str) -> DigestError:
    return DigestError(
        f"unknown hash algorithm '{name}', expect 'blake3', 'md5', 'sha1', 'sha256', or 'sha512'",
    )


class Hash(Record):
    """A digest and what made it. `str()` gives `sha256:<base 32>`."""

    algorithm: str
    digest: bytes

    def __init__(self, algorithm: str, digest: bytes) -> None:
        size = ALGORITHMS.get(algorithm)
        if size is None:
            raise DigestError(
                f"unknown hash algorithm '{algorithm}'",
                hint=f"known algorithms: {', '.join(sorted(ALGORITHMS))}",
            )
        if len(digest) != size:
            raise DigestError(f"a {algorithm} hash has {size} bytes, not {len(digest)}")
        if algorithm in _switched_off:
            _check_allowed(algorithm)
        object.__setattr__(self, "algorithm", algorithm)
        object.__setattr__(self, "digest", digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hash) and self.digest == other.digest and self.algorithm == other.algorithm

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def base16(self) -> str:
        return self.digest.hex()

    @property
    def base32(self) -> str:
        return encode_base32(self.digest)

    @property
    def base64(self) -> str:
        from binascii import b2a_base64

        return b2a_base64(self.digest, newline=False).decode("ascii")

    @property
    def sri(self) -> str:
        return f"{self.algorithm}-{self.base64}"

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.base32}"

    def render(self, base: str, prefix: bool = True) -> str:
        """`base`: base16, base32 (also nix32), base64 or sri; `prefix` puts `ALGORITHM:` before the first three."""
        if base == "sri":
            return self.sri
        text = {"base16": self.base16, "base32": self.base32, "nix32": self.base32, "base64": self.base64}[base]
        return f"{self.algorithm}:{text}" if prefix else text

    @classmethod
    def of(cls, algorithm: str, data: bytes) -> Hash:
        state = new(algorithm)
        state.update(data)
        return cls(algorithm, state.digest())

    @classmethod
    def parse(cls, text: str, algorithm: str | None = None) -> Hash:
        """Reads `ALGO:REST`, SRI `ALGO-BASE64`, or a bare hash of the given `algorithm`; length tells the base.

        Raises DigestError, also when the text names another algorithm than `algorithm`.
        """
        if text.startswith("sha256:") and algorithm in (None, "sha256"):
            return cls("sha256", _decode(text[7:], "sha256", False))
        rest, found, is_sri = text, None, False
        for separator in ":-":
            head, mark, tail = text.partition(separator)
            if mark and head in ALGORITHMS:
                found, rest, is_sri = head, tail, separator == "-"
                break
        else:
            head, mark, _ = text.partition(":")
            if mark:
                raise unknown_algorithm(head)
        if found and algorithm and found != algorithm:
            raise DigestError(f"hash '{text}' should have type '{algorithm}'", hint=f"it has type '{found}'")
        kind = found or algorithm
        if kind is None:
            raise DigestError(
                f"hash '{text}' does not include a type, nor is the type otherwise known from context",
                hint="write it as an SRI hash, sha256-…, or with a prefix, sha256:…",
            )
        if kind not in ALGORITHMS:
            raise unknown_algorithm(kind)
        return cls(kind, _decode(rest, kind, is_sri))


def _decode(rest: str, algorithm: str, is_sri: bool) -> bytes:
    size = ALGORITHMS[algorithm]
    base, decoded = "SRI", b""
    try:
        if not is_sri and len(rest) == size * 2:
            base = "base16"
            decoded = bytes.fromhex(rest)
        elif not is_sri and len(rest) == base32_length(size):
            base = "nix32"
            decoded = decode_base32(rest)
        elif is_sri or len(rest) == (size + 2) // 3 * 4:
            from binascii import a2b_base64

            base = "SRI" if is_sri else "Base64"
            padded = rest + "=" * (-len(rest) % 4) if is_sri else rest  # the padding may be left out
            decoded = a2b_base64(padded, strict_mode=True)
        else:
            raise DigestError(f"hash '{rest}' has wrong length for hash algorithm '{algorithm}'")
    except ValueError:
        pass  # as if nothing could be decoded
    if len(decoded) != size:
        raise DigestError(f"invalid {base} hash '{rest}', length {len(decoded)} != expected length {size}")
    return decoded
