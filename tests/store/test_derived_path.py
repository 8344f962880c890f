from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath, OutputsSpec
from frazil.store.errors import BadStorePath
from frazil.store.path import StoreDirectory

DIRECTORY = StoreDirectory()
BASE = "/nix/store/" + "0" * 32 + "-a.drv"


@pytest.mark.parametrize("text", [BASE, BASE + "^out", BASE + "^dev,out", BASE + "^*", BASE + "^out^dev,out"])
def test_round_trip(text: str) -> None:
    parsed = DerivedPath.parse(text, DIRECTORY)
    assert parsed.show(DIRECTORY) == text
    assert DerivedPath.parse(text.replace("^", "!"), DIRECTORY, "!") == parsed
    assert parsed.is_built == ("^" in text)


@pytest.mark.parametrize(
    "text", ["", "^out", BASE + "^", BASE + "^out,", BASE + "^a b", BASE + "^out^", BASE + "^x" * 100]
)
def test_bad_ones(text: str) -> None:
    with pytest.raises(BadStorePath):
        DerivedPath.parse(text, DIRECTORY)


@given(st.text(max_size=20))
def test_nonsense(text: str) -> None:
    try:
        DerivedPath.parse(BASE + "^" + text, DIRECTORY)
    except BadStorePath:
        pass


def test_outputs() -> None:
    spec = OutputsSpec.parse("out,dev")
    assert str(spec) == "dev,out"
    assert spec.choose(["out", "man", "dev"]) == ["dev", "out"]
    assert ALL_OUTPUTS.choose(["out", "man"]) == ["man", "out"]
    assert spec.union(ALL_OUTPUTS) == ALL_OUTPUTS
    assert spec.union(OutputsSpec.parse("man")).contains("man")
