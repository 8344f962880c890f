"""Signals while the program starts, and while it says what went wrong."""

from __future__ import annotations

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
