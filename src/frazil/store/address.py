"""Store addresses: `SCHEME://AUTHORITY?PARAMETERS`, `auto`, `daemon`, `local`, or a path.

In: text. Out: `StoreReference`. Source of truth: the manual's `store/types` ("Store URL format").
"""

from __future__ import annotations

import os

from frazil.errors import UsageError
from frazil.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_HINT = "known store addresses: auto, local, local?root=DIRECTORY, a path (with a slash), dummy://, file://, https://"


class StoreReference(Record):
    """`scheme`: "auto", "local", "daemon", … lower case; `authority`: what follows `://`, as written, without
    parameters; `parameters`: decoded."""

    scheme: str
    authority: str = ""
    parameters: Mapping[str, str] = {}

    @classmethod
    def parse(cls, text: str) -> StoreReference:
        """Raises UsageError."""
        base, _, query = text.partition("?")
        parameters = parse_query(query)
        if "\0" in text:
            raise UsageError("a store address holds a zero byte")
        if base in ("", "auto", "local", "daemon"):
            return cls(base or "auto", "", parameters)
        scheme, mark, authority = base.partition("://")
        if mark:
            if not scheme or not all(c.isascii() and (c.isalnum() or c in "+-.") for c in scheme):
                raise UsageError(f"Cannot parse Nix store '{text}'", hint=_HINT)
            return cls(scheme.lower(), authority, parameters)
        if "/" in base:
            return cls("local", os.path.abspath(base), parameters)
        raise UsageError(f"Cannot parse Nix store '{text}'", hint=_HINT)

    @property
    def path(self) -> str:
        """The authority as a file-system path."""
        return unquote(self.authority)

    def show(self) -> str:
        """Without parameters and passwords, as people and caches of answers name it."""
        if self.scheme in ("auto", "daemon") or (self.scheme == "local" and not self.authority):
            return self.scheme
        user, mark, rest = self.authority.partition("@")
        if mark and ":" in user and "/" not in user:
            return f"{self.scheme}://{user.partition(':')[0]}:…@{rest}"
        return f"{self.scheme}://{self.authority}"


def unquote(text: str) -> str:
    if "%" not in text:
        return text
    from urllib.parse import unquote as decode

    return decode(text, errors="surrogateescape")


def parse_query(query: str) -> dict[str, str]:
    """The first of equal names counts."""
    parameters: dict[str, str] = {}
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if key:
            parameters.setdefault(unquote(key), unquote(value))
    return parameters


class Parameters:
    """Typed reading of an address's parameters; what was not read is unknown."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._read: set[str] = set()

    def optional(self, name: str) -> str | None:
        self._read.add(name)
        return self._values.get(name)

    def text(self, name: str, default: str = "") -> str:
        value = self.optional(name)
        return default if value is None else value

    def flag(self, name: str, default: bool) -> bool:
        value = self.optional(name)
        return default if value is None else parse_flag(name, value)

    def number(self, name: str, default: int) -> int:
        value = self.optional(name)
        if value is None:
            return default
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
            raise UsageError(f"setting '{name}' has invalid value '{value}'", hint="say a whole number")
        return int(value)

    def path(self, name: str) -> str | None:
        """An absolute path; None where the parameter is absent or empty."""
        value = self.optional(name)
        if not value:
            return None
        if not value.startswith("/"):
            raise UsageError(f"setting '{name}' must be an absolute path, but is '{value}'")
        return value

    def unknown(self) -> list[str]:
        return sorted(set(self._values) - self._read)


def parse_flag(name: str, value: str) -> bool:
    if value in ("true", "yes", "1"):
        return True
    if value in ("false", "no", "0"):
        return False
    raise UsageError(f"Boolean setting '{name}' has invalid value '{value}'", hint="say true or false")
