"""The root of all errors that a user may see. Leaf: imported by every room.

Each room derives one family from `FrazilError`. Only `cli` prints them.
"""

from __future__ import annotations

from frazil.position import Position
from frazil.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class TraceFrame(Record):
    """One step of how an error was reached, innermost last: "while evaluating the attribute 'x'".

    `always`: shown even where the trace is cut short.
    """

    text: str
    position: Position | None = None
    always: bool = False


class FrazilError(Exception):
    """Something wrong that is not a bug of ours.

    `message`: one sentence, no trailing full stop, may span lines. `hint`: what to do, shown after `hint:`.
    `exit_status`: what the process ends with.
    """

    exit_status = 1

    def __init__(
        self,
        message: str,
        *,
        position: Position | None = None,
        trace: Sequence[TraceFrame] = (),
        hint: str | None = None,
        exit_status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.trace = list(trace)
        self.hint = hint
        if exit_status is not None:
            self.exit_status = exit_status

    def __str__(self) -> str:
        return self.message

    def _render_traceback_(self) -> list[str]:
        """What notebooks show: the screen that the command line would show, where there is one."""
        notes = getattr(self, "__notes__", None)
        return str(notes[0]).split("\n") if notes else [f"error: {self.message}"]


class UsageError(FrazilError):
    """The command line, an environment variable or a configuration file is wrong.

    `suggestions`: words that may have been meant, best first.
    """

    suggestions: Sequence[str] = ()


class Signalled(KeyboardInterrupt):
    """A signal asks the process to end. `number`: which one.

    `received` remembers it for where an interruption is not passed on as it came.
    """

    received: int | None = None

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class FrazilBug(FrazilError):
    """A broken invariant of frazil itself; shown with a request to report it."""


def edit_distance(first: str, second: str, most: int) -> int:
    """Levenshtein's, and `most + 1` for whatever is more: the effort grows with length times `most`."""
    if abs(len(first) - len(second)) > most:
        return most + 1
    row = list(range(most + 1)) + [most + 1] * (len(second) + 1)
    for i, a in enumerate(first, 1):
        low, high = max(1, i - most), min(len(second), i + most)
        previous = row[low - 1]
        row[low - 1] = i if low == 1 else most + 1
        for j in range(low, high + 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != second[j - 1]), most + 1)
        if min(row[low - 1 : high + 1]) > most:
            return most + 1
    return row[len(second)]
