"""Answers about files and expressions: what hits, what misses, what is printed again, and the commands on them."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from .conftest import Result, World

DRV = 'derivation { name = "x"; system = "x"; builder = "/b"; '


def database_of(world: World) -> Path:
    return world.folder.parent / "home/.cache/frazil/evaluations-v3.sqlite"


def test_only_what_reads_a_file_is_evaluated_again(world: World) -> None:
    world.write("default.nix", f"{{ a = {DRV} t = import ./a.nix; }}; b = {DRV} t = import ./b.nix; }}; }}")
    world.write("a.nix", '"a"')
    world.write("b.nix", '"b"')
    first = world.run("nix-instantiate", ".", "-A", "a")
    world.run("nix-instantiate", ".", "-A", "b")
    assert first.evaluated
    world.write("b.nix", '"c"')
    again = world.run("nix-instantiate", ".", "-A", "a")
    assert not again.evaluated and again.out == first.out and again.err == first.err
    assert world.run("nix-instantiate", ".", "-A", "b").evaluated
    world.write("b.nix", '"b"')
    assert not world.run("nix-instantiate", ".", "-A", "b").evaluated, "earlier answers are kept"


def test_several_attributes(world: World) -> None:
    world.write("default.nix", f"{{ a = {DRV} t = import ./a.nix; }}; b = {DRV} t = import ./b.nix; }}; }}")
    world.write("a.nix", '"a"')
    world.write("b.nix", '"b"')
    words = ("nix-instantiate", ".", "-A", "a", "-A", "b")
    first = world.run(*words)
    assert not world.run(*words).evaluated
    assert not world.run("nix-instantiate", ".", "-A", "a").evaluated
    world.write("b.nix", '"c"')
    assert not world.run("nix-instantiate", ".", "-A", "a").evaluated
    changed = world.run(*words)
    assert changed.evaluated and changed.out.splitlines()[0] == first.out.splitlines()[0] and changed.out != first.out


def test_settled_stamps_spare_reading(world: World) -> None:
    world.write("default.nix", f"{DRV} t = builtins.readFile ./t; }}")
    path = world.write("t", "t")
    time.sleep(0.1)
    world.run("nix-instantiate")
    with sqlite3.connect(database_of(world)) as connection:
        assert connection.execute("SELECT count(*) FROM Stamps").fetchone() == (1,)
    path.chmod(0o600)
    assert not world.run("nix-instantiate").evaluated, "another stamp, the same contents"
    path.write_text("u")
    os.utime(path, ns=(0, 0))
    assert world.run("nix-instantiate").evaluated


def test_messages_are_printed_again(world: World) -> None:
    world.write("default.nix", f'builtins.trace "hello" (builtins.warn "careful" ({DRV} }}))')
    first = world.run("nix-instantiate")
    again = world.run("nix-instantiate")
    assert "trace: hello" in first.err and "careful" in first.err
    assert not again.evaluated and again.err == first.err


@pytest.mark.parametrize("text", ["toString builtins.currentTime", 'throw "no"', 'builtins.readFile "/dev/stdin"'])
def test_what_is_never_remembered(world: World, text: str) -> None:
    world.write("default.nix", text)
    if "stdin" in text:
        text = "/dev/null"
        world.write("default.nix", 'builtins.readFile "/dev/null"')
    world.run("nix-instantiate", "--eval")
    found = world.run("nix-instantiate", "--eval")
    assert found.evaluated or "null" in text


def test_a_lost_derivation_is_written_again(world: World) -> None:
    world.write("default.nix", f"{DRV} }}")
    path = world.run("nix-instantiate").out.strip()
    assert not world.run("nix-instantiate").evaluated
    assert world.run("nix-store", "--delete", path).status == 0
    again = world.run("nix-instantiate")
    assert again.evaluated and again.out.strip() == path
    assert world.run("nix-store", "-q", "--hash", path).status == 0


def test_settings_and_options_decide(world: World) -> None:
    world.write("default.nix", "{ a ? 1 }: { x = builtins.currentSystem + toString a; }")
    plain = world.run("nix-instantiate", "--eval", "-A", "x")
    assert not world.run("nix-instantiate", "--eval", "-A", "x").evaluated
    assert world.run("nix-instantiate", "--eval", "-A", "x", "--option", "system", "z-linux").out != plain.out
    assert world.run("nix-instantiate", "--eval", "-A", "x", "--arg", "a", "2").evaluated
    assert world.run("nix-instantiate", "--eval", "-A", "x", "--arg", "a", "3").out != plain.out
    assert world.run("nix-instantiate", "--eval", "-A", "x", "--option", "eval-cache", "false").evaluated


def test_frazil_eval_and_build_of_files(world: World) -> None:
    world.write("default.nix", f"{{ d = {DRV} }}; n = {{ a = [ 1 ./x ]; }}; }}")
    words = ("frazil", "eval", "-f", ".", "n", "--json")
    world.write("x", "")
    first = world.run(*words)
    again = world.run(*words)
    assert not again.evaluated and again.out == first.out
    assert world.run("frazil", "eval", "-f", ".", "n").out != first.out
    dry = ("frazil", "build", "-f", ".", "d", "--dry-run", "--json")
    first = world.run(*dry)
    again = world.run(*dry)
    assert not again.evaluated and again.out == first.out and again.status == 0
    reading = ("frazil", "eval", "--impure", "--expr", "builtins.readFile ./x")
    assert not world.run(*reading).status
    assert not world.run(*reading).evaluated
    small = ("frazil", "eval", "--expr", "1 + 1")  # found faster than an answer to it
    assert world.run(*small).evaluated and world.run(*small).evaluated


def test_a_checkout_elsewhere(world: World) -> None:
    """Answers hold for another checkout unless they say where the tree is."""
    world.write("default.nix", f"{{ a = {DRV} t = import ./a.nix; }}; p = toString ./.; s = {DRV} s = ./.; }}; }}")
    world.write("a.nix", '"a"')
    world.write(".git/HEAD", "")
    for name in ("a", "p", "s"):
        world.run("nix-instantiate", ".", "-A", name, *(["--eval"] if name == "p" else []))
    other = world.folder.parent / "other"
    shutil.copytree(world.folder, other)
    world.chdir(other)
    assert not world.run("nix-instantiate", ".", "-A", "a").evaluated
    assert world.run("nix-instantiate", ".", "-A", "p", "--eval").out == f'"{other}"\n'
    assert world.run("nix-instantiate", ".", "-A", "s").evaluated
    (other / "a.nix").write_text('"b"')
    assert world.run("nix-instantiate", ".", "-A", "a").evaluated


def test_a_neighbour_of_another_checkout_does_not_count(world: World) -> None:
    world.write("default.nix", "import ../common.nix")
    (world.folder.parent / "common.nix").write_text("1")
    world.run("nix-instantiate", "--eval")
    other = world.folder.parent / "deep/other"
    shutil.copytree(world.folder, other)
    (other.parent / "common.nix").write_text("2")
    world.chdir(other)
    assert world.run("nix-instantiate", "--eval").out == "2\n"


@pytest.mark.parametrize("damage", [b"", b"not a database" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_database(world: World, damage: bytes) -> None:
    world.write("default.nix", f"{DRV} }}")
    first = world.run("nix-instantiate")
    for suffix in ("-wal", "-shm"):
        database_of(world).with_name("evaluations-v3.sqlite" + suffix).unlink(missing_ok=True)
    database_of(world).write_bytes(damage)
    again = world.run("nix-instantiate")
    assert again.evaluated and again.out == first.out and again.err == first.err
    assert not world.run("nix-instantiate").evaluated


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE Entries SET answer = x'7b7d'",
        "UPDATE Entries SET answer = replace(answer, 'x.drv', 'y.drv')",
        "UPDATE Facts SET facts = x'00'",
        "DELETE FROM Facts",
        "UPDATE Entries SET facts = x''",
        "UPDATE Stamps SET stamps = x'ff'",
        "DROP TABLE Stamps",
        "ALTER TABLE Entries RENAME COLUMN answer TO other",
    ],
)
def test_damaged_rows(world: World, statement: str) -> None:
    world.write("default.nix", f"{DRV} t = builtins.readFile ./t; }}")
    world.write("t", "1")
    world.run("nix-instantiate")
    world.write("t", "2")
    with sqlite3.connect(database_of(world)) as connection:
        connection.execute(statement)
    connection.close()
    fresh = world.run("nix-instantiate", "--option", "eval-cache", "false")
    for _ in range(2):
        found = world.run("nix-instantiate")
        assert (found.status, found.out) == (0, fresh.out) and "Traceback" not in found.err


def test_another_program_starts_afresh(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("default.nix", "1")
    world.run("nix-instantiate", "--eval")
    assert not world.run("nix-instantiate", "--eval").evaluated
    monkeypatch.setattr("frazil.evalcache.program.code_stamp", lambda: "other")
    monkeypatch.setattr("frazil.evalcache.program.code_digest", lambda: "other")
    assert world.run("nix-instantiate", "--eval").evaluated


def test_no_folder_to_write_to(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("default.nix", "1")
    monkeypatch.setenv("NIX_CACHE_HOME", "/proc/nowhere")
    assert world.run("nix-instantiate", "--eval").out == "1\n"


def test_why_miss(world: World) -> None:
    world.write("default.nix", f'{{ a = {DRV} t = import ./a.nix; e = builtins.getEnv "WHO"; }}; }}')
    world.write("a.nix", '"a"')
    ask = ("frazil", "eval-cache", "why-miss", "-f", ".", "a")
    assert "not evaluated yet" in world.run(*ask).out
    world.run("nix-instantiate", ".", "-A", "a")
    known = world.run(*ask)
    assert known.status == 0 and "remembered" in known.out
    world.write("a.nix", '"b"')
    changed = world.run(*ask)
    assert changed.status == 1 and "the file './a.nix' has other contents" in changed.out
    world.write("a.nix", '"a"')
    os.environ["WHO"] = "somebody"
    try:
        assert "the environment variable 'WHO' has another value" in world.run(*ask).out
    finally:
        del os.environ["WHO"]


def test_statistics_and_collection(world: World) -> None:
    world.write("default.nix", "{ a = 1; b = 2; }")
    for name in ("a", "b"):
        world.run("nix-instantiate", "--eval", "-A", name)
    found = json.loads(world.run("frazil", "eval-cache", "stat", "--json").out)
    assert found["entries"] == 2 and found["groups"] >= 1
    assert world.run("frazil", "eval-cache", "gc").out == "0 answers forgotten\n"
    assert world.run("frazil", "eval-cache", "gc", "--unused-for", "7").out == "0 answers forgotten\n"
    assert world.run("frazil", "eval-cache", "gc", "--unused-for", "x").status == 1
    assert world.run("frazil", "eval-cache", "gc", "--all").out == "2 answers forgotten\n"
    found = json.loads(world.run("frazil", "eval-cache", "stat", "--json").out)
    assert (found["entries"], found["groups"]) == (0, 0)
    assert world.run("nix-instantiate", "--eval", "-A", "a").evaluated


def test_a_session_that_began_before_keeps_nothing(world: World) -> None:
    """Two readings of the arguments share one evaluation; only the first takes down what is read."""
    from frazil.cli.context import Context
    from frazil.cli.installables import Opened
    from frazil.cli.options import Arguments

    world.write("default.nix", "import ./a.nix")
    world.write("a.nix", "1")
    context = Context("frazil", legacy=False)
    context.settings.load()
    arguments = Arguments("frazil")
    arguments.values["file"] = "default.nix"
    first, second = Opened(context, arguments), Opened(context, arguments)
    assert first.session is second.session
    assert first.remembered is not None and second.remembered is not None
    assert first.remembered.recorder.refusal is None
    assert second.remembered.recorder.refusal is not None
    context.close()


@pytest.mark.parametrize(
    "words",
    [
        ("nix-instantiate", "-"),
        ("nix-instantiate", "--eval", "--strict", "-"),
        ("nix-build", "--dry-run", "-"),
        ("frazil", "--extra-experimental-features", "nix-command", "eval", "--file", "-", "drvPath"),
    ],
    ids=" ".join,
)
def test_expressions_on_standard_input(world: World, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    text = f"{DRV} t = import ./a.nix; }}"

    def run(text: str, *more: str) -> Result:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        return world.run(*words, *more)

    world.write("a.nix", '"a"')
    first = run(text)
    assert first.status == 0 and first.evaluated, first.err
    assert run(text) == first._replace(evaluated=False)
    assert run(text + " ").evaluated, "another text"
    world.write("a.nix", '"b"')
    changed = run(text)
    assert changed.evaluated and (changed.out, changed.err) != (first.out, first.err)
    fresh = run(text, "--no-eval-cache")
    assert (fresh.out, fresh.err) == (changed.out, changed.err)
    assert run("{").status == 1


def test_why_miss_of_a_shell(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is remembered of a file, whichever command wanted it; `--all` needs no name."""
    monkeypatch.setenv("NIX_BUILD_SHELL", "/bin/sh")
    world.write("shell.nix", f"{DRV} t = import ./a.nix; }}")
    world.write("a.nix", '"a"')
    from frazil.cli import legacy_shell

    monkeypatch.setattr(legacy_shell, "_build_inputs", lambda *_: None)
    monkeypatch.setattr("frazil.cli.run_commands.exec_program", lambda *_: 0)
    assert world.run("nix-shell", "--run", "true").status == 0
    assert world.run("nix-shell", "-E", f"{DRV} t = import ./a.nix; }}", "--run", "true").status == 0
    for words in (("-f", "shell.nix"), ("--all",)):
        known = world.run("frazil", "eval-cache", "why-miss", *words)
        assert known.status == 0 and "shell" in known.out and "remembered" in known.out, known
    assert known.out.count("remembered") == 2
    world.write("a.nix", '"b"')
    for words in (("-f", "shell.nix"), ("--all",)):
        changed = world.run("frazil", "eval-cache", "why-miss", *words)
        assert changed.status == 1 and "the file './a.nix' has other contents" in changed.out


def test_answers_of_other_versions_are_collected(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("default.nix", "{ a = 1; b = 2; }")
    with monkeypatch.context() as patch:
        patch.setattr("frazil.evalcache.program.code_stamp", lambda: "other")
        patch.setattr("frazil.evalcache.program.code_digest", lambda: "other")
        world.run("nix-instantiate", "--eval", "-A", "a")
    world.run("nix-instantiate", "--eval", "-A", "b")
    asked = world.run("frazil", "eval-cache", "why-miss", "--all")
    assert "another version of the program" in asked.out and "remembered" in asked.out
    folder = world.folder.parent / "shared"
    assert world.run("frazil", "eval-cache", "export", str(folder)).out == (
        "1 answers exported, 0 hold on this machine only, 1 are of other versions of the program\n"
    )
    cache = database_of(world).parent
    kept = database_of(world)
    (cache / "evaluations-v1.sqlite").write_text("an older schema's")
    (cache / "evaluations-v2.sqlite-wal").write_text("an older schema's")
    assert world.run("frazil", "eval-cache", "gc").out == "1 answers forgotten\n"
    assert [path.name for path in cache.glob("evaluations-v*") if "-wal" not in path.name] == [kept.name]
    assert not world.run("nix-instantiate", "--eval", "-A", "b").evaluated
    with monkeypatch.context() as patch:
        patch.setattr("frazil.evalcache.program.code_stamp", lambda: "other")
        patch.setattr("frazil.evalcache.program.code_digest", lambda: "other")
        taken = world.run("frazil", "eval-cache", "import", "--no-check-sigs", str(folder))
        assert "0 answers imported, 1 refused" in taken.out and "another version" in taken.err
