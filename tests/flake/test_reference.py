"""Flake references: parsing, printing, searching for a flake, output specifications."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.errors import FrazilError
from frazil.fetch.url import parse_url
from frazil.flake.errors import BadFlakeReference, FlakeNotFound
from frazil.flake.reference import (
    ALL_OUTPUTS,
    DEFAULT_OUTPUTS,
    FlakeReference,
    OutputsSpecification,
    name_from_url,
    parse_with_fragment,
    split_outputs,
)

REV = "2aae6c35c94fcfb415dbe95f408b9ce91ee846ed"

CASES = [
    ("nixpkgs", {"type": "indirect", "id": "nixpkgs"}, "flake:nixpkgs"),
    ("flake:nixpkgs/branch", {"type": "indirect", "id": "nixpkgs", "ref": "branch"}, "flake:nixpkgs/branch"),
    (
        f"nixpkgs/branch/{REV}",
        {"type": "indirect", "id": "nixpkgs", "ref": "branch", "rev": REV},
        f"flake:nixpkgs/branch/{REV}",
    ),
    ("github:a/b?dir=sub dir", {"type": "github", "owner": "a", "repo": "b", "dir": "sub dir"}, None),
    ("git+https://x.org/r?ref=v1&dir=d", {"type": "git", "url": "https://x.org/r", "ref": "v1", "dir": "d"}, None),
    ("https://x.org/a.tar.gz", {"type": "tarball", "url": "https://x.org/a.tar.gz"}, "https://x.org/a.tar.gz"),
    ("path:./x?dir=y", {"type": "path", "path": "./x", "dir": "y"}, "path:./x?dir=y"),
    ("/foo bar/baz?dir=b c", {"type": "path", "path": "/foo bar/baz", "dir": "b c"}, "path:/foo%20bar/baz?dir=b%20c"),
    ("./x", {"type": "path", "path": "./x"}, "path:./x"),
    ("..", {"type": "path", "path": ".."}, "path:.."),
]


@pytest.mark.parametrize(("text", "attributes", "shown"), CASES, ids=[case[0] for case in CASES])
def test_a_text_is_read_as_attributes(text: str, attributes: dict[str, object], shown: str | None) -> None:
    reference = FlakeReference.parse(text, preserve_relative_paths=True)
    assert reference.to_attributes() == attributes
    if shown is not None:
        assert str(reference) == shown
    assert FlakeReference.parse(str(reference), preserve_relative_paths=True) == reference
    assert FlakeReference.from_attributes(attributes) == reference  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("nixpkgs#hello", "hello"),
        ("/x#a%20b", "a b"),
        ('github:a/b?ref=c#"name.with.dot"', '"name.with.dot"'),
        ("path:/x?lastModified=1#a.b", "a.b"),
    ],
)
def test_fragments(text: str, fragment: str) -> None:
    assert parse_with_fragment(text)[1] == fragment
    with pytest.raises(BadFlakeReference, match="unexpected fragment"):
        FlakeReference.parse(text)


@pytest.mark.parametrize("text", ["./x", "/x?bad=1", "github:a", "nosuch:x", "x" * 70000, "/x?lastModified=no"])
def test_bad_references(text: str) -> None:
    with pytest.raises(FrazilError):
        FlakeReference.parse(text)


def test_a_path_inside_a_repository_is_a_git_input(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    (root / ".git").mkdir()
    (root / "sub").mkdir()
    (root / "sub" / "flake.nix").write_text("{}")
    assert FlakeReference.parse("./sub", str(root)).to_attributes() == {
        "type": "git",
        "url": f"file://{root}",
        "dir": "sub",
    }
    assert FlakeReference.parse(f"path:{root}/sub", str(root)).type == "path"


def test_the_flake_is_searched_upwards(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    (root / "flake.nix").write_text("{}")
    deep = root / "a" / "b"
    deep.mkdir(parents=True)
    said: list[str] = []
    reference, fragment = parse_with_fragment(".#x", str(deep), notice=said.append)
    assert (reference.attributes["path"], fragment) == (str(root), "x")
    assert "searching up" in said[0]


def test_the_search_stops_at_a_repository(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    (root / "flake.nix").write_text("{}")
    (root / "a" / ".git").mkdir(parents=True)
    with pytest.raises(FlakeNotFound, match="is not part of a flake"):
        FlakeReference.parse(".", str(root / "a"))


def test_the_file_itself_is_forgiven(tmp_path: Path) -> None:
    (tmp_path / "flake.nix").write_text("{}")
    warned: list[str] = []
    reference = FlakeReference.parse("./flake.nix", str(tmp_path), warn=warned.append)
    assert reference.attributes["path"] == str(tmp_path.resolve())
    assert warned
    (tmp_path / "other").write_text("")
    with pytest.raises(FlakeNotFound, match="not a directory"):
        FlakeReference.parse("./other", str(tmp_path))
    with pytest.raises(FlakeNotFound, match="No such file"):
        FlakeReference.parse("./nothing", str(tmp_path))


def test_old_lock_files_kept_the_folder_in_the_url() -> None:
    old = FlakeReference({"type": "git", "url": "https://x.org/r?dir=sub"}, "sub")
    new = FlakeReference({"type": "git", "url": "https://x.org/r"}, "sub")
    assert old != new
    assert old.canonical() == new.canonical()


def test_output_specifications() -> None:
    assert split_outputs("nixpkgs#hello") == ("nixpkgs#hello", DEFAULT_OUTPUTS)
    assert split_outputs("x^*") == ("x", ALL_OUTPUTS)
    assert split_outputs("x^out,dev") == ("x", OutputsSpecification(frozenset({"out", "dev"})))
    assert str(split_outputs("x^dev,out")[1]) == "^dev,out"
    with pytest.raises(BadFlakeReference, match="invalid extended outputs specifier"):
        split_outputs("x^a b")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("github:NixOS/nixpkgs", "nixpkgs"),
        ("git+file:///home/me/project", "project"),
        ("path:/x?dir=sub", "sub"),
        ("github:a/b#packages.x86_64-linux.hello", "hello"),
        ("github:a/b#default", "b"),
        ("git+https://x.org/", None),
    ],
)
def test_names_from_urls(url: str, name: str | None) -> None:
    assert name_from_url(parse_url(url)) == name


segment = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=8)


@given(st.lists(segment.filter(lambda s: s not in (".", "..")), min_size=1, max_size=4), segment)
def test_paths_survive_printing(parts: list[str], directory: str) -> None:
    reference = FlakeReference({"type": "path", "path": "/" + "/".join(parts)}, directory)
    assert FlakeReference.parse(str(reference)) == reference


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        FlakeReference.parse(text, preserve_relative_paths=True)
    except FrazilError:
        pass
