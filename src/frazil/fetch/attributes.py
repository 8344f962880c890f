"""Input attributes: the flat sets that stand for an input in `flake.nix`, lock files and registries.

Source of truth: Nix's `fetchTree` and lock file format. Values are text, integers (0 … 2⁶⁴−1) and Booleans.
"""

from __future__ import annotations

from collections.abc import Mapping

from frazil.digest import DigestError, Hash
from frazil.fetch.errors import BadAttributes

InputAttributes = dict[str, str | int | bool]

_REVISION_DIGITS = frozenset("0123456789abcdefABCDEF")
NULL_REVISION = "0" * 40
"""The revision of a clean git work tree without a commit."""


def show_attributes(attributes: Mapping[str, object]) -> str:
    """Compact JSON, names sorted: as messages show an input."""
    import json

    return json.dumps(attributes, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def attributes_from_json(value: object) -> InputAttributes:
    """Raises BadAttributes for anything but an object of texts, non-negative integers and Booleans."""
    if not isinstance(value, dict):
        raise BadAttributes("unsupported input attributes in lock file: not an object")
    result: InputAttributes = {}
    for name, item in value.items():
        if isinstance(item, float) and item.is_integer():
            item = int(item)
        if not isinstance(item, str | int | bool) or (isinstance(item, int) and not 0 <= item < 1 << 64):
            raise BadAttributes("unsupported input attribute type in lock file", hint=f"attribute '{name}'")
        result[name] = item
    return result


def optional_text(attributes: Mapping[str, object], name: str) -> str | None:
    value = attributes.get(name)
    if value is None or isinstance(value, str):
        return value
    raise BadAttributes(f"input attribute '{name}' is not a string {show_attributes(attributes)}")


def text(attributes: Mapping[str, object], name: str) -> str:
    value = optional_text(attributes, name)
    if value is None:
        raise BadAttributes(f"input attribute '{name}' is missing")
    return value


def optional_integer(attributes: Mapping[str, object], name: str) -> int | None:
    value = attributes.get(name)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise BadAttributes(f"input attribute '{name}' is not an integer")


def flag(attributes: Mapping[str, object], name: str) -> bool:
    value = attributes.get(name)
    if value is None:
        return False
    if isinstance(value, bool):
        return value
    raise BadAttributes(f"input attribute '{name}' is not a Boolean")


def nar_hash(attributes: Mapping[str, object]) -> Hash | None:
    """The pinned NAR hash; an empty text is the hash of zeros, as a place to be filled in."""
    value = optional_text(attributes, "narHash")
    if value is None:
        return None
    if value == "":
        return Hash("sha256", bytes(32))
    return parse_sri(value)


def parse_sri(value: str) -> Hash:
    """SHA-256 in SRI form; missing padding is forgiven, as old lock files have it."""
    if "-" not in value:
        raise BadAttributes(f"hash '{value}' is not SRI")
    algorithm, _, rest = value.partition("-")
    if algorithm == "sha256" and len(rest) == 43:
        value += "="
    result = Hash.parse(value)
    if result.algorithm != "sha256":
        raise BadAttributes("narHash must use SHA-256")
    return result


def revision(attributes: Mapping[str, object]) -> str | None:
    """The commit hash in lower-case hexadecimal digits. Raises DigestError where it is none."""
    value = optional_text(attributes, "rev")
    if value is None:
        return None
    if len(value) in (40, 64) and _REVISION_DIGITS.issuperset(value):
        return value.lower()
    return parse_revision(value).digest.hex()


def parse_revision(value: str) -> Hash:
    """A hash with its type in front, or a bare SHA-1."""
    try:
        return Hash.parse(value)
    except DigestError:
        return Hash.parse(value, "sha1")


def is_revision(value: str) -> bool:
    """Whether a text is the 40 digits of a SHA-1 commit."""
    return len(value) == 40 and _REVISION_DIGITS.issuperset(value)


_BAD_IN_REFERENCE = frozenset("~^:\\?[*\x7f")


def is_legal_reference_name(name: str) -> bool:
    """Whether git takes a text as a branch, tag or reference."""
    if not name or name == "@" or name[-1] in "./" or name[0] == "/" or "@{" in name or ".." in name:
        return False
    if any(c <= " " or c in _BAD_IN_REFERENCE for c in name):
        return False
    parts = name.split("/")
    if any(not part or part[0] == "." or part.endswith(".lock") for part in parts):
        return False
    return name[0] != "-" or len(parts) > 1


def query_of(attributes: Mapping[str, str | int | bool]) -> dict[str, str]:
    """Attributes as URL parameters."""
    return {
        name: ("1" if value else "0") if isinstance(value, bool) else str(value) for name, value in attributes.items()
    }
