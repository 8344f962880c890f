"""Values of a store in every version of both protocols."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.digest import Hash
from frazil.errors import FrazilError
from frazil.protocol import values
from frazil.protocol.errors import ProtocolError
from frazil.protocol.values import Dialect, Outcome, Realisation
from frazil.protocol.wire import Reader, Writer
from frazil.store.content_address import ContentAddress
from frazil.store.derivation import Deferred, Derivation, Fixed, Floating, Impure, InputAddressed
from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath, OutputsSpec
from frazil.store.path import StoreDirectory, StorePath
from frazil.store.path_info import PathInfo

DIRECTORY = StoreDirectory("/nix/store")
BASE32 = "0123456789abcdfghijklmnpqrsvwxyz"
names = st.text("abcdefghijklmnop0123456789-_", min_size=1, max_size=12).filter(lambda n: not n.startswith("."))
paths = st.builds(StorePath, st.text(BASE32, min_size=32, max_size=32), names)
digests = st.binary(min_size=32, max_size=32).map(lambda data: Hash("sha256", data))
addresses = st.builds(ContentAddress, st.sampled_from(["flat", "nar", "text", "git"]), digests)
signatures = st.frozensets(st.builds("{}:{}".format, names, st.just("c2ln")), max_size=3)
infos = st.builds(
    PathInfo,
    path=paths,
    nar_hash=digests,
    nar_size=st.integers(0, 2**63),
    references=st.frozensets(paths, max_size=3),
    deriver=st.none() | paths,
    registration_time=st.integers(0, 2**40),
    ultimate=st.booleans(),
    signatures=signatures,
    content_address=st.none() | addresses,
)
worker_versions = st.integers(18, 38).map(lambda minor: (1, minor))
dialects = st.builds(
    lambda version, path: Dialect(
        DIRECTORY, version, frozenset({values.REALISATION_WITH_PATH} if path and version >= (1, 38) else set())
    ),
    worker_versions,
    st.booleans(),
) | st.integers(5, 8).map(lambda minor: Dialect(DIRECTORY, (2, minor), serve=True))


def sent(write: object) -> Reader:
    sink = io.BytesIO()
    writer = Writer(sink)
    write(writer)  # type: ignore[operator]
    writer.flush()
    return Reader(io.BytesIO(sink.getvalue()))


@given(infos, worker_versions)
def test_path_infos_return(info: PathInfo, version: tuple[int, int]) -> None:
    dialect = Dialect(DIRECTORY, version)
    reader = sent(lambda w: values.write_info(w, dialect, info))
    assert values.read_info(reader, dialect, info.path) == info
    assert reader.number_or_end() is None


outcomes = st.builds(
    Outcome,
    status=st.integers(0, 14),
    message=st.text(max_size=20),
    times_built=st.integers(0, 5),
    is_non_deterministic=st.booleans(),
    start_time=st.integers(0, 2**40),
    stop_time=st.integers(0, 2**40),
    cpu_user=st.none() | st.integers(0, 2**40),
    cpu_system=st.none() | st.integers(0, 2**40),
    outputs=st.dictionaries(names, st.builds(Realisation, paths, signatures), max_size=3),
)


@given(outcomes, dialects)
def test_build_results_return_as_far_as_the_version_tells(outcome: Outcome, dialect: Dialect) -> None:
    reader = sent(lambda w: values.write_outcome(w, dialect, outcome))
    found = values.read_outcome(reader, dialect)
    assert reader.number_or_end() is None
    assert found.status == outcome.status
    assert found.message == ("" if outcome.succeeded else outcome.message)
    wanted = outcome.outputs if outcome.succeeded else {}
    if dialect.version >= (2, 6) or (not dialect.serve and dialect.version >= (1, 28)):
        assert {n: r.path for n, r in found.outputs.items()} == {n: r.path for n, r in wanted.items()}
    if dialect.has_realisations:
        assert found.outputs == wanted
    if not dialect.serve and dialect.version >= (1, 37):
        assert (found.cpu_user, found.cpu_system) == (outcome.cpu_user, outcome.cpu_system)


def test_a_wrong_hash_is_sent_as_a_rejected_output() -> None:
    dialect = Dialect(DIRECTORY, (1, 38))
    reader = sent(lambda w: values.write_outcome(w, dialect, Outcome(15, "mismatch")))
    assert values.read_outcome(reader, dialect).status == 5


@given(st.binary(max_size=200), dialects)
def test_any_bytes_give_a_build_result_or_an_error(data: bytes, dialect: Dialect) -> None:
    try:
        values.read_outcome(Reader(io.BytesIO(data)), dialect)
    except FrazilError:
        pass


@given(st.binary(max_size=300))
def test_any_bytes_give_values_or_errors(data: bytes) -> None:
    for read in (
        lambda r: values.read_info(r, Dialect(DIRECTORY, (1, 38)), StorePath("0" * 32, "x")),
        lambda r: values.read_derivation(r, DIRECTORY, "x"),
        lambda r: values.read_derived_path(r, Dialect(DIRECTORY, (1, 38))),
    ):
        try:
            read(Reader(io.BytesIO(data)))
        except FrazilError:
            pass


outputs = (
    st.builds(InputAddressed, paths)
    | st.builds(Fixed, addresses.filter(lambda a: a.method != "text"))
    | st.builds(Floating, st.sampled_from(["nar", "flat"]), st.just("sha256"))
    | st.just(Deferred())
    | st.builds(Impure, st.just("nar"), st.just("sha256"))
)
byte_texts = st.text(st.characters(max_codepoint=255), max_size=10)


@given(
    st.dictionaries(st.sampled_from(["out", "dev", "lib"]), outputs, min_size=1),
    st.frozensets(paths, max_size=3),
    st.lists(byte_texts, max_size=3),
    st.dictionaries(byte_texts, byte_texts, max_size=3),
)
def test_derivations_return(
    made: dict[str, object], sources: frozenset[StorePath], arguments: list[str], environment: dict[str, str]
) -> None:
    drv = Derivation("pkg", made, {}, sources, "x86_64-linux", "/bin/sh", tuple(arguments), environment)  # type: ignore[arg-type]
    reader = sent(lambda w: values.write_derivation(w, DIRECTORY, drv))
    assert values.read_derivation(reader, DIRECTORY, "pkg") == drv


def test_unresolved_derivations_are_not_sent() -> None:
    drv = Derivation("x", {}, {StorePath("0" * 32, "y.drv"): frozenset({"out"})}, frozenset(), "s", "b", (), {})
    with pytest.raises(ProtocolError, match="resolved"):
        sent(lambda w: values.write_derivation(w, DIRECTORY, drv))


@pytest.mark.parametrize("version", [(1, 20), (1, 34)])
def test_derived_paths_return(version: tuple[int, int]) -> None:
    dialect = Dialect(DIRECTORY, version)
    drv = StorePath("0" * 32, "x.drv")
    for path in (
        DerivedPath(StorePath("0" * 32, "x")),
        DerivedPath(drv, ALL_OUTPUTS),
        DerivedPath(drv, OutputsSpec(frozenset({"out", "dev"}))),
    ):
        reader = sent(lambda w, path=path: values.write_derived_path(w, dialect, path))
        assert values.read_derived_path(reader, dialect) == path


def test_what_old_protocols_cannot_ask_for() -> None:
    old = Dialect(DIRECTORY, (1, 20))
    drv = StorePath("0" * 32, "x.drv")
    for path in (DerivedPath(drv), DerivedPath(drv, ALL_OUTPUTS, ("out",))):
        with pytest.raises(ProtocolError):
            sent(lambda w, path=path: values.write_derived_path(w, old, path))


@given(st.sampled_from(["flat", "nar", "text", "git"]), st.sampled_from(["sha256", "sha512"]))
def test_methods_return(method: str, algorithm: str) -> None:
    assert values.parse_method(values.show_method(method, algorithm)) == (method, algorithm)


def test_methods_in_the_words_of_the_protocol() -> None:
    assert values.show_method("nar", "sha256") == "fixed:r:sha256"
    assert values.show_method("text", "sha256") == "text:sha256"
    with pytest.raises(FrazilError):
        values.parse_method("nar:sha256")


def test_old_realisations_that_are_malformed() -> None:
    dialect = Dialect(DIRECTORY, (1, 28))
    good = Outcome(0, outputs={"out": Realisation(StorePath("0" * 32, "x"))})
    sink = io.BytesIO()
    writer = Writer(sink)
    values.write_outcome(writer, dialect, good)
    writer.flush()
    for old, new in ((b"outPath", b"outPAth"), (b"!out", b"?out"), (b'{"id"', b'["id"')):
        with pytest.raises(FrazilError):
            values.read_outcome(Reader(io.BytesIO(sink.getvalue().replace(old, new))), dialect)
    assert replace(good, outputs={}) != good
