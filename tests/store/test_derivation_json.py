"""Derivations as JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.errors import FrazilError
from frazil.store import derivation_json
from frazil.store.derivation import Derivation, parse
from frazil.store.errors import FormatError
from frazil.store.path import StorePath

from .test_derivation import DIRECTORY, derivations, simple


def readable(drv: Derivation) -> bool:
    texts = [drv.builder, *drv.arguments, *drv.environment, *drv.environment.values()]
    try:
        for text in texts:
            text.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return False
    return derivation_json.STRUCTURED_ATTRIBUTES not in drv.environment


@given(derivations)
def test_round_trip(drv: Derivation) -> None:
    if not readable(drv):
        try:
            derivation_json.to_json(drv)
        except FormatError:
            pass
        return
    text = json.dumps(derivation_json.to_json(drv))
    assert derivation_json.parse_text(text) == drv


def test_shape() -> None:
    drv = simple(environment={"a": "b", "__json": '{"x":[1,2.5]}'})
    shown = derivation_json.to_json(drv)
    assert shown == {
        "name": "simple",
        "version": 4,
        "outputs": {"out": {}},
        "inputs": {"srcs": [], "drvs": {}},
        "system": "x86_64-linux",
        "builder": "/bin/sh",
        "args": ["-c", "echo > $out"],
        "env": {"a": "b"},
        "structuredAttrs": {"x": [1, 2.5]},
    }
    assert derivation_json.from_json(shown) == drv
    path = drv.store_path(DIRECTORY)
    assert derivation_json.show_derivations({path: drv}) == {"version": 4, "derivations": {path.base: shown}}


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
KEYS = ["name", "version", "outputs", "inputs", "system", "builder", "args", "env", "structuredAttrs"]


@given(st.sampled_from(KEYS), json_values)
def test_wrong_values(key: str, value: object) -> None:
    shown = derivation_json.to_json(simple())
    shown[key] = value
    try:
        derivation_json.from_json(shown).unparse(DIRECTORY)
    except FrazilError:
        pass


@given(json_values)
def test_nonsense(value: object) -> None:
    with pytest.raises(FormatError):
        derivation_json.from_json(value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "nul"])
def test_bad_texts(text: str) -> None:
    with pytest.raises(FormatError):
        derivation_json.parse_text(text)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", 3, "Unsupported derivation JSON format version 3"),
        ("version", True, "of type 'number' but it is of type 'boolean': true"),
        ("outputs", {"out": {"hash": "x"}}, "invalid JSON for derivation output"),
        ("outputs", {"out": {"method": "nar", "hash": "sha256-zz"}}, "hash"),
        ("outputs", {"out": {"path": "x"}}, "too short"),
        ("env", {"__json": "{}"}, "may not hold"),
        ("args", "x", "of type 'array' but it is of type 'string': \"x\""),
    ],
)
def test_messages(key: str, value: object, message: str) -> None:
    shown = derivation_json.to_json(simple())
    shown[key] = value
    with pytest.raises(FrazilError, match=message):
        derivation_json.from_json(shown)
    del shown[key]
    with pytest.raises(FormatError, match=f"contain key '{key}'"):
        derivation_json.from_json(shown)


def test_dynamic_inputs() -> None:
    base = StorePath("0" * 32, "a.drv")
    text = (
        'DrvWithVersion("xp-dyn-drv",[("out","","","")],'
        f'[("/nix/store/{base.base}",(["out"],[("out",["dev"])]))],[],"s","b",[],[])'
    )
    drv = parse(text.encode(), "x", DIRECTORY)
    shown = derivation_json.to_json(drv)
    assert shown["inputs"] == {
        "srcs": [],
        "drvs": {
            base.base: {
                "outputs": ["out"],
                "dynamicOutputs": {"out": {"outputs": ["dev"], "dynamicOutputs": {}}},
            }
        },
    }
    assert derivation_json.from_json(shown) == drv
    assert drv.unparse(DIRECTORY) == text.encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, "ü\n\x7f"]}, '{"a":[true,null,"ü\\n\x7f"],"b":1}'),
        ({}, "{}"),
        ([], "[]"),
        (1.0, "1.0"),
        (1e15, "1e+15"),
        (1.5e16, "1.5e+16"),
        (123456789012345.0, "123456789012345.0"),
        (1e-5, "1e-05"),
        (-1e300, "-1e+300"),
    ],
)
def test_compact_text(value: object, text: str) -> None:
    assert derivation_json.compact(value) == text
