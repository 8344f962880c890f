"""`frazil.lang.builtins_lists`: values, laziness, messages."""

from __future__ import annotations

import pytest
from golden import cases, evaluate
from hypothesis import given, settings
from hypothesis import strategies as st

TABLE = r"""
builtins.all (x: x < 3) [ 1 2 ] => true
builtins.all (x: x < 3) [ 1 5 (throw "late") ] => false
builtins.any (x: x == 2) [ 1 2 (throw "late") ] => true
builtins.any (x: 1) [ 1 ] => !! expected a Boolean but found an integer: 1
builtins.concatLists [ [ 1 ] [ ] [ 2 3 ] ] => [ 1 2 3 ]
builtins.concatMap (x: [ x x ]) [ 1 2 ] => [ 1 1 2 2 ]
builtins.concatMap (x: x) [ 1 ] => !! expected a list but found an integer: 1
builtins.elem 2 [ 1 2.0 ] => true
builtins.elem "a" [ "b" 1 ] => false
builtins.elem (throw "x") [ ] => false
builtins.elemAt [ 1 2 ] 1 => 2
builtins.elemAt [ 1 ] 3 => !! 'builtins.elemAt' called with index 3 on a list of size 1
builtins.elemAt [ 1 ] (-1) => !! 'builtins.elemAt' called with index -1 on a list of size 1
builtins.filter (x: x > 1) [ 1 2 3 ] => [ 2 3 ]
builtins.filter (throw "x") [ ] => [ ]
builtins.foldl' (a: b: a + b) 0 [ 1 2 3 ] => 6
builtins.foldl' (_: x: x) (throw "never") [ 1 ] => 1
builtins.foldl' (a: b: throw "now") 0 [ 1 2 ] => !! now
builtins.genList (x: x * x) 4 => [ 0 1 4 9 ]
builtins.genList (x: x) (-1) => !! cannot create list of size -1
builtins.length (builtins.genList (x: throw "lazy") 3) => 3
builtins.genericClosure { startSet = [ { key = 1; } ]; operator = x: if x.key < 3 then [ { key = x.key + 1; } ] else [ ]; } => [ { key = 1; } { key = 2; } { key = 3; } ]
builtins.genericClosure { startSet = [ { key = [ 2 ]; } { key = [ 1 ]; } { key = [ 2 ]; } ]; operator = x: [ ]; } => [ { key = [ 2 ]; } { key = [ 1 ]; } ]
builtins.genericClosure { startSet = [ { key = 1; } { key = "a"; } ]; operator = x: [ ]; } => !! cannot compare a string with an integer; values are "a" and 1
builtins.genericClosure { startSet = [ { } ]; operator = x: [ ]; } => !! attribute 'key' missing
builtins.groupBy (x: if x > 1 then "big" else "small") [ 1 2 3 ] => { big = [ 2 3 ]; small = [ 1 ]; }
builtins.head [ 1 (throw "x") ] => 1
builtins.head [ ] => !! 'builtins.head' called on an empty list
builtins.tail [ 1 2 ] => [ 2 ]
builtins.tail [ ] => !! 'builtins.tail' called on an empty list
builtins.isList [ ] => true
map (x: x + 1) [ 1 2 ] => [ 2 3 ]
map (throw "x") [ ] => [ ]
builtins.length (map (x: throw "x") [ 1 2 ]) => 2
builtins.partition (x: x > 1) [ 1 2 3 ] => { right = [ 2 3 ]; wrong = [ 1 ]; }
builtins.sort builtins.lessThan [ 3 1 2 ] => [ 1 2 3 ]
builtins.sort builtins.lessThan [ "b" "a" ] => [ "a" "b" ]
builtins.sort builtins.lessThan [ 2.5 1 ] => [ 1 2.5 ]
builtins.sort builtins.lessThan [ [ 2 ] [ 1 2 ] [ 1 ] ] => [ [ 1 ] [ 1 2 ] [ 2 ] ]
builtins.sort (a: b: a.k < b.k) [ { k = 1; v = 1; } { k = 0; v = 2; } { k = 1; v = 3; } ] => [ { k = 0; v = 2; } { k = 1; v = 1; } { k = 1; v = 3; } ]
builtins.sort builtins.lessThan [ 1 "a" ] => !! cannot compare a string with an integer; values are "a" and 1
builtins.sort (a: b: 1) [ 1 2 ] => !! expected a Boolean but found an integer: 1
"""


@pytest.mark.parametrize(("expression", "value"), cases(TABLE))
def test_golden(expression: str, value: str) -> None:
    assert evaluate(expression) == value


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=80))
def test_sort_is_stable(numbers: list[int]) -> None:
    items = " ".join(f"{{ k = {n}; i = {i}; }}" for i, n in enumerate(numbers))
    found = evaluate(f"map (x: x.i) (builtins.sort (a: b: a.k < b.k) [ {items} ])")
    expected = sorted(range(len(numbers)), key=lambda i: numbers[i])
    assert found == "[ " + "".join(f"{i} " for i in expected) + "]"


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=60), st.sampled_from(["true", "false", "a > b - 3"]))
def test_sort_keeps_all_elements_whatever_the_order(numbers: list[int], order: str) -> None:
    items = " ".join(map(str, numbers))
    found = evaluate(f"builtins.sort (a: b: {order}) [ {items} ]")
    assert sorted(found[1:-1].split()) == sorted(map(str, numbers))


def test_deep_values_end_in_an_error_or_a_value() -> None:
    deep = "builtins.foldl' (tail: head: { inherit tail; }) null (builtins.genList (x: x) 100000)"
    overflow = "!! stack overflow; max-call-depth exceeded"
    assert evaluate(f"builtins.deepSeq ({deep}) 1") == overflow
    assert evaluate(f"builtins.toJSON ({deep})") == overflow
    assert evaluate(f"builtins.toXML ({deep})") == overflow
    assert evaluate(f"({deep}) == ({deep})") == overflow
    assert evaluate(f"builtins.seq ({deep}) 1") == "1"
