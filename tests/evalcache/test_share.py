"""Answers that travel: written to a folder by one machine, read by another, and what is not believed."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import World, set_up
from .test_flakes import new_flake

DEFAULT = """
let drv = name: more: derivation ({ inherit name; system = "x"; builder = "/b"; } // more); in {
  a = drv "a" { text = import ./a.nix; src = ./data; file = builtins.toFile "f" "x"; inner = drv "inner" { }; };
  here = drv "here" { place = toString ./.; };
}
"""


@pytest.fixture
def elsewhere(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """Moves to another machine: another home, store and checkout of the same tree."""

    def move() -> Path:
        folder = world.folder.parent / "elsewhere"
        folder.mkdir()
        set_up(folder, monkeypatch.setenv)
        shutil.copytree(world.folder, folder / "src", symlinks=True)
        world.chdir(folder / "src")
        return folder / "src"

    return move


def prepare(world: World) -> Path:
    world.write("default.nix", DEFAULT)
    world.write("a.nix", '"a"')
    world.write("data/x", "x")
    (world.folder / "data/run").symlink_to("x")
    for name in ("a", "here"):
        world.run("nix-instantiate", ".", "-A", name)
    return world.folder.parent / "shared"


def test_an_answer_serves_another_machine(world: World, elsewhere: Callable[[], Path]) -> None:
    shared = prepare(world)
    path = world.run("nix-instantiate", ".", "-A", "a").out
    assert world.run("frazil", "eval-cache", "export", f"file://{shared}").out.startswith("1 answers exported, 1 hold")
    tree = elsewhere()
    taken = world.run("frazil", "eval-cache", "import", str(shared), "--no-check-sigs")
    assert (taken.status, taken.out) == (0, "1 answers imported, 0 refused\n"), taken.err
    found = world.run("nix-instantiate", ".", "-A", "a")
    assert found.out == path and not found.evaluated
    assert world.run("nix-store", "-qR", path.strip()).out.count("\n") == 4
    assert world.run("nix-store", "--verify", "--check-contents").status == 0
    assert world.run("nix-instantiate", ".", "-A", "here").evaluated
    (tree / "a.nix").write_text('"b"')
    assert world.run("nix-instantiate", ".", "-A", "a").evaluated


def test_signatures(world: World, elsewhere: Callable[[], Path]) -> None:
    shared = prepare(world)
    secret = world.run("frazil", "key", "generate-secret", "--key-name", "ci-1").out
    key = world.folder.parent / "key"
    key.write_text(secret)
    from frazil.store.signatures import SecretKey

    public = str(SecretKey.parse(secret).public)
    world.run("frazil", "eval-cache", "export", str(shared))
    elsewhere()
    words = ("frazil", "eval-cache", "import", str(shared), "--option", "trusted-public-keys", public)
    unsigned = world.run(*words)
    assert unsigned.status == 1 and "not signed by a trusted key" in unsigned.err
    world.chdir(world.folder)


def test_signed_answers_are_taken(world: World, elsewhere: Callable[[], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    shared = prepare(world)
    secret = world.run("frazil", "key", "generate-secret", "--key-name", "ci-1").out
    key = world.folder.parent / "key"
    key.write_text(secret)
    from frazil.store.signatures import SecretKey

    public = str(SecretKey.parse(secret).public)
    world.run("frazil", "eval-cache", "export", str(shared), "--key-file", str(key))
    elsewhere()
    words = ("frazil", "eval-cache", "import", str(shared), "--option", "trusted-public-keys")
    assert world.run(*words, "other-1:" + public.partition(":")[2]).status == 1
    (entry,) = (shared / "entries").glob("*.json")
    record = json.loads(entry.read_text())
    assert world.run(*words, public).status == 0
    record["body"]["answer"]["derivations"][0][1] = "dev"
    entry.write_text(json.dumps(record))
    assert world.run(*words, public).status == 1, "what was signed is another answer"


def damage_object(shared: Path) -> None:
    (target,) = (shared / "objects").glob("*-inner.drv")
    (other,) = (shared / "objects").glob("*-a.drv")
    target.write_bytes(other.read_bytes())


def damage_source(shared: Path) -> None:
    (target,) = (shared / "objects").glob("*-data")
    head, _, _ = target.read_bytes().partition(b"\n")
    import zlib

    target.write_bytes(head + b"\n" + zlib.compress(b"no archive"))


def damage_facts(shared: Path) -> None:
    for path in (shared / "facts").iterdir():
        path.write_bytes(b"\x78\x9c" + b"x" * 100)


def other_facts(shared: Path) -> None:
    import zlib

    for path in (shared / "facts").iterdir():
        path.write_bytes(zlib.compress(b"k r /etc/passwd"))


def escape(shared: Path) -> None:
    (entry,) = (shared / "entries").glob("*.json")
    record = json.loads(entry.read_text())
    record["body"]["facts"] = ["../../etc/passwd"]
    entry.write_text(json.dumps(record))


def nonsense(shared: Path) -> None:
    (entry,) = (shared / "entries").glob("*.json")
    entry.write_text('{"body": [1], "signatures": 1}')


def needs_nonsense(shared: Path) -> None:
    (entry,) = (shared / "entries").glob("*.json")
    record = json.loads(entry.read_text())
    record["body"]["answer"]["needs"] = ["/etc/passwd", 3]
    entry.write_text(json.dumps(record))


def deep(shared: Path) -> None:
    (entry,) = (shared / "entries").glob("*.json")
    entry.write_text('{"body": ' + "[" * 200_000 + "]" * 200_000 + ', "signatures": []}')


def no_objects(shared: Path) -> None:
    for path in (shared / "objects").iterdir():
        path.unlink()


def object_in_a_circle(shared: Path) -> None:
    (inner,) = (shared / "objects").glob("*-inner.drv")
    (outer,) = (shared / "objects").glob("*-a.drv")
    _, _, data = inner.read_bytes().partition(b"\n")
    inner.write_bytes(json.dumps({"method": "text", "references": [outer.name]}).encode() + b"\n" + data)


def bomb(shared: Path) -> None:
    import zlib

    (target,) = (shared / "objects").glob("*-inner.drv")
    head, _, _ = target.read_bytes().partition(b"\n")
    machine = zlib.compressobj(9)
    data = b"".join(machine.compress(bytes(1 << 20)) for _ in range(300)) + machine.flush()
    target.write_bytes(head + b"\n" + data)


def of_a_state(shared: Path) -> None:
    """As the notes on how a local flake was locked are bound."""
    (entry,) = (shared / "entries").glob("*.json")
    record = json.loads(entry.read_text())
    record["body"]["bound"] = "0" * 64
    entry.write_text(json.dumps(record))


@pytest.mark.parametrize(
    "damage",
    [
        *(damage_object, damage_source, damage_facts, other_facts, escape, nonsense, needs_nonsense, deep),
        *(no_objects, object_in_a_circle, bomb, of_a_state),
    ],
)
def test_what_is_damaged_is_refused(
    world: World, elsewhere: Callable[[], Path], damage: Callable[[Path], None]
) -> None:
    shared = prepare(world)
    path = world.run("nix-instantiate", ".", "-A", "a").out
    world.run("frazil", "eval-cache", "export", str(shared))
    damage(shared)
    elsewhere()
    taken = world.run("frazil", "eval-cache", "import", str(shared), "--no-check-sigs")
    assert (taken.status, taken.out) == (1, "0 answers imported, 1 refused\n")
    assert "Traceback" not in taken.err and "bug" not in taken.err
    found = world.run("nix-instantiate", ".", "-A", "a")
    assert found.evaluated and found.out == path
    assert world.run("nix-store", "--verify", "--check-contents").status == 0


@pytest.mark.parametrize(
    "detail",
    [
        *("\ud800", "[" * 10_000, "5", '{"kind":5}', '{"kind":"x","flags":5}', '{"kind":"x","words":[5]}'),
        *('{"kind":"x","path":7}', '{"kind":"show-part","path":{}}', '{"kind":"x","paths":5}'),
        '{"kind":"search","words":[[5]]}',
    ],
)
def test_what_others_say_was_asked_is_not_relied_on(world: World, elsewhere: Callable[[], Path], detail: str) -> None:
    shared = prepare(world)
    world.run("frazil", "eval-cache", "export", str(shared))
    (entry,) = (shared / "entries").iterdir()
    record = json.loads(entry.read_text())
    record["body"]["detail"] = detail
    entry.write_text(json.dumps(record))
    elsewhere()
    world.run("frazil", "eval-cache", "import", str(shared), "--no-check-sigs")
    for words in (("-f", ".", "a"), ("--all",)):
        said = world.run("frazil", "eval-cache", "why-miss", *words)
        assert "bug" not in said.err and (said.out or said.err)


def test_no_such_folder(world: World) -> None:
    found = world.run("frazil", "eval-cache", "import", "/nowhere", "--no-check-sigs")
    assert found.status == 1 and "hint: `frazil eval-cache export`" in found.err


def sign_and_export(world: World, shared: Path) -> str:
    """-> the public key."""
    secret = world.run("frazil", "key", "generate-secret", "--key-name", "ci-1", *FEATURES).out
    key = world.folder.parent / "key"
    key.write_text(secret)
    assert world.run("frazil", "eval-cache", "export", str(shared), "--key-file", str(key), *FEATURES).status == 0
    found = subprocess.run(
        [sys.executable, "-m", "frazil", "key", "convert-secret-to-public", *FEATURES],
        input=secret.encode(),
        capture_output=True,
        check=True,
    )
    return found.stdout.decode().strip()


FEATURES = ("--extra-experimental-features", "nix-command flakes")


@pytest.mark.parametrize("kind", ["folder", "file", "http"])
def test_answers_are_found_at_configured_places(
    world: World, elsewhere: Callable[[], Path], served: Callable[[Path], str], kind: str
) -> None:
    shared = prepare(world)
    key = sign_and_export(world, shared)
    path = world.run("nix-instantiate", ".", "-A", "a").out
    tree = elsewhere()
    place = {"folder": str(shared), "file": f"file://{shared}", "http": served(shared)}[kind]
    words = ["nix-instantiate", ".", "-A", "a", "--option", "frazil-evaluation-caches", place]
    trusted = [*words, "--option", "trusted-public-keys", key]
    (tree / "a.nix").write_text('"b"')
    assert world.run(*trusted).evaluated
    (tree / "a.nix").write_text('"a"')
    found = world.run(*trusted)
    assert found.out == path and not found.evaluated, found.err
    assert world.run("nix-store", "-qR", path.strip()).out.count("\n") == 4
    again = world.run("nix-instantiate", ".", "-A", "a")
    assert again.out == path and not again.evaluated, world.run(
        "frazil", "eval-cache", "why-miss", "-f", ".", "a", *FEATURES
    ).out


def test_answers_of_unknown_signers_are_not_taken(world: World, elsewhere: Callable[[], Path]) -> None:
    shared = prepare(world)
    sign_and_export(world, shared)
    elsewhere()
    words = ["nix-instantiate", ".", "-A", "a", "--option", "frazil-evaluation-caches", str(shared)]
    found = world.run(*words)
    assert found.evaluated and "not signed by a trusted key" in found.err


def test_places_that_cannot_be_read_are_passed_over(world: World) -> None:
    prepare(world)
    world.write("a.nix", '"new"')
    words = ["nix-instantiate", ".", "-A", "a", "--option", "frazil-evaluation-caches", "/nowhere"]
    found = world.run(*words)
    assert found.status == 0 and found.evaluated and "/nowhere" in found.err


def test_a_flake_evaluated_in_another_checkout(world: World, elsewhere: Callable[[], Path]) -> None:
    new_flake(world.folder, versioned=True)
    for name in ("plain", "whole"):
        world.run("frazil", "build", "--dry-run", f".#{name}", *FEATURES)
    shared = world.folder.parent / "shared"
    key = sign_and_export(world, shared)
    elsewhere()
    trusted = ["--option", "frazil-evaluation-caches", str(shared), "--option", "trusted-public-keys", key]
    for name in ("plain", "whole"):
        words = ["frazil", "path-info", "--derivation", f".#{name}", *FEATURES]
        found = world.run(*words, *trusted)
        fresh = world.run(*words, "--no-eval-cache")
        assert found.out == fresh.out and found.status == 0, found.err
        assert name == "whole" or "outputs" not in found.err


@pytest.fixture
def served() -> Iterator[Callable[[Path], str]]:
    """A web server for a folder, on this machine."""
    servers: list[http.server.ThreadingHTTPServer] = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

    def serve(folder: Path) -> str:
        handler = functools.partial(Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("messages", [[[]], [["1", "text"]], [[99, "text"]], {"1": 2}, 7, [[1]]])
def test_messages_of_another_shape(world: World, elsewhere: Callable[[], Path], messages: object) -> None:
    shared = prepare(world)
    path = world.run("nix-instantiate", ".", "-A", "a").out
    world.run("frazil", "eval-cache", "export", str(shared))
    (entry,) = (shared / "entries").glob("*.json")
    record = json.loads(entry.read_text())
    record["body"]["answer"]["messages"] = messages
    entry.write_text(json.dumps(record))
    elsewhere()
    world.run("frazil", "eval-cache", "import", str(shared), "--no-check-sigs")
    found = world.run("nix-instantiate", ".", "-A", "a")
    assert found.evaluated and (found.out, found.status) == (path, 0)


def test_answers_to_other_questions_are_not_taken(world: World, elsewhere: Callable[[], Path]) -> None:
    """A place may list any answer under a question."""
    shared = prepare(world)
    world.write("b.nix", '"b"')
    world.run("nix-instantiate", ".", "-A", "a")
    fresh = world.run("nix-instantiate", "-E", "(import ./. { }).a.name or (toString (import ./b.nix))", "--eval")
    world.run("frazil", "eval-cache", "export", str(shared))
    names = [path.read_text() for path in sorted((shared / "questions").iterdir())]
    for path in (shared / "questions").iterdir():
        path.write_text("".join(names))
    elsewhere()
    places = ("--option", "frazil-evaluation-caches", str(shared), "--option", "require-sigs", "false")
    found = world.run("nix-instantiate", ".", "-A", "a", *places)
    assert found.out == world.run("nix-instantiate", ".", "-A", "a", "--no-eval-cache").out
    assert fresh.status in (0, 1) and "Traceback" not in found.err


def test_notes_about_this_checkout_are_not_exported(world: World) -> None:
    from .test_flakes import dry_run, new_flake

    new_flake(world.folder, versioned=False)
    assert dry_run(world, "plain")[0] == 0
    shared = world.folder.parent / "shared"
    exported = world.run("frazil", "eval-cache", "export", str(shared))
    assert exported.out.startswith("1 answers exported, ")
    assert not [path for path in (shared / "entries").iterdir() if '"reference"' in path.read_text()]
