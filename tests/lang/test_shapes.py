"""Sets from sets agree with what dicts would give, however often the same names meet."""

from __future__ import annotations

import json
from typing import Any

from golden import evaluate
from hypothesis import given
from hypothesis import strategies as st

from frazil.lang.shapes import update_attrs, without_names
from frazil.lang.values import attrs_from_dict

NAMES = st.text("abcdefgh", min_size=1, max_size=2)
SETS = st.dictionaries(NAMES, st.integers(0, 9), max_size=16)


def literal(table: dict[str, int]) -> str:
    return "{ " + "".join(f"{name} = {value}; " for name, value in table.items()) + "}"


@given(SETS, SETS, st.lists(NAMES, max_size=4))
def test_dicts(left: dict[str, int], right: dict[str, int], names: list[str]) -> None:
    for _ in range(3):
        merged = update_attrs(attrs_from_dict(dict(left)), attrs_from_dict(dict(right)))
        assert dict(merged.items()) == left | right
        assert list(merged.names()) == sorted(left | right)
        rest = without_names(merged, names)
        assert dict(rest.items()) == {k: v for k, v in (left | right).items() if k not in names}


@given(SETS, SETS, st.lists(NAMES, max_size=4))
def test_literals(left: dict[str, int], right: dict[str, int], names: list[str]) -> None:
    quoted = " ".join(f'"{name}"' for name in names)
    rest = {k: v for k, v in (left | right).items() if k not in names}
    for text in (
        f"map (_: removeAttrs ({literal(left)} // {literal(right)}) [ {quoted} ]) [ 1 2 3 ]",
        f"map (s: removeAttrs (s // {literal(right)}) [ {quoted} ]) [ {literal(left)} {literal(left)} {literal(left)} ]",
    ):
        for found in value(text):
            assert found == rest


def value(text: str) -> Any:
    return json.loads(json.loads(evaluate(f"builtins.toJSON ({text})")))
