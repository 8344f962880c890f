"""Keys and signatures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.digest import Hash
from frazil.errors import FrazilError
from frazil.store.errors import FormatError
from frazil.store.path import StoreDirectory, StorePath
from frazil.store.path_info import PathInfo
from frazil.store.signatures import PublicKey, SecretKey, Signature, count_good_signatures, sign_info

DIRECTORY = StoreDirectory()
PATH = StorePath("0123456789abcdfghijklmnpqrsvwxyz", "x")
INFO = PathInfo(PATH, Hash.of("sha256", b""), 120, frozenset([PATH]))


def test_fingerprint() -> None:
    shown = DIRECTORY.show(PATH)
    assert INFO.fingerprint(DIRECTORY) == f"1;{shown};{INFO.nar_hash};120;{shown}"
    with pytest.raises(FrazilError, match="size is not known"):
        INFO.with_(nar_size=0).fingerprint(DIRECTORY)


def test_sign_and_verify() -> None:
    key, other = SecretKey.generate("a-1"), SecretKey.generate("b-1")
    assert SecretKey.parse(str(key)) == key
    assert PublicKey.parse(str(key.public)) == key.public
    signed = sign_info(sign_info(INFO, DIRECTORY, key), DIRECTORY, other)
    assert len(signed.signatures) == 2
    assert count_good_signatures(signed, DIRECTORY, [key.public, str(other.public)]) == 2
    assert count_good_signatures(signed, DIRECTORY, [key.public]) == 1
    assert count_good_signatures(signed, DIRECTORY, []) == 0
    assert count_good_signatures(signed.with_(nar_size=121), DIRECTORY, [key.public]) == 0
    assert (
        count_good_signatures(signed.with_(signatures=frozenset(["a-1:AAAA", "x", "a-1:"])), DIRECTORY, [key.public])
        == 0
    )
    impostor = PublicKey("a-1", other.public.data)
    assert count_good_signatures(signed, DIRECTORY, [impostor]) == 0


@given(st.text(max_size=60))
def test_nonsense(text: str) -> None:
    for kind in (Signature, PublicKey, SecretKey):
        try:
            kind.parse(text)
        except FormatError:
            pass


def test_errors_do_not_show_secrets() -> None:
    with pytest.raises(FormatError) as caught:
        SecretKey.parse("a:c2VjcmV0")
    assert "c2VjcmV0" not in str(caught.value)
    assert "data" not in repr(SecretKey.generate("a"))
