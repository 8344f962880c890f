"""Scripts whose `#!` line names `nix`: their further `#! nix` lines are the command line.

In: argv without the program. Out: the words meant. Source: the manual page of `nix` ("Shebang interpreter").
"""

from __future__ import annotations

import os
import re

from frazil.errors import FrazilError

LARGEST_LINES = 1 << 20
_COMMENT = tuple("#/\\%@*-(")
_RESERVED = frozenset("$*~<>|;()[]{}'\"\\")
_LINE = re.compile(r"#!\s*nix(?::? |$)(.*)")
_BACKTICKS = re.compile(r"`{3,}")


def expand_script(words: list[str]) -> tuple[list[str], str | None]:
    """-> (the words, the script's folder); the words as they are and None where the first one is no script."""
    text = _read(words[0]) if words and not words[0].startswith("-") else None
    if text is None:
        return words, None
    content = ""
    for line in text.split("\n")[1:]:
        if not line.startswith(_COMMENT):
            break
        match = _LINE.fullmatch(line.rstrip("\r"))
        if match:
            content += match[1] + "\n"
    return [*split_words(content), *words], os.path.dirname(os.path.abspath(words[0]))


def _read(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            if file.read(2) != b"#!":
                return None
            return file.read(LARGEST_LINES).decode("utf-8", "surrogateescape")
    except (OSError, ValueError):
        return None


def split_words(text: str) -> list[str]:
    """Words at white space; a double backtick begins and ends a quoted one. Raises FrazilError."""
    words: list[str] = []
    word, at = "", 0
    while at < len(text):
        character = text[at]
        if character in " \t\r\n":
            if word:
                words.append(word)
            word, at = "", at + 1
        elif character == "`":
            if not text.startswith("``", at):
                raise FrazilError("single backtick is not a supported syntax in the nix shebang.")
            # As in Nix: what stands before a quote without a space is lost.
            quoted, at = _quoted(text, at + 2)
            words.append(quoted)
            word = ""
        elif character in _RESERVED:
            raise FrazilError(
                f"unsupported unquoted character in nix shebang: {character}. Use double backticks to escape?"
            )
        elif character == "#" and not word:
            raise FrazilError("unquoted nix shebang argument cannot start with #. Use double backticks to escape?")
        else:
            word, at = word + character, at + 1
    return [*words, word] if word else words


def _quoted(text: str, at: int) -> tuple[str, int]:
    """-> (what is quoted, where it ends). Two backticks end it, of three or more the first is an escape."""
    parts: list[str] = []
    while at < len(text):
        long = _BACKTICKS.match(text, at)
        if long:
            parts.append(long[0][1:])
            at = long.end()
        elif text.startswith("``", at):
            return "".join(parts), at + 2
        elif text.startswith(" ``", at) and not text.startswith(" ```", at):
            return "".join(parts), at + 3
        else:
            parts.append(text[at])
            at += 1
    raise FrazilError("unterminated quoted string in nix shebang")
