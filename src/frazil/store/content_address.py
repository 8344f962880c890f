"""Content addresses: `text:sha256:…`, `fixed:r:sha256:…`, `fixed:sha1:…`.

Source of truth: the manual's `store/store-object/content-address`.
"""

from __future__ import annotations

from frazil._native import from_base32
from frazil.digest import ALGORITHMS, DigestError, Hash, base32_length
from frazil.record import Record
from frazil.store.errors import FormatError
from frazil.store.path import NO_REFERENCES, References, StoreDirectory, StorePath

METHOD_PREFIXES = {"flat": "", "nar": "r:", "git": "git:", "text": "text:"}
"""Before the algorithm inside derivations: `r:sha256`."""
_MODERN_PREFIXES = {"flat": "fixed:", "nar": "fixed:r:", "git": "fixed:git:", "text": "text:"}


def check_method(method: str) -> str:
    if method not in METHOD_PREFIXES:
        raise FormatError(f"Unknown file ingestion method '{method}'", hint="known methods: flat, nar, git, text")
    return method


def check_algorithm(algorithm: str) -> str:
    if algorithm not in ALGORITHMS:
        raise FormatError(
            f"unknown hash algorithm '{algorithm}'", hint=f"known algorithms: {', '.join(sorted(ALGORITHMS))}"
        )
    return algorithm


def parse_method_algorithm(text: str) -> tuple[str, str]:
    """`r:sha256` as inside derivations → ("nar", "sha256")."""
    for method in ("nar", "git", "text"):
        prefix = METHOD_PREFIXES[method]
        if text.startswith(prefix):
            return method, check_algorithm(text[len(prefix) :])
    return "flat", check_algorithm(text)


_USUAL = {"fixed:r:sha256": "nar", "text:sha256": "text", "fixed:sha256": "flat"}
"""How those of all but a few paths begin."""
_USUAL_LENGTH = base32_length(32)


class ContentAddress(Record):
    """How contents are serialised (`method`) and what their hash then is."""

    method: str
    hash: Hash

    def __init__(self, method: str, hash: Hash) -> None:
        object.__setattr__(self, "method", check_method(method))
        object.__setattr__(self, "hash", hash)

    @property
    def method_algorithm(self) -> str:
        """`r:sha256`, as inside derivations."""
        return METHOD_PREFIXES[self.method] + self.hash.algorithm

    def __str__(self) -> str:
        return _MODERN_PREFIXES[self.method] + str(self.hash)

    @classmethod
    def parse(cls, text: str) -> ContentAddress:
        """Raises FormatError."""
        start, _, digest = text.rpartition(":")
        usual = _USUAL.get(start)
        if usual is not None and len(digest) == _USUAL_LENGTH and (known := from_base32(digest)) is not None:
            return cls(usual, Hash("sha256", known))
        prefix, mark, rest = text.partition(":")
        if not mark:
            raise FormatError(f"not a content address because it is not in the form '<prefix>:<rest>': {text}")
        if prefix not in ("text", "fixed"):
            raise FormatError(
                f"content address prefix '{prefix}' is unrecognized. Recogonized prefixes are 'text' or 'fixed'"
            )
        method = "text" if prefix == "text" else "flat"
        if prefix == "fixed":
            for candidate in ("nar", "git"):
                if rest.startswith(METHOD_PREFIXES[candidate]):
                    method, rest = candidate, rest[len(METHOD_PREFIXES[candidate]) :]
                    break
        algorithm, mark, digest = rest.partition(":")
        if not mark:
            raise FormatError(f"content address hash must be in form '<algo>:<hash>', but found: {text}")
        check_algorithm(algorithm)
        try:
            return cls(method, parse_bare_hash(digest, algorithm))
        except DigestError as error:
            raise FormatError(f"invalid content address '{text}': {error.message}") from error

    def to_json(self) -> dict[str, str]:
        return {"method": self.method, "hash": self.hash.sri}

    def store_path(self, directory: StoreDirectory, name: str, references: References = NO_REFERENCES) -> StorePath:
        """Where an object with these contents and references belongs."""
        return directory.make_fixed_output_path(self.method, self.hash, name, references)


def parse_bare_hash(text: str, algorithm: str) -> Hash:
    """A hash without algorithm: base 16, 32 or 64 by its length, never SRI. Raises DigestError."""
    if ":" in text or "-" in text:
        raise DigestError(f"hash '{text}' has wrong length for hash algorithm '{algorithm}'")
    return Hash.parse(text, algorithm)
