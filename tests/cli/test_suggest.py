"""Did you mean."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from frazil.cli.suggest import closest, did_you_mean
from frazil.errors import edit_distance

WORDS = st.text(alphabet="abc", max_size=6)


@given(WORDS, WORDS)
def test_distance_is_a_metric(left: str, right: str) -> None:
    distance = edit_distance(left, right, 9)
    assert distance == edit_distance(right, left, 9)
    assert (distance == 0) == (left == right)
    assert distance <= max(len(left), len(right))


@given(WORDS, WORDS)
def test_what_is_far_is_only_far(left: str, right: str) -> None:
    for most in range(4):
        assert edit_distance(left, right, most) == min(edit_distance(left, right, 9), most + 1)


def test_long_names_are_compared_quickly() -> None:
    name = "ab" * 50_000
    assert edit_distance(name, "x" + name[:-1], 2) == 2
    assert edit_distance(name, name[1:] + "xy", 2) == 3


def test_words() -> None:
    assert closest("evl", ["eval", "build"]) == ["eval"]
    assert did_you_mean("xyz", ["eval"]) is None
    assert did_you_mean("fo", ["foo", "fox"]) == "did you mean one of foo or fox?"
