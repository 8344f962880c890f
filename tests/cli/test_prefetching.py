from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from frazil.cli.prefetching import name_of
from frazil.digest import Hash
from frazil.errors import FrazilError

from .conftest import Run

NIX = ("nix", "--extra-experimental-features", "nix-command", "store", "prefetch-file")
HELLO = Hash.of("sha256", b"hello")


@pytest.fixture
def url(tmp_path: Path) -> str:
    (tmp_path / "hello.txt").write_bytes(b"hello")
    return f"file://{tmp_path}/hello.txt"


def test_a_file_and_its_hash(run: Run, url: str) -> None:
    found = json.loads(run(*NIX, "--json", url).out)
    assert found["hash"] == HELLO.sri and found["storePath"].endswith("-hello.txt")
    assert f"(hash '{HELLO.sri}')" in run(*NIX, url).err
    assert run("nix-prefetch-url", url).out == HELLO.base32 + "\n"
    printed = run("nix-prefetch-url", "--print-path", "--type", "md5", url).out.splitlines()
    assert printed[0] == Hash.of("md5", b"hello").base16 and printed[1].endswith("-hello.txt")


def test_into_a_cache(run: Run, url: str, tmp_path: Path) -> None:
    """The file is handed on while it is still there."""
    cache = f"file://{tmp_path}/cache"
    found = run(*NIX, "--store", cache, "--json", url)
    path = json.loads(found.out)["storePath"]
    assert run("nix-store", "--store", cache, "--check-validity", path).status == 0
    assert run("nix-prefetch-url", "--store", cache, "--name", "other", url).status == 0


def test_what_is_expected(run: Run, url: str, tmp_path: Path) -> None:
    wrong = run(*NIX, url, "--expected-hash", Hash.of("sha256", b"").sri)
    assert wrong.status == 1 and "hash mismatch" in wrong.err
    assert run("nix-store", "--query", "--requisites", "/nix/store/" + "0" * 32 + "-x").status == 1
    good = run(*NIX, "--json", url, "--expected-hash", HELLO.sri)
    (tmp_path / "hello.txt").unlink()
    assert run(*NIX, "--json", url, "--expected-hash", HELLO.sri).out == good.out


def test_unpacked_and_executable(run: Run, url: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "hello.txt", "top/hello.txt")
    path = json.loads(run(*NIX, "--json", "--unpack", f"file://{tmp_path}/a.tar.gz", "--name", "tree").out)["storePath"]
    assert (tmp_path / "root" / path[1:] / "hello.txt").read_bytes() == b"hello"
    path = json.loads(run(*NIX, "--json", "--executable", url).out)["storePath"]
    assert (tmp_path / "root" / path[1:]).stat().st_mode & 0o111
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    assert "is empty" in run(*NIX, "--unpack", f"file://{tmp_path}/empty.tar").err


@pytest.mark.parametrize(
    "url", ["https://host", "https://host/", "hello/", "https://host/a b", "https://host/a%20b", "https://host/..."]
)
def test_urls_without_a_name(url: str) -> None:
    if url.endswith("..."):
        assert name_of(url) == "..."
        return
    with pytest.raises(FrazilError):
        name_of(url)


def test_names() -> None:
    assert name_of("https://host/a/b.tar.gz?x=/y#z") == "b.tar.gz"


def test_names_and_mirrors_of_urls(run: Run, url: str, tmp_path: Path) -> None:
    assert name_of("https://host/a%2Bb") == "a+b"
    assert name_of("hello") == "hello"
    assert "name 'a b' contains illegal character ' '" in run("nix-prefetch-url", "--name", "a b", url).err
    assert "error: too many arguments" in run("nix-prefetch-url", url, "a", "b").err
    mirrors = tmp_path / "nixpkgs/pkgs/build-support/fetchurl"
    mirrors.mkdir(parents=True)
    (mirrors / "mirrors.nix").write_text(f'{{ here = [ "file://{tmp_path}" ]; none = [ ]; }}')
    found = run("nix-prefetch-url", "-I", f"nixpkgs={tmp_path}/nixpkgs", "mirror://here/hello.txt")
    assert found.out == HELLO.base32 + "\n", found.err
    for name, words in (("other/x", "unknown mirror name 'other'"), ("none/x", "did not expand to anything")):
        assert words in run("nix-prefetch-url", "-I", f"nixpkgs={tmp_path}/nixpkgs", f"mirror://{name}").err


def test_the_expected_hash_of_an_attribute(run: Run, url: str, tmp_path: Path) -> None:
    (tmp_path / "src.nix").write_text(f'{{ src = {{ urls = [ "{url}" ]; outputHashMode = "flat"; }}; }}')
    assert run("nix-prefetch-url", "-A", "src", "src.nix", HELLO.base32).status == 0
    assert "hash mismatch" in run("nix-prefetch-url", "-A", "src", "src.nix", Hash.of("sha256", b"").base32).err
