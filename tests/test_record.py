"""Frozen values made without `dataclasses`."""

from __future__ import annotations

import copy
import pickle

import pytest

from frazil.record import Record


class Point(Record):
    x: int
    y: int = 2


class Other(Record):
    x: int
    y: int = 2


def test_values_come_by_place_or_name() -> None:
    assert Point(1) == Point(x=1, y=2) == Point(1, 2)
    assert (Point(1).x, Point(1).y) == (1, 2)
    assert repr(Point(1)) == "Point(x=1, y=2)"


def test_they_are_values() -> None:
    assert Point(1) != Other(1)
    assert hash(Point(1)) == hash(Point(1, 2)) and len({Point(1), Point(1), Point(3)}) == 2
    assert Point(1).with_(y=5) == Point(1, 5)
    assert copy.copy(Point(1)) == pickle.loads(pickle.dumps(Point(1))) == Point(1)


def test_they_are_frozen_and_hold_nothing_else() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="cannot assign to field 'x'"):
        point.x = 3  # type: ignore[misc]
    with pytest.raises(AttributeError, match="cannot delete"):
        del point.x
    assert not hasattr(point, "__dict__")


def test_wrong_arguments() -> None:
    for wrong in (lambda: Point(), lambda: Point(1, 2, 3), lambda: Point(1, x=1), lambda: Point(1, z=1)):  # type: ignore
        with pytest.raises(TypeError, match="Point"):
            wrong()


def test_named_tuples() -> None:
    from typing import Any

    from frazil.evalcache.facts import Fact
    from frazil.record import named_tuple

    pair: Any = named_tuple("Pair", "first second")
    value = pair(1, 2)
    assert (value.first, value.second) == value == (1, 2) and value._replace(second=3) == pair(1, 3)
    assert repr(value) == "Pair(first=1, second=2)" and hash(value) == hash((1, 2))
    for wrong in ((1,), (1, 2, 3)):
        with pytest.raises(TypeError):
            pair(*wrong)
    with pytest.raises(TypeError):
        value._replace(third=1)
    with pytest.raises(AttributeError):
        value.first = 3
    assert Fact("k", "r", "./a").place == "./a"


def test_patterns() -> None:
    match Point(3):
        case Point(x, y):
            assert (x, y) == (3, 2)
        case _:
            raise AssertionError
