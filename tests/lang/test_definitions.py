"""`frazil.lang.definitions`: sets of any number of names keep what was written, sorted, and find what is there twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.lang.effects import FileSystemEffects
from frazil.lang.errors import ParseError
from frazil.lang.evaluator import Evaluator

name = st.text("abcxyz_-'019", min_size=1, max_size=5).map(lambda text: "n" + text)


def evaluate(text: str) -> object:
    evaluator = Evaluator(FileSystemEffects())
    return evaluator.force_deep(evaluator.eval_string(text, "/"))


def items(text: str) -> list[tuple[str, object]]:
    evaluator = Evaluator(FileSystemEffects())
    value = evaluator.eval_string(text, "/")
    return [(key, evaluator.force(item)) for key, item in evaluator.attrs_items(value)]


@given(st.lists(name, unique=True, max_size=60), st.booleans())
def test_names_are_sorted_and_keep_their_values(names: list[str], recursive: bool) -> None:
    text = "".join(f"{key} = {number};\n" for number, key in enumerate(names))
    values = {key: number for number, key in enumerate(names)}
    assert items(f"{'rec ' if recursive else ''}{{\n{text}}}") == sorted(values.items())


@pytest.mark.parametrize("many", [1, 12, 13, 24, 25, 300])
def test_positions(tmp_path: Path, many: int) -> None:
    names = [f"n{number * 7919 % 1009}" for number in range(many)]
    text = "".join(f"{key} = 1;\n" for key in names)
    expression = f"let s = {{\n{text}}}; in builtins.mapAttrs (n: _: (builtins.unsafeGetAttrPos n s).line) s"
    (tmp_path / "set.nix").write_text(expression)
    lines = dict(items(f"import {tmp_path}/set.nix"))
    assert lines == {key: line for line, key in enumerate(names, 2)}


@given(st.lists(name, unique=True, min_size=1, max_size=40), st.data())
def test_a_name_twice(names: list[str], data: st.DataObject) -> None:
    again = data.draw(st.sampled_from(names))
    text = "".join(f"{key} = 1;\n" for key in [*names, again])
    line = names.index(again) + 2
    with pytest.raises(ParseError, match=f"attribute '{again}' already defined at .*:{line}:1"):
        evaluate(f"{{\n{text}}}")


@pytest.mark.parametrize("many", [1, 13, 30, 200])
def test_all_kinds_in_sets_of_any_size(many: int) -> None:
    plain = "".join(f"p{number} = {number};" for number in range(many))
    outer = "".join(f"o{number} = {number};" for number in range(many))
    inherited = "".join(f"inherit o{number}; inherit (source) s{number};" for number in range(many))
    source = "".join(f"s{number} = {number};" for number in range(many))
    text = f"let {outer} source = {{ {source} }}; in rec {{ {plain} {inherited} sum = p0 + o0 + s0; }}"
    values = {f"{kind}{number}": number for kind in "pos" for number in range(many)}
    assert dict(items(text)) == {**values, "sum": 0}


def test_sets_that_are_merged() -> None:
    many = "".join(f"a.k{number} = {number};" for number in range(40))
    text = f"{{ {many} a = {{ x = 1; inherit (b) y; }}; a.z = 3; }}"
    assert items(
        f"with {{ b = {{ y = 2; }}; }}; builtins.removeAttrs ({text}).a (builtins.attrNames {{ k0 = 1; }})"
    ) == [
        *sorted((f"k{number}", number) for number in range(1, 40)),
        ("x", 1),
        ("y", 2),
        ("z", 3),
    ]


def test_the_same_names_again_in_another_evaluator() -> None:
    for _ in range(3):
        assert items("{ b = 1; a = 2; }") == [("a", 2), ("b", 1)]
        assert items("{ a = 1; b = 2; }") == [("a", 1), ("b", 2)]


def test_what_fails_half_way_leaves_nothing_wrong() -> None:
    for _ in range(100):
        with pytest.raises(ParseError):
            evaluate("{ a = 1; b = { c = 2; d = [ 1 2 }; }")
        with pytest.raises(ParseError):
            evaluate("{ a = { b = 1; }; a.b = 2; }")
    assert items("{ a = 1; }") == [("a", 1)]
