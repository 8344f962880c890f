"""What every store answers, whatever it is: the same questions to all kinds, the answers of a local one as the measure.

An operation that a kind does not support says so, in the same words everywhere.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from frazil.digest import Hash
from frazil.errors import FrazilError
from frazil.store import nar
from frazil.store import tree as looking
from frazil.store.copying import copy_closure
from frazil.store.errors import ReadOnlyStore, UnsupportedOperation
from frazil.store.interface import Store, opened
from frazil.store.local import LocalStore
from frazil.store.metadata import delete_tree
from frazil.store.path import StorePath
from frazil.store.path_info import PathInfo
from frazil.store.realisation import Realisation

from .conftest import RecordingReporter
from .conftest import open_store as open_local
from .kinds import (
    ADDS,
    HASH_PARTS,
    KEY,
    KINDS,
    LISTS,
    LOGS,
    READS_LOGS,
    REALISATIONS,
    REFERRERS,
    SIGNATURES,
    Kind,
    Place,
    made,
)
from .test_local import derivation

ABSENT = StorePath("0" * 32, "absent")


class World:
    """The same objects for all: a tree, a text that refers to it, a derivation, an output of its."""

    def __init__(self, folder: Path, files: Path) -> None:
        self.source = open_local(folder)
        store = self.source
        self.tree = store.add_path("tree", str(files))
        self.text = store.add_text("text", store.show(self.tree).encode(), [self.tree])
        drv = derivation(store, "x")
        self.drv = store.write_derivation(drv)
        output = drv.output_paths(store.directory)["out"]
        assert output is not None
        self.output = output
        self.archive = archive(b"built " + store.show(self.text).encode())
        self.output_info = PathInfo(
            output, Hash.of("sha256", self.archive), len(self.archive), frozenset({self.text}), self.drv
        )
        store.add_nar(self.output_info, io.BytesIO(self.archive).read)
        self.paths = [self.tree, self.text, self.drv, self.output]

    def fill(self, store: Store) -> None:
        copy_closure(self.source, store, self.paths, RecordingReporter(), check_signatures=False)


def archive(contents: bytes) -> bytes:
    sink = io.BytesIO()
    nar.dump_file(contents, sink.write)
    return sink.getvalue()


@pytest.fixture
def world(tmp_path: Path, tree: Path) -> Iterator[World]:
    found = World(tmp_path / "source", tree)
    with found.source:
        yield found
    delete_tree(str(tmp_path / "source"))


@pytest.fixture(params=KINDS, ids=[kind.name for kind in KINDS])
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def place(kind: Kind, tmp_path: Path) -> Iterator[Place]:
    with made(kind, tmp_path / "place") as found:
        yield found


@pytest.fixture
def filled(place: Place, world: World) -> Iterator[Store]:
    """Holds the world, and remembers nothing of how it came by it."""
    with place.open_below() as store:
        world.fill(store)
    with place.open() as store:
        yield store


def answer(ask: Callable[[], object]) -> object:
    """What comes of a question, an error included."""
    try:
        return ask()
    except FrazilError as error:
        return type(error), error.message


# ----------------------------------------------------------------------------------------------------------- questions


def of_info(info: PathInfo | None) -> object:
    """What of it has to be the same everywhere."""
    if info is None:
        return None
    return info.path, info.nar_hash, info.nar_size, info.references, info.deriver, info.content_address


def bytes_of(store: Store, path: StorePath) -> bytes:
    pieces: list[bytes] = []
    store.dump_nar(path, pieces.append)
    return b"".join(pieces)


def read_of(store: Store, path: StorePath) -> bytes:
    with store.open_nar(path) as read:
        return b"".join(iter(lambda: read(1000), b""))


def taken_of(store: Store, path: StorePath) -> bytes:
    with opened(store.take_nar(path)) as read:
        return b"".join(iter(lambda: read(1000), b""))


def sizes_of(store: Store, paths: list[StorePath]) -> object:
    return {path: (size, frozenset(references)) for path, (size, references) in store.query_sizes(paths).items()}


def listing(store: Store, path: StorePath) -> object:
    looked = store.tree(path)
    try:
        found = looking.listing(looked, "", deep=True)
        return without_offsets(found), b"".join(looked.contents("/a.txt")), looked.node("/nothing")
    finally:
        looked.close()


def without_offsets(node: object) -> object:
    if not isinstance(node, dict):
        return node
    return {name: without_offsets(value) for name, value in node.items() if name != "narOffset"}


QUESTIONS: dict[str, Callable[[Store, World], object]] = {
    "is_valid": lambda s, w: [s.is_valid(path) for path in [*w.paths, ABSENT]],
    "is_valid_now": lambda s, w: [s.is_valid_now(path) for path in [*w.paths, ABSENT]],
    "valid_among": lambda s, w: s.valid_among([*w.paths, ABSENT]),
    "info": lambda s, w: [of_info(s.query_info(path)) for path in w.paths],
    "info or none": lambda s, w: of_info(s.query_info_or_none(ABSENT)),
    "info of the absent": lambda s, w: s.query_info(ABSENT),
    "infos": lambda s, w: [of_info(info) for info in s.query_infos(w.paths)],
    "infos with an absent one": lambda s, w: list(s.query_infos([w.tree, ABSENT])),
    "found infos": lambda s, w: [of_info(info) for info in s.find_infos([w.text, ABSENT, w.tree])],
    "sizes": lambda s, w: sizes_of(s, w.paths),
    "sizes with an absent one": lambda s, w: sizes_of(s, [w.tree, ABSENT]),
    "references": lambda s, w: [s.query_references(path) for path in w.paths],
    "references of the absent": lambda s, w: s.query_references(ABSENT),
    "closure": lambda s, w: s.closure([w.output]),
    "closure with derivers": lambda s, w: s.closure([w.output], include_derivers=True),
    "closure with outputs": lambda s, w: s.closure([w.drv], include_outputs=True),
    "closure of the absent": lambda s, w: s.closure([ABSENT]),
    "order": lambda s, w: s.topological(w.paths),
    "archive": lambda s, w: [bytes_of(s, path) for path in w.paths],
    "archive of the absent": lambda s, w: bytes_of(s, ABSENT),
    "archive, read": lambda s, w: read_of(s, w.tree),
    "archive, taken": lambda s, w: [taken_of(s, path) for path in w.paths],
    "archive of the absent, taken": lambda s, w: taken_of(s, ABSENT),
    "archive of the absent, read": lambda s, w: read_of(s, ABSENT),
    "tree": lambda s, w: listing(s, w.tree),
    "tree of the absent": lambda s, w: listing(s, ABSENT),
    "derivation": lambda s, w: s.read_derivation(w.drv),
    "derivation that is absent": lambda s, w: s.read_derivation(StorePath("0" * 32, "absent.drv")),
    "outputs": lambda s, w: s.query_derivation_outputs(w.drv),
    "no realisation": lambda s, w: s.realisation(w.drv, "out"),
}


def test_questions(filled: Store, world: World) -> None:
    expected = {name: answer(lambda ask=ask: ask(world.source, world)) for name, ask in QUESTIONS.items()}  # type: ignore[misc]
    found = {name: answer(lambda ask=ask: ask(filled, world)) for name, ask in QUESTIONS.items()}  # type: ignore[misc]
    assert found == expected


# --------------------------------------------------------------------------------- questions that not all kinds answer


def unsupported(store: Store, operation: str) -> tuple[type, str]:
    return UnsupportedOperation, f"operation '{operation}' is not supported by store '{store.uri}'"


def test_what_can_be_asked_of_some(kind: Kind, filled: Store, world: World) -> None:
    def same(ability: str, ask: Callable[[Store], object]) -> None:
        expected = answer(lambda: ask(world.source)) if ability in kind.abilities else unsupported(filled, ability)
        assert answer(lambda: ask(filled)) == expected

    if kind.name != "overlay-lower":  # lists what its own database has, as in Nix
        same(LISTS, lambda s: s.query_all_valid())
    same(REFERRERS, lambda s: s.query_referrers(world.text))
    same(REFERRERS, lambda s: s.query_referrers(ABSENT))
    same(REFERRERS, lambda s: s.closure([world.tree], reverse=True))
    same(HASH_PARTS, lambda s: s.query_from_hash_part(world.text.hash_part))
    same(HASH_PARTS, lambda s: s.query_from_hash_part("0" * 32))
    for path in (world.drv, world.output):
        same(READS_LOGS, lambda s: s.build_log(path))  # noqa: B023
    assert filled.build_log(world.tree) is None
    derivers = filled.query_valid_derivers(world.output)
    assert derivers == ({world.drv} if REFERRERS in kind.abilities else set())


# -------------------------------------------------------------------------------------------------------------- adding


@pytest.fixture
def empty(kind: Kind, place: Place) -> Iterator[Store]:
    with place.open() if ADDS in kind.abilities else place.open_below() as store:
        yield store


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(FrazilError) as caught:
        action()
    return caught.value.message


def add(store: Store, info: PathInfo, data: bytes) -> None:
    store.add_nar(info, io.BytesIO(data).read)


def test_what_is_refused(kind: Kind, place: Place, empty: Store, world: World) -> None:
    info, data = world.output_info, world.archive
    other = archive(b"other  " + world.source.show(world.text).encode())
    alone = info.with_(references=frozenset())
    missing = refusal(lambda: add(empty, info, data))
    if kind.name == "ssh":
        assert "closed the connection" in missing  # that protocol has no words for it
    else:
        assert "is not valid" in missing  # what it refers to is not there
        assert "hash mismatch importing path" in refusal(lambda: add(empty, alone, other[: len(data)]))
        assert "hash mismatch" in refusal(lambda: add(empty, alone, other))
    for damaged in (data[:-8], b"", b"\0" * 64, data.replace(b"regular", b"irregul")):
        refusal(lambda: add(empty, alone, damaged))  # noqa: B023
    with place.open() if ADDS in kind.abilities else place.open_below() as again:
        assert again.valid_among(world.paths) == set()
        add(again, alone, data)  # none of this stands in the way
        assert bytes_of(again, world.output) == data


def test_adding_twice_and_repairing(empty: Store, world: World) -> None:
    world.fill(empty)
    alone = world.output_info
    add(empty, alone, world.archive)
    empty.add_nar(alone, io.BytesIO(world.archive).read, repair=True)
    assert bytes_of(empty, world.output) == world.archive
    assert copy_closure(world.source, empty, world.paths, RecordingReporter(), check_signatures=False) == 0


def test_there_and_back(filled: Store, world: World, tmp_path: Path) -> None:
    with open_local(tmp_path / "back") as back:
        assert copy_closure(filled, back, [world.output, world.drv], RecordingReporter(), check_signatures=False) == 4
        assert back.verify(check_contents=True)
        assert {path: of_info(back.query_info(path)) for path in world.paths} == {
            path: of_info(world.source.query_info(path)) for path in world.paths
        }
    delete_tree(str(tmp_path / "back"))


# ------------------------------------------------------------------------------------------------------- what is noted


def noting(kind: Kind, store: Store, ability: str, action: Callable[[], None]) -> bool:
    """Whether it was done; where it cannot be, that has to be said."""
    if ability in kind.abilities:
        action()
        return True
    found = answer(action)
    if kind.name == "read-only":
        assert isinstance(found, tuple) and found[0] is ReadOnlyStore
    else:
        assert found == unsupported(store, ability)
    return False


def test_signatures(kind: Kind, filled: Store, world: World, place: Place) -> None:
    signature = str(KEY.sign(b"x"))
    if noting(kind, filled, SIGNATURES, lambda: filled.add_signatures(world.text, [signature])):
        with place.open() as again:
            assert signature in again.query_info(world.text).signatures
        assert "is not valid" in refusal(lambda: filled.add_signatures(ABSENT, [signature]))


def test_logs(kind: Kind, filled: Store, world: World, place: Place) -> None:
    if noting(kind, filled, LOGS, lambda: filled.add_build_log(world.drv, b"said much\n")):
        with place.open() as again:
            if READS_LOGS in kind.abilities:
                assert again.build_log(world.drv) == again.build_log(world.output) == b"said much\n"
            assert again.build_log(world.text) is None


def test_realisations(kind: Kind, filled: Store, world: World, place: Place) -> None:
    made = Realisation(world.drv, "out", world.output).signed(KEY)
    if noting(kind, filled, REALISATIONS, lambda: filled.add_realisation(made)):
        with place.open() as again:
            assert again.realisation(world.drv, "out") == made
            assert again.realisation(world.drv, "other") is None


def test_nothing_is_added_to_what_is_read_only(tmp_path: Path, world: World) -> None:
    kind = next(kind for kind in KINDS if kind.name == "read-only")
    with made(kind, tmp_path / "place") as place:
        with place.open_below() as below:
            below.open()
        with place.open() as store:
            assert answer(lambda: add(store, world.output_info, world.archive))[0] is ReadOnlyStore  # type: ignore[index]


# --------------------------------------------------------------------------------------------------------------- dummy


def test_a_store_that_keeps_nothing(world: World, tmp_path: Path) -> None:
    place = Place("dummy://?read-only=false", {}, tmp_path)
    with place.open() as store:
        assert isinstance(store, LocalStore)
        text = store.add_text("text", world.source.show(world.tree).encode(), [world.tree])
        assert text == world.text and store.is_valid(text)
        assert of_info(store.query_info(text)) == of_info(world.source.query_info(text))
        for name in ("is_valid_now", "info of the absent", "archive of the absent", "closure of the absent"):
            ask = QUESTIONS[name]
            found = answer(lambda: ask(store, world))  # noqa: B023
            assert found == answer(lambda: ask(world.source, world)) or name == "is_valid_now"  # noqa: B023
        assert bytes_of(store, text) == bytes_of(world.source, text)
        assert store.query_all_valid() == {text}
