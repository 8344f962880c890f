"""Containers end: with the command, after a grace period, at the second interrupt. Stand-ins, and Podman and Docker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Run, run  # noqa: F401
from tests.image.test_commands import add, engine  # noqa: F401

from frazil.image import running

STUBBORN = """#!/bin/sh
# A container whose program ignores all but SIGKILL.
case "$1" in
  run) trap 'echo told >>FOLDER/told' TERM INT
       test "$4" = --cidfile && echo 0123456789abcdef >"$5"
       SIGNALS
       while test ! -e FOLDER/killed; do sleep 0.05; done; exit 137;;
  kill) WORKS; echo "$2" >FOLDER/killed;;
  rm) echo "$3" >FOLDER/killed;;
esac
"""


def stubborn(folder: Path, signals: str, works: str = ":") -> str:
    program = folder / "docker"
    program.write_text(STUBBORN.replace("FOLDER", str(folder)).replace("SIGNALS", signals).replace("WORKS", works))
    program.chmod(0o755)
    return str(program)


def test_a_program_that_ignores_the_signal_is_killed(
    run: Run,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running, "GRACE", 0.3)
    path = add(run, tmp_path / "greet-1.0")
    done = run("frazil", "image", "run", "--engine", stubborn(tmp_path, "kill -TERM $PPID"), path)
    assert done.status == 137
    assert "its container was killed" in done.err
    assert (tmp_path / "told").exists()  # it was asked first
    assert (tmp_path / "killed").read_text() == "0123456789abcdef\n"


def test_the_second_interrupt_does_not_wait(run: Run, tmp_path: Path) -> None:  # noqa: F811
    path = add(run, tmp_path / "greet-1.0")
    program = stubborn(tmp_path, "kill -INT $PPID; sleep 0.2; kill -INT $PPID", works="exit 1")
    done = run("frazil", "image", "run", "--engine", program, path)
    assert done.status == 137 and "its container was killed" in done.err
    assert (tmp_path / "killed").read_text() == "0123456789abcdef\n"  # by `rm -f`, since `kill` failed


def test_an_engine_that_stands_still_is_killed(
    run: Run,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running, "GRACE", 0.2)
    path = add(run, tmp_path / "greet-1.0")
    program = tmp_path / "docker"
    program.write_text(
        '#!/bin/sh\ntest "$1" = run || exit 0\ntrap "" TERM\nkill -TERM $PPID\nwhile :; do sleep 0.05; done\n'
    )
    program.chmod(0o755)
    done = run("frazil", "image", "run", "--engine", str(program), path)
    assert done.status == 128 + signal.SIGKILL
    assert "did not end" in done.err


def test_a_hangup_with_the_terminal_there_is_a_message(run: Run, tmp_path: Path) -> None:  # noqa: F811
    """Many programs read their configuration again."""
    path = add(run, tmp_path / "greet-1.0")
    program = tmp_path / "docker"
    program.write_text(
        f'#!/bin/sh\ntest "$1" = run || exit 0\ntrap "echo again >{tmp_path}/again" HUP\nkill -HUP $PPID\n'
        f"while test ! -e {tmp_path}/again; do sleep 0.05; done\nexit 3\n"
    )
    program.chmod(0o755)
    assert run("frazil", "image", "run", "--engine", str(program), path).status == 3


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with running._signals(["docker"], "id", print):
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN != signal.getsignal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ((), None),
        (("--cidfile", "/a"), "/a"),
        (("--cidfile=/a", "--name=x", "--cidfile=/b"), "/b"),
        (("-v", "/x:/y"), None),
    ],
)
def test_whoever_asks_for_the_file_gets_it(options: tuple[str, ...], place: str | None) -> None:
    assert running._container_file(options) == place


def _ends_a_real_container(
    run: Run,  # noqa: F811
    tmp_path: Path,
    command: str,
    listed: Callable[[], str],
    options: list[str],
    send: int,
) -> None:
    """In a process of its own, so that the signal is this test's to send."""
    path = add(run, tmp_path / "greet-1.0", program=True)
    words = ["image", "run", "--engine", command, *(word for option in options for word in ("--engine-option", option))]
    words += ["--entrypoint", "busybox", "--", path, "sleep", "1000"]
    code = "import sys; from frazil.image import running; running.GRACE = 1.0; from frazil.cli import main"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}; sys.argv[0] = 'frazil'; sys.exit(main())", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    try:
        for _ in range(1200):
            if process.poll() is not None or listed().strip():
                break
            time.sleep(0.1)
        if process.poll() is not None:
            err = process.communicate()[1]
            if "permitted" in err or "denied" in err:
                pytest.skip(f"containers cannot be run here: {err.strip()}")
            raise AssertionError(err)
        process.send_signal(send)  # a first program of a container ignores what it has no handler for
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 137, err
    assert "its container was killed" in err
    assert not listed().strip()


@pytest.mark.parametrize("send", [signal.SIGTERM, signal.SIGINT])
def test_podman(run: Run, tmp_path: Path, engine: str, send: int) -> None:  # noqa: F811
    def listed() -> str:
        return subprocess.check_output([*engine.split(), "ps", "-q"], text=True)

    options = ["--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"]
    _ends_a_real_container(run, tmp_path, engine, listed, options, send)


def test_docker(run: Run, tmp_path: Path, docker_engine: str) -> None:  # noqa: F811
    def listed() -> str:
        return subprocess.check_output([*docker_engine.split(), "ps", "-q"], text=True)

    _ends_a_real_container(run, tmp_path, docker_engine, listed, ["--network=none"], signal.SIGTERM)


def test_who_ends_the_command_ends_the_container(run: Run, tmp_path: Path) -> None:  # noqa: F811
    """The signal is the engine's to hand on."""
    path = add(run, tmp_path / "greet-1.0")
    program = tmp_path / "docker"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        f"run) trap 'echo ended >{tmp_path}/ended; exit 7' TERM; kill -TERM $PPID; while :; do sleep 0.05; done;;\n"
        "esac\n"
    )
    program.chmod(0o755)
    done = run("frazil", "image", "run", "--engine", str(program), path)
    assert done.status == 7, done.err
    assert (tmp_path / "ended").exists()
