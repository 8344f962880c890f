"""Store paths: their grammar, and how they follow from contents.

In: names, digests, references. Out: validated `StorePath`s. Source of truth: the manual's `store/store-path` and
`protocols/store-path`.
"""

from __future__ import annotations

import posixpath

from frazil._native import hash_part as native_hash_part
from frazil._native import is_hash_part, is_name, sha256, sha256_hex, split_base
from frazil.digest import BASE32_ALPHABET, Hash
from frazil.record import Record
from frazil.store.errors import BadStorePath, BadStorePathName, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NamedTuple

HASH_LENGTH = 32
"""Characters of the hash part: 160 bits in base 32."""
MAXIMUM_NAME_LENGTH = 211
MOST_PLACEHOLDERS = 256
"""How many are remembered: few names of outputs are in use."""
DERIVATION_EXTENSION = ".drv"
DEFAULT_STORE_DIRECTORY = "/nix/store"

_NAME_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-._?="


def check_name(name: str) -> None:
    """Raises BadStorePathName, in Nix's words, for a name that no store path may have."""
    if is_name(name):
        return
    if not name:
        raise BadStorePathName("name must not be empty")
    if len(name) > MAXIMUM_NAME_LENGTH:
        raise BadStorePathName(f"name '{name}' must be no longer than {MAXIMUM_NAME_LENGTH} characters")
    if name in (".", ".."):
        raise BadStorePathName(f"name '{name}' is not valid")
    for component in (".", ".."):
        if name.startswith(component + "-"):
            raise BadStorePathName(
                f"name '{name}' is not valid: first dash-separated component must not be '{component}'"
            )
    illegal = name.lstrip(_NAME_CHARACTERS)
    raise BadStorePathName(f"name '{name}' contains illegal character '{illegal[0] if illegal else name[0]}'")


if TYPE_CHECKING:

    class _Fields(NamedTuple):
        hash_part: str
        name: str

else:
    from _collections import _tuplegetter

    class _Fields(tuple):
        """What `NamedTuple` makes: importing that takes longer than all of this module."""

        __slots__ = ()
        hash_part = _tuplegetter(0, "the 32 characters before the name")
        name = _tuplegetter(1, "what follows the hash part")

        def __repr__(self) -> str:
            return f"{type(self).__name__}({self[0]!r}, {self[1]!r})"

        def __getnewargs__(self) -> tuple[str, str]:
            return tuple(self)


class StorePath(_Fields):
    """`HASH-NAME`, always valid; ordered as its text is. It knows no store directory: `StoreDirectory.show` adds it."""

    __slots__ = ()

    def __new__(cls, hash_part: str, name: str) -> StorePath:
        base = f"{hash_part}-{name}"
        if not is_hash_part(hash_part):
            if len(hash_part) != HASH_LENGTH:
                raise BadStorePath(f"'{base}' can't name a store path because the hash part is not followed by a '-'")
            illegal = hash_part.lstrip(BASE32_ALPHABET)
            raise BadStorePath(
                f"store path '{base}' contains illegal base-32 character '{illegal[0] if illegal else ''}'"
            )
        if not is_name(name):
            try:
                check_name(name)
            except BadStorePathName as error:
                raise BadStorePath(f"path '{base}' is not a valid store path: {error.message}") from error
        return tuple.__new__(cls, (hash_part, name))

    @classmethod
    def from_base(cls, base: str) -> StorePath:
        """`base` without a directory. Raises BadStorePath."""
        parts = split_base(base, 0)
        if parts is not None:
            return tuple.__new__(cls, parts)
        if len(base) < HASH_LENGTH + 1:
            raise BadStorePath(f"'{base}' is too short to be a valid store path")
        if base[HASH_LENGTH] != "-":
            raise BadStorePath(f"'{base}' can't name a store path because the hash part is not followed by a '-'")
        return cls(base[:HASH_LENGTH], base[HASH_LENGTH + 1 :])

    @property
    def base(self) -> str:
        return f"{self[0]}-{self[1]}"

    def __str__(self) -> str:
        return f"{self[0]}-{self[1]}"

    @property
    def is_derivation(self) -> bool:
        return self[1].endswith(DERIVATION_EXTENSION)

    @property
    def derivation_name(self) -> str:
        """The name without `.drv`. Raises BadStorePath where the path is no derivation's."""
        if not self[1].endswith(DERIVATION_EXTENSION):
            raise BadStorePath(f"store path '{self.base}' is not a valid derivation path")
        return self[1][: -len(DERIVATION_EXTENSION)]


def fold_digest(digest: bytes) -> str:
    """The hash part for a SHA-256; compiled, and imported when the first path is computed."""
    from frazil.store import aterm

    return aterm.fold_digest(digest)


def output_path_name(derivation_name: str, output: str) -> str:
    """The name of an output's path: output `out` adds nothing."""
    return derivation_name if output == "out" else f"{derivation_name}-{output}"


_placeholders: dict[str, str] = {}


def placeholder(output: str) -> str:
    """What stands for an output's path inside its own derivation (`builtins.placeholder`)."""
    found = _placeholders.get(output)
    if found is None:
        digest: bytes = sha256(b"nix-output:", output.encode("latin-1", "backslashreplace"))
        found = "/" + Hash("sha256", digest).base32
        if len(_placeholders) < MOST_PLACEHOLDERS:
            _placeholders[output] = found
    return found


def _unknown_output_digest(derivation: StorePath, output: str) -> bytes:
    name = output_path_name(derivation.derivation_name, output)
    text = f"nix-upstream-output:{derivation.hash_part}:{name}"
    digest: bytes = sha256(text.encode("latin-1", "backslashreplace"))
    return digest


def unknown_output_placeholder(derivation: StorePath, output: str, *further: str) -> str:
    """What stands for another derivation's output whose path is not known yet (floating, impure, deferred).

    `further`: outputs of the derivation which that output turns out to be, and so on (dynamic derivations).
    """
    digest = _unknown_output_digest(derivation, output)
    for name in further:
        text = f"nix-computed-output:{fold_digest(digest)}:{name}"
        digest = sha256(text.encode("latin-1", "backslashreplace"))
    return "/" + Hash("sha256", digest).base32


class References(Record):
    """What a store object refers to. `others` never holds the object itself."""

    others: frozenset[StorePath] = frozenset()
    self_reference: bool = False


NO_REFERENCES = References()


class StoreDirectory:
    """The logical place of a store, which is part of what every store path's hash is made of."""

    __slots__ = ("_middle", "_prefix", "path")

    def __init__(self, path: str = DEFAULT_STORE_DIRECTORY) -> None:
        if not path.startswith("/"):
            raise StoreError(f'store directory path "{path}" is not an absolute path')
        self.path = canonical_path(path)
        self._prefix = self.path + "/"
        self._middle = f":{self.path}:"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoreDirectory) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"StoreDirectory({self.path!r})"

    def show(self, path: StorePath) -> str:
        return f"{self._prefix}{path[0]}-{path[1]}"

    def parse(self, text: str) -> StorePath:
        """A whole store path, after normalising `.`, `..` and repeated slashes. Raises BadStorePath."""
        if not text:
            raise BadStorePath("empty path is not a valid store path")
        prefix = self._prefix
        if text.startswith(prefix) and (parts := split_base(text, len(prefix))) is not None:
            return tuple.__new__(StorePath, parts)
        base = text[len(prefix) :]
        if not text.startswith(prefix) or "/" in base or base in (".", "..", ""):
            text = canonical_path(text)
            directory, _, base = text.rpartition("/")
            if directory != self.path:
                raise BadStorePath(f'path "{text}" is not in the Nix store')
        return StorePath.from_base(base)

    def parse_each(self, texts: Iterable[object]) -> list[StorePath | None]:
        """Those that are store paths in their one spelling; None for others."""
        prefix, make = self._prefix, tuple.__new__
        start = len(prefix)
        parts = [split_base(t, start) if isinstance(t, str) and t.startswith(prefix) else None for t in texts]
        return [None if part is None else make(StorePath, part) for part in parts]

    def parse_plain(self, text: str) -> StorePath | None:
        """None for what is not simply a store path in its one spelling. Raises BadStorePath."""
        prefix = self._prefix
        if text.startswith(prefix) and (parts := split_base(text, len(prefix))) is not None:
            return tuple.__new__(StorePath, parts)
        base = text[len(prefix) :]
        if not text.startswith(prefix) or "/" in base or len(base) <= HASH_LENGTH:
            return None
        return StorePath.from_base(base)

    def parse_canonical(self, text: str) -> StorePath:
        """As `parse`, for texts that may have one spelling only (inside derivations)."""
        if not text.startswith(self._prefix):
            raise BadStorePath(f"path '{text}' is not in the Nix store")
        return StorePath.from_base(text[len(self._prefix) :])

    def is_inside(self, text: str) -> bool:
        """Whether a path lies below the store directory (any depth, no check of the store path itself)."""
        return text.startswith(self._prefix) and len(text) > len(self._prefix)

    def is_store_path(self, text: str) -> bool:
        try:
            self.parse(text)
        except BadStorePath:
            return False
        return True

    def split(self, text: str) -> tuple[StorePath, str]:
        """A path inside a store object as (store path, rest), rest empty or beginning with `/`."""
        if not self.is_inside(text):
            raise BadStorePath(f"path '{text}' is not in the Nix store")
        base, slash, rest = text[len(self._prefix) :].partition("/")
        inner = canonical_path("/" + rest) if slash else ""
        return StorePath.from_base(base), "" if inner == "/" else inner

    def make_store_path(self, kind: str, digest: str, name: str) -> StorePath:
        """`digest` as `sha256:HEX`. The root of all others."""
        text = f"{kind}:{digest}{self._middle}{name}"
        return StorePath(native_hash_part(text.encode("utf-8", "backslashreplace")), name)

    def _kind_with_references(self, kind: str, references: References) -> str:
        parts = [kind, *(self.show(path) for path in sorted(references.others))]
        if references.self_reference:
            parts.append("self")
        return ":".join(parts)

    def make_text_path(self, name: str, digest: bytes, references: Iterable[StorePath] = ()) -> StorePath:
        """For a flat file whose references are stated: `builtins.toFile`, derivations. `digest`: its SHA-256."""
        kind = self._kind_with_references("text", References(frozenset(references)))
        return self.make_store_path(kind, f"sha256:{digest.hex()}", name)

    def make_fixed_output_path(
        self, method: str, content_hash: Hash, name: str, references: References = NO_REFERENCES
    ) -> StorePath:
        """`method`: "flat", "nar", "git" or "text". `content_hash` is of what `method` makes of the contents."""
        if method == "text":
            if content_hash.algorithm != "sha256":
                raise StoreError("text-hashed store paths need a sha256 hash")
            if references.self_reference:
                raise StoreError("self-reference not allowed with text hashing")
            return self.make_text_path(name, content_hash.digest, references.others)
        if method == "nar" and content_hash.algorithm == "sha256":
            kind = self._kind_with_references("source", references)
            return self.make_store_path(kind, f"sha256:{content_hash.base16}", name)
        if method == "git" and content_hash.algorithm not in ("sha1", "sha256"):
            raise StoreError(
                f"Git file ingestion must use SHA-1 or SHA-256 hash, but instead using: {content_hash.algorithm}"
            )
        if references.others or references.self_reference:
            raise StoreError(
                f"fixed output derivation '{name}' is not allowed to refer to other store paths.\n"
                "You may need to use the 'unsafeDiscardReferences' derivation attribute, "
                "see the manual for more details."
            )
        prefix = {"flat": "", "nar": "r:", "git": "git:"}[method]
        text = f"fixed:out:{prefix}{content_hash.algorithm}:{content_hash.base16}:"
        digest = sha256_hex(text)
        return self.make_store_path("output:out", f"sha256:{digest}", name)

    def make_output_path(self, output: str, digest: str, derivation_name: str) -> StorePath:
        """An input-addressed output. `digest`: hex SHA-256 of the derivation modulo its inputs' provenance."""
        return self.make_store_path(f"output:{output}", f"sha256:{digest}", output_path_name(derivation_name, output))


def canonical_path(path: str) -> str:
    """An absolute path without `.`, `..`, repeated or trailing slashes; textually, following no links."""
    path = posixpath.normpath(path)
    return path[1:] if path.startswith("//") else path
