from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.digest import ALGORITHMS, Hash
from frazil.store.content_address import ContentAddress, parse_method_algorithm
from frazil.store.errors import FormatError

addresses = st.builds(
    lambda method, algorithm, data: ContentAddress(method, Hash.of(algorithm, data)),
    st.sampled_from(["flat", "nar", "git", "text"]),
    st.sampled_from(sorted(set(ALGORITHMS) - {"blake3"})),
    st.binary(max_size=8),
)


@given(addresses)
def test_round_trip(address: ContentAddress) -> None:
    assert ContentAddress.parse(str(address)) == address
    assert parse_method_algorithm(address.method_algorithm) == (address.method, address.hash.algorithm)


@given(st.text(max_size=80))
def test_nonsense_is_a_format_error(text: str) -> None:
    for candidate in (text, "fixed:" + text, "fixed:r:sha256:" + text, "text:sha256:" + text):
        try:
            ContentAddress.parse(candidate)
        except FormatError:
            pass


@pytest.mark.parametrize(
    "text",
    ["", "x", "fixed", "fixed:", "fixed:r:", "fixed:sha3:aa", "other:sha256:aa", "fixed:sha256:zz", "text:r:sha256:aa"],
)
def test_bad_ones(text: str) -> None:
    with pytest.raises(FormatError):
        ContentAddress.parse(text)


def test_sri_is_no_bare_hash() -> None:
    digest = Hash.of("sha256", b"")
    with pytest.raises(FormatError):
        ContentAddress.parse(f"fixed:sha256:{digest.sri}")
    assert ContentAddress.parse(f"fixed:sha256:{digest.base16}").hash == digest
    assert ContentAddress.parse(f"fixed:sha256:{digest.base64}").hash == digest
