"""What a long evaluation does, shown while it runs: for how long, the file read last, how many files and derivations.

In: a session. Out: on a terminal the progress line, four times a second from the first second on; elsewhere a line now
and then; nothing while something is being built. A thread of its own looks; evaluation itself does nothing for it.
"""

from __future__ import annotations

import time

from frazil.activity import Verbosity
from frazil.cli.bar import BarReporter
from frazil.cli.display import readable
from frazil.cli.reporter import LineReporter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.cli.context import Context

FIRST_SECONDS = 1.0
LOOK_SECONDS = 0.25
LINE_SECONDS = 15.0
LONGEST_NAME = 60


def watch(context: Context, session: Any, closed: list[bool]) -> None:
    """Until something is in `closed`: does not return before where there is something to show."""
    from frazil.cli.evaluation import progress_bars

    reporter = context.reporter
    if isinstance(reporter, BarReporter):
        progress_bars.append(reporter)
    elif type(reporter) is not LineReporter or reporter.verbosity < Verbosity.INFO:
        return
    _look(reporter, session, closed)


def _look(reporter: LineReporter, session: Any, closed: list[bool]) -> None:
    from frazil.cli.evaluation import UNWATCHED_SECONDS, under_way

    last = time.monotonic()
    began: float | None = last - UNWATCHED_SECONDS
    said = 0.0
    while not closed:
        time.sleep(LOOK_SECONDS)
        step, last = time.monotonic() - last, time.monotonic()
        if not under_way:
            began = None
            continue
        began = began if began is not None else last
        if reporter.names:  # something is being built, and evaluation waits for it
            began += step
            continue
        if last - began < FIRST_SECONDS:
            continue
        if isinstance(reporter, BarReporter):
            reporter.evaluate(describe(session, last - began))
        elif last - began >= LINE_SECONDS and last - said >= LINE_SECONDS:
            said = last
            reporter.line(describe(session, last - began))


def describe(session: Any, seconds: float) -> str:
    """One line."""
    name, files = session.evaluator.positions.last_file()
    text = f"evaluating for {seconds:.0f} s"
    if files > 1:
        text += f", {files} files"
    instantiator = getattr(session.effects, "_instantiator", None)
    made = len(instantiator.made) if instantiator is not None else 0
    if made:
        text += f", {made} derivations"
    shown = readable(name)
    return f"{text}: {shown if len(shown) <= LONGEST_NAME else '…' + shown[1 - LONGEST_NAME :]}" if shown else text
