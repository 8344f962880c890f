"""The display at the bottom of a terminal: what builds and for how long, what is fetched and how fast, what is left.

In: activities and their results. Out: at most a third of the screen, redrawn in place; messages scroll above it. The
lines are a build or a transfer each, the last one counts. A thread of its own moves the clocks on.
"""

from __future__ import annotations

import os
import time

from frazil.activity import ActivityType, ResultType, Verbosity
from frazil.cli.display import readable
from frazil.cli.reporter import LineReporter, build_name, without_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from frazil.activity import Field, Started

REDRAW_SECONDS = 0.05
TICK_SECONDS = 1.0
QUIET_SECONDS = 0.5
CLEAR = "\r\x1b[J"
MOST_LINES = 8
RATE_SECONDS = 5.0
"""Over which a rate is taken."""
_NOUNS = {
    ActivityType.BUILDS: "built",
    ActivityType.COPY_PATHS: "copied",
    ActivityType.OPTIMISE_STORE: "paths optimised",
    ActivityType.VERIFY_PATHS: "paths verified",
}
_TRANSFERS = frozenset({ActivityType.COPY_PATH, ActivityType.FILE_TRANSFER})


class _Running:
    __slots__ = ("began", "done", "expected", "failed", "kind", "last_line", "phase", "samples", "text", "usual")

    def __init__(self, kind: ActivityType, text: str, usual: float | None = None) -> None:
        self.kind = kind
        self.text = text
        self.usual = usual
        """Seconds that it took before."""
        self.began = time.monotonic()
        self.phase = ""
        self.last_line = ""
        self.done = self.expected = self.failed = 0
        self.samples: list[tuple[float, int]] = []

    def progress(self, done: int, expected: int, failed: int) -> None:
        self.done, self.expected, self.failed = done, expected, failed
        now = time.monotonic()
        if self.kind in _TRANSFERS and (not self.samples or now - self.samples[-1][0] >= 0.2):
            self.samples.append((now, done))
            while now - self.samples[0][0] > RATE_SECONDS and len(self.samples) > 2:
                del self.samples[0]

    def rate(self) -> float:
        """Bytes a second."""
        if not self.samples:
            return 0.0
        then, before = self.samples[0]
        passed = time.monotonic() - then
        return (self.done - before) / passed if passed >= 0.5 else 0.0


class BarReporter(LineReporter):
    """Keeps its lines at the bottom; messages scroll above them."""

    def __init__(self, verbosity: int = Verbosity.NOTICE, *, build_logs: bool = False, colours: bool = True) -> None:
        super().__init__(verbosity, build_logs=build_logs, colours=colours)
        self.running: dict[int, _Running] = {}
        self.drawn: list[int] = []
        """How wide the lines on the screen are."""
        self.last_draw = 0.0
        self.evaluation = ""
        self.quiet_until = 0.0
        self.fetched = 0
        """Bytes of transfers that have ended."""
        self.left: tuple[float, float] | None = None
        """(when it was said, how many seconds were left then)."""
        self._ticking = False
        self._times: dict[str, float] | None = None

    def line(self, text: str) -> None:
        with self.lock:
            self.write(self._erased() + text + "\n")
            self._draw(force=True)

    def start(self, activity: Started) -> None:
        with self.lock:
            text, usual = activity.text, None
            if activity.kind is ActivityType.BUILD and activity.fields:
                build = build_name(str(activity.fields[0]))
                self.names[activity.identifier] = without_version(build)
                machine = str(activity.fields[1]) if len(activity.fields) > 1 else ""
                text = f"building {build}" + (f" on {machine}" if machine else "")
                usual = self._usual(build)
            elif activity.kind is ActivityType.COPY_PATH and activity.fields:
                text = _transfer_text(activity)
            self.running[activity.identifier] = _Running(activity.kind, _plain(text), usual)
            self._draw()
            if not self._ticking and (activity.kind is ActivityType.BUILD or activity.kind in _TRANSFERS):
                self._start_ticking()

    def result(self, identifier: int, kind: ResultType, fields: Sequence[Field]) -> None:
        with self.lock:
            running = self.running.get(identifier)
            if running is not None:
                if kind == ResultType.PROGRESS and len(fields) >= 4:
                    done, expected, _, failed = (int(f) for f in fields[:4])
                    running.progress(done, expected, failed)
                elif kind == ResultType.SET_PHASE and fields:
                    running.phase = _plain(str(fields[0]))
                elif kind == ResultType.BUILD_LOG_LINE and fields:
                    running.last_line = _plain(str(fields[0]))
            super().result(identifier, kind, fields)
            self._draw()

    def stop(self, identifier: int) -> None:
        with self.lock:
            ended = self.running.pop(identifier, None)
            if ended is not None and ended.kind in _TRANSFERS:
                self.fetched += max(ended.done, ended.expected)
            super().stop(identifier)
            self._draw(force=not self.running)

    def estimate(self, seconds: float) -> None:
        with self.lock:
            self.left = (time.monotonic(), seconds)

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
                self.write(self._erased())

    def finish(self) -> None:
        with self.lock:
            self.make_room()
            self.quiet_until = float("inf")
            self.running.clear()
            self.left = None

    # -- clocks -------------------------------------------------------------------------------------------------

    def _start_ticking(self) -> None:
        import _thread

        self._ticking = True
        try:
            _thread.start_new_thread(self._tick, ())
        except RuntimeError:
            pass  # no thread to be had: clocks move when something happens

    def _tick(self) -> None:
        while True:
            time.sleep(TICK_SECONDS)
            with self.lock:
                if not self.running:
                    self._ticking = False
                    return
                self._draw(force=True)

    def _usual(self, name: str) -> float | None:
        from frazil.build.history import BuildTimes, name_of

        if self._times is None:
            from frazil.cache_folder import cache_folder

            self._times = BuildTimes(cache_folder(os.environ)).known
        return self._times.get(name_of(name))

    # -- drawing ------------------------------------------------------------------------------------------------

    def _erased(self) -> str:
        """What takes the lines off the screen. A terminal that became narrower shows each in several rows."""
        if not self.drawn:
            return ""
        columns, _ = _size()
        rows = sum(max(1, -(-width // columns)) for width in self.drawn)
        self.drawn = []
        return (f"\x1b[{rows - 1}A" if rows > 1 else "") + CLEAR

    def _draw(self, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self.last_draw < REDRAW_SECONDS:
            return
        self.last_draw = now
        columns, rows = _size()
        lines = self._lines(max(0, min(MOST_LINES, rows // 3 - 1)))
        text = self._erased()
        if lines:
            cut = [cut_to(line, columns - 1) for line in lines]
            self.drawn = [width_of(line) for line in cut]
            text = (text or "\r") + "\n".join(f"{line}\x1b[K" for line in cut)
        if text:
            self.write(text)

    def _lines(self, most: int) -> list[str]:
        shown = [r for r in self.running.values() if r.kind is ActivityType.BUILD or r.kind in _TRANSFERS]
        status = self._status(shown)
        if most < 2 or not shown:
            return [status] if status else []
        lines = [_describe(running) for running in shown[: most if len(shown) <= most else most - 1]]
        if len(shown) > len(lines):
            lines.append(f"… and {len(shown) - len(lines)} more")
        counts = self._counts(shown)
        return [*lines, counts] if counts else lines

    def _counts(self, shown: Sequence[_Running]) -> str:
        counts = []
        for running in self.running.values():
            noun = _NOUNS.get(running.kind)
            if noun and running.expected:
                failed = f" ({running.failed} failed)" if running.failed else ""
                counts.append(f"{running.done}/{running.expected} {noun}{failed}")
        counts += self._bytes([running for running in shown if running.kind in _TRANSFERS])
        text = f"[{', '.join(counts)}]" if counts else ""
        left = max(self._seconds_left(), _transfer_left(shown))
        if left >= 0.5:
            text += f"{' ' if text else ''}about {duration(left)} left"
        return text

    def _bytes(self, transfers: Sequence[_Running]) -> list[str]:
        expected = self.fetched + sum(max(running.expected, running.done) for running in transfers)
        if not transfers or not expected:
            return []
        done = self.fetched + sum(running.done for running in transfers)
        rate = sum(running.rate() for running in transfers)
        return [f"{amount(done)}/{amount(expected)}" + (f" at {amount(rate)}/s" if rate else "")]

    def _seconds_left(self) -> float:
        if self.left is None:
            return 0.0
        said, seconds = self.left
        return max(0.0, seconds - (time.monotonic() - said))

    def _status(self, shown: Sequence[_Running]) -> str:
        """All on one line."""
        text = self._counts(shown)
        current = shown[-1] if shown else next((r for r in reversed(self.running.values()) if r.text), None)
        now = _describe(current) if current is not None else _plain(self.evaluation)
        return f"{text}{' ' if text and now else ''}{now}".rstrip()


def _transfer_left(shown: Sequence[_Running]) -> float:
    """Seconds until the slowest of the transfers that run has ended."""
    times = [(r.expected - r.done) / r.rate() for r in shown if r.kind in _TRANSFERS and r.rate()]
    return max(times, default=0.0)


def _transfer_text(activity: Started) -> str:
    """`copying path '…'` from or to where."""
    path, origin, destination = (str(field) for field in (*activity.fields, "", "", "")[:3])
    name = build_name(path)
    if " to '" in activity.text and " from '" not in activity.text:
        return f"copying {name} to {destination}"
    return f"fetching {name} from {origin}" if origin else f"copying {name}"


def _describe(running: _Running) -> str:
    text = running.text
    if running.phase:
        text += f" ({running.phase})"
    if running.kind in _TRANSFERS:
        if running.expected or running.done:
            text += f": {amount(running.done)}" + (f"/{amount(running.expected)}" if running.expected else "")
        rate = running.rate()
        return text + (f", {amount(rate)}/s" if rate else "")
    passed = time.monotonic() - running.began
    if running.kind is ActivityType.BUILD and passed >= 1:
        text += f" {duration(passed)}" + (f" of about {duration(running.usual)}" if running.usual else "")
    if running.last_line:
        text += f": {running.last_line}"
    return text


def duration(seconds: float) -> str:
    """`9s`, `1m05s`, `2h03m`."""
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def amount(count: float) -> str:
    """Bytes, with the units that the summary before a download has."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def _plain(text: str) -> str:
    """Nothing that a terminal would obey: colours of a builder's line neither."""
    if "\x1b" in text or "\t" in text:
        from frazil.cli.display import terminal_text

        text = terminal_text(text, False)
    return "".join(c for c in readable(text) if c.isprintable())


def width_of(text: str) -> int:
    """Columns that a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) != 0 for c in text)


def cut_to(text: str, columns: int) -> str:
    if width_of(text) <= columns:
        return text
    kept = text[: max(0, columns - 1)]
    while kept and width_of(kept) > columns - 1:
        kept = kept[:-1]
    return kept + "…"


def _size() -> tuple[int, int]:
    """Columns and rows."""
    try:
        size = os.get_terminal_size(2)
        return max(20, size.columns or 80), size.lines or 24
    except OSError:
        return 80, 24
