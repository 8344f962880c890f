"""Several processes evaluate; what is said, and in which order, is as with one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from frazil.flake import workers
from frazil.flake.workers import Key, Workers, worker_count

from .conftest import Result, Run

Make = Callable[[str, str], Path]
GROUPS: dict[Key, str] = {("p", "a"): "a", ("p", "b"): "b", ("q", "a"): "a", ("q", "b"): "b", ("q", "c"): "c"}

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "worker_count", lambda groups: 2 if groups > 1 else 0)


@pytest.fixture
def said() -> list[str]:
    return []


def test_groups_stay_together(two: None, said: list[str]) -> None:
    with Workers(GROUPS, lambda key: [os.getpid(), *key], said.append) as found:
        results = {key: found.result(key) for key in GROUPS}
        assert found.result(("unknown",)) is None
    assert {key: tuple(value[1:]) for key, value in results.items()} == {key: key for key in GROUPS}
    processes = {(group, results[key][0]) for key, group in GROUPS.items()}
    assert len(processes) == 3 and len({process for _, process in processes}) == 2
    assert os.getpid() not in {process for _, process in processes}
    assert said == []


def test_failures_are_for_the_asker(two: None, said: list[str]) -> None:
    def evaluate(key: Key) -> Any:
        if key[1] == "b":
            raise RecursionError
        return "x" * 300_000  # more than a pipe holds

    with Workers(GROUPS, evaluate, said.append) as found:
        assert [found.result(key) is None for key in GROUPS] == [False, True, False, True, False]
    assert said == []


def test_a_worker_that_dies(two: None, said: list[str]) -> None:
    def evaluate(key: Key) -> Any:
        if key == ("p", "b"):
            os.kill(os.getpid(), signal.SIGKILL)
        return list(key)

    with Workers(GROUPS, evaluate, said.append) as found:
        assert [found.result(key) for key in GROUPS] == [["p", "a"], None, ["q", "a"], None, ["q", "c"]]
    assert said == ["a process that evaluates was killed by signal 9; its part is evaluated once more"]


def test_no_process_is_left(two: None, said: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt), Workers(GROUPS, lambda _: time.sleep(60), said.append) as found:
        processes = [worker.process for worker in found._workers]
        raise KeyboardInterrupt
    assert len(processes) == 2
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


_PARENT = """
import os, sys, time
from frazil.flake import workers
workers.worker_count = lambda groups: 2
with workers.Workers({("a",): "a", ("b",): "b"}, lambda _: time.sleep(60), print) as found:
    print(*[worker.process for worker in found._workers], flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_their_parent(number: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as parent:
        assert parent.stdout is not None
        processes = [int(word) for word in parent.stdout.readline().split()]
        parent.send_signal(number)
        parent.wait(20)
    end = time.monotonic() + 20
    while any(_runs(process) for process in processes):
        assert time.monotonic() < end
        time.sleep(0.02)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(workers, "_available_memory", lambda: 64 << 30)
    assert [worker_count(groups) for groups in (0, 1, 2, 4, 20)] == [0, 0, 2, 4, 8]
    monkeypatch.setattr(workers, "_available_memory", lambda: 5 << 30)
    assert worker_count(20) == 2
    monkeypatch.setattr(workers, "_available_memory", lambda: 3 << 30)
    assert worker_count(20) == 0


OUTPUTS = """{ outputs = _: let
  systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "bad" ];
  each = f: builtins.listToAttrs (map (s: { name = s; value = f s; }) systems);
  drv = system: derivation { name = "n-${system}"; inherit system; builder = "/bin/sh"; };
in {
  packages = each (s: { a = drv s; b = EXTRA; });
  checks = each (s: { c = drv s; });
  apps = each (s: { run = { type = "app"; program = "/bin/x"; meta.description = "d"; }; });
  formatter = each drv;
}; }"""


@pytest.mark.parametrize(
    "extra",
    [
        "drv s",
        'if s == "x86_64-darwin" then throw "boo" else drv s',
        'if s == "aarch64-linux" then builtins.trace "seen" (drv s) else drv s',
        'if s == "aarch64-linux" then builtins.warn "careful" (drv s) else drv s',
        "3",
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        ("check", "--no-build", "--all-systems"),
        ("check", "--no-build", "--all-systems", "--keep-going"),
        ("show", "--all-systems"),
        ("show", "--all-systems", "--json"),
    ],
)
def test_commands_say_the_same(
    run: Run, make: Make, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], extra: str
) -> None:
    folder = make("f", OUTPUTS.replace("EXTRA", extra))
    started: list[int] = []
    original = Workers._start

    def start(self: Workers, *arguments: Any) -> None:
        started.append(1)
        original(self, *arguments)

    monkeypatch.setattr(Workers, "_start", start)

    def at_work(count: int) -> Result:
        monkeypatch.setattr(workers, "worker_count", lambda groups: count if groups > 1 else 0)
        status = 1 if "3" in extra or "boo" in extra or command[0] == "check" else 0
        if command[0] == "show" and extra == "3":
            status = 0
        return run("flake", *command, f"path:{folder}", "--no-eval-cache", status=status)

    one = at_work(0)
    assert started == []
    assert at_work(2) == one
    assert len(started) == 2


def test_one_system_needs_one_process(run: Run, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workers, "_start", lambda *_: pytest.fail("a process was started"))
    folder = make("f", OUTPUTS.replace("EXTRA", "drv s").replace('"bad"', ""))
    run("flake", "check", "--no-build", f"path:{folder}")
    run("flake", "show", f"path:{folder}")
