"""How errors look."""

from __future__ import annotations

import pytest

from frazil.cli.display import decimal_size, help_notice, show_bug, show_error
from frazil.errors import FrazilError, TraceFrame, UsageError
from frazil.position import Position

PLACE = Position("/x.nix", 2, 3, "  a", "{", "}")


def test_message_and_position() -> None:
    shown = show_error(FrazilError("wrong\nvery", position=PLACE))
    assert shown == (
        "error: wrong\n"
        "       very\n"
        "       at /x.nix:2:3:\n"
        "            1| {\n"
        "            2|   a\n"
        "             |   ^\n"
        "            3| }"
    )


def test_frames_come_first_and_are_cut() -> None:
    frames = [TraceFrame(f"while {i}") for i in range(6)]
    shown = show_error(FrazilError("wrong", trace=frames))
    assert shown.startswith("error:\n       … while 0\n\n       … while 1\n")
    assert "while 5" not in shown and "stack trace truncated" in shown
    assert shown.endswith("\n\n       error: wrong")
    assert "while 5" in show_error(FrazilError("wrong", trace=frames), show_trace=True)


def test_derivations_are_never_cut() -> None:
    frames = [TraceFrame(f"while {i}") for i in range(6)]
    frames.append(TraceFrame("while evaluating derivation 'x'\n  whose name attribute is located at y"))
    assert "derivation 'x'" in show_error(FrazilError("wrong", trace=frames))


def test_repeated_frames_are_counted() -> None:
    frames = [TraceFrame("while a", PLACE)] * 20
    assert "(19 duplicate frames omitted)" in show_error(FrazilError("wrong", trace=frames), show_trace=True)


def test_hints_and_colours() -> None:
    error = FrazilError("wrong", hint="do this\nor that")
    assert show_error(error).endswith("\n\n       hint: do this\n             or that")
    assert "\x1b[31;1m" in show_error(error, colours=True)
    assert "\x1b" not in show_error(error)


def test_bytes_that_are_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.isatty", lambda descriptor: True)
    assert "�" in show_error(FrazilError("bad \udcff name"))


def test_usage_errors_point_to_help() -> None:
    assert help_notice(UsageError("x"), "nix") == "\nTry 'nix --help' for more information."
    assert help_notice(FrazilError("x"), "nix") == ""


def test_bugs_hide_their_trace() -> None:
    try:
        raise KeyError("secret")
    except KeyError as error:
        quiet, loud = show_bug(error, trace=False), show_bug(error, trace=True)
    assert quiet.startswith("frazil bug: KeyError") and "Traceback" not in quiet
    assert "Traceback" in loud


def test_sizes() -> None:
    counts = (0, 999, 1000, 1_234_567, 99_999_999, 5_000_000_000_000)
    assert [decimal_size(count) for count in counts] == ["0 B", "999 B", "1.0 kB", "1.2 MB", "100.0 MB", "5000.0 GB"]
