"""`frazil.plain_json` writes and reads what `json` does."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil import plain_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_round_trip(value: object) -> None:
    text = plain_json.dumps(value)
    assert text == json.dumps(value, sort_keys=True, separators=(",", ":"))
    assert plain_json.loads(text) == value
    assert plain_json.loads(text.encode()) == value


@pytest.mark.parametrize("text", ["", " ", "{", "[1", "[1] ", "nul", '{"a":}', '"a', "[1]x", "NaN", b"\xff"])
def test_no_json(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        plain_json.loads(text)


def test_depth() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecursionError):
        plain_json.dumps(deep)
    with pytest.raises(RecursionError):
        plain_json.loads("[" * 100_000)
