"""Did you mean."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from frazil.cli.suggest import closest, did_you_mean, distance

WORDS = st.text(alphabet="abc", max_size=6)


@given(WORDS, WORDS)
def test_distance_is_a_metric(left: str, right: str) -> None:
    assert distance(left, right) == distance(right, left)
    assert (distance(left, right) == 0) == (left == right)
    assert distance(left, right) <= max(len(left), len(right))


def test_words() -> None:
    assert closest("evl", ["eval", "build"]) == ["eval"]
    assert did_you_mean("xyz", ["eval"]) is None
    assert did_you_mean("fo", ["foo", "fox"]) == "did you mean one of foo or fox?"
