from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.fetch.errors import BadURL
from frazil.fetch.url import (
    Authority,
    ParsedURL,
    fix_git_url,
    parse_url,
    path_to_url_path,
    percent_decode,
    percent_encode,
    url_path_to_path,
)

TEXT = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)


@given(TEXT | st.binary(max_size=12).map(lambda b: b.decode("utf-8", "surrogateescape")))
def test_percent_encoding_round_trip(text: str) -> None:
    assert percent_decode(percent_encode(text)) == text


@given(
    st.lists(TEXT, min_size=1, max_size=4),
    st.dictionaries(TEXT, TEXT, max_size=3),
    TEXT,
    st.one_of(st.none(), st.builds(Authority, TEXT.filter(bool), st.none() | TEXT, st.none(), st.integers(0, 65535))),
)
def test_url_round_trip(path: list[str], query: dict[str, str], fragment: str, authority: Authority | None) -> None:
    segments = ("", *path) if authority is not None else ("x", *path)
    url = ParsedURL("git+https", authority, segments, query, fragment)
    assert parse_url(str(url)) == url


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        ":x",
        "1a:x",
        "http://h/a b",
        "http://h/ä",
        "http://h:99999/",
        "http://h/%zz",
        "http://[::1/",
        "file://host/path",
        "http://h/?a=%",
        "x:" + "a" * 70_000,
        "http://a@b@c/",
    ],
)
def test_bad_urls(text: str) -> None:
    with pytest.raises(BadURL):
        parse_url(text)


def test_leniency_is_asked_for() -> None:
    with pytest.raises(BadURL):
        parse_url('git+https://h/a?ref=a "b')
    assert parse_url('git+https://h/a?ref=a "b#c ^d', lenient=True).query == {"ref": 'a "b'}


def test_first_of_repeated_parameters_wins_and_nameless_are_dropped() -> None:
    assert parse_url("x:y?a=1&a=2&b&c=").query == {"a": "1", "c": ""}


def test_plus_is_no_blank() -> None:
    assert str(parse_url("https://h/a?x=%20y+z")) == "https://h/a?x=%20y%2Bz"


@pytest.mark.parametrize(
    ("path", "back"), [("/", "/"), ("/a//b", "/a/b"), ("/a/", "/a/"), ("./x", "./x"), ("/a b", "/a b")]
)
def test_paths(path: str, back: str) -> None:
    assert url_path_to_path(path_to_url_path(path)) == back


@pytest.mark.parametrize("segment", ["a/b", "a\0b"])
def test_segments_that_are_no_file_names(segment: str) -> None:
    with pytest.raises(BadURL, match="not allowed"):
        url_path_to_path(("", segment))


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("/a/b c", "file:///a/b%20c"),
        ("git@host:/a/b", "ssh://git@host/a/b"),
        ("git@host:a/b", "ssh://git@host/a/b"),
        ("host:~/a", "ssh://host/~/a"),
        ("user@[::1]:/a", "ssh://user@[::1]/a"),
        ("git+https://h/x", "https://h/x"),
        ("https://h/x?y=1", "https://h/x?y=1"),
        ("file:/a", "file:/a"),
        ("git://h/a", "git://h/a"),
    ],
)
def test_git_addresses(text: str, url: str) -> None:
    assert str(fix_git_url(text)) == url


@pytest.mark.parametrize("text", ["relative/path", "host:", "[::zz]:/a"])
def test_bad_git_addresses(text: str) -> None:
    with pytest.raises(BadURL):
        fix_git_url(text)


@given(st.text(max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for parse in (parse_url, fix_git_url):
        try:
            url = parse(text)
        except BadURL:
            continue
        assert parse_url(str(url)) == url or url.authority is None
