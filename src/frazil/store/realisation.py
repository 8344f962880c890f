"""Where outputs of floating derivations went: the entries of a build trace.

In and out: the JSON of a binary cache's `build-trace-v2/DRV/OUTPUT.doi`. Source of truth: the manual's
`protocols/json/build-trace-entry`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from frazil.store.errors import BadStorePath, FormatError
from frazil.store.path import StorePath
from frazil.store.signatures import PublicKey, SecretKey, Signature, sort_signatures, trusted_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

MAXIMUM_SIZE = 1 << 20
"""Bytes of one entry's text."""


@dataclass(frozen=True, slots=True)
class Realisation:
    """`path` is what output `output` of `derivation` is. `signatures` as `KEY:BASE64`."""

    derivation: StorePath
    output: str
    path: StorePath
    signatures: frozenset[str] = frozenset()

    @property
    def identifier(self) -> str:
        return f"{self.derivation.base}^{self.output}"

    def fingerprint(self) -> str:
        """What signatures sign."""
        key = {"drvPath": self.derivation.base, "outputName": self.output}
        return _compact({"key": key, "value": {"outPath": self.path.base}})

    def signed(self, key: SecretKey) -> Realisation:
        signature = key.sign(self.fingerprint().encode())
        return replace(self, signatures=self.signatures | {str(signature)})

    def count_good_signatures(self, trusted: Iterable[str | PublicKey]) -> int:
        """How many are by trusted keys; broken ones count as none."""
        keys = trusted_keys(trusted)
        message = self.fingerprint().encode()
        good = 0
        for text in self.signatures:
            try:
                signature = Signature.parse(text)
            except FormatError:
                continue
            key = keys.get(signature.key_name)
            good += key is not None and key.verifies(message, signature)
        return good

    def value_json(self) -> str:
        """Without what it is about: the text of a file that is named after that."""
        return _compact(
            {"outPath": self.path.base, "signatures": [_signature(s) for s in sort_signatures(self.signatures)]}
        )


def parse_value(text: bytes | str, derivation: StorePath, output: str) -> Realisation:
    """Reads what `value_json` writes. Raises FormatError."""
    where = f"build trace entry of '{derivation.base}^{output}'"
    if len(text) > MAXIMUM_SIZE:
        raise FormatError(f"the {where} is longer than {MAXIMUM_SIZE} bytes")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"the {where} is not JSON: {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("outPath"), str):
        raise FormatError(f"the {where} names no 'outPath'")
    signatures = value.get("signatures") or []
    if not isinstance(signatures, list):
        raise FormatError(f"the {where} has signatures that are no list")
    try:
        path = StorePath.from_base(value["outPath"])
    except BadStorePath as error:
        raise FormatError(f"the {where} names a wrong path: {error.message}") from error
    return Realisation(derivation, output, path, frozenset([_parse_signature(s, where) for s in signatures]))


def _parse_signature(value: object, where: str) -> str:
    if isinstance(value, str):
        return str(Signature.parse(value))
    if isinstance(value, dict) and isinstance(value.get("keyName"), str) and isinstance(value.get("sig"), str):
        return str(Signature.parse(f"{value['keyName']}:{value['sig']}"))
    raise FormatError(f"the {where} has a broken signature")


def _signature(text: str) -> dict[str, str]:
    name, _, data = text.partition(":")
    return {"keyName": name, "sig": data}


def _compact(value: Mapping[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
