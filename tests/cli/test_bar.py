"""The display on a terminal, as a small terminal shows it."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from frazil.activity import Activity, ActivityType, ResultType, Verbosity
from frazil.cli import bar
from frazil.cli.bar import BarReporter, amount, cut_to, duration, width_of

HASH = "/nix/store/" + "0" * 32


class Screen:
    """As much of a terminal as the display uses: lines, moving up, clearing."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.lines = [""]
        self.row = self.column = 0

    def write(self, text: str) -> None:
        for piece in re.findall(r"\x1b\[\d*[AJKm]|\r|\n|[^\x1b\r\n]+", text):
            if piece == "\r":
                self.column = 0
            elif piece == "\n":
                self.row, self.column = self.row + 1, 0
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif piece.startswith("\x1b["):
                self._obey(piece)
            else:
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + piece + line[self.column + len(piece) :]
                self.column += len(piece)
                assert self.column < self.columns

    def _obey(self, piece: str) -> None:
        if piece.endswith("A"):
            self.row -= int(piece[2:-1])
            assert self.row >= 0
        elif piece.endswith("J"):
            self.lines[self.row :] = [self.lines[self.row][: self.column]]
        elif piece.endswith("K"):
            self.lines[self.row] = self.lines[self.row][: self.column]

    @property
    def text(self) -> list[str]:
        return [line.rstrip() for line in self.lines if line.strip()]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Screen:
    shown = Screen(80, 24)
    monkeypatch.setenv("NIX_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(bar, "_size", lambda: (shown.columns, shown.rows))
    monkeypatch.setattr(bar, "REDRAW_SECONDS", 0.0)
    return shown


def _reporter(screen: Screen) -> BarReporter:
    reporter = BarReporter(Verbosity.NOTICE, colours=False)
    reporter.write = screen.write
    return reporter


def _build(reporter: BarReporter, name: str, machine: str = "") -> Activity:
    return Activity(reporter, ActivityType.BUILD, "", fields=[f"{HASH}-{name}.drv", machine, 1, 1])


def test_builds_and_counts(screen: Screen) -> None:
    reporter = _reporter(screen)
    with Activity(reporter, ActivityType.BUILDS, "") as all_of_them:
        with _build(reporter, "hello-1") as hello, _build(reporter, "gcc-2", "ssh://far") as gcc:
            hello.set_phase("buildPhase")
            hello.log_line("\x1b[31mcompiling\x1b[0m\ta")
            reporter.running[gcc.identifier].began -= 65
            all_of_them.progress(1, 5, 2, 1)
            assert screen.text == [
                "building hello-1 (buildPhase): compiling       a",
                "building gcc-2 on ssh://far 1m05s",
                "[1/5 built (1 failed)]",
            ]
            reporter.log(Verbosity.WARN, "hm")
            assert screen.text[0] == "warning: hm"
            assert len(screen.text) == 4
        assert screen.text == ["warning: hm", "[1/5 built (1 failed)]"]
    reporter.finish()
    assert screen.text == ["warning: hm"]
    assert screen.column == 0


def test_what_took_how_long_before(screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "build-times").write_text("125.0 hello\n")
    reporter = _reporter(screen)
    with _build(reporter, "hello-3") as hello:
        reporter.running[hello.identifier].began -= 9
        reporter.estimate(3750)
        reporter.result(hello.identifier, ResultType.SET_PHASE, ("x",))
        assert screen.text == ["building hello-3 (x) 9s of about 2m05s", "about 1h02m left"]


def test_transfers(screen: Screen) -> None:
    reporter = _reporter(screen)
    fields = [f"{HASH}-big", "https://cache", "local"]
    text = f"copying path '{HASH}-big' from 'https://cache'"
    with Activity(reporter, ActivityType.COPY_PATH, text, fields=fields) as first:
        first.progress(0, 4 << 20)
        running = reporter.running[first.identifier]
        running.samples = [(time.monotonic() - 2, 0)]
        first.progress(2 << 20, 4 << 20)
        line, counts = screen.text
        assert re.fullmatch(
            r"fetching big from https://cache: 2\.0 MiB/4\.0 MiB, (1\.0 MiB|9\d\d\.\d KiB|10\d\d\.\d KiB)/s", line
        )
        assert re.fullmatch(r"\[2\.0 MiB/4\.0 MiB at .*/s\] about 2s left", counts)
    with Activity(reporter, ActivityType.COPY_PATH, "copying path 'x' to 'b'", fields=["x", "", "b"]) as second:
        second.progress(1 << 20, 1 << 20)
        assert screen.text == ["copying x to b: 1.0 MiB/1.0 MiB", "[5.0 MiB/5.0 MiB]"]


def test_more_than_there_is_room_for(screen: Screen) -> None:
    reporter = _reporter(screen)
    activities = [_build(reporter, f"n{number}") for number in range(20)]
    for activity in activities:
        activity.__enter__()
    reporter.log(Verbosity.ERROR, "x")
    assert len(screen.text) == 1 + 7
    assert screen.text[-1] == "… and 14 more"
    screen.rows = 6
    reporter.log(Verbosity.ERROR, "y")
    assert screen.text == ["x", "y", "building n19"]


def test_a_terminal_becomes_narrow(screen: Screen) -> None:
    reporter = _reporter(screen)
    with _build(reporter, "a-rather-long-name-of-a-package-that-nobody-knows"), _build(reporter, "b"):
        reporter.log(Verbosity.ERROR, "x")
        widths = list(reporter.drawn)
        assert max(widths) == 58
        screen.columns = 30
        assert reporter._erased() == "\x1b[2A\r\x1b[J"  # 58 columns are two rows now


def test_texts() -> None:
    assert [duration(s) for s in (0, 59.4, 59.6, 3599, 3600, 7384)] == [
        "0s",
        "59s",
        "1m00s",
        "59m59s",
        "1h00m",
        "2h03m",
    ]
    assert [amount(n) for n in (0, 1023, 1024, 5 << 20, 3 << 40)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "5.0 MiB",
        "3072.0 GiB",
    ]
    assert width_of("日本") == 4
    assert cut_to("日本語", 5) == "日本…"
    assert cut_to("abc", 3) == "abc"
    assert cut_to("abcd", 3) == "ab…"
