"""Finding references and rewriting, however the bytes are cut into chunks."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.digest import BASE32_ALPHABET, Hash
from frazil.store.path import StorePath
from frazil.store.references import ModuloHash, ReferenceScanner, Rewriter, scan_path


def path(number: int) -> StorePath:
    digits = ""
    for _ in range(6):
        digits += BASE32_ALPHABET[number % 32]
        number //= 32
    return StorePath(digits + "0123456789abcdfghijklmnpqr", f"p{digits}")


def chunked(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@given(
    st.lists(st.integers(0, 40), max_size=30, unique=True),
    st.lists(st.one_of(st.integers(0, 40), st.binary(max_size=40)), max_size=10),
    st.lists(st.integers(0, 2000), max_size=12),
    st.booleans(),
)
def test_finds_exactly_what_is_there(
    candidates: list[int], contents: list[int | bytes], cuts: list[int], glued: bool
) -> None:
    separator = b"" if glued else b"/"
    data = separator.join(c if isinstance(c, bytes) else path(c).hash_part.encode() for c in contents)
    scanner = ReferenceScanner(map(path, candidates))
    for chunk in chunked(data, cuts):
        scanner.write(chunk)
    assert scanner.found() == {path(c) for c in candidates if path(c).hash_part.encode() in data}


@given(st.binary(max_size=200), st.lists(st.integers(0, 300), max_size=8), st.integers(0, 200))
def test_rewriting_does_not_depend_on_chunks(noise: bytes, cuts: list[int], place: int) -> None:
    old, new = b"aabaa", b"12345"
    data = noise[:place] + old + noise[place:] + old + old
    out: list[bytes] = []
    rewriter = Rewriter({old: new}, out.append)
    for chunk in chunked(data, cuts):
        rewriter.write(chunk)
    rewriter.finish()
    assert b"".join(out) == data.replace(old, new)
    assert len(rewriter.positions) == data.count(old)
    assert all(data[p : p + 5] == old for p in rewriter.positions)


def test_rewrites_keep_lengths() -> None:
    with pytest.raises(ValueError, match="length"):
        Rewriter({b"a": b"bb"}, lambda data: None)


def test_hash_modulo_self() -> None:
    part = path(1).hash_part
    expected = Hash.of("sha256", b"x" + bytes(32) + b"y|1")
    modulo = ModuloHash("sha256", part)
    modulo.write(b"x" + part.encode()[:5])
    modulo.write(part.encode()[5:] + b"y")
    assert modulo.result() == (expected, 34)
    plain = ModuloHash("sha256", part)
    plain.write(b"x" + bytes(32) + b"y")
    assert plain.result()[0] != expected


def test_names_and_links_count(tmp_path: Path) -> None:
    (tmp_path / path(1).base).write_bytes(b"")
    (tmp_path / "link").symlink_to(f"/nix/store/{path(2).base}/bin")
    (tmp_path / "file").write_bytes(b"." * 300_000 + path(3).hash_part.encode())
    found, digest, size = scan_path(str(tmp_path), [path(i) for i in range(20)])
    assert found == {path(1), path(2), path(3)}
    assert size > 300_000 and digest.algorithm == "sha256"
