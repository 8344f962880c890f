"""`frazil.lang.numbers`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.lang.numbers import format_float, json_float

JSON = [
    (1.0, "1.0"),
    (0.1, "0.1"),
    (-0.0, "-0.0"),
    (1e20, "1e+20"),
    (1e15, "1e+15"),
    (1e14, "100000000000000.0"),
    (1e-5, "1e-05"),
    (1e-4, "0.0001"),
    (5e-324, "5e-324"),
    (1.7976931348623157e308, "1.7976931348623157e+308"),
    (123456789012345680.0, "1.2345678901234568e+17"),
    (float("inf"), "null"),
    (float("nan"), "null"),
]


@pytest.mark.parametrize(("value", "text"), JSON)
def test_json(value: float, text: str) -> None:
    assert json_float(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_json_reads_back(value: float) -> None:
    assert float(json_float(value)) == value
    assert len(json_float(value)) <= 26


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (1e6, "1e+06"), (0.1, "0.1"), (1 / 3, "0.333333"), (float("inf"), "inf"), (float("nan"), "nan")],
)
def test_format(value: float, text: str) -> None:
    assert format_float(value) == text
