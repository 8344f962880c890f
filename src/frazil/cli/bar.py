"""The progress line on a terminal: what runs now, how much is done, the last line of the newest build's log."""

from __future__ import annotations

import os
import time

from frazil.activity import ActivityType, ResultType, Verbosity
from frazil.cli.display import readable
from frazil.cli.reporter import LineReporter, build_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from frazil.activity import Field, Started

REDRAW_SECONDS = 0.05
QUIET_SECONDS = 0.5
CLEAR = "\r\x1b[K"
_NOUNS = {
    ActivityType.BUILDS: "built",
    ActivityType.COPY_PATHS: "copied",
    ActivityType.FILE_TRANSFER: "DL",
    ActivityType.OPTIMISE_STORE: "paths optimised",
    ActivityType.VERIFY_PATHS: "paths verified",
}


class _Running:
    __slots__ = ("done", "expected", "failed", "kind", "last_line", "phase", "text")

    def __init__(self, kind: ActivityType, text: str) -> None:
        self.kind = kind
        self.text = text
        self.phase = ""
        self.last_line = ""
        self.done = self.expected = self.failed = 0


class BarReporter(LineReporter):
    """Keeps one status line at the bottom; messages scroll above it."""

    def __init__(self, verbosity: int = Verbosity.NOTICE, *, build_logs: bool = False, colours: bool = True) -> None:
        super().__init__(verbosity, build_logs=build_logs, colours=colours)
        self.running: dict[int, _Running] = {}
        self.drawn = False
        self.last_draw = 0.0
        self.evaluation = ""
        self.quiet_until = 0.0

    def line(self, text: str) -> None:
        with self.lock:
            self.write((CLEAR if self.drawn else "") + text + "\n")
            self.drawn = False
            self._draw(force=True)

    def start(self, activity: Started) -> None:
        with self.lock:
            text = activity.text
            if activity.kind is ActivityType.BUILD and activity.fields:
                self.names[activity.identifier] = build = build_name(str(activity.fields[0]))
                text = f"building {build}"
            self.running[activity.identifier] = _Running(activity.kind, readable(text))
            self._draw()

    def result(self, identifier: int, kind: ResultType, fields: Sequence[Field]) -> None:
        with self.lock:
            running = self.running.get(identifier)
            if running is not None:
                if kind == ResultType.PROGRESS and len(fields) >= 4:
                    running.done, running.expected, _, running.failed = (int(f) for f in fields[:4])
                elif kind == ResultType.SET_PHASE and fields:
                    running.phase = str(fields[0])
                elif kind == ResultType.BUILD_LOG_LINE and fields:
                    running.last_line = readable(str(fields[0]))
                    self.running[identifier] = self.running.pop(identifier)
            super().result(identifier, kind, fields)
            self._draw()

    def stop(self, identifier: int) -> None:
        with self.lock:
            self.running.pop(identifier, None)
            super().stop(identifier)
            self._draw(force=not self.running)

    def evaluate(self, text: str) -> None:
        """What evaluation does, for when nothing else is to be shown; empty at its end."""
        with self.lock:
            if text != self.evaluation and time.monotonic() >= (self.quiet_until if text else 0):
                self.evaluation = text
                self._draw(force=True)

    def make_room(self) -> None:
        """For what is printed next to the same terminal."""
        with self.lock:
            self.evaluation = ""
            self.quiet_until = time.monotonic() + QUIET_SECONDS
            if self.drawn:
                self.write(CLEAR)
                self.drawn = False

    def finish(self) -> None:
        with self.lock:
            self.make_room()
            self.quiet_until = float("inf")
            self.running.clear()

    def _draw(self, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self.last_draw < REDRAW_SECONDS:
            return
        self.last_draw = now
        text = self._status()
        if text:
            width = _columns()
            self.write(CLEAR + text[: width - 1])
            self.drawn = True
        elif self.drawn:
            self.write(CLEAR)
            self.drawn = False

    def _status(self) -> str:
        counts = []
        for running in self.running.values():
            noun = _NOUNS.get(running.kind)
            if noun and running.expected:
                failed = f" ({running.failed} failed)" if running.failed else ""
                counts.append(f"{running.done}/{running.expected} {noun}{failed}")
        current = next((r for r in reversed(self.running.values()) if r.text), None)
        text = f"[{', '.join(counts)}] " if counts else ""
        if current is None:
            return "".join(c for c in text + self.evaluation if c.isprintable()).rstrip()
        text += current.text
        if current.phase:
            text += f" ({current.phase})"
        if current.last_line:
            text += f": {current.last_line}"
        return "".join(c for c in text if c.isprintable())


def _columns() -> int:
    try:
        return max(20, os.get_terminal_size(2).columns or 80)
    except OSError:
        return 80
