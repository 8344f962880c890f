"""BLAKE3: against digests of other implementations, in pieces of any size, and with the feature off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil import _blake3, digest
from frazil._blake3 import Blake3
from frazil.digest import DigestError, Hash

# Of the first SIZE bytes of 0, 1, … 250, 0, 1, …
KNOWN = {
    0: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    1: "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
    64: "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98",
    65: "de1e5fa0be70df6d2be8fffd0e99ceaa8eb6e8c93a63f2d8d1c30ecb6b263dee",
    1023: "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
    1024: "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
    1025: "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
    2048: "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a",
    3072: "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2",
    8192: "aae792484c8efe4f19e2ca7d371d8c467ffb10748d8a5a1ae579948f718a2a63",
    8193: "bab6c09cb8ce8cf459261398d2e7aef35700bf488116ceb94a36d0f5f1b7bc3b",
    9217: "d42c90aa30bee83ecb52ad31b685d566145649496764878873598cef582d4d8f",
    16385: "1dabe216be2578830263b049de1639f39f05a4da616b9b78c7a5e4e41662fd1f",
    31744: "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47",
    102400: "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
    1000003: "cd5a3272e01b1a2f47bb4565d8d202db0f95704d32550a2da61a0fd363d4c90d",
}


def pattern(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.fixture(params=[True, False], ids=["plain", "wide"])
def implementation(request: pytest.FixtureRequest) -> Iterator[None]:
    if not _blake3.choose_plain(request.param) and not request.param:
        pytest.skip("this processor has no wide vectors")
    yield
    _blake3.choose_plain(False)


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "_switched_off", set())


@pytest.mark.parametrize("size", KNOWN)
@pytest.mark.usefixtures("implementation")
def test_known_digests(size: int) -> None:
    data = pattern(size)
    assert Blake3(data).hexdigest() == KNOWN[size]
    for step in (1, 63, 1024, 1025, 8193):
        if size // step < 10_000:
            state = Blake3()
            for begin in range(0, size, step):
                state.update(memoryview(data)[begin : begin + step])
                state.digest()  # changes nothing
            assert state.digest().hex() == KNOWN[size]


@given(st.lists(st.integers(0, 20_000), max_size=8))
def test_pieces(sizes: list[int]) -> None:
    data = pattern(sum(sizes))
    state, begin = Blake3(), 0
    for size in sizes:
        state.update(data[begin : begin + size])
        begin += size
    assert state.digest() == Blake3(bytearray(data)).digest()


def test_other_arguments() -> None:
    for wrong in ("text", 1, None):
        with pytest.raises(TypeError):
            Blake3(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            Blake3().update(wrong)  # type: ignore[arg-type]


def test_feature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "_switched_off", {"blake3"})
    for use in (
        lambda: digest.new("blake3"),
        lambda: Hash("blake3", bytes(32)),
        lambda: Hash.parse("blake3-rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI="),
    ):
        with pytest.raises(DigestError, match="'blake3-hashes' is disabled"):
            use()
    digest.allow_blake3()
    assert Hash.of("blake3", b"") == Hash.parse("blake3-rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI=")


@pytest.mark.usefixtures("allowed")
def test_object_of_that_address(tmp_path: Path) -> None:
    from frazil.store.content_address import ContentAddress

    found = Hash.of("blake3", b"hello")
    for method in ("flat", "nar"):
        address = ContentAddress(method, found)
        assert ContentAddress.parse(str(address)) == address
