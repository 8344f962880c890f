"""Signals while the program starts, and while it says what went wrong; small stacks."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from frazil import cli
from frazil.cli import program
from frazil.errors import Signalled


def ended(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    def raising(*_: object) -> int:
        raise error

    monkeypatch.setattr(program, "_failed", raising)
    return program.run(["frazil", "no-such-command"])


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (KeyboardInterrupt(), 130, "error: interrupted by the user\n"),
        (Signalled(15), 143, "error: interrupted by a signal\n"),
        (MemoryError(), 1, "error: out of memory while showing an error\n"),
        (BrokenPipeError(), 1, ""),
    ],
)
def test_while_an_error_is_shown(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], error: BaseException, status: int, text: str
) -> None:
    assert ended(monkeypatch, error) == status
    assert capfd.readouterr().err == text


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (Signalled(15), 143)])
def test_while_modules_are_imported(monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int) -> None:
    left: list[int] = []

    def raising() -> None:
        raise error

    monkeypatch.setattr(cli, "leave", left.append)
    monkeypatch.setattr(cli, "open_standard_streams", raising)
    cli.main()
    assert left == [status]


def test_the_repl_lives_with_a_small_stack(tmp_path: Path) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_STACK, (256 << 10, resource.getrlimit(resource.RLIMIT_STACK)[1]))

    program = [sys.executable, "-c", "from frazil.cli import main; main()", "repl"]
    lines = f"let f = n: 1 + f n; in f 0\n{'(' * 5000}4{')' * 5000}\n1 + 1\n"
    environment = {**os.environ, "HOME": str(tmp_path), "NIX_STATE_DIR": str(tmp_path), "NO_COLOR": "1"}
    environment["NIX_CONFIG"] = "experimental-features = nix-command flakes"
    done = subprocess.run(
        program, input=lines, capture_output=True, text=True, env=environment, preexec_fn=small, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "stack overflow; max-call-depth exceeded" in done.stderr
    assert done.stdout.split() == ["4", "2"], done.stdout + done.stderr
