"""Structured attributes as text: JSON as Nix's library writes it, Bash declarations."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.build.structured import float_text, json_text, shell_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.0, "1.0"),
        (0.1, "0.1"),
        (-0.0, "-0.0"),
        (1e14, "100000000000000.0"),
        (1e15, "1e+15"),
        (1234567890123456.0, "1.234567890123456e+15"),
        (1e100, "1e+100"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (123456789012345.6, "123456789012345.6"),
    ],
)
def test_floats(number: float, text: str) -> None:
    assert float_text(number) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_read_back(number: float) -> None:
    assert math.copysign(1, float(float_text(number))) == math.copysign(1, number)
    assert float(float_text(number)) == number


@given(VALUES)
def test_json_reads_back(value: object) -> None:
    text = json_text(value)  # type: ignore[arg-type]
    assert json.loads(text) == value
    assert text == json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def test_shell_declarations() -> None:
    attributes = {
        "text": "it's",
        "number": 3,
        "large": 4294967297,
        "whole": 2.0,
        "broken": 1.5,
        "yes": True,
        "no": False,
        "nothing": None,
        "items": [1, "a b", None],
        "deep": [[1]],
        "map": {"k": "v", "a'b": 1},
        "odd-name": 1,
    }
    assert shell_text(attributes).splitlines() == [  # type: ignore[arg-type]
        "declare -a items=(1 'a b' '' )",
        "declare large=1",
        "declare -A map=(['a'\\''b']=1 ['k']='v' )",
        "declare no=",
        "declare nothing=''",
        "declare number=3",
        "declare text='it'\\''s'",
        "declare whole=2",
        "declare yes=1",
    ]
