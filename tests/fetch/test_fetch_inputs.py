from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.digest import DigestError
from frazil.errors import FrazilError
from frazil.fetch.attributes import attributes_from_json, is_legal_reference_name, nar_hash
from frazil.fetch.errors import BadAttributes, BadURL, FetchError
from frazil.fetch.inputs import (
    FetchSettings,
    apply_overrides,
    attributes_to_url,
    check_attributes,
    contains,
    experimental_feature,
    is_direct,
    is_locked,
    relative_path,
    source_directory,
    url_to_attributes,
)

REV = "0123456789abcdef0123456789abcdef01234567"
HASH = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

TABLE = [
    ("path:/tmp/x/", {"type": "path", "path": "/tmp/x/"}, "path:/tmp/x/"),
    ("path:/tmp//x", {"type": "path", "path": "/tmp/x"}, "path:/tmp/x"),
    ("path:///tmp/x", {"type": "path", "path": "/tmp/x"}, "path:/tmp/x"),
    ("path:./x/y", {"type": "path", "path": "./x/y"}, "path:./x/y"),
    (
        "path:/%C3%A4?lastModified=3&revCount=2",
        {"type": "path", "path": "/ä", "lastModified": 3, "revCount": 2},
        "path:/%C3%A4?lastModified=3&revCount=2",
    ),
    (
        f"git+file:///x/?ref=a&rev={REV}&submodules=1&shallow=0",
        {"type": "git", "url": "file:///x/", "ref": "a", "rev": REV, "submodules": True, "shallow": False},
        f"git+file:///x/?ref=a&rev={REV}&submodules=1",
    ),
    ("git+file:/tmp/x", {"type": "git", "url": "file:/tmp/x"}, "git+file:/tmp/x"),
    ("git://h/a", {"type": "git", "url": "git://h/a"}, "git://h/a"),
    (
        "git+ssh://git@h:22/a",
        {"type": "git", "url": "ssh://git@h:22/a"},
        "git+ssh://git@h:22/a",
    ),
    (
        "git+https://h/a?allRefs=1&exportIgnore=1&lfs=1&foo=bar",
        {"type": "git", "url": "https://h/a?foo=bar", "allRefs": True, "exportIgnore": True, "lfs": True},
        "git+https://h/a?exportIgnore=1&foo=bar&lfs=1",
    ),
    ("github:a/b", {"type": "github", "owner": "a", "repo": "b"}, "github:a/b"),
    (f"github:a/b/{REV}", {"type": "github", "owner": "a", "repo": "b", "rev": REV}, f"github:a/b/{REV}"),
    (
        "github:a/b/c/d?host=x.y",
        {"type": "github", "owner": "a", "repo": "b", "ref": "c/d", "host": "x.y"},
        "github:a/b/c%2Fd?host=x.y",
    ),
    ("gitlab:a%2Fb/c", {"type": "gitlab", "owner": "a/b", "repo": "c"}, "gitlab:a%2Fb/c"),
    ("sourcehut:~a/b", {"type": "sourcehut", "owner": "~a", "repo": "b"}, "sourcehut:~a/b"),
    ("flake:nixpkgs", {"type": "indirect", "id": "nixpkgs"}, "flake:nixpkgs"),
    (
        f"flake:nixpkgs/x/{REV}",
        {"type": "indirect", "id": "nixpkgs", "ref": "x", "rev": REV},
        f"flake:nixpkgs/x/{REV}",
    ),
    (
        f"https://h/a.tar.gz?foo=1&rev=abc&narHash={HASH}",
        {"type": "tarball", "url": "https://h/a.tar.gz?foo=1", "rev": "abc", "narHash": HASH},
        f"https://h/a.tar.gz?foo=1&narHash={HASH.replace('=', '%3D')}",
    ),
    ("tarball+https://h/a", {"type": "tarball", "url": "https://h/a"}, "https://h/a"),
    ("file+https://h/a", {"type": "file", "url": "https://h/a"}, "https://h/a"),
    ("hg+https://h/a?ref=x", {"type": "hg", "url": "https://h/a", "ref": "x"}, "hg+https://h/a?ref=x"),
    ("debian:trixie", {"type": "debian", "suite": "trixie"}, "debian:trixie"),
    (
        f"debian:trixie?architectures=amd64&release={HASH}",
        {"type": "debian", "suite": "trixie", "architectures": "amd64", "release": HASH},
        f"debian:trixie?architectures=amd64&release={HASH.replace('=', '%3D')}",
    ),
    ("frazilpkgs:", {"type": "frazilpkgs"}, "frazilpkgs:"),
    ("frazilpkgs:?version=1", {"type": "frazilpkgs", "version": "1"}, "frazilpkgs:?version=1"),
]


@pytest.mark.parametrize(("url", "attributes", "back"), TABLE)
def test_urls_and_attributes(url: str, attributes: dict[str, object], back: str) -> None:
    found = url_to_attributes(url)
    assert found == attributes
    assert attributes_to_url(found) == back
    assert check_attributes(found) == found


def test_extension_decides_without_a_tree() -> None:
    assert url_to_attributes("https://h/a", require_tree=False)["type"] == "file"
    assert url_to_attributes("https://h/a", require_tree=True)["type"] == "tarball"
    assert url_to_attributes("https://h/a.tar.zst", require_tree=False)["type"] == "tarball"


def test_extra_query() -> None:
    assert attributes_to_url(url_to_attributes("github:a/b?host=c"), {"dir": "d"}) == "github:a/b?dir=d&host=c"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("path://host/x", "should not have an authority"),
        ("path:/x?foo=1", "unsupported parameter 'foo'"),
        ("path:/x?lastModified=-1", "invalid parameter 'lastModified'"),
        ("path:/x%2Fy", "contains '/'"),
        ("github:a", "is invalid"),
        ("github:a/b?foo=1", "unknown parameter 'foo'"),
        ("github:a/b/c?ref=d", "multiple branch/tag names"),
        (f"github:a/b/{REV}?rev={REV}", "multiple commit hashes"),
        (f"github:a/b/c?rev={REV}", "contains both a commit hash"),
        ("github:a/b/c..d", "invalid branch/tag name"),
        ("github:a/b?host=a_b", "invalid instance host"),
        ("flake:1x", "is not a valid flake ID"),
        ("flake:x/a..b", "is not a commit hash or branch/tag name"),
        ("flake:x/a/b", "is not a commit hash"),
        ("git+https://h/a?ref=a%20b", "invalid Git branch/tag name"),
        ("file+git:///x", "did you mean 'git+file'"),
        ("unknown:x", "is unsupported"),
        ("hg+https://h/a?ref=.x", "invalid Mercurial branch"),
        ("debian:../x", "is not a Debian suite"),
        ("debian:UPPER", "is not a Debian suite"),
        ("debian:x?foo=1", "unknown parameter"),
        ("debian:x?architectures=a,,b", "not a list of words"),
        ("frazilpkgs:x", "is invalid"),
    ],
)
def test_bad_urls(url: str, message: str) -> None:
    with pytest.raises(FetchError) as caught:
        url_to_attributes(url)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"url": "x"}, "'type' attribute to specify input scheme is required but not provided"),
        ({"type": "path", "path": "/x", "foo": 1}, "input attribute 'foo' not supported by scheme 'path'"),
        ({"type": "path"}, "input attribute 'path' is missing"),
        ({"type": "path", "path": 1}, "input attribute 'path' is not a string"),
        ({"type": "path", "path": "/x", "revCount": "1"}, "input attribute 'revCount' is not an integer"),
        ({"type": "path", "path": "/x", "lastModified": True}, "is not an integer"),
        ({"type": "git", "url": "https://h/x", "submodules": "1"}, "input attribute 'submodules' is not a Boolean"),
        ({"type": "git"}, "input attribute 'url' is missing"),
        ({"type": "git", "url": "nope"}, "doesn't have a scheme"),
    ],
)
def test_bad_attributes(attributes: dict[str, str | int | bool], message: str) -> None:
    with pytest.raises(FetchError) as caught:
        check_attributes(attributes)
    assert message in str(caught.value)


def test_unknown_types_pass_but_cannot_be_shown() -> None:
    strange = {"type": "strange", "x": 1}
    assert check_attributes(dict(strange)) == strange
    assert not is_locked(dict(strange))
    assert is_direct(dict(strange))
    with pytest.raises(BadAttributes, match="unsupported input"):
        attributes_to_url(dict(strange))


def test_bad_revision() -> None:
    with pytest.raises(DigestError, match="wrong length"):
        attributes_to_url({"type": "git", "url": "https://h/x", "rev": "12"})


def test_locked() -> None:
    assert is_locked(url_to_attributes(f"git+https://h/x?rev={REV}"))
    assert not is_locked(url_to_attributes(f"git+https://h/x?rev={'0' * 40}"))
    assert is_locked(url_to_attributes(f"github:a/b/{REV}"))
    assert not is_locked(url_to_attributes(f"github:a/b/{REV}"), FetchSettings(trust_tarballs_from_git_forges=False))
    assert is_locked(url_to_attributes(f"https://h/x.tar?narHash={HASH}"))
    assert not is_locked(url_to_attributes("path:/x"))
    assert not is_locked(url_to_attributes("flake:nixpkgs"))
    assert is_locked(url_to_attributes(f"debian:x?release={HASH}"))


def test_direct_and_relative() -> None:
    assert not is_direct(url_to_attributes("flake:x"))
    assert relative_path(url_to_attributes("path:./a")) == "./a"
    assert relative_path(url_to_attributes("path:/a")) is None
    assert source_directory(url_to_attributes("path:/a/../b")) == "/b"
    assert source_directory(url_to_attributes("github:a/b")) is None


def test_overrides() -> None:
    github = url_to_attributes("github:a/b/c")
    assert apply_overrides(github, None, REV) == url_to_attributes(f"github:a/b/{REV}")
    assert apply_overrides(github, "d", None) == url_to_attributes("github:a/b/d")
    with pytest.raises(BadURL, match="cannot apply both"):
        apply_overrides(github, "d", REV)
    with pytest.raises(FetchError, match="don't know how to set branch/tag name"):
        apply_overrides(url_to_attributes("path:/x"), "a", None)
    with pytest.raises(FetchError, match="has a commit hash but no branch/tag name"):
        apply_overrides(url_to_attributes("git+https://h/x"), None, REV)


def test_contains() -> None:
    assert contains(url_to_attributes("flake:a"), url_to_attributes(f"flake:a/x/{REV}"))
    assert not contains(url_to_attributes("flake:a/x"), url_to_attributes("flake:a"))


def test_experimental_features() -> None:
    assert experimental_feature(url_to_attributes("github:a/b")) == "flakes"
    assert experimental_feature(url_to_attributes("git+https://h/x")) is None


def test_hash_repair_and_refusal() -> None:
    assert nar_hash({"narHash": HASH[:-1]}) == nar_hash({"narHash": HASH}) == nar_hash({"narHash": ""})
    with pytest.raises(BadAttributes, match="not SRI"):
        nar_hash({"narHash": "00" * 32})
    with pytest.raises(BadAttributes, match="SHA-256"):
        nar_hash({"narHash": "sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA="})


@pytest.mark.parametrize("value", [None, [], {"a": []}, {"a": None}, {"a": 1.5}, {"a": -1}, {"a": 1 << 64}])
def test_json_that_is_no_attributes(value: object) -> None:
    with pytest.raises(BadAttributes):
        attributes_from_json(value)


@pytest.mark.parametrize("name", ["main", "a/b", "refs/heads/x", "HEAD", "v1.0", "a#b", "a-b", "x@y", "-a/b"])
def test_legal_names(name: str) -> None:
    assert is_legal_reference_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "@",
        "a b",
        "a..b",
        "a//b",
        "/a",
        "a/",
        "a.",
        ".a",
        "a/.b",
        "a.lock",
        "a~b",
        "a^",
        "a:b",
        "a@{b",
        "-a",
        "a\x7f",
    ],
)
def test_illegal_names(name: str) -> None:
    assert not is_legal_reference_name(name)


@given(
    st.fixed_dictionaries(
        {"type": st.just("git"), "url": st.sampled_from(["https://h/x", "file:///a%20b", "ssh://u@h/x?y=z"])},
        optional={
            "ref": st.from_regex(r"[a-z][a-z0-9_/]*[a-z]", fullmatch=True),
            "rev": st.just(REV),
            "shallow": st.just(True),
            "submodules": st.just(True),
            "lfs": st.just(True),
            "exportIgnore": st.just(True),
        },
    )
)
def test_git_round_trip(attributes: dict[str, str | int | bool]) -> None:
    try:
        checked = check_attributes(attributes)
    except FetchError:
        return
    assert url_to_attributes(attributes_to_url(checked)) == checked


@given(
    st.sampled_from(["git+https:", "github:", "path:", "flake:", "debian:", "frazilpkgs:", "https:", "hg+file:"]),
    st.text(max_size=30),
)
def test_any_url_is_taken_or_refused(scheme: str, rest: str) -> None:
    try:
        attributes = url_to_attributes(scheme + rest)
        assert url_to_attributes(attributes_to_url(attributes))["type"] == attributes["type"]
    except FrazilError:
        pass
