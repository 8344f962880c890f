"""Several processes at once, and processes that are killed while they write."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frazil.evalcache.database import _COLUMNS, Database, Entry, Group, group_id
from frazil.evalcache.stamps import settled_stamp, tree_stamp

from .conftest import World

PROGRAM = "import sys; sys.argv[0] = 'nix-instantiate'; from frazil.cli import main; main()"
WRITER = """
import sys
from frazil.evalcache.database import Database, Entry, Group, group_id
database = Database(sys.argv[1])
for number in range(100000):
    facts = b"k r ./" + str(number % 500).encode() * 200
    name = group_id(facts)
    question = bytes([number % 256]) * 32
    answer = b'{"n":%d}' % number
    database.put({name: Group(facts, ["x"])}, [Entry(question, "/r", "", answer, name, "d", "p", b"", "")])
    if number == 20:
        print("ready", flush=True)
"""


def start(world: World, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=world.folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_processes_at_once_agree(world: World) -> None:
    world.write("default.nix", '{ a = derivation { name = import ./n.nix; system = "x"; builder = "/b"; }; }')
    world.write("n.nix", '"one"')
    wanted = {}
    for name in ("one", "two"):
        world.write("n.nix", f'"{name}"')
        wanted[name] = world.run("nix-instantiate", ".", "-A", "a", "--option", "eval-cache", "false").out
    for turn in range(3):
        name = ("one", "two")[turn % 2]
        world.write("n.nix", f'"{name}"')
        running = [start(world, ".", "-A", "a") for _ in range(3)]
        for process in running:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0 and out.decode() == wanted[name], err


def test_a_killed_writer_leaves_whole_rows(tmp_path: Path) -> None:
    path = str(tmp_path / "e.sqlite")
    generator = random.Random(7)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, path],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(generator.uniform(0.0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        database = Database(path)
        rows = database.every()
        assert len(rows) >= 20 and not os.path.exists(path + ".damaged")
        for row in rows:
            assert database.group(row.groups) is not None
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("SELECT count(*) FROM Entries").fetchone() == (len(rows),)
        connection.close()
        database.close()


def put(database: Database, number: int, facts: bytes = b"k r ./a") -> None:
    name = group_id(facts)
    entry = Entry(bytes([number]) * 32, "/r", "", b"{}", name, "d", "p", b"", "")
    database.put({name: Group(facts, [])}, [entry])


def test_damage_to_the_schema_is_found(tmp_path: Path) -> None:
    path = str(tmp_path / "e.sqlite")
    database = Database(path)
    put(database, 1)
    database.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    good = Path(path).read_bytes()
    begin = good.index(b"CREATE TABLE") - 200
    for at in range(begin, good.rindex(b"CREATE TABLE", 0, 8192) + 100, 7):
        Path(path).write_bytes(good[:at] + b"\x80" + good[at + 1 :])
        database = Database(path)
        assert len(database.every()) <= 1
        database.close()
        for left in tmp_path.iterdir():
            left.unlink()


def test_a_busy_database_is_an_empty_one(tmp_path: Path) -> None:
    path = str(tmp_path / "e.sqlite")
    database = Database(path)
    put(database, 1)
    database.close()
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    busy = Database(path)
    put(busy, 2)
    blocker.execute("ROLLBACK")
    blocker.close()
    busy.close()
    after = Database(path)
    assert [row.question[0] for row in after.every()] == [1]
    after.close()


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "e.sqlite"), limit=400_000)
    for number in range(60):
        put(database, number, os.urandom(10_000).hex().encode())
        with sqlite3.connect(database.path) as connection:
            connection.execute("UPDATE Entries SET used = ? WHERE question = ?", (number, bytes([number]) * 32))
        connection.close()
    assert database.statistics()["bytes"] > 400_000
    database.collect_if_large()
    kept = [row.question[0] for row in database.every()]
    assert kept and kept == list(range(kept[0], 60)) and kept[0] > 0
    assert database.statistics()["bytes"] <= 400_000
    assert all(database.group(row.groups) for row in database.every())
    database.close()


FILLER = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
from frazil.evalcache.database import Database, Entry, Group, group_id
database = Database(sys.argv[1])
for number in range(60):
    facts = b"k r ./" + str(number).encode() * 2000
    name = group_id(facts)
    entry = Entry(bytes([number]) * 32, "/r", "", b'{"n": "%s"}' % (b"x" * 3000), name, "d", "p", b"", "")
    database.put({name: Group(facts, ["x"])}, [entry])
    database.find(bytes([number]) * 32, "/r")
database.collect()
database.close()
"""


@pytest.mark.parametrize("limit", [0, 1000, 5000, 30_000, 40_000, 41_000, 70_000, 100_000, 200_000])
def test_a_full_disk_loses_answers_and_nothing_else(tmp_path: Path, limit: int) -> None:
    path = str(tmp_path / "e.sqlite")
    process = subprocess.run(
        [sys.executable, "-c", FILLER, path, str(limit)],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (process.returncode, process.stderr) == (0, b"")
    database = Database(path)
    rows = database.every()
    assert all(row.answer.startswith(b'{"n": "x') and database.group(row.groups) is not None for row in rows)
    put(database, 200)
    assert [row.question for row in database.every()] == [*[row.question for row in rows], bytes([200]) * 32]
    database.close()


damages = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=600)), max_size=4)


@settings(max_examples=60, deadline=None)
@given(damages, st.data())
def test_a_damaged_file_answers_truly_or_not_at_all(damage: list[tuple[float, bytes]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "e.sqlite")
        database = Database(path)
        for number in range(30):
            put(database, number, b"k r ./" + bytes([97 + number % 26]) * 300)
        database.close()
        with open(path, "r+b") as file:
            size = os.fstat(file.fileno()).st_size
            for place, text in damage:
                file.seek(int(place * size))
                file.write(text)
            if data.draw(st.booleans()):
                file.truncate(data.draw(st.integers(0, size)))
        for _ in range(2):
            database = Database(path)
            for number in range(30):
                for row in database.find(bytes([number]) * 32, "/r"):
                    assert (row.question, row.answer, row.bound) == (bytes([number]) * 32, b"{}", "")
                    facts = database.group(row.groups)
                    assert facts is None or group_id(facts) == row.groups
            put(database, 77)
            database.statistics()
            database.close()


def test_a_damaged_index_leads_to_no_answer_of_another_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(str(tmp_path / "e.sqlite"))
    put(database, 1)
    rows = database._run(f"SELECT {_COLUMNS} FROM Entries")
    assert database.find(bytes([1]) * 32, "/r")
    monkeypatch.setattr(database, "_run", lambda *_: rows)
    assert database.find(bytes([1]) * 32, "/r")
    assert not database.find(bytes([2]) * 32, "/r")
    database.close()


def test_times_in_the_future_are_not_relied_on(tmp_path: Path) -> None:
    """The clock went backward, or the file comes from elsewhere."""
    file = tmp_path / "f"
    file.write_text("x")
    for ahead, settled in ((-10_000_000_000, True), (0, False), (10_000_000_000, False)):
        now = file.stat().st_ctime_ns - ahead
        assert bool(settled_stamp(os.lstat(file), now)) is settled
        assert bool(tree_stamp(os.fsencode(tmp_path), now)) is settled


def test_a_clock_that_was_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest answers stay, whatever time it says they were found."""
    database = Database(str(tmp_path / "c.sqlite"))
    facts = [b"k - ./%d" % number for number in range(20)]
    now = time.time()
    for number, fact in enumerate(facts):
        monkeypatch.setattr(time, "time", lambda number=number: now - 86400 * number)
        name = group_id(fact)
        entry = Entry(b"q" * 32, "/r", "", b'{"n": %d}' % number, name, "d", "p", b"", "")
        database.put({name: Group(fact, [])}, [entry])
        newest = database.find(b"q" * 32, "/r")[0]
        assert newest.answer == b'{"n": %d}' % number
    monkeypatch.setattr(time, "time", lambda: now - 86400 * 100)
    database.touch(newest)
    assert database.find(b"q" * 32, "/r")[0].used == int(now - 86400 * 100)


def test_names_that_are_no_utf8(world: World) -> None:
    """Folders and files may be called anything; evaluations there are remembered as others are."""
    folder = os.path.join(os.fsencode(world.folder), b"d\xff")
    os.mkdir(folder)
    file = os.path.join(folder, b"f\xfe.nix")
    Path(os.fsdecode(file)).write_text("import ./b.nix")
    other = Path(os.fsdecode(os.path.join(folder, b"b.nix")))
    other.write_text("1")
    words = ("nix-instantiate", "--eval", os.fsdecode(file))
    assert world.run(*words).out == "1\n"
    assert not world.run(*words).evaluated
    other.write_text("2")
    assert world.run(*words).out == "2\n"


def test_files_are_named_as_they_are_called(world: World) -> None:
    world.write("größe.nix", "1")
    world.run("nix-instantiate", "--eval", "größe.nix")
    world.chdir(world.folder)
    assert "output größe.nix: remembered" in world.run("frazil", "eval-cache", "why-miss", "--all").out


def test_damaged_times_are_no_answer(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "t.sqlite"))
    put(database, 1)
    database._run("UPDATE Entries SET recorded = 'x'")
    assert not database.find(bytes([1]) * 32, "/r")
    database.close()


def test_what_is_no_text_is_not_put(tmp_path: Path) -> None:
    """And what comes after it is."""
    database = Database(str(tmp_path / "t.sqlite"))
    name = group_id(b"k r ./a")
    bad = Entry(b"q" * 32, "/r", "", b"{}", name, "\ud800", "p", b"", "")
    with pytest.raises(ValueError, match="surrogates"):
        database.put({name: Group(b"k r ./a", [])}, [bad])
    put(database, 1)
    assert len(database.every()) == 1
    database.close()


def test_what_cannot_be_used_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By commands about the cache; evaluations go on without."""
    world.write("default.nix", "1")
    monkeypatch.setenv("NIX_CACHE_HOME", "/proc/nowhere")
    assert world.run("nix-instantiate", "--eval").err == ""
    for words in (["stat"], ["gc"], ["export", str(world.folder / "x")]):
        found = world.run("frazil", "eval-cache", *words)
        assert found.status == 0 and "cannot be used: " in found.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gc", "--max-size", "10x"], "takes a number of bytes"),
        (["gc", "--max-size", ""], "takes a number of bytes"),
        (["gc", "--max-size", "9" * 30], "takes a number of bytes"),
        (["gc", "--unused-for", "-1"], "takes a number of days"),
        (["export", "https://example.org/x"], "is no folder"),
        (["export", ""], "the name of the folder is missing"),
        (["import", "http://example.org/x"], "is no folder"),
        (["import", "default.nix"], "Not a directory"),
        (["why-miss", "-f", "absent.nix"], "does not exist"),
        (["why-miss", "--all", "x"], "not about single installables"),
    ],
)
def test_silly_arguments(world: World, words: list[str], said: str) -> None:
    world.write("default.nix", "1")
    found = world.run("frazil", "eval-cache", *words)
    assert found.status == 1 and said in found.err
    assert sorted(path.name for path in world.folder.iterdir()) == ["default.nix"]
