"""Store paths: grammar, names, and known hashes (checked against C++ Nix)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.digest import Hash
from frazil.store.errors import BadStorePath, BadStorePathName, StoreError
from frazil.store.path import (
    References,
    StoreDirectory,
    StorePath,
    canonical_path,
    check_name,
    placeholder,
    unknown_output_placeholder,
)

HASH = "0123456789abcdfghijklmnpqrsvwxyz"
DIRECTORY = StoreDirectory()

names = st.from_regex(r"[0-9a-zA-Z+\-_?=][0-9a-zA-Z+\-._?=]{0,210}", fullmatch=True)
hash_parts = st.text("0123456789abcdfghijklmnpqrsvwxyz", min_size=32, max_size=32)


@given(hash_parts, names)
def test_show_and_parse_are_inverse(part: str, name: str) -> None:
    path = StorePath(part, name)
    assert DIRECTORY.parse(DIRECTORY.show(path)) == path
    assert DIRECTORY.parse_canonical(DIRECTORY.show(path)) == path
    assert StorePath.from_base(path.base) == path


@given(st.text(max_size=250))
def test_any_text_is_a_path_or_an_error_of_ours(text: str) -> None:
    for function in (DIRECTORY.parse, DIRECTORY.parse_canonical, StorePath.from_base, check_name):
        try:
            function(text)
        except BadStorePath:
            pass


@given(st.lists(st.tuples(hash_parts, names), max_size=5))
def test_order_is_that_of_the_text(parts: list[tuple[str, str]]) -> None:
    paths = [StorePath(*pair) for pair in parts]
    assert [p.base for p in sorted(paths)] == sorted(p.base for p in paths)


@pytest.mark.parametrize("name", [".a", "..a", "a..", "...", "+", "=?_", "a" * 211])
def test_good_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "name must not be empty"),
        ("a" * 212, f"name '{'a' * 212}' must be no longer than 211 characters"),
        (".", "name '.' is not valid"),
        ("..", "name '..' is not valid"),
        (".-x", "name '.-x' is not valid: first dash-separated component must not be '.'"),
        ("..-", "name '..-' is not valid: first dash-separated component must not be '..'"),
        ("a b", "name 'a b' contains illegal character ' '"),
        ("a/b", "name 'a/b' contains illegal character '/'"),
        ("a\n", "name 'a\n' contains illegal character '\n'"),
    ],
)
def test_bad_names(name: str, message: str) -> None:
    with pytest.raises(BadStorePathName) as caught:
        check_name(name)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty path is not a valid store path"),
        ("/nix/store", 'path "/nix/store" is not in the Nix store'),
        ("/nix/storex/" + HASH + "-a", 'path "/nix/storex/' + HASH + '-a" is not in the Nix store'),
        ("/nix/store/abc", "'abc' is too short to be a valid store path"),
        (
            f"/nix/store/{HASH}a-b",
            f"'{HASH}a-b' can't name a store path because the hash part is not followed by a '-'",
        ),
        (f"/nix/store/e{HASH[1:]}-b", f"store path 'e{HASH[1:]}-b' contains illegal base-32 character 'e'"),
        (f"/nix/store/{HASH}-", f"path '{HASH}-' is not a valid store path: name must not be empty"),
        (f"/nix/store/{HASH}-a/b", f'path "/nix/store/{HASH}-a/b" is not in the Nix store'),
    ],
)
def test_bad_paths(text: str, message: str) -> None:
    with pytest.raises(BadStorePath) as caught:
        DIRECTORY.parse(text)
    assert caught.value.message == message


def test_spellings_are_normalised_only_where_allowed() -> None:
    text = f"/nix//store/./x/../{HASH}-a/"
    assert DIRECTORY.parse(text).name == "a"
    with pytest.raises(BadStorePath):
        DIRECTORY.parse_canonical(text)


def test_split() -> None:
    path = StorePath(HASH, "a")
    assert DIRECTORY.split(f"/nix/store/{HASH}-a") == (path, "")
    assert DIRECTORY.split(f"/nix/store/{HASH}-a/") == (path, "")
    assert DIRECTORY.split(f"/nix/store/{HASH}-a/b//c/.") == (path, "/b/c")
    with pytest.raises(BadStorePath):
        DIRECTORY.split("/nix/store")


def test_store_directory_must_be_absolute() -> None:
    with pytest.raises(StoreError, match="not an absolute path"):
        StoreDirectory("nix/store")
    assert StoreDirectory("//nix/store/").path == "/nix/store"
    assert canonical_path("//a") == "/a"


def test_text_paths() -> None:
    digest = Hash.of("sha256", b"hello").digest
    plain = DIRECTORY.make_text_path("hello.txt", digest)
    assert plain.base == "q790zdjk75hm2cn42nh77pqw4gbv1b88-hello.txt"
    assert DIRECTORY.make_text_path("hello.txt", digest, [plain]) != plain


def test_fixed_output_paths() -> None:
    digest = Hash.of("sha256", b"hello")
    source = DIRECTORY.make_fixed_output_path("nar", digest, "x")
    assert source.base == "wyxjijqidjp72jk3808gm53x0m41hbw4-x"
    assert DIRECTORY.make_fixed_output_path("flat", digest, "x").base == "62iir8mnhn874ykvq16v9l3kvx1010qs-x"
    sha1 = Hash.of("sha1", b"hello")
    assert DIRECTORY.make_fixed_output_path("nar", sha1, "x").base == "3k11cm6bm724fzmgiz4s73zdgk7ia83b-x"
    with_self = DIRECTORY.make_fixed_output_path("nar", digest, "x", References(frozenset([source]), True))
    assert with_self != source
    with pytest.raises(StoreError, match="not allowed to refer to other store paths"):
        DIRECTORY.make_fixed_output_path("flat", digest, "x", References(frozenset([source])))
    with pytest.raises(StoreError, match="Git file ingestion must use"):
        DIRECTORY.make_fixed_output_path("git", Hash.of("md5", b""), "x")


def test_placeholders() -> None:
    assert placeholder("out") == "/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"
    drv = StorePath("g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q", "foo.drv")
    # The two worked examples of C++ Nix's own unit tests.
    assert unknown_output_placeholder(drv, "out") == "/0c6rn30q4frawknapgwq386zq358m8r6msvywcvc89n6m5p2dgbz"
    nested = StorePath("g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q", "foo.drv.drv")
    assert unknown_output_placeholder(nested, "out", "out") == "/0gn6agqxjyyalf0dpihgyf49xq5hqxgw100f0wydnj6yqrhqsb3w"
