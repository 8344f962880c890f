"""A server and a client of ours at the two ends of a socket; and clients that do not keep to the protocol."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.store.conftest import RecordingReporter

from frazil.activity import Reporter
from frazil.build.settings import BuildSettings
from frazil.daemon.host import ClientOptions, MissingPaths
from frazil.daemon.restricted import RESTRICTED
from frazil.daemon.server import OPERATIONS, Server
from frazil.digest import Hash
from frazil.protocol.client import WorkerClient
from frazil.protocol.errors import Disconnected, ProtocolError, RemoteError
from frazil.protocol.wire import Input, Output, Reader, Writer
from frazil.protocol.worker import CLIENT_MAGIC, SERVER_MAGIC, Op
from frazil.store import nar
from frazil.store.adding import Addition
from frazil.store.config import StoreConfig, StoreSettings
from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath
from frazil.store.local import LocalStore
from frazil.store.metadata import delete_tree
from frazil.store.opening import open_store
from frazil.store.path import StoreDirectory, StorePath
from frazil.store.path_info import PathInfo
from frazil.store.receiving import BATCH

DIRECTORY = StoreDirectory("/nix/store")


class Host:
    nix_version = "2.36.0"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.options: list[tuple[ClientOptions, bool]] = []
        self.build_settings = BuildSettings(sandbox="false", substitute=False)

    def open(self, reporter: Reporter) -> LocalStore:
        config = StoreConfig.from_uri(f"local?root={self.root}", {})
        return LocalStore(config, StoreSettings(reserved_space=4096), reporter)

    def apply(self, options: ClientOptions, *, trusted: bool, warn: Callable[[str], None]) -> None:
        self.options.append((options, trusted))
        if not trusted and options.overrides:
            warn(f"ignored: {sorted(options.overrides)}")

    def substituters(self) -> None:
        return None

    def missing(self, targets: Sequence[DerivedPath]) -> MissingPaths:
        return MissingPaths(unknown=frozenset(target.base for target in targets))


class Served:
    """A server in a thread."""

    def __init__(self, root: Path, *, trusted: bool = True) -> None:
        self.host = Host(root)
        self.ours, theirs = socket.socketpair()
        self.ours.settimeout(20)
        self.errors: list[BaseException] = []

        def serve() -> None:
            try:
                with theirs:
                    number = theirs.fileno()
                    server = Server(Input(number), Output(number), self.host, trusted=trusted)
                    server.run()
                    server.store.close()
            except BaseException as error:
                self.errors.append(error)

        self.thread = Thread(target=serve, daemon=True)
        self.thread.start()
        self.reporter = RecordingReporter()

    def client(self, latest: tuple[int, int] = (1, 38)) -> WorkerClient:
        number = self.ours.fileno()
        self.ours.setblocking(True)
        return WorkerClient(Input(number), Output(number), DIRECTORY, self.reporter, latest=latest)

    def close(self) -> None:
        self.ours.close()
        self.thread.join(20)
        assert not self.thread.is_alive()
        assert not self.errors, self.errors


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    delete_tree(str(tmp_path))


@pytest.fixture(params=[(1, 18), (1, 21), (1, 24), (1, 31), (1, 34), (1, 38)], ids=str)
def version(request: pytest.FixtureRequest) -> tuple[int, int]:
    found: tuple[int, int] = request.param
    return found


def archive_of(contents: bytes) -> bytes:
    sink = io.BytesIO()
    nar.dump_file(contents, sink.write)
    return sink.getvalue()


def info_of(contents: bytes, name: str = "thing", **changes: object) -> tuple[PathInfo, bytes]:
    archive = archive_of(contents)
    path = StorePath("0" * 31 + "abcd"[len(name) % 4], name)
    return PathInfo(path, Hash.of("sha256", archive), len(archive), **changes), archive  # type: ignore[arg-type]


def test_adding_and_asking_in_every_version(root: Path, version: tuple[int, int]) -> None:
    served = Served(root)
    client = served.client(version)
    assert client.version == version
    text = client.add(Addition("note", "text"), lambda write: write(b"hello"))
    assert client.is_valid(text)
    flat = client.add(Addition("flat", "flat"), lambda write: write(b"flat"))
    tree = client.add(Addition("tree", "nar"), lambda write: write(archive_of(b"tree")))
    info = client.query_info(text)
    assert info is not None and str(info.content_address).startswith("text:sha256:")
    assert client.query_valid([text, flat, StorePath("0" * 32, "no")]) == {text, flat}
    assert client.query_all_valid() == {text, flat, tree}
    assert client.query_from_hash_part(flat.hash_part) == flat
    assert client.query_info(StorePath("0" * 32, "no")) is None
    pieces: list[bytes] = []
    client.nar_from_path(tree, pieces.append)
    assert b"".join(pieces) == archive_of(b"tree")
    made, archive = info_of(b"given")
    client.add_nar(made, lambda write: write(archive), check_signatures=False)
    assert client.is_valid(made.path)
    client.add_temporary_root(text)
    assert client.collect_garbage("dead", None)[0] == []  # what a client adds lives as long as its connection
    assert len(client.collect_garbage("live", None)[0]) == 4
    assert client.verify(check_contents=True, repair=False) is False
    served.close()


def test_many_paths_in_one_request(root: Path) -> None:
    served = Served(root)
    client = served.client()
    infos = [info_of(os.urandom(100_000), name) for name in ("a", "bb", "ccc")]
    sent: list[int] = []
    client.add_many(
        [(info, lambda write, data=data: write(data)) for info, data in infos], check_signatures=False, sent=sent.append
    )
    assert sent == [1, 2, 3]
    assert client.query_all_valid() == {info.path for info, _ in infos}
    served.close()


def test_many_paths_become_valid_in_few_transactions(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    register = LocalStore.register

    def counted(self: LocalStore, infos: Sequence[PathInfo], *, computed: bool = False) -> None:
        batches.append(len(infos))
        register(self, infos, computed=computed)

    monkeypatch.setattr(LocalStore, "register", counted)
    served = Served(root)
    client = served.client()
    infos = [info_of(b"%d" % number, f"n{number}") for number in range(BATCH + 5)]
    infos.append(infos[0])
    client.add_many([(info, lambda write, data=data: write(data)) for info, data in infos], check_signatures=False)
    assert batches == [BATCH, 5]
    assert client.query_all_valid() == {info.path for info, _ in infos}
    assert not [name for name in os.listdir(root / "nix/store") if name.endswith(".lock")]
    served.close()


def test_what_came_whole_before_an_error_stays(root: Path) -> None:
    served = Served(root)
    client = served.client()
    good, archive = info_of(b"good", "good")
    bad = PathInfo(StorePath("0" * 32, "bad"), Hash.of("sha256", b"other"), len(archive))
    sent = [(good, archive), (bad, archive)]
    with pytest.raises(RemoteError, match="hash mismatch"):
        client.add_many([(info, lambda write, data=data: write(data)) for info, data in sent], check_signatures=False)
    assert client.query_all_valid() == {good.path}
    served.close()


def test_errors_leave_the_conversation_in_step(root: Path, version: tuple[int, int]) -> None:
    served = Served(root)
    client = served.client(version)
    info, archive = info_of(b"given")
    wrong = PathInfo(info.path, Hash.of("sha256", b"other"), info.nar_size)
    with pytest.raises(RemoteError, match="hash mismatch"):
        client.add_nar(wrong, lambda write: write(archive), check_signatures=False)
    assert client.usable
    assert not client.is_valid(info.path)
    with pytest.raises(RemoteError, match="is required, but there is no substituter that can build it"):
        client.ensure_path(info.path)
    assert not client.is_valid(info.path)
    served.close()


def test_what_is_not_trusted_needs_signatures(root: Path) -> None:
    served = Served(root, trusted=False)
    client = served.client()
    assert client.server.trusts_us is False
    info, archive = info_of(b"given", ultimate=True)
    with pytest.raises(RemoteError, match="lacks a signature by a trusted key"):
        client.add_nar(info, lambda write: write(archive), check_signatures=False)
    with pytest.raises(RemoteError, match="lacks a signature by a trusted key"):
        client.add_many([(info, lambda write: write(archive))], check_signatures=False)
    with pytest.raises(RemoteError, match="not privileged to add logs"):
        client.add_build_log(StorePath("0" * 32, "x.drv"), b"log")
    with pytest.raises(RemoteError, match="not privileged to repair"):
        client.verify(check_contents=False, repair=True)
    with pytest.raises(RemoteError, match="repairing is not allowed"):
        client.build_paths([DerivedPath(info.path)], "repair")
    with pytest.raises(RemoteError, match="not privileged to create perm roots"):
        client.add_permanent_root(info.path, "/tmp/x")
    with pytest.raises(RemoteError, match="ignore liveness"):
        client.collect_garbage("delete", None, ignore_liveness=True)
    client.set_options([7] * 12, {"sandbox": "false"})
    assert served.host.options[0][1] is False
    served.close()
    assert any("ignored: ['sandbox']" in text for _, text in served.reporter.lines)


def test_content_addressed_paths_need_no_trust(root: Path) -> None:
    served = Served(root, trusted=False)
    client = served.client()
    path = client.add(Addition("note", "text"), lambda write: write(b"hello"))
    info = client.query_info(path)
    assert info is not None
    with pytest.raises(RemoteError, match="still alive"):
        client.collect_garbage("delete-specific", [path])
    served.close()


def test_a_log_comes_back(root: Path) -> None:
    served = Served(root)
    client = served.client()
    client.add_build_log(StorePath("0" * 32, "x.drv"), b"lines")
    store = served.host.open(RecordingReporter())
    assert store.build_log(StorePath("0" * 32, "x.drv")) == b"lines"
    store.close()
    served.close()


def test_building(root: Path) -> None:
    from frazil.store.derivation import Deferred, Derivation
    from frazil.store.derivation import fill_in_output_paths as fill

    served = Served(root)
    served.host.build_settings = BuildSettings(sandbox="false", sandbox_fallback=True, substitute=False)
    client = served.client()
    with LocalStore(StoreConfig.from_uri(f"local?root={root}", {}), StoreSettings(reserved_space=4096)) as store:
        drv = fill(
            Derivation("t", {"out": Deferred()}, {}, frozenset(), "nowhere", "/bin/sh", (), {"out": ""}),
            store.directory,
            store.modulo,
        )
        path = store.write_derivation(drv)
    results = client.build_with_results([DerivedPath(path, ALL_OUTPUTS)])
    assert not results[0][1].succeeded
    assert "platform mismatch" in results[0][1].message
    with pytest.raises(RemoteError, match="platform mismatch"):
        client.build_paths([DerivedPath(path, ALL_OUTPUTS)])
    assert client.build_derivation(path, drv).status == 4
    served.close()


@pytest.mark.parametrize(
    "words",
    [
        [1, 2],
        [CLIENT_MAGIC],
        [CLIENT_MAGIC, 0x10A, 0, 0],
        [CLIENT_MAGIC, 0x126, 1 << 50],
        [CLIENT_MAGIC, 0x122, 0, 0, 9999],
        [CLIENT_MAGIC, 0x122, 0, 0, Op.IS_VALID_PATH, 1 << 60],
        [CLIENT_MAGIC, 0x122, 0, 0, Op.QUERY_VALID_PATHS, 1 << 60],
        [CLIENT_MAGIC, 0x122, 0, 0, Op.BUILD_PATHS, 0, 77],
        [CLIENT_MAGIC, 0x122, 0, 0, Op.COLLECT_GARBAGE, 9],
        [CLIENT_MAGIC, 0x122, 0, 0, Op.ADD_MULTIPLE_TO_STORE, 0, 0, 8, 1 << 62],
        [CLIENT_MAGIC, 0x122, 0, 0, Op.QUERY_REALISATION, 0, 0],
    ],
)
def test_clients_that_break_the_protocol_are_left(root: Path, words: list[int]) -> None:
    served = Served(root)
    served.ours.sendall(b"".join([int(word).to_bytes(8, "little") for word in words]))
    served.ours.shutdown(socket.SHUT_WR)
    while served.ours.recv(65536):
        pass
    served.close()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@example([(12, b"\1" + bytes(15))])  # a root whose name is a zero byte
@given(st.lists(st.tuples(st.sampled_from(sorted(OPERATIONS)), st.binary(max_size=80)), max_size=3))
def test_any_requests_leave_a_whole_store(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[int, bytes]]
) -> None:
    root = tmp_path_factory.mktemp("fuzz")
    served = Served(root, trusted=False)
    data = b"".join([int(op).to_bytes(8, "little") + body for op, body in requests])
    greeting = b"".join([int(word).to_bytes(8, "little") for word in (CLIENT_MAGIC, 0x122, 0, 0)])
    served.ours.sendall(greeting + data)
    served.ours.shutdown(socket.SHUT_WR)
    while served.ours.recv(65536):
        pass
    served.close()
    store = served.host.open(RecordingReporter())
    assert store.verify(check_contents=True)
    store.close()
    delete_tree(str(root))


def test_a_client_that_leaves_in_the_middle_of_an_archive(root: Path) -> None:
    served = Served(root)
    client = served.client()
    info, archive = info_of(os.urandom(500_000))

    class Left(Exception):
        pass

    def send(write: Callable[[bytes], object]) -> None:
        write(archive[:300_000])
        raise Left

    with pytest.raises(Left):
        client.add_nar(info, send, check_signatures=False)
    assert not client.usable
    served.close()
    store = served.host.open(RecordingReporter())
    assert not store.is_valid(info.path)
    assert store.verify(check_contents=True)
    store.close()


def test_every_operation_is_served() -> None:
    builders = {Op.SUBMIT_OUTPUT, Op.ADD_TO_STORE_SCANNING}  # for the daemon of a build alone
    assert set(OPERATIONS) == {int(op) for op in Op} - builders
    assert builders <= set(RESTRICTED) and set(RESTRICTED) <= {int(op) for op in Op}


# -- servers that lie ----------------------------------------------------------------------------------------------


def talk(answer: bytes) -> WorkerClient:
    ours, theirs = socket.socketpair()
    theirs.sendall(answer)
    theirs.shutdown(socket.SHUT_WR)
    try:
        return WorkerClient(Input(ours.fileno()), Output(ours.fileno()), DIRECTORY, RecordingReporter())
    finally:
        ours.close()
        theirs.close()


def words(*numbers: int) -> bytes:
    return b"".join([number.to_bytes(8, "little") for number in numbers])


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"Permission denied\n",
        words(SERVER_MAGIC),
        words(SERVER_MAGIC, 0x226),
        words(SERVER_MAGIC, 0x10A),
        words(SERVER_MAGIC, 0x126, 1 << 40),
        words(SERVER_MAGIC, 0x114, 0x12345),
        words(SERVER_MAGIC, 0x122, 3, 0, 0, 0x64617461, 10),
    ],
)
def test_servers_that_break_the_protocol(answer: bytes) -> None:
    with pytest.raises((ProtocolError, Disconnected)):
        talk(answer)


@given(st.binary(max_size=100))
def test_any_answer_is_an_error_or_a_greeting(answer: bytes) -> None:
    try:
        talk(words(SERVER_MAGIC, 0x114) + answer)
    except (ProtocolError, RemoteError):
        pass


def test_numbers_are_written_as_they_are_read() -> None:
    sink = io.BytesIO()
    writer = Writer(sink)
    writer.numbers(1, 2)
    writer.flush()
    reader = Reader(io.BytesIO(sink.getvalue()))
    assert (reader.number(), reader.number()) == (1, 2)


def test_nothing_is_said_of_what_was_given_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the server; a client takes the silence for that, if something failed."""
    from frazil.build import elsewhere, scheduler
    from frazil.build.errors import BuildFailed, CutOff, DerivationFailed, Failure
    from frazil.build.result import BuildResult
    from frazil.protocol.values import Outcome

    targets = [DerivedPath(StorePath.from_base(f"{'0' * 32}-{name}.drv"), ALL_OUTPUTS) for name in "ab"]
    failures = [DerivationFailed(Failure.PERMANENT_FAILURE, "it is broken"), CutOff()]

    def each(*_: object, **__: object) -> list[BuildResult]:
        return [BuildResult(target, failure=failure) for target, failure in zip(targets, failures)]

    monkeypatch.setattr(scheduler, "realise_each", each)
    served = Served(root)
    found = served.client().build_with_results(targets)
    served.close()
    assert [(path, outcome.message) for path, outcome in found] == [(targets[0], "it is broken")]

    class There:
        evaluation = None
        directory = DIRECTORY
        outcomes: tuple[Outcome | None, ...] = (found[0][1], None)

        def build_elsewhere(self, *_: object) -> Sequence[Outcome | None]:
            return self.outcomes

    for named, words in ((False, "it is broken"), (True, "build of .*a.drv', .*b.drv' failed")):
        with pytest.raises(BuildFailed, match=words):
            elsewhere.realise_all(There(), targets, "normal", RecordingReporter(), names_cut_off=named)  # type: ignore[arg-type]


def test_the_usual_daemon_has_a_name(tmp_path: Path) -> None:
    """Also where its socket is named; another one is shown by its socket."""
    usual = str(tmp_path / "socket")
    environment = {"NIX_DAEMON_SOCKET_PATH": usual}
    for address, shown in (("unix://" + usual, "daemon"), ("unix://", "daemon"), ("unix:///other", "unix:///other")):
        assert open_store(address, StoreSettings(), RecordingReporter(), environment).uri == shown


def test_what_optimising_brought_is_said(root: Path) -> None:
    served = Served(root)
    client = served.client()
    for name in ("one", "other"):
        client.add(Addition(name, "flat"), lambda write: write(b"the same"))
    client.optimise()
    assert "freed by hard-linking 1 files" in "\n".join(text for _, text in served.reporter.lines)
    served.close()
