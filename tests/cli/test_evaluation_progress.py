"""What is shown while an evaluation takes long."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import frazil
from frazil.activity import ActivityType, Started, Verbosity
from frazil.cli import evaluation, evaluation_progress
from frazil.cli.bar import BarReporter
from frazil.cli.reporter import LineReporter

LOOP = (
    "let f = n: if n == 0 then 0 else f (n - 1); "
    "in builtins.foldl' (a: b: a + f 5000) 0 (builtins.genList (x: x) 9999999)"
)
PROGRAM = [sys.executable, "-c", "import sys; from frazil.cli import main; sys.argv[0] = 'frazil'; sys.exit(main())"]


def test_a_long_evaluation_is_seen_on_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "slow.nix").write_text(LOOP)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(Path(frazil.__file__).parent.parent)}
    environment["NIX_CONFIG"] = "eval-cache = false"
    with subprocess.Popen(
        [*PROGRAM, "eval", "--file", str(tmp_path / "slow.nix")],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
    ) as process:
        os.close(theirs)
        seen = b""
        end = time.monotonic() + 30
        while b"slow.n" not in seen and time.monotonic() < end:
            if select.select([ours], [], [], 0.2)[0]:
                seen += os.read(ours, 65536)
        process.terminate()
    os.close(ours)
    assert b"evaluating for " in seen and b"slow.n" in seen, seen


def test_while_something_is_built_nothing_is_said_of_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    reporter = LineReporter(write=written.append)
    clock, closed = [100.0], list[bool]()
    building = Started(1, Verbosity.INFO, ActivityType.BUILD, "building 'x'", ("/nix/store/x.drv",), 0)

    def sleep(seconds: float) -> None:
        clock[0] += 10
        if clock[0] == 110:
            reporter.start(building)
        elif clock[0] == 200:
            reporter.stop(1)
        elif clock[0] == 230:
            closed.append(True)

    monkeypatch.setattr(evaluation_progress, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: clock[0]))
    monkeypatch.setattr(evaluation_progress, "describe", lambda session, seconds: f"evaluating for {seconds:.0f} s")
    monkeypatch.setattr(evaluation, "under_way", [None])
    monkeypatch.setattr(evaluation, "UNWATCHED_SECONDS", 0)
    evaluation_progress._look(reporter, None, closed)
    assert written == ["building 'x'...\n", "evaluating for 20 s\n", "evaluating for 40 s\n"]


def test_the_line_makes_room() -> None:
    written: list[str] = []
    bar = BarReporter()
    bar.write = written.append
    bar.evaluate("evaluating for 1 s")
    assert bar.drawn and "evaluating for 1 s" in written[-1]
    bar.make_room()
    assert not bar.drawn
    bar.evaluate("evaluating for 2 s")  # what is printed now has the line for itself
    assert not bar.drawn
    bar.finish()
    bar.evaluate("evaluating for 3 s")
    assert not bar.drawn


def test_an_evaluation_may_end_while_its_watcher_is_being_made(tmp_path: Path) -> None:
    code = """
import sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "frazil.cli.bar":
            print("making", file=sys.stderr)
            time.sleep(5)
sys.meta_path.insert(0, Slow())
from frazil.cli import evaluation, main
evaluation.UNWATCHED_SECONDS = 0
sys.argv = ["frazil", "eval", "--expr", "builtins.foldl' builtins.add 0 (builtins.genList (x: x) 3000000)"]
sys.exit(main())
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(frazil.__file__).parent.parent)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (0, "4499998500000\n"), run.stderr
    assert "making" in run.stderr
