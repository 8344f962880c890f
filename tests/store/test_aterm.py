"""The pieces of derivations' texts and of store paths."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from frazil.digest import compress, encode_base32
from frazil.store.aterm import escape, fold_digest, quote, quoted_names

BYTE_STRINGS = st.text(st.characters(max_codepoint=255), max_size=200)


@given(BYTE_STRINGS)
def test_quoting_can_be_undone(text: str) -> None:
    shown = quote(text)
    assert shown == f'"{escape(text)}"'
    assert not re.search(r"[\n\r\t]", shown)
    names = {"n": "\n", "r": "\r", "t": "\t"}
    assert re.sub(r"\\(.)", lambda match: names.get(match[1], match[1]), shown[1:-1]) == text
    assert re.fullmatch(r'"(?:[^"\\]|\\.)*"', shown)


def test_every_special_character_is_found_in_short_and_long_texts() -> None:
    for character, shown in {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}.items():
        for size in (0, 3, 47, 48, 500):
            assert escape("x" * size + character) == "x" * size + shown


def test_names_are_sorted() -> None:
    assert quoted_names([]) == "[]"
    assert quoted_names({"out"}) == '["out"]'
    assert quoted_names(frozenset({"out", "dev", "bin"})) == '["bin","dev","out"]'


@given(st.binary(min_size=32, max_size=32))
def test_folded_digests(digest: bytes) -> None:
    assert fold_digest(digest) == encode_base32(compress(digest, 20))


def test_sources_are_used_where_that_is_asked_for() -> None:
    code = (
        "import frazil.instantiate.derivation as d, frazil.instantiate.instantiator as i, frazil.store.aterm as a\n"
        "print(d.__file__, i.__file__, a.__file__)"
    )
    source = Path(__file__).parents[2] / "src"
    environment = {**os.environ, "FRAZIL_PURE": "1", "PYTHONPATH": str(source)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert all(name.endswith(".py") for name in found.stdout.split()), found.stdout
