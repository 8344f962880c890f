"""What an evaluation learned of the world, as lines of text: one fact a line, so that it can be checked again.

In and out: `Fact`s and their bytes. A line is a letter, the expected outcome, and a place; names are percent-encoded,
so a line holds no other spaces or line ends. Places at or below the root of the evaluated tree are relative to it
(`.`, `./lib/a.nix`), so that a fact holds for a checkout anywhere; others are absolute.

| letter | outcome | place |
|---|---|---|
| `c` | SHA-256 of the contents | a regular file, no link |
| `C` | the same | a path that leads to a file |
| `d` | SHA-256 of names and kinds | a directory |
| `k` | `r`, `d`, `l`, `u` or `-` (nothing there) | any path, links not followed |
| `l` | where it points, or `-` for what is no link | any path |
| `s` | method, SHA-256, perhaps the verdicts of a filter | what was copied to the store |
| `p` | `-` | a path that was copied to the store whole, to read what is below it: that it can be copied |
| `e` | SHA-256 of the value | an environment variable |
| `h` | SHA-256 of the home folder | `~` |
| `o` | NAR hash, or `-` for what is not there | the base name of a store path |
| `f` | the attributes that fetching gave, as JSON | the attributes of the input, as JSON |
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import NamedTuple

    class Fact(NamedTuple):
        kind: str
        outcome: str
        place: str
else:
    from frazil.record import named_tuple

    Fact = named_tuple("Fact", "kind outcome place")

KINDS = frozenset("cCdklspehof")
STAMPED = frozenset("cdsp")
"""Kinds whose outcome is expensive to find out: a stamp of the file system stands for it."""
LETTERS = {"regular": "r", "directory": "d", "symlink": "l", "unknown": "u"}
PLAIN_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+/@=:,~^!?*()[]{}\"'<>|&;$#"
_PLAIN = frozenset(PLAIN_BYTES)


def quote(name: bytes | str) -> str:
    """A name without spaces, line ends, `%` and bytes outside ASCII."""
    raw = os.fsencode(name) if isinstance(name, str) else name
    if _PLAIN.issuperset(raw):
        return raw.decode("ascii")
    return "".join([chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in raw])


def unquote(text: str) -> bytes:
    """Raises ValueError."""
    if "%" not in text:
        return text.encode("ascii")
    head, *parts = text.split("%")
    return head.encode("ascii") + b"".join([bytes([int(p[:2], 16)]) + p[2:].encode("ascii") for p in parts])


def sha256(data: bytes) -> str:
    from frazil.evalcache.hashing import sha256 as algorithm

    return algorithm(data).hexdigest()


def listing_hash(listing: Mapping[str, str]) -> str:
    """Of names (byte strings) and kinds, whatever the order."""
    text = "\0".join([f"{LETTERS[kind]}{name}" for name, kind in sorted(listing.items())])
    return sha256(text.encode("latin-1"))


def encode(facts: Iterable[Fact]) -> bytes:
    return "\n".join([f"{fact.kind} {fact.outcome} {fact.place}" for fact in facts]).encode("ascii")


def decode(data: bytes) -> list[Fact]:
    """Raises ValueError for what `encode` does not write."""
    found = []
    for line in data.decode("ascii").split("\n") if data else ():
        kind, outcome, place = line.split(" ")
        if kind not in KINDS or not place:
            raise ValueError(f"'{line}' is no fact")
        found.append(Fact(kind, outcome, place))
    return found


def show_verdicts(verdicts: Mapping[str, tuple[str, bool]]) -> str:
    """What a filter said of each path (relative to what was filtered): `+r:a.c,-d:build`."""
    rows = [
        f"{'+' if keep else '-'}{LETTERS[kind]}:{quote(name).replace(',', '%2C')}"
        for name, (kind, keep) in sorted(verdicts.items())
    ]
    return ",".join(rows)


def read_verdicts(text: str) -> dict[str, tuple[str, bool]]:
    """Raises ValueError."""
    words = {letter: word for word, letter in LETTERS.items()}
    found = {}
    for row in text.split(",") if text else ():
        mark, letter, colon, name = row[:1], row[1:2], row[2:3], row[3:]
        if mark not in ("+", "-") or letter not in words or colon != ":":
            raise ValueError(f"'{row}' is no verdict")
        found[os.fsdecode(unquote(name))] = (words[letter], mark == "+")
    return found
