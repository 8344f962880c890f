"""Builders that talk to the store while they run: what they may do, and what hostile ones may not."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.build.support import Lab, need_namespaces

import frazil
from frazil.build.errors import BuildError
from frazil.build.result import BuildResult
from frazil.build.settings import BuildSettings, current_system
from frazil.errors import FrazilError, UsageError
from frazil.store.derivation import Deferred, Floating
from frazil.store.metadata import delete_tree
from frazil.store.path import StorePath

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(frazil.__file__)))
FEATURES = frozenset({"recursive-nix", "ca-derivations", "dynamic-derivations"})
PRELUDE = f"""
import os, sys, time, socket
sys.path.insert(0, {SOURCE!r})
from frazil.activity import Reporter
from frazil.errors import FrazilError
from frazil.protocol.client import WorkerClient
from frazil.protocol.remote import open_socket
from frazil.protocol.wire import Input, Output
from frazil.protocol.worker import Op
from frazil.store import nar
from frazil.store.adding import Addition
from frazil.store.content_address import ContentAddress
from frazil.store.derivation import Deferred, Derivation, Floating, fill_in_output_paths
from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath
from frazil.store.path import StoreDirectory, StorePath, placeholder
from frazil.store.path_info import PathInfo
from frazil.digest import Hash
DIR = StoreDirectory(os.environ["NIX_STORE"])
sockets = []
def connect():
    sock = open_socket(os.environ["NIX_REMOTE"].removeprefix("unix://"))
    sockets.append(sock)
    return WorkerClient(Input(sock.fileno()), Output(sock.fileno()), DIR, Reporter())
client = connect()
out = os.environ.get("out")
def add(name, text, references=(), method="text"):
    return client.add(Addition(name, method, "sha256", frozenset(references)), lambda write: write(text.encode()))
def add_tree(name, folder, **options):
    return client.add(Addition(name, "nar"), lambda write: nar.dump_path(folder, write))
def write(text):
    with open(out, "w") as file:
        file.write(text)
def refused(words, ask, *arguments, **options):
    try:
        ask(*arguments, **options)
    except FrazilError as error:
        assert words in error.message, error.message
    else:
        raise SystemExit(f"not refused: {{words}}")
def derive(name, script, sources=(), outputs=None):
    outputs = outputs or {{"out": Deferred()}}
    drv = Derivation(name=name, outputs=outputs, input_derivations={{}}, input_sources=frozenset(sources),
        platform=os.environ["system"], builder="/bin/sh", arguments=("-c", script),
        environment={{"name": name, **dict.fromkeys(outputs, "")}})
    drv = fill_in_output_paths(drv, DIR, lambda path: None)
    return drv, add(name + ".drv", drv.unparse(DIR).decode(), sources)
"""


def _sandbox_paths() -> tuple[str, ...]:
    folders = {os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, SOURCE)}
    return ("/usr", "/lib", "/lib64?", *sorted(path for path in folders if not path.startswith("/usr/")))


class Recursion(Lab):
    def __init__(self, root: Path, *, isolated: bool) -> None:
        super().__init__(root, diverted=isolated)
        self.isolated = isolated

    def settings(self, **changes: object) -> BuildSettings:
        values: dict[str, object] = {
            "experimental_features": FEATURES,
            "sandbox": "true" if self.isolated else "false",
            "sandbox_paths": _sandbox_paths(),
            "substitute": False,
            "max_jobs": 2,
        }
        return BuildSettings(**{**values, **changes})  # type: ignore[arg-type]

    def script(self, script: str, **options: object) -> StorePath:
        """A derivation whose builder is a Python program with a connection."""
        values: dict[str, object] = {"requiredSystemFeatures": "recursive-nix", "system": current_system(), **options}
        program = os.path.realpath(sys.executable)
        return self.derivation(
            f'export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="{":".join(p for p in sys.path if "site-packages" in p)}"\n'
            f'exec {program} -c "$prelude$program"',
            prelude=PRELUDE,
            program=script,
            **values,  # type: ignore[arg-type]
        )

    def run(self, script: str, **options: object) -> BuildResult:
        (result,) = self.build(self.script(script, **options))
        return result

    def references(self, result: BuildResult) -> set[str]:
        return {path.name for path in self.store.query_info(result.outputs["out"]).references}


def _recursion(root: Path, kind: str) -> Recursion:
    if kind == "sandbox":
        need_namespaces()
    elif os.path.exists("/homeless-shelter"):
        pytest.skip("/homeless-shelter exists: no build without a sandbox")
    return Recursion(root, isolated=kind == "sandbox")


@pytest.fixture(params=["sandbox", "plain"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Recursion]:
    yield _recursion(tmp_path / "lab", request.param)
    delete_tree(str(tmp_path / "lab"))


@pytest.fixture
def isolated(tmp_path: Path) -> Iterator[Recursion]:
    yield _recursion(tmp_path / "lab", "sandbox")
    delete_tree(str(tmp_path / "lab"))


def test_what_a_builder_adds_is_there_and_may_be_referred_to(lab: Recursion) -> None:
    result = lab.run("""
os.mkdir("tree"); open("tree/file", "w").write("in a tree"); os.symlink("file", "tree/link")
os.symlink("/nowhere", "alone")
one, tree, link = add("one", "hello"), add_tree("tree", "tree"), add_tree("link", "alone")
assert open(DIR.show(one)).read() == "hello"
assert open(DIR.show(tree) + "/link").read() == "in a tree"
assert os.readlink(DIR.show(link)) == "/nowhere"
assert client.is_valid(one) and {one, tree, link} <= client.query_all_valid()
assert client.query_info(one).registration_time == 0
if os.environ["NIX_BUILD_TOP"] == "/build":
    try: open(DIR.show(tree) + "/new", "w")
    except OSError: pass
    else: raise SystemExit("a store object could be written to")
write(DIR.show(one) + DIR.show(tree) + DIR.show(link))
""")
    assert lab.references(result) == {"one", "tree", "link"}
    assert lab.store.verify(check_contents=True)
    assert lab.left_over() == []


def test_a_builder_builds(lab: Recursion) -> None:
    result = lab.run("""
drv, path = derive("inner", "echo built inside > $out")
(found,) = client.build_with_results([DerivedPath(path, ALL_OUTPUTS)], "normal")
inner = drv.output_paths(DIR)["out"]
assert open(DIR.show(inner)).read() == "built inside\\n"
assert client.query_output_map(path) == {"out": inner}
os.symlink(DIR.show(inner), out)
""")
    assert lab.references(result) == {"inner"}


def test_floating_outputs_and_what_they_are_known_by(lab: Recursion) -> None:
    result = lab.run("""
drv, path = derive("inner", "echo floats > $out", outputs={"out": Floating("nar", "sha256")})
drv = drv.with_(environment={"name": "inner", "out": placeholder("out")})
path = add("inner.drv", drv.unparse(DIR).decode())
client.build_paths([DerivedPath(path, ALL_OUTPUTS)], "normal")
inner = client.query_realisation(path, "out").path
write(DIR.show(inner) + open(DIR.show(inner)).read())
""")
    assert lab.references(result) == {"inner"}


def test_undeclared_paths_are_not_there(lab: Recursion) -> None:
    secret = lab.store.add_text("secret", b"nobody shall read this")
    secret_drv = lab.derivation("echo > $out", name="secret-thing")
    own = lab.store.add_text("own", b"mine")
    lab.run(
        """
secret, secret_drv, own = (DIR.parse(os.environ[n]) for n in ("secret", "secret_drv", "own"))
assert client.is_valid(own) and client.query_info(own) is not None
assert not client.is_valid(secret) and client.query_info(secret) is None
assert client.query_valid([secret, own], substitute=True) == {own}
assert secret not in client.query_all_valid() and client.query_referrers(own) == frozenset()
assert client.query_missing([DerivedPath(secret)])[2] == {secret}
assert client.query_realisation(secret_drv, "out") is None
refused("unknown path", client.ensure_path, secret)
refused("path is unknown", client.build_paths, [DerivedPath(secret)], "normal")
refused("path is unknown", client.build_paths, [DerivedPath(secret_drv, ALL_OUTPUTS)], "normal")
refused("unsupported build mode", client.build_paths, [DerivedPath(own)], "repair")
refused("unknown path", client.query_output_map, secret_drv)
refused("queryPathFromHashPart", client.query_from_hash_part, secret.hash_part)
refused("is not valid", add, "thief", "x", [secret])
refused("is not valid", client.add, Addition("thief", "nar", "sha256", frozenset([secret])),
    lambda w: nar.dump_file(b"x", w))
# a derivation that names it without saying so to the store
drv = Derivation(name="thief", outputs={"out": Deferred()}, input_derivations={}, input_sources=frozenset([secret]),
    platform=os.environ["system"], builder="/bin/sh", arguments=("-c", f"cat {DIR.show(secret)} > $out"),
    environment={"name": "thief", "out": ""})
drv = fill_in_output_paths(drv, DIR, lambda path: None)
path = add("thief.drv", drv.unparse(DIR).decode())
refused("is unknown", client.build_paths, [DerivedPath(path, ALL_OUTPUTS)], "normal")
refused("unknown path", client.nar_from_path, secret, lambda data: None)
write("done")
""",
        sources=[own],
        # Nothing of these is an input: their context is lost on purpose.
        secret=lab.store.show(secret),
        secret_drv=lab.store.show(secret_drv),
        own=lab.store.show(own),
    )


def test_a_mention_of_an_undeclared_path_is_no_reference(lab: Recursion) -> None:
    secret = lab.store.add_text("secret", b"x")
    result = lab.run(
        """
os.mkdir("tree"); open("tree/file", "w").write(os.environ["secret"] + DIR.show(add("own", "mine")))
tree = client.add_scanning(Addition("scanned", "nar"), lambda w: nar.dump_path("tree", w))
assert {p.name for p in tree.references} == {"own"}, tree
flat = client.add_scanning(Addition("flat", "text"), lambda w: w(DIR.show(tree.path).encode()))
assert flat.references == {tree.path}
write(os.environ["secret"] + DIR.show(flat.path))
""",
        secret=lab.store.show(secret),
    )
    assert lab.references(result) == {"flat"}


def test_a_builder_is_trusted_with_nothing(lab: Recursion) -> None:
    lab.run("""
def options(writer):
    writer.numbers(0, 0, 0, 3, 1, 0, 1, 7, 0, 0, 0, 1)
    writer.number(3)
    for name, value in ("require-sigs", "false"), ("sandbox", "false"), ("trusted-users", "*"):
        writer.text(name); writer.text(value)
client.ask(Op.SET_OPTIONS, options)
contents = b"forged"
info = PathInfo(StorePath("0" * 32, "forged"), *nar.hash_file_archive(contents))
refused("signature", client.add_nar, info, lambda w: nar.dump_file(contents, w), check_signatures=False)
assert not connect().is_valid(info.path)
for op in Op.COLLECT_GARBAGE, Op.VERIFY_STORE, Op.OPTIMISE_STORE, Op.BUILD_DERIVATION, Op.ADD_PERM_ROOT, \\
        Op.REGISTER_DRV_OUTPUT, Op.ADD_SIGNATURES, Op.ADD_BUILD_LOG, Op.SUBMIT_OUTPUT, 4711:
    refused(f"invalid operation {int(op)}", connect().ask, op)
write("done")
""")


def test_a_place_that_the_builder_has_taken(isolated: Recursion) -> None:
    isolated.run("""
text = "contested"
path = DIR.make_text_path("contested", Hash.of("sha256", text.encode()).digest, frozenset())
os.symlink("/etc", DIR.show(path))
refused("already exists in the sandbox", add, "contested", text)
assert not client.is_valid(path) and os.listdir("/etc")
write("done")
""")


def test_many_connections_at_once(lab: Recursion) -> None:
    lab.run("""
waiting = []
for number in range(200):
    sock = socket.socket(socket.AF_UNIX); sock.setblocking(False)
    try: sock.connect(".nix-socket")
    except BlockingIOError: pass
    waiting.append(sock)
add("one", "still here")
for sock in waiting: sock.close()
connect().is_valid(add("two", "and afterwards"))
write("done")
""")


def _wait_for(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.05)


def test_no_connection_outlives_its_build(tmp_path: Path) -> None:
    lab = _recursion(tmp_path / "lab", "plain")
    told = tmp_path / "told"
    lab.run(
        """
if os.fork() == 0:
    os.setsid()  # out of reach of whoever ends the builder's session
    if os.fork(): os._exit(0)
    for number in (0, 1, 2): os.close(number)
    sockets[0].recv(1)
    try: connect(); word = "open"
    except Exception: word = "closed"
    open(os.environ["told"] + ".new", "w").write(f"{word} {os.getpid()}")
    os.rename(os.environ["told"] + ".new", os.environ["told"])
    os._exit(0)
write("done")
""",
        told=str(told),
    )
    _wait_for(told.exists)
    assert told.read_text().split()[0] == "closed"


def test_what_it_builds_ends_with_the_builder(lab: Recursion, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="exit code 3"):
        lab.run("""
drv, path = derive("endless", "echo $$; while true; do sleep 1 || exit; done", sources=())
if os.fork() == 0:
    connect().build_paths([DerivedPath(path, ALL_OUTPUTS)], "normal")
time.sleep(1)
os._exit(3)
""")
    assert lab.left_over() == []


def test_a_build_that_is_interrupted_leaves_no_daemon(tmp_path: Path) -> None:
    lab = _recursion(tmp_path / "lab", "plain")
    marker = tmp_path / "running"
    path = lab.script(f'open({str(marker)!r}, "w").write("x"); time.sleep(1000)')
    pid = os.fork()
    if pid == 0:
        os.environ["RECURSIVE_TEST"] = str(tmp_path)  # which the daemon gets, and no builder
        try:
            lab.build(path)
        finally:
            os._exit(1)
    _wait_for(marker.exists)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    place = b"RECURSIVE_TEST=" + os.fsencode(tmp_path)

    def is_left() -> bool:
        return any(place in _environment(name) for name in os.listdir("/proc") if name.isdigit())

    _wait_for(lambda: not is_left())


def _environment(pid: str) -> bytes:
    try:
        return Path("/proc", pid, "environ").read_bytes()
    except OSError:
        return b""


# -- handing in outputs --------------------------------------------------------------------------------------------


def _submit(lab: Recursion, script: str, **options: object) -> BuildResult:
    outputs = options.pop("outputs", {"out": Floating("nar", "sha256")})
    return lab.run(script, requiredSystemFeatures="builder-rpc-v0", outputs=outputs, **options)


def test_outputs_that_are_handed_in(lab: Recursion) -> None:
    result = _submit(
        lab,
        """
os.mkdir("tree"); open("tree/file", "w").write("handed in")
tree = add_tree("thing", "tree")
assert not client.query_valid([]) and client.is_valid(tree)
client.submit_output(DerivedPath(tree), "out")
""",
    )
    assert (lab.real(result) / "file").read_text() == "handed in"
    assert result.derivation is not None
    assert lab.store.query_realisation(result.derivation, "out") == result.outputs["out"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("", "failed to submit output path for 'out'"),
        ('client.submit_output(DerivedPath(add("thing", "x")), "out")', "has another content address"),
        ('client.submit_output(DerivedPath(add("other", "x", method="nar")), "out")', "builder failed"),
        (
            'open("f", "w").write("x"); p = add_tree("other", "f"); client.submit_output(DerivedPath(p), "out")',
            "was named 'other', expected 'thing'",
        ),
    ],
)
def test_outputs_that_are_refused(lab: Recursion, script: str, words: str) -> None:
    with pytest.raises(BuildError) as caught:
        _submit(lab, script)
    assert words in caught.value.message


def test_what_a_builder_that_hands_in_may_not_ask(lab: Recursion) -> None:
    secret = lab.store.add_text("secret", b"x")
    _submit(
        lab,
        """
open("f", "w").write("x"); path = add_tree("thing", "f")
refused("not allowed inside derivation", connect().query_info, path)
refused("not allowed inside derivation", connect().query_all_valid)
refused("not allowed inside derivation", connect().build_paths, [DerivedPath(path)], "normal")
refused("unknown path", client.submit_output, DerivedPath(DIR.parse(os.environ["secret"])), "out")
refused("Built path", client.submit_output, DerivedPath(DIR.parse(os.environ["secret"] + ".drv"), ALL_OUTPUTS), "out")
client.submit_output(DerivedPath(path), "out")
refused("duplicate output", client.submit_output, DerivedPath(path), "out")
""",
        secret=lab.store.show(secret),
    )


def test_only_content_addressed_outputs_are_handed_in(lab: Recursion) -> None:
    with pytest.raises(FrazilError, match="only be used with content-addressing"):
        _submit(lab, "", outputs={"out": Deferred()})


# -- who may have it -----------------------------------------------------------------------------------------------


def test_the_feature_has_to_be_on(lab: Recursion) -> None:
    path = lab.script("write('x')")
    with pytest.raises(BuildError, match="missing system features"):
        lab.build(path, experimental_features=frozenset())
    with pytest.raises(UsageError, match="experimental Nix feature 'recursive-nix' is disabled"):
        lab.build(path, experimental_features=frozenset(), system_features=frozenset({"recursive-nix"}))


def test_builders_that_do_not_ask_have_no_daemon(lab: Recursion) -> None:
    assert lab.build_text('echo "x$NIX_REMOTE" > $out') == "x\n"
