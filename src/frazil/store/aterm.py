# cython: boundscheck=False, wraparound=False
"""The small pieces that derivations' texts and store paths are made of, thousands of times in an evaluation.

In and out: byte strings. Compiled where that was possible; plain Python all the same. Source of truth: the manual's
`protocols/derivation-aterm` and `protocols/store-path`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_DIGITS = b"0123456789abcdfghijklmnpqrsvwxyz"
_LONG = 48
"""From so many characters on, searching for one character at a time is faster than looking at each."""


def quote(text: str) -> str:
    """An ATerm string."""
    return '"' + escape(text) + '"'


def escape(text: str) -> str:
    """What stands between the quotes: most often the text itself."""
    if needs_escape(text):
        return (
            text.replace("\\", "\\\\")
            .replace('"', '\\"')
            .replace("\n", "\\n")
            .replace("\r", "\\r")
            .replace("\t", "\\t")
        )
    return text


def needs_escape(text: str) -> bool:
    if len(text) >= _LONG:
        return "\n" in text or '"' in text or "\\" in text or "\t" in text or "\r" in text
    for character in text:  # noqa: SIM110  # compiled, the loop makes no generator
        if character in '\\"\n\r\t':
            return True
    return False


def quoted_names(names: Iterable[str]) -> str:
    """A list of texts that need no escapes: store paths, names of outputs."""
    inner = list(names)
    if len(inner) == 1:
        return '["' + inner[0] + '"]'
    inner.sort()
    return '["' + '","'.join(inner) + '"]' if inner else "[]"


def fold_digest(digest: bytes) -> str:
    """The hash part of a store path: a SHA-256 folded to 160 bits, in base 32."""
    folded = bytearray(digest[:20])
    for i in range(12):
        folded[i] ^= digest[20 + i]
    folded.append(0)
    shown = bytearray(32)
    for n in range(32):
        bit = n * 5
        byte = bit >> 3
        shown[31 - n] = _DIGITS[((folded[byte] | folded[byte + 1] << 8) >> (bit & 7)) & 31]
    return shown.decode("ascii")
