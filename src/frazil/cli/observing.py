"""What the user sees of a watched evaluation: statistics and profiles at its end, the debugger in between.

Source: the manual's `env-common.md` (NIX_SHOW_STATS, NIX_SHOW_STATS_PATH, NIX_COUNT_CALLS), `conf-file.md`, and the
page of `nix repl` for the debugger's commands.
"""

from __future__ import annotations

import json
import os

from frazil.activity import Verbosity
from frazil.cli.context import Context
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.instantiate.session import Session
    from frazil.lang.observation import Observer

PROFILERS = ("disabled", "flamegraph")


def observe(context: Context, session: Session) -> None:
    """Raises UsageError for an unknown kind of profile."""
    kind = session.settings.eval_profiler
    if kind not in PROFILERS:
        raise UsageError(f"option 'eval-profiler' has invalid value '{kind}'")
    observer = session.evaluator.observer
    context.at_close(lambda: end(context, observer))
    if observer.debugger is not None:
        from frazil.cli.debugger import Conversation

        observer.debugger.converse = Conversation(context, session).converse


def end(context: Context, observer: Observer) -> None:
    try:
        observer.close()
        if observer.counting:
            write_statistics(context, observer)
    except OSError as error:
        context.reporter.log(Verbosity.ERROR, f"error: {error.strerror}: '{error.filename}'")
    except FrazilError as error:
        context.reporter.log(Verbosity.ERROR, f"error: {error.message}")


def write_statistics(context: Context, observer: Observer) -> None:
    text = json.dumps(observer.statistics(), indent=2, sort_keys=True) + "\n"
    path = os.environ.get("NIX_SHOW_STATS_PATH", "-")
    if path == "-":
        from frazil.cli.reporter import write_stderr

        context.flush()
        write_stderr(text)
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
