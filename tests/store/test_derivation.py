"""Derivations: ATerm both ways, hostile texts, output paths."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.digest import Hash
from frazil.errors import FrazilError
from frazil.store.content_address import ContentAddress
from frazil.store.derivation import (
    DEFERRED_MODULO,
    Deferred,
    Derivation,
    Fixed,
    Floating,
    HashModulo,
    Impure,
    InputAddressed,
    InputNode,
    ModuloCache,
    check_invariants,
    fill_in_output_paths,
    hash_modulo,
    parse,
    rewrite,
)
from frazil.store.errors import FormatError, StoreError
from frazil.store.path import StoreDirectory, StorePath

DIRECTORY = StoreDirectory()
HASH = "0123456789abcdfghijklmnpqrsvwxyz"


def path(name: str, first: str = "0") -> StorePath:
    return StorePath(first + HASH[1:], name)


def simple(name: str = "simple", **changes: object) -> Derivation:
    """`derivation { name = "simple"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; }`"""
    drv = Derivation(
        name,
        {"out": Deferred()},
        {},
        frozenset(),
        "x86_64-linux",
        "/bin/sh",
        ("-c", "echo > $out"),
        {"builder": "/bin/sh", "name": name, "out": "", "system": "x86_64-linux"},
    )
    return drv.with_(**changes)  # type: ignore[arg-type]


def no_inputs(asked: StorePath) -> HashModulo:
    raise AssertionError(asked)


byte_strings = st.binary(max_size=40).map(lambda data: data.decode("latin-1"))
name_texts = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
store_paths = st.builds(lambda name, i: StorePath(f"{i:032d}", name), name_texts, st.integers(0, 10**9))
derivation_paths = store_paths.map(lambda p: StorePath(p.hash_part, p.name + ".drv"))
outputs = st.one_of(
    store_paths.map(InputAddressed),
    st.just(Deferred()),
    st.builds(Floating, st.sampled_from(["nar", "flat", "text"]), st.sampled_from(["sha256", "sha1"])),
    st.builds(Impure, st.sampled_from(["nar", "flat"]), st.sampled_from(["sha256", "sha512"])),
    st.binary(max_size=4).map(lambda data: Fixed(ContentAddress("nar", Hash.of("sha256", data)))),
    st.binary(max_size=4).map(lambda data: Fixed(ContentAddress("flat", Hash.of("sha1", data)))),
)
output_names = st.frozensets(name_texts, min_size=1, max_size=3)
nodes = st.recursive(
    st.builds(InputNode, output_names),
    lambda inner: st.builds(
        InputNode, st.frozensets(name_texts, max_size=2), st.dictionaries(name_texts, inner, min_size=1, max_size=2)
    ),
    max_leaves=4,
)
derivations = st.builds(
    Derivation,
    name_texts,
    st.dictionaries(name_texts, outputs, min_size=1, max_size=3),
    st.dictionaries(derivation_paths, output_names, max_size=4),
    st.frozensets(store_paths, max_size=4),
    name_texts,
    byte_strings,
    st.lists(byte_strings, max_size=4).map(tuple),
    st.dictionaries(byte_strings, byte_strings, max_size=5),
    st.dictionaries(derivation_paths, st.dictionaries(name_texts, nodes, min_size=1, max_size=2), max_size=2),
)


@given(derivations)
def test_round_trip(drv: Derivation) -> None:
    contents = drv.unparse(DIRECTORY)
    again = parse(contents, drv.name, DIRECTORY)
    assert again == drv
    assert again.unparse(DIRECTORY) == contents
    assert contents.startswith(b'DrvWithVersion("xp-dyn-drv",' if drv.dynamic_inputs else b"Derive(")


@given(derivations, st.data())
def test_damaged_texts_never_crash(drv: Derivation, data: st.DataObject) -> None:
    contents = bytearray(drv.unparse(DIRECTORY))
    start = data.draw(st.integers(0, len(contents)))
    contents[start : start + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    try:
        parse(bytes(contents), drv.name, DIRECTORY)
    except FrazilError:
        pass


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"D",
        b"Derive(",
        b'Derive([],[],[],"x","y",[],[]',
        b'DrvWithVersion("xp-other",[],[],[],"x","y",[],[])',
        b'Derive([("out","","")],[],[],"x","y",[],[])',
        b'Derive([("out","","r:sha256","00")],[],[],"x","y",[],[])',
        b'Derive([("out","relative","","")],[],[],"x","y",[],[])',
        b'Derive([],[("/nix/store/' + HASH.encode() + b'-x.drv",[])],[],"x","y",[],[])',
        b'Derive([],[],[],"x","y",["\\',
        b'Derive([],[],[],"' + b"a" * 100000,
        b'DrvWithVersion("xp-dyn-drv",[],[("/nix/store/' + HASH.encode() + b'-x.drv",' + b'(["o"],[("o",' * 5000,
    ],
)
def test_bad_texts(text: bytes) -> None:
    with pytest.raises(FrazilError):
        parse(text, "x", DIRECTORY)


def test_a_fixed_output_must_state_its_own_path() -> None:
    fixed = Fixed(ContentAddress("nar", Hash.of("sha256", b"")))
    contents = simple(outputs={"out": fixed}).unparse(DIRECTORY)
    assert parse(contents, "simple", DIRECTORY).outputs == {"out": fixed}
    with pytest.raises(FormatError, match="does not match its content address"):
        parse(contents, "other", DIRECTORY)


def test_known_derivation() -> None:
    """Paths as C++ Nix gives them for the same expression."""
    drv = fill_in_output_paths(simple(), DIRECTORY, no_inputs)
    assert drv.environment["out"] == "/nix/store/s50wzinhlnrxqiijsfnbmdn34cw3whr4-simple"
    assert DIRECTORY.show(drv.store_path(DIRECTORY)) == "/nix/store/6n1nxr2pnbalfx90m7wsxyh2pm0l0cs1-simple.drv"
    check_invariants(drv, drv.store_path(DIRECTORY), DIRECTORY, no_inputs)


def test_wrong_output_paths_are_refused() -> None:
    drv = fill_in_output_paths(simple(), DIRECTORY, no_inputs)
    own = drv.store_path(DIRECTORY)
    lying = drv.with_(outputs={"out": InputAddressed(path("simple"))})
    with pytest.raises(StoreError, match="has incorrect output"):
        check_invariants(lying, own, DIRECTORY, no_inputs)
    with pytest.raises(StoreError, match="has incorrect output"):
        fill_in_output_paths(lying, DIRECTORY, no_inputs)
    with pytest.raises(StoreError, match="incorrect environment variable 'out'"):
        check_invariants(drv.with_(environment={**drv.environment, "out": "x"}), own, DIRECTORY, no_inputs)
    fixed = simple(outputs={"out": Fixed(ContentAddress("nar", Hash.of("sha256", b"")))}, environment={})
    with pytest.raises(StoreError, match="missing environment variable 'out'"):
        check_invariants(fixed, own, DIRECTORY, no_inputs)
    with pytest.raises(StoreError, match="does not match its path"):
        check_invariants(drv, path("other.drv"), DIRECTORY, no_inputs)


def test_inputs_with_equal_hashes_merge() -> None:
    one, two = path("a.drv", "1"), path("a.drv", "2")
    both = simple(input_derivations={one: frozenset(["out"]), two: frozenset(["dev"])})
    single = simple(input_derivations={one: frozenset(["out", "dev"])})
    known = HashModulo("ab" * 32)
    assert hash_modulo(
        fill_in_output_paths(both, DIRECTORY, lambda p: known), DIRECTORY, lambda p: known
    ) == hash_modulo(fill_in_output_paths(single, DIRECTORY, lambda p: known), DIRECTORY, lambda p: known)


def test_deferred_inputs_defer() -> None:
    drv = simple(input_derivations={path("a.drv"): frozenset(["out"])})
    filled = fill_in_output_paths(drv, DIRECTORY, lambda p: DEFERRED_MODULO)
    assert filled.outputs == {"out": Deferred()}
    assert hash_modulo(filled, DIRECTORY, lambda p: DEFERRED_MODULO) == DEFERRED_MODULO
    wrong = drv.with_(outputs={"out": InputAddressed(path("simple"))})
    with pytest.raises(StoreError, match="should be deferred"):
        fill_in_output_paths(wrong, DIRECTORY, lambda p: DEFERRED_MODULO)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "at least one output"),
        ({"out": Deferred(), "b": Floating("nar", "sha256")}, "can't mix"),
        ({"dev": Fixed(ContentAddress("flat", Hash.of("sha1", b"")))}, "must be named"),
        ({"out": Floating("nar", "sha256"), "b": Floating("nar", "sha1")}, "same hash algorithm"),
    ],
)
def test_impossible_outputs(outputs: dict[str, object], message: str) -> None:
    with pytest.raises(StoreError, match=message):
        simple(outputs=outputs).type()


def chain(length: int) -> tuple[dict[StorePath, Derivation], StorePath]:
    known: dict[StorePath, Derivation] = {}
    cache = ModuloCache(DIRECTORY, known.__getitem__)
    last: StorePath | None = None
    for _ in range(length):
        inputs = {last: frozenset(["out"])} if last else {}
        drv = fill_in_output_paths(simple(input_derivations=inputs), DIRECTORY, cache)
        last = drv.store_path(DIRECTORY)
        known[last] = drv
    assert last is not None
    return known, last


def test_long_chains_need_no_deep_stack() -> None:
    known, last = chain(3000)
    assert ModuloCache(DIRECTORY, known.__getitem__)(last).digest is not None


def test_circles_are_found() -> None:
    one, two = path("a.drv", "1"), path("b.drv", "2")
    drvs = {
        one: simple(outputs={"out": InputAddressed(path("a"))}, input_derivations={two: frozenset(["out"])}),
        two: simple(outputs={"out": InputAddressed(path("b"))}, input_derivations={one: frozenset(["out"])}),
    }
    read: Callable[[StorePath], Derivation] = drvs.__getitem__
    with pytest.raises(StoreError, match="depends on itself"):
        ModuloCache(DIRECTORY, read)(one)


def test_rewrite() -> None:
    drv = simple(arguments=("a/PLACE/b",), environment={"xPLACE": "PLACEPLACE"})
    changed = rewrite(drv, {"PLACE": "y"})
    assert changed.arguments == ("a/y/b",)
    assert changed.environment == {"xy": "yy"}
    assert rewrite(drv, {}) is drv


def test_texts_that_are_no_byte_strings_are_refused() -> None:
    with pytest.raises(FormatError, match="byte strings"):
        simple(builder="/bin/\u20ac").unparse(DIRECTORY)
