"""`frazil.lang.toml_reader`."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frazil.lang.toml_reader import Timestamp, TOMLError, parse_toml

VALID: list[tuple[str, Any]] = [
    ("", {}),
    ("# x\n\n", {}),
    ("a = 1\r\nb = 2", {"a": 1, "b": 2}),
    ("a.b.c = 1\na.d = 2", {"a": {"b": {"c": 1}, "d": 2}}),
    ("[a.b]\nx=1\n[a]\ny=2", {"a": {"b": {"x": 1}, "y": 2}}),
    ("[[a]]\nx=1\n[[a]]\n[a.b]\ny=1", {"a": [{"x": 1}, {"b": {"y": 1}}]}),
    ("a = [1, [2.5, 'x'],\n # c\n]", {"a": [1, [2.5, "x"]]}),
    ("a = {b.c = 1, d = {}}", {"a": {"b": {"c": 1}, "d": {}}}),
    ('a = """\nx\\\n   y"""', {"a": "xy"}),
    ("a = '''x''y'''''", {"a": "x''y''"}),
    ('a = "\\u00e9\\U0001f600"', {"a": "\xc3\xa9\xf0\x9f\x98\x80"}),
    ("a = 0xdead_beef\nb = 0o17\nc = 0b11", {"a": 0xDEADBEEF, "b": 15, "c": 3}),
    ("a = +1_000\nb = -0.5e-2\nc = inf", {"a": 1000, "b": -0.005, "c": float("inf")}),
    ("\"a b\".'c' = true", {"a b": {"c": True}}),
]
INVALID = [
    "x = 1 y", "a=1\na=2", "[a]\n[a]", "a={b=1}\na.c=2", "a.b=1\n[a.b]", "a=[1,", "a=01", "a=1__0", "a=.5", "a=1.", "=1",
    "a", "a=", 'a="\n"', 'a="\\x"', 'a="\\ud800"', "a='''", "[a", "[[a]", "a={b=1,}", "a={\nb=1}", "a=2020-13-01",
    "a=2021-02-29", "a=25:00:00", "[a]\nb.c=1\n[a.b]", "a=1\n[a.b]", "[[a]]\n[a]", "a=[]\n[[a]]", "a=\x01", "# \x01",
    "[a.b.c]\n[a]\nb.d=1", "\xff=1", "a=0xG", "a=truE", "a.b=1\na.b.c=2", "a=1e400", "a=[-1e400]",
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), VALID)
def test_valid(text: str, value: Any) -> None:
    assert parse_toml(text) == value


@pytest.mark.parametrize("text", INVALID)
def test_invalid(text: str) -> None:
    with pytest.raises(TOMLError) as caught:
        parse_toml(text)
    assert caught.value.message.startswith("[error] toml::")
    assert "--> fromTOML" in caught.value.message


def test_message_shows_the_place() -> None:
    with pytest.raises(TOMLError) as caught:
        parse_toml("a = 1\nattr = 9223372036854775808")
    assert caught.value.message == (
        "[error] toml::parse_dec_integer: too large integer: current max digits = 2^63\n"
        " --> fromTOML\n   |\n 2 | attr = 9223372036854775808\n   |                           ^-- must be < 2^63\n"
    )


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1979-05-27 07:32:00.1Z", "1979-05-27T07:32:00.100Z"),
        ("1979-05-27t00:32:00.1234567891-07:00", "1979-05-27T00:32:00.123456789-07:00"),
        ("1979-05-27T00:32:00+00:00", "1979-05-27T00:32:00Z"),
        ("1979-05-27", "1979-05-27"),
        ("07:32:00.1234", "07:32:00.123400"),
    ],
)
def test_timestamps(text: str, canonical: str) -> None:
    value = parse_toml(f"a = {text}")["a"]
    assert isinstance(value, Timestamp)
    assert value.text == canonical


def test_nesting_is_bounded() -> None:
    with pytest.raises(TOMLError, match="too deeply nested"):
        parse_toml("a=" + "[" * 100_000)


def same(ours: Any, theirs: Any) -> bool:
    """Equal but for bytes and dates."""
    if isinstance(theirs, dict):
        return ours.keys() == {k.encode().decode("latin-1") for k in theirs} and all(
            same(ours[k.encode().decode("latin-1")], v) for k, v in theirs.items()
        )
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, str):
        return bool(ours == theirs.encode().decode("latin-1"))
    if isinstance(ours, Timestamp):
        return not isinstance(theirs, (int, float, bool))
    return bool(ours == theirs) or (ours != ours and theirs != theirs)


PIECES = st.sampled_from(
    ["a", "b", ".", "=", "1", "0", "-", "'x'", '"y"', "[", "]", "[[", "]]", "{", "}", ",", "\n", " ", "#c", "true", "1.5",
     "1e3", "0x1f", "2020-01-02", "T", "03:04:05", '"""', "'''", "\\n", "é", "a=1\n", "[a]\n", "a.b=2\n", "[[b]]\n"]
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_agrees_with_the_standard_library(text: str) -> None:
    try:
        expected = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(TOMLError):
            parse_toml(text.encode().decode("latin-1"))
    else:
        assert same(parse_toml(text.encode().decode("latin-1")), expected)


@pytest.mark.parametrize(
    ("text", "what", "lines"),
    [
        (
            "a=1\na = 2",
            "failed to insert a value, value already exists",
            ["2 | a = 2", "| ^-- inserting this", "| ...", "|", "1 | a=1", "|   ^-- but value already exists"],
        ),
        (
            "[a.b]\n[ a.b ]",
            "failed to insert a table, table already defined",
            [
                "2 | [ a.b ]",
                "| ^^^^^^^-- inserting this",
                "| ...",
                "|",
                "1 | [a.b]",
                "| ^^^^^-- this table is explicitly defined",
            ],
        ),
        (
            "x = {a=1}\nx . b = 2",
            "failed to insert a value: inline table is immutable",
            ["2 | x . b = 2", "| ^^^^^-- inserting this", "| ...", "|", "1 | x = {a=1}", "|     ^^^^^-- to this table"],
        ),
        (
            "[a.b]\n[a]\nb.d=2",
            "reopening a table using dotted keys",
            [
                "3 | b.d=2",
                "| ^^^-- dotted key cannot reopen a table",
                "| ...",
                "|",
                "1 | [a.b]",
                "| ^^^^^-- this table is already closed",
            ],
        ),
        (
            "x = [{a=1}]\n[[x]]",
            "failed to insert a table, inline array of tables is immutable",
            [
                "2 | [[x]]",
                "| ^^^^^-- while inserting this",
                "| ...",
                "|",
                "1 | x = [{a=1}]",
                "|     ^^^^^^^-- this is inline array-of-tables",
            ],
        ),
        (
            f"x = 1 {'#' * 40}\n\tx = 2 # \xe9",
            "failed to insert a value, value already exists",
            [
                "2 | 0x09(TAB)x = 2 # 0xc30xa9",
                "|  ^-- inserting this",
                "| ...",
                "|",
                f"1 | x = 1 {'#' * 28} ...",
                "|     ^-- but value already exists",
            ],
        ),
        (
            "x = [1,\n2]\nx = 2",
            "failed to insert a value, value already exists",
            ["3 | x = 2", "| ^-- inserting this", "| ...", "|", "1 | x = [1,", "|     ^^^-- but value already exists"],
        ),
    ],
)
def test_errors_about_names_given_twice_show_both_places(text: str, what: str, lines: list[str]) -> None:
    with pytest.raises(TOMLError) as caught:
        parse_toml(text.encode().decode("latin-1"))
    shown = caught.value.message.splitlines()
    assert shown[:3] == [f"[error] toml::insert_value: {what}", " --> fromTOML", "   |"]
    assert [line.lstrip() for line in shown[3:]] == lines


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = [{a=1}]\nx.b = 2", "[error] toml::insert_value:inline array of tables are immutable"),
        ("[[x]]\n[y]\n[x.z]\n[x]", "[error] toml::insert_value: failed to insert a table, table already defined"),
        ("x=1\nx.y=1", "[error] toml::insert_value: failed to insert a value, value already exists"),
        ("x=[1]\n[[x]]", "[error] toml::insert_value: failed to insert an array of tables, value already exists"),
        ("x={a=1}\n[x.b]", "[error] toml::insert_value: failed to insert a value: inline table is immutable"),
    ],
)
def test_what_is_wrong_with_names_given_twice(text: str, message: str) -> None:
    with pytest.raises(TOMLError) as caught:
        parse_toml(text)
    assert caught.value.message.splitlines()[0] == message
