from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.fetch.debian_index import compare_versions, parse_depends, shard_of

ASCENDING = [
    "1.0~~",
    "1.0~beta1",
    "1.0~rc1-1",
    "1.0",
    "1.0-0+deb1",
    "1.0-1",
    "1.0-1+b1",
    "1.0-1.1",
    "1.0-2",
    "1.0a",
    "1.0+dfsg",
    "1.0.1",
    "1.2",
    "1.10",
    "1:0.1",
]


def test_version_order() -> None:
    for i, left in enumerate(ASCENDING):
        for j, right in enumerate(ASCENDING):
            assert compare_versions(left, right) == (i > j) - (i < j), (left, right)


@given(
    st.from_regex(r"([0-9]:)?[0-9][a-z0-9.+~-]{0,8}", fullmatch=True),
    st.from_regex(r"[0-9][a-z0-9.+~-]{0,8}", fullmatch=True),
)
def test_version_order_is_antisymmetric(left: str, right: str) -> None:
    assert compare_versions(left, right) == -compare_versions(right, left)
    assert compare_versions(left, left) == 0


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("", []),
        ("a", [["a"]]),
        ("a (>= 1), b | c:any (<< 2) , a (<< 3)", [["a"], ["b", "c"]]),
        ("a [amd64], b <!nocheck>, c:native", [["a"], ["b"], ["c"]]),
        ("a | a, ", [["a"]]),
    ],
)
def test_dependencies(text: str, groups: list[list[str]]) -> None:
    assert parse_depends(text) == groups


def test_shards() -> None:
    assert shard_of("bash") == hashlib.sha256(b"bash").hexdigest()[:3]
