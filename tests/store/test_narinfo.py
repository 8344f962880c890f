"""`.narinfo` texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.digest import Hash
from frazil.errors import FrazilError
from frazil.store import narinfo
from frazil.store.content_address import ContentAddress
from frazil.store.errors import FormatError
from frazil.store.narinfo import NarInfo
from frazil.store.path import StoreDirectory, StorePath
from frazil.store.path_info import PathInfo

DIRECTORY = StoreDirectory()
PATH = StorePath("0123456789abcdfghijklmnpqrsvwxyz", "x")

infos = st.builds(
    NarInfo,
    st.builds(
        PathInfo,
        st.just(PATH),
        st.binary(max_size=3).map(lambda data: Hash.of("sha256", data)),
        st.integers(1, 2**64 - 1),
        st.frozensets(st.sampled_from([PATH, StorePath(PATH.hash_part, "y")])),
        st.sampled_from([None, StorePath(PATH.hash_part, "y.drv")]),
        st.just(0),
        st.just(False),
        st.frozensets(st.sampled_from(["a-1:AAAA", "b:Aw=="])),
        st.sampled_from([None, ContentAddress("nar", Hash.of("sha1", b""))]),
    ),
    st.from_regex(r"nar/[a-z0-9]{1,20}\.nar", fullmatch=True),
    st.sampled_from(["none", "xz", "zstd", "br", "gzip", "bzip2"]),
    st.sampled_from([None, Hash.of("sha256", b"f")]),
    st.integers(0, 2**64 - 1),
)


@given(infos)
def test_round_trip(info: NarInfo) -> None:
    assert narinfo.parse(info.show(DIRECTORY), DIRECTORY) == info


GOOD = NarInfo(PathInfo(PATH, Hash.of("sha256", b""), 1), "nar/a.nar").show(DIRECTORY)


@given(st.integers(0, len(GOOD)), st.integers(0, 5), st.text(max_size=5))
def test_damage(start: int, length: int, text: str) -> None:
    try:
        narinfo.parse(GOOD[:start] + text + GOOD[start + length :], DIRECTORY)
    except FrazilError:
        pass


def thoroughly(text: str) -> NarInfo:
    parser = narinfo._Parser(DIRECTORY, "narinfo")
    parser.read(text)
    return parser.result()


@given(infos, st.data())
def test_the_quick_way_says_the_same_or_nothing(info: NarInfo, data: st.DataObject) -> None:
    text = info.show(DIRECTORY)
    lines = text.splitlines(keepends=True)
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(lines) - 1))
        value = data.draw(st.sampled_from(["", "0", "01", "x", " ", "²", "\0", "sha256:", "unknown-deriver", "9" * 25]))
        name, _, old = lines[place].partition(": ")
        lines[place] = data.draw(st.sampled_from([f"{name}: {value}\n", f"{name}:{old}", old, "", lines[place] * 2]))
        lines = [line for line in lines if line] or ["\n"]
    changed = "".join(lines)
    quick = narinfo._quick(changed, DIRECTORY)
    if quick is not None:
        assert quick == thoroughly(changed)


def test_what_is_usual_goes_the_quick_way() -> None:
    assert narinfo._quick(GOOD, DIRECTORY) == thoroughly(GOOD)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("StorePath: ", "Other: ", "StorePath missing"),
        ("NarHash: ", "Other: ", "NarHash missing"),
        ("URL: ", "Other: ", "URL missing"),
        ("NarSize: 1", "NarSize: 0", "NarSize missing or zero"),
        ("NarSize: 1", "NarSize: -1", "invalid NarSize at line 5"),
        ("NarSize: 1", "NarSize: 99999999999999999999", "invalid NarSize"),
        ("NarHash: sha256:", "NarHash: sha257:", "bad hash"),
        ("Compression: none", "Compression: rot13", "invalid Compression"),
        ("URL: ", "URL ", "expecting ':'|missing"),
        ("References: \n", "References: ../../x\n", "is corrupt: .*too short"),
        ("References: \n", "References: \nDeriver: x\n", "is corrupt: .*too short"),
        ("References: \n", "References: \nCA: x\n", "is corrupt: not a content address"),
        ("References: \n", "References: ", "expecting '.n'"),
        ("References: \n", "References: \nSig: x\n", "signature is corrupt"),
        ("References: \n", f"References: {PATH.base}\nReferences: {PATH.base}\n", "extra References"),
        ("References: \n", "References: \n\0", "zero byte"),
    ],
)
def test_bad_ones(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(FormatError, match=message):
        narinfo.parse(GOOD.replace(old, new), DIRECTORY, "file")


def test_unknown_fields_and_missing_compression() -> None:
    text = GOOD.replace("Compression: none\n", "") + "Later: yes\n"
    assert narinfo.parse(text, DIRECTORY).compression == "bzip2"


def test_signatures_are_in_the_order_of_their_keys_names() -> None:
    signatures = frozenset({"a-b:AAAA", "a:AAAA", "a:Bw=="})
    text = NarInfo(PathInfo(PATH, Hash.of("sha256", b""), 1, signatures=signatures), "nar/a.nar").show(DIRECTORY)
    assert [line for line in text.splitlines() if line.startswith("Sig")] == [
        "Sig: a:AAAA",
        "Sig: a:Bw==",
        "Sig: a-b:AAAA",
    ]


def test_length_is_bounded() -> None:
    with pytest.raises(FormatError, match="longer than"):
        narinfo.parse("a" * (narinfo.MAXIMUM_SIZE + 1), DIRECTORY)
