"""`frazil.lang.json_reader`: values, limits, messages; both readers against each other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frazil.lang import json_reader
from frazil.lang.json_reader import JSONError, parse_json
from frazil.lang.values import Attrs

PREFIX = "[json.exception.parse_error.101] parse error at line "
ERRORS = [
    ("", "1, column 1: attempting to parse an empty input; check that your input string or stream contains the expected JSON"),
    ("{x", "1, column 2: syntax error while parsing object key - invalid literal; last read: '{x'; expected string literal"),
    ("[1,2", "1, column 5: syntax error while parsing array - unexpected end of input; expected ']'"),
    ("\n1 2", "2, column 3: syntax error while parsing value - unexpected number literal; expected end of input"),
    ("tru", "1, column 4: syntax error while parsing value - invalid literal; last read: 'tru'"),
    ('"\x01"', "1, column 2: syntax error while parsing value - invalid string: control character U+0001 (SOH) must be escaped to \\u0001; last read: '\"<U+0001>'"),
    ('"\\ud800"', "1, column 8: syntax error while parsing value - invalid string: surrogate U+D800..U+DBFF must be followed by U+DC00..U+DFFF; last read: '\"\\ud800\"'"),
    ("-", "1, column 2: syntax error while parsing value - invalid number; expected digit after '-'; last read: '-'"),
    ("NaN", "1, column 1: syntax error while parsing value - invalid literal; last read: 'N'"),
]  # fmt: skip


def plain(value: Any) -> Any:
    if isinstance(value, Attrs):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


@pytest.mark.parametrize(("text", "message"), ERRORS)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(JSONError) as caught:
        parse_json(text)
    assert caught.value.message == PREFIX + message
    assert caught.value.syntax


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-0", 0),
        ("9223372036854775807", 9223372036854775807),
        ("-9223372036854775808", -9223372036854775808),
        ("-9223372036854775809", -9223372036854775809.0),
        ("18446744073709551616", 18446744073709551616.0),
        ('{"a":1,"a":2}', {"a": 2}),
        ('"\\u00e9"', "\xc3\xa9"),
        ('{"\\u00e9":["\\ud83d\\ude00"]}', {"\xc3\xa9": ["\xf0\x9f\x98\x80"]}),
        ('"\xc3\xa9"', "\xc3\xa9"),
        ("\xef\xbb\xbf1", 1),
        (" [ true , false , null , 1.5e3 , {} , [] ] ", [True, False, None, 1500.0, {}, []]),
    ],
)
def test_values(text: str, value: Any) -> None:
    found = plain(parse_json(text))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("18446744073709551615", "unsigned json number 18446744073709551615 outside of Nix integer range"),
        (
            '"a\\u0000b"',
            "input string 'a\xe2\x90\x80b' cannot be represented as Nix string because it contains null bytes",
        ),
    ],
)
def test_what_is_no_value(text: str, message: str) -> None:
    with pytest.raises(JSONError) as caught:
        parse_json(text)
    assert caught.value.message == message
    assert not caught.value.syntax


def test_overflow() -> None:
    with pytest.raises(JSONError, match="number overflow parsing '1e999'"):
        parse_json("[1e999]")


def test_deep_nesting() -> None:
    value = parse_json("[" * 200_000 + "]" * 200_000)
    depth = 0
    while value:
        value = value[0]
        depth += 1
    assert depth == 199_999


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def as_bytes(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode().decode("latin-1")
    if isinstance(value, list):
        return [as_bytes(v) for v in value]
    if isinstance(value, dict):
        return {as_bytes(k): as_bytes(v) for k, v in value.items()}
    return value


def has_null(value: Any) -> bool:
    return "\\u0000" in json.dumps(value)


@settings(deadline=None)
@given(TREES.filter(lambda t: not has_null(t)), st.booleans())
def test_round_trip(tree: Any, ascii_only: bool) -> None:
    text = json.dumps(tree, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass").decode("latin-1")
    assert plain(parse_json(text)) == as_bytes(tree)
    assert plain(json_reader._Exact(text).parse()) == as_bytes(tree)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*list('{}[],:"1-0.eEtrufalsn \n\\/éÃ©\x01'), '"a"', "\\u", "\\ud83d"]), max_size=8))
def test_both_readers_agree(parts: list[str]) -> None:
    text = "".join(parts)
    try:
        expected: Any = plain(json_reader._Exact(text).parse())
    except JSONError as error:
        with pytest.raises(JSONError) as caught:
            parse_json(text)
        assert caught.value.message == error.message
    else:
        assert plain(parse_json(text)) == expected
