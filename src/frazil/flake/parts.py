"""Parts of what a command finds out about a whole flake, each remembered for itself.

In: what decides a part (its attribute path, what the command wants of it), and a function that evaluates it. Out: its
answer, as plain data: of an earlier run, where all that it rests on is as it was, else evaluated now. So an edit of one
package evaluates that again, and what read it; what leads to the parts (which outputs, systems and names there are) is
evaluated each time. A part in which the evaluation itself says something (`trace`, `warn`) is evaluated each time, too,
so that it is said as often as without the cache.
"""

from __future__ import annotations

from frazil.lang.values import take_marks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Any

    from frazil.flake.memory import FlakeMemory

    Answer = Mapping[str, Any]


class Parts:
    """A context manager: at its end, and after an error, too, what was found is written."""

    def __init__(self, memory: FlakeMemory, common: Mapping[str, Any]) -> None:
        """`common`: what decides all parts."""
        self.memory, self.common = memory, dict(common)
        self._trunk = 0
        """What was read outside of parts, on the way to them: all of them rest on it."""
        self.again: Callable[[str], None] = memory.say_again
        """Is told which part is evaluated again, and why."""

    def __enter__(self) -> Parts:
        self.memory.trees.effects.mark_reads()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.memory.flush()

    def known(self, detail: Mapping[str, Any], is_good: Callable[[Answer], bool]) -> Answer | None:
        """From an earlier run. What it rests on counts for this run's report."""
        return self.memory.ask_part({**self.common, **detail}, is_good, self.again)

    def say_again(self, texts: Iterable[str]) -> None:
        """What a worker would have said."""
        for text in texts:
            self.again(text)

    def before_fork(self) -> None:
        """Connections must not be shared with workers."""
        self.memory.cache.database.close()

    def enter_worker(self) -> None:
        """In a worker: what is found here is written here, by `flush`. Others' answers are not looked for: whoever
        fetches them is the parent's."""
        self.memory.cache.lender = lambda: None

    def flush(self) -> None:
        self.memory.flush()

    def evaluate(self, detail: Mapping[str, Any], compute: Callable[[], Answer | None]) -> Answer | None:
        """`compute` gives None for what is not to be remembered."""
        self._trunk |= take_marks()
        own = 0
        try:
            answer = compute()
        finally:
            own = take_marks()
        if answer is not None and not self.memory.recorder.has_messages(own):
            self.memory.keep_part({**self.common, **detail}, answer, self._trunk | own)
        return answer
