"""Signatures of store objects: Ed25519 keys and signatures as `NAME:BASE64`.

Source of truth: the manual's `store/store-object` and `nix key`; the signing is `cryptography`'s.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frazil.store.errors import FormatError, StoreError

if TYPE_CHECKING:
    from frazil.store.config import StoreSettings
    from frazil.store.path import StoreDirectory
    from frazil.store.path_info import PathInfo

SIGNATURE_SIZE = 64
PUBLIC_KEY_SIZE = 32
SECRET_KEY_SIZE = 64
_MAXIMUM_TEXT = 4096


def _parse(text: str, what: str) -> tuple[str, bytes]:
    name, mark, encoded = text.partition(":")
    if not mark or not name or len(text) > _MAXIMUM_TEXT:
        raise FormatError(f"{what} is corrupt")
    try:
        data = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"{what} is corrupt") from error
    if not data:
        raise FormatError(f"{what} is corrupt")
    return name, data


def _show(name: str, data: bytes) -> str:
    return f"{name}:{base64.b64encode(data).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class Signature:
    key_name: str
    data: bytes

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Raises FormatError."""
        return cls(*_parse(text, "signature"))

    def __str__(self) -> str:
        return _show(self.key_name, self.data)


@dataclass(frozen=True, slots=True)
class PublicKey:
    name: str
    data: bytes

    def __post_init__(self) -> None:
        if len(self.data) != PUBLIC_KEY_SIZE:
            raise FormatError("public key is not valid")

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Raises FormatError."""
        return cls(*_parse(text.strip(), "key"))

    def __str__(self) -> str:
        return _show(self.name, self.data)

    def verifies(self, message: bytes, signature: Signature) -> bool:
        if signature.key_name != self.name or len(signature.data) != SIGNATURE_SIZE:
            return False
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.data).verify(signature.data, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True, repr=False)
class SecretKey:
    """`data`: seed and public key, 64 bytes, as libsodium has it."""

    name: str
    data: bytes

    def __post_init__(self) -> None:
        if len(self.data) != SECRET_KEY_SIZE:
            raise FormatError("secret key is not valid")

    @classmethod
    def parse(cls, text: str) -> SecretKey:
        """Raises FormatError, which never shows the key."""
        return cls(*_parse(text.strip(), "key"))

    @classmethod
    def generate(cls, name: str) -> SecretKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        if not name or ":" in name:
            raise StoreError(f"'{name}' is no name for a key")
        key = Ed25519PrivateKey.generate()
        return cls(name, key.private_bytes_raw() + key.public_key().public_bytes_raw())

    def __str__(self) -> str:
        return _show(self.name, self.data)

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.name, self.data[32:])

    def sign(self, message: bytes) -> Signature:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Signature(self.name, Ed25519PrivateKey.from_private_bytes(self.data[:32]).sign(message))


def read_secret_key(path: str) -> SecretKey:
    """From a file. Raises StoreError, FormatError."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return SecretKey.parse(file.read(_MAXIMUM_TEXT))
    except OSError as error:
        raise StoreError(f'opening file "{path}": {error.strerror}', hint="a secret key was expected there") from error


def sign_info(info: PathInfo, directory: StoreDirectory, key: SecretKey) -> PathInfo:
    """The info with one more signature."""
    signature = key.sign(info.fingerprint(directory).encode("utf-8"))
    return info.with_(signatures=info.signatures | {str(signature)})


def sort_signatures(texts: Iterable[str]) -> list[str]:
    """By the names of their keys, then by their bytes. Broken ones come last."""
    known, broken = [], []
    for text in texts:
        try:
            signature = Signature.parse(text)
            known.append((signature.key_name, signature.data, text))
        except FormatError:
            broken.append(text)
    return [text for _, _, text in sorted(known)] + sorted(broken)


def trusted_keys(texts: Iterable[str | PublicKey]) -> dict[str, PublicKey]:
    """By name. Raises FormatError for a broken one."""
    return {key.name: key for key in (k if isinstance(k, PublicKey) else PublicKey.parse(k) for k in texts)}


def own_trusted_keys(settings: StoreSettings) -> list[PublicKey]:
    """`trusted-public-keys`, and those of the keys that sign here. Raises FormatError."""
    found = [PublicKey.parse(text) for text in settings.trusted_public_keys]
    for file in settings.secret_key_files:
        try:
            found.append(read_secret_key(file).public)
        except StoreError:
            continue  # whoever may not read it signs nothing with it
    return found


def count_good_signatures(info: PathInfo, directory: StoreDirectory, trusted: Iterable[str | PublicKey]) -> int:
    """How many of the info's signatures are by trusted keys. Broken signatures count as none; broken keys raise."""
    keys = trusted_keys(trusted)
    if not keys or not info.signatures or info.nar_size == 0:
        return 0
    message = info.fingerprint(directory).encode("utf-8")
    good = 0
    for text in info.signatures:
        try:
            signature = Signature.parse(text)
        except FormatError:
            continue
        key = keys.get(signature.key_name)
        if key is not None and key.verifies(message, signature):
            good += 1
    return good
