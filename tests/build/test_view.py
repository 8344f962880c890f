"""Programs that see a store at its logical place."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from frazil.build.view import ViewError, is_shown, run_at

from .support import need_namespaces

SOURCE = str(Path(__file__).parents[2] / "src")
CODE = """
import os, sys
sys.path.insert(0, {source!r})
from frazil.build.view import {function}
{prelude}
result = {function}({logical!r}, {physical!r}, {argv!r}, {env!r}, {cwd!r})
sys.exit(result)
"""
LOGICAL = "/nix/store"


@pytest.fixture
def physical(tmp_path: Path) -> Path:
    need_namespaces()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "hello").write_text("hi\n")
    return tmp_path / "store"


def run(
    function: str,
    physical: Path,
    argv: list[str],
    *,
    env: dict[str, str] | None = None,
    prelude: str = "",
    cwd: str = "/",
) -> subprocess.CompletedProcess[str]:
    code = CODE.format(
        source=SOURCE,
        function=function,
        prelude=prelude,
        logical=LOGICAL,
        physical=str(physical),
        argv=argv,
        env=env or {"PATH": "/usr/bin:/bin"},
        cwd=cwd,
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("function", ["run_at", "exec_at"])
def test_the_store_is_shown_and_the_rest_stays(physical: Path, function: str, tmp_path: Path) -> None:
    script = "cat /nix/store/hello; id -u; pwd; ls -d /usr /tmp; : > made; exit 7"
    done = run(function, physical, ["sh", "-c", script], cwd=str(tmp_path))
    assert done.stdout.split() == ["hi", str(os.geteuid()), str(tmp_path), "/tmp", "/usr"]
    assert done.returncode == 7
    assert (tmp_path / "made").exists()


def test_the_store_is_read_only(physical: Path) -> None:
    done = run("run_at", physical, ["sh", "-c", ": > /nix/store/new"])
    assert done.returncode != 0
    assert not (physical / "new").exists()


def test_a_view_inside_a_view(physical: Path) -> None:
    inner = CODE.format(
        source=SOURCE,
        function="exec_at",
        prelude="",
        logical=LOGICAL,
        physical=str(physical),
        argv=["cat", "/nix/store/hello"],
        env={"PATH": "/usr/bin:/bin"},
        cwd="/",
    )
    done = run("exec_at", physical, [sys.executable, "-c", inner])
    assert (done.stdout, done.returncode) == ("hi\n", 0), done.stderr


def test_becoming_the_program_with_threads_running(physical: Path) -> None:
    prelude = "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
    done = run("exec_at", physical, ["sh", "-c", "cat /nix/store/hello; exit 5"], prelude=prelude)
    assert (done.stdout, done.returncode) == ("hi\n", 5)


def test_signals_and_statuses(physical: Path) -> None:
    assert run("run_at", physical, ["sh", "-c", "kill -TERM $$"]).returncode == 143
    with pytest.raises(ViewError, match="unable to execute 'no-such-program': No such file or directory"):
        run_at(LOGICAL, str(physical), ["no-such-program"], {"PATH": "/usr/bin"})
    done = run("exec_at", physical, ["no-such-program"])
    assert "unable to execute 'no-such-program': No such file or directory" in done.stderr
    with pytest.raises(ViewError, match="no command"):
        run_at(LOGICAL, str(physical), [], {})


def test_programs_are_looked_up_inside_the_view(physical: Path) -> None:
    program = physical / "bin"
    program.mkdir()
    (program / "tool").write_text("echo from the store $1\n")
    (program / "tool").chmod(0o755)
    done = run("run_at", physical, ["tool", "x"], env={"PATH": "/nonexistent:/nix/store/bin:/usr/bin:/bin"})
    assert done.stdout == "from the store x\n"
    (program / "tool").write_text("exit $(($# - 99992))\n")
    assert run_at(LOGICAL, str(physical), ["tool", *["x"] * 99_999], {"PATH": "/nix/store/bin"}) == 7


def test_a_store_at_its_place_needs_no_view(tmp_path: Path) -> None:
    assert is_shown(str(tmp_path), str(tmp_path))
    assert not is_shown("/nix/store/nowhere", str(tmp_path))
    assert run_at(str(tmp_path), str(tmp_path), ["/bin/sh", "-c", "exit 3"], {}) == 3


def test_running_in_a_thread(physical: Path) -> None:
    statuses: list[int] = []
    thread = threading.Thread(
        target=lambda: statuses.append(run_at(LOGICAL, str(physical), ["/bin/sh", "-c", "exit 9"], {}))
    )
    thread.start()
    thread.join()
    assert statuses == [9]
