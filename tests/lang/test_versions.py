"""`frazil.lang.versions`."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.lang.versions import compare_versions, next_component, parse_derivation_name, split_version

ORDER = ["2.3pre1", "2.3pre3", "2.3pre12", "2.3", "2.3a", "2.3c", "2.3q", "2.3.1", "2.3.10", "2.5"]


@pytest.mark.parametrize(("left", "right"), list(itertools.pairwise(ORDER)))
def test_order(left: str, right: str) -> None:
    assert compare_versions(left, right) == -1
    assert compare_versions(right, left) == 1


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        ("1.0", "1.0", 0),
        ("1.0", "1.00", 0),
        ("1-0", "1.0", 0),
        ("", "", 0),
        ("1", "", 1),
        ("1.", "1", 0),
        ("2147483648", "3", -1),
        ("99999999999", "99999999998", 1),
        ("a", "b", -1),
    ],
)
def test_compare(left: str, right: str, result: int) -> None:
    assert compare_versions(left, right) == result


@given(st.text("019.-apre", max_size=12), st.text("019.-apre", max_size=12))
def test_antisymmetric(left: str, right: str) -> None:
    assert compare_versions(left, right) == -compare_versions(right, left)
    assert compare_versions(left, left) == 0


def test_split() -> None:
    assert split_version("1.2-3pre..x") == ["1", "2", "3", "pre", "x"]
    assert split_version("") == []
    assert next_component("--", 0) == ("", 2)


@pytest.mark.parametrize(
    ("text", "name", "version"),
    [
        ("hello-2.12", "hello", "2.12"),
        ("apache-httpd-2.0.48", "apache-httpd", "2.0.48"),
        ("name", "name", ""),
        ("x-", "x-", ""),
        ("a--b", "a", "-b"),
        ("a-\xc3-1", "a", "\xc3-1"),
        ("", "", ""),
    ],
)
def test_derivation_name(text: str, name: str, version: str) -> None:
    assert parse_derivation_name(text) == (name, version)
