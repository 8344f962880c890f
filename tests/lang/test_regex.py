"""`frazil.lang.regex`: golden cases, and its three machines against each other."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frazil.lang.regex import Regex, RegexError, compile_regex
from frazil.lang.regex_looping import LoopingAutomaton

MATCHES = [
    ("(a|ab)(c|bcd)?", "abcd", ["a", "bcd"]),
    ("a**", "aa", []),
    ("(a*)*", "aa", [""]),
    ("(a*)*", "b", None),
    ("(|a)*", "aa", [""]),
    ("()", "", [""]),
    ("a||b", "a", []),
    ("a{1,2}{2}", "aaa", []),
    ("[[:space:][:alpha:]-]+", "a -", []),
    (r"[a\]]", r"\]", []),
    (r"[a\]]", "a]", []),
    ("[]a]+", "]a", []),
    ("[^]]+", "a]", None),
    ("[[=a=]]+", "aA", []),
    ("[[.hyphen.]-a]", "-", []),
    ("^a$", "a", []),
    ("a^b", "ab", None),
    (".", "\n", []),
    (r"\.\*\{", ".*{", []),
    ("}", "}", []),
    ("((a)|b)*", "ab", ["b", "a"]),
    ("[\x80-\xff]+", "\xc3\xa9", []),
]
SPLITS: list[tuple[str, str, list[Any]]] = [
    ("x*", "axb", ["", [], "a", [], "", [], "b", [], ""]),
    ("(a|ab)(c|bcd)?", "abcd", ["", ["a", "bcd"], ""]),
    ("(a*)(ab)?", "ab", ["", ["a", None], "", ["", None], "b", ["", None], ""]),
    ("^a|b$", "ab", ["", [], "", [], ""]),
    ("/", "a/b//c", ["a", [], "b", [], "", [], "c"]),
    ("q", "abc", ["abc"]),
    ("", "", ["", [], ""]),
]
INVALID = [
    r"\d",
    r"\}",
    "*a",
    "a|*b",
    "(",
    ")",
    "a)",
    "[",
    "[a",
    "[[:foo:]]",
    "[c-a]",
    "[a-b-c]",
    "a{",
    "a{,2}",
    "a{2,1}",
]
INVALID += ["[[:alpha:]-z]", "\\", "a{1", "^*", "[a-\xff]", "[[.x-.]]"]


@pytest.mark.parametrize(("pattern", "text", "groups"), MATCHES)
def test_match(pattern: str, text: str, groups: list[str] | None) -> None:
    assert compile_regex(pattern).match(text) == groups


@pytest.mark.parametrize(("pattern", "text", "parts"), SPLITS)
def test_split(pattern: str, text: str, parts: list[Any]) -> None:
    assert compile_regex(pattern).split(text) == parts


@pytest.mark.parametrize("pattern", INVALID)
def test_invalid_patterns(pattern: str) -> None:
    with pytest.raises(RegexError) as caught:
        Regex(pattern)
    assert not caught.value.too_large


@pytest.mark.parametrize("pattern", ["a{99999}", "(a{1000}){1000}", "(" * 5000 + ")" * 5000, "a{" + "9" * 5000 + "}"])
def test_patterns_that_take_too_much(pattern: str) -> None:
    with pytest.raises(RegexError) as caught:
        Regex(pattern)
    assert caught.value.too_large


def test_time_is_bounded() -> None:
    start = time.monotonic()
    assert compile_regex("((a*)*)*b").match("a" * 2000) is None
    assert compile_regex("(a|a)*b").match("a" * 2000) is None
    assert compile_regex(".*.*.*.*.*.*x").match("a" * 2000) is None
    assert time.monotonic() - start < 20


def test_nested_empty_repetitions_are_bounded() -> None:
    start = time.process_time()
    for text in ("a" * 60, "b"):
        for operator in ("+", "*"):
            pattern = compile_regex("((a*)+)" + operator * 41 + "b")
            try:
                assert pattern.match(text) in (None, ["", ""])
            except RegexError as error:
                assert error.too_large
    assert time.process_time() - start < 20
    assert compile_regex("((a*)+)*b").match("a" * 3000) is None


def test_long_texts_do_not_recurse() -> None:
    assert compile_regex("((a)|b)*").match("ab" * 50_000) == ["b", "a"]


ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "(a)", "[[:alpha:]]", "c"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda p: f"({p[0]}|{p[1]})"),
        st.tuples(inner, st.sampled_from("*+?") | st.sampled_from(["{2}", "{0,2}", "{1,}"])).map(
            lambda p: f"({p[0]}){p[1]}"
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(PATTERNS, st.text("abc", max_size=8))
def test_all_machines_agree(pattern: str, text: str) -> None:
    quick, general, slow = Regex(pattern), Regex(pattern), Regex(pattern)
    general._machine = general._general_machine()
    slow._machine = LoopingAutomaton(slow._parser, slow._start)
    assert quick.match(text) == general.match(text) == slow.match(text)
    assert quick.split(text) == general.split(text) == slow.split(text)


@settings(max_examples=300, deadline=None)
@given(st.text("ab()[]{}*+?|^$.\\-:=1,2", max_size=10), st.text("ab-", max_size=6))
def test_any_text_is_a_pattern_or_an_error(pattern: str, text: str) -> None:
    try:
        compiled = compile_regex(pattern)
    except RegexError:
        return
    compiled.match(text)
    parts = compiled.split(text)
    assert len(parts) % 2 == 1


def test_unambiguous_patterns_go_to_the_quick_machine() -> None:
    for pattern in (r"([a-z]+)-([0-9]+)(\.[0-9]+)*", r"(([a-z]+)=([0-9]+),)+", "^a|b$", "(^a)*", "[ .-]+", "a{3,20}"):
        assert Regex(pattern)._table is not None
    for pattern in ("(a*)*", "a*a", "(a|ab)c", "(.*)-(.*)"):
        assert Regex(pattern)._table is None
    assert Regex(r"([0-9]+\.)*x").match("1." * 100_000) is None
    assert Regex("(a" * 90 + ")" * 90).match("a" * 90) == ["a" * (90 - i) for i in range(90)]


def test_the_quick_machine_gives_up_where_it_reads_far_in_vain() -> None:
    text = "a" * 50_000
    start = time.process_time()
    assert compile_regex("a*b").split(text) == [text]
    assert compile_regex("a(a*b)?").split("aaab" + text)[:3] == ["", ["aab"], ""]
    assert len(compile_regex("a(a*b)?").split(text)) == 100_001
    assert time.process_time() - start < 5


@pytest.mark.parametrize("pattern", ["a*a*a*a*b", "(.*)(.*)(.*)b", "(a*)(a*)(a*)(a*)c?b"])
def test_no_text_takes_long(pattern: str) -> None:
    start = time.process_time()
    assert compile_regex(pattern).match("a" * 2000) is None
    assert compile_regex(pattern).split("a" * 2000) == ["a" * 2000]
    assert time.process_time() - start < 5
