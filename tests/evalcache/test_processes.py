"""Several processes at once, and processes that are killed while they write."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from frazil.evalcache.database import Database, Entry, Group, group_id

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
    database.put({name: Group(facts, ["x"])}, [Entry(question, "/r", "", answer, name, "d")])
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
    entry = Entry(bytes([number]) * 32, "/r", "", b"{}", name, "d")
    database.put({name: Group(facts, [])}, [entry])


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
