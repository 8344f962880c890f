"""`frazil.lang.indentation`: indented strings against the rules said once more, on whole texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.lang.effects import FileSystemEffects
from frazil.lang.errors import ParseError
from frazil.lang.evaluator import Evaluator

# What of a string is written between the quotes -> what it stands for; the last two are no text of the literal itself.
ESCAPES = {"''$": "$", "'''": "''", "''\\n": "\n", "''\\ ": " "}
INSERTED = "\0"
"""Stands for `${inserted}` among the pieces."""
VALUE = "\n  inserted "


def expected(pieces: list[str]) -> str:
    """Characters with whether they are written plainly; indentation is counted in plain ones alone."""
    characters: list[tuple[str, bool]] = []
    for piece in pieces:
        if piece == INSERTED:
            characters.append((VALUE, False))
        elif piece in ESCAPES:
            characters.append((ESCAPES[piece], False))
        else:
            characters += [(c, True) for c in piece]
    lines: list[list[tuple[str, bool]]] = [[]]
    for character in characters:
        lines[-1].append(character)
        if character[0] == "\n":
            # The end of a line, even where it was escaped, is where spaces go.
            lines.append([])
    widths = []
    for line in lines:
        spaces = 0
        while spaces < len(line) and line[spaces] == (" ", True):
            spaces += 1
        if spaces < len(line) and line[spaces] != ("\n", True):
            widths.append(spaces)
    common = min(widths, default=10**6)
    out = []
    for line in lines:
        spaces = 0
        while spaces < len(line) and line[spaces] == (" ", True):
            spaces += 1
        out.append("".join(c for c, _ in line[min(common, spaces) :]))
    last = lines[-1]
    if len(lines) > 1 and all(c == (" ", True) for c in last):
        out[-1] = ""
    return "".join(out)


def evaluated(pieces: list[str]) -> object:
    text = "".join("${inserted}" if piece == INSERTED else piece for piece in pieces)
    evaluator = Evaluator(FileSystemEffects())
    return evaluator.eval_string(f"let inserted = builtins.fromJSON ''\"\\n  inserted \"''; in ''{text}''", "/")


plain = st.text("ab \n", min_size=1, max_size=40)


@given(st.lists(plain, max_size=1))
def test_text_alone(pieces: list[str]) -> None:
    text = "".join(pieces)
    if text.lstrip(" ").startswith("\n"):
        # The line of the opening quotes, where it is empty, is no line.
        text = text.lstrip(" ")[1:]
        pieces = [text] if text else []
        assert evaluated(["\n", *pieces]) == expected(pieces)
    else:
        assert evaluated(pieces) == expected(pieces)


@given(st.lists(st.one_of(plain, st.just(INSERTED)), max_size=6))
def test_text_and_interpolations(pieces: list[str]) -> None:
    pieces = ["x\n", *pieces]
    assert evaluated(pieces) == expected(pieces)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("''''", ""),
        ("''  ''", ""),
        ("''\n''", ""),
        ("''\n  a\n    b\n  ''", "a\n  b\n"),
        ("''\n  a\n\n b\n''", " a\n\nb\n"),
        ("''a$$b$''", "a$$b$"),
        ("''$${a}''", "$${a}"),
        ("''it's 'so' ''", "it's 'so' "),
        ("''  a'''b''", "a''b"),
        ("''  ''$a\n b''", " $a\nb"),
        ("''  ''\\n  b''", "\nb"),
        ("''" + "  line\n" * 300 + "''", "line\n" * 300),
        ("''  caf\xc3\xa9''", "caf\xc3\xa9"),
    ],
)
def test_values(text: str, value: str) -> None:
    assert Evaluator(FileSystemEffects()).eval_string(text, "/") == value


@pytest.mark.parametrize("text", ["''a\0b''", "''a\0b${''x''}''", "''${''x''}a\0b''"])
def test_no_null_bytes(text: str) -> None:
    with pytest.raises(ParseError, match="null bytes"):
        Evaluator(FileSystemEffects()).eval_string(text, "/")


@pytest.mark.parametrize("text", ["''", "''a", "''a$", "''a'", "''a''$", "''a'''", "''a${", "''${''a''}b"])
def test_no_end(text: str) -> None:
    with pytest.raises(ParseError, match="unexpected end of file"):
        Evaluator(FileSystemEffects()).eval_string(text, "/")
