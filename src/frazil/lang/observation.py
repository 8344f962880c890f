"""Watching an evaluation: every call printed, sampled or counted, and stops for a debugger.

`Observer` is the evaluator's `observer` where a setting asks for one, else there is none and nothing of this is
imported: `observed` puts nodes that report to it between the ordinary ones while names are resolved. Source of truth:
Nix's `eval-profiler.cc`, `function-trace.cc`, the debugger's part of `eval.cc`, the manual's `conf-file.md`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from frazil.lang.errors import EvalBaseError, EvalError, byte_string, display
from frazil.lang.values import Attrs, Lambda, Primop, PrimopApplication

FLUSH_INTERVAL = 2_000_000_000  # nanoseconds between two writes of the profile
NOWHERE = byte_string("«none»:0")


class Frame:
    """One step on the way to where evaluation is. `names`: (scope, environment), for `observed.levels`."""

    __slots__ = ("is_error", "names", "pos", "text")

    def __init__(self, text: str | Callable[[], str], pos: int, names: Any, is_error: bool = False) -> None:
        self.text = text
        self.pos = pos
        self.names = names
        self.is_error = is_error

    @property
    def message(self) -> str:
        """Decoded for display."""
        return display(self.text if isinstance(self.text, str) else self.text())


class Observer:
    """What is watched, and what was seen. All texts are byte strings."""

    def __init__(self, evaluator: Any, settings: Any) -> None:
        self.evaluator = evaluator
        self.tracing = settings.trace_function_calls
        self.counting = settings.show_stats
        self.counting_calls = settings.show_stats and settings.count_calls
        self.debugger = Debugger(evaluator, settings) if settings.debugger else None
        self.profile = None
        if settings.eval_profiler == "flamegraph":
            self.profile = Profile(evaluator, settings.eval_profile_file, settings.eval_profiler_frequency)
        self.announced = False
        """The call about to happen was reported already, by who makes it."""
        self.watches_calls = self.tracing or self.profile is not None
        self.function_calls: dict[Any, int] = {}
        self.primop_calls: dict[str, int] = {}
        self.attribute_selections: dict[int, int] = {}
        self.lookups = 0
        self.environments = 0
        self.environment_slots = 0
        self.thunks = 0
        self.avoided = 0
        self.expressions = 0
        self.sets = self.set_elements = self.updates = self.updated_values = 0
        self.list_elements = self.concats = 0

    # -- calls, in pairs ---------------------------------------------------------------------------------------

    def enter(self, function: Any, arguments: list[Any], pos: int) -> None:
        """A call begins. `function`: a value, the expression of a function, or None where it is not known yet."""
        if self.tracing:
            self._say("entered", pos)
        if self.profile is not None:
            self.profile.enter(function, arguments, pos)

    def leave(self, pos: int) -> None:
        if self.profile is not None:
            self.profile.leave()
        if self.tracing:
            self._say("exited", pos)

    def _say(self, what: str, pos: int) -> None:
        place = self.evaluator.positions.show(pos) if pos > 0 else NOWHERE
        self.evaluator.effects.trace(f"function-trace {what} {place} at {time.time_ns()}")

    # -- counts ------------------------------------------------------------------------------------------------

    def count_function(self, expr: Any, slots: int) -> None:
        self.function_calls[expr] = self.function_calls.get(expr, 0) + 1
        self.environments += 1
        self.environment_slots += slots

    def count_value(self, kind: str, value: Any) -> None:
        """`kind`: "literal", "update" or "concatenation"."""
        if type(value) is list:
            self.list_elements += len(value)
            self.concats += kind == "concatenation"
            return
        size = value.size()
        self.sets += 1
        self.set_elements += size
        if kind == "update":
            self.updates += 1
            self.updated_values += size

    def count_selection(self, pos: int) -> None:
        self.attribute_selections[pos] = self.attribute_selections.get(pos, 0) + 1

    def watched_primop(self, name: str, function: Callable[[Any, list[Any]], Any]) -> Callable[[Any, list[Any]], Any]:
        """A builtin that is counted, and reported where its caller did not."""
        if not (self.watches_calls or self.counting):
            return function

        def watched(state: Any, arguments: list[Any]) -> Any:
            if self.counting:
                self.primop_calls[name] = self.primop_calls.get(name, 0) + 1
            if self.announced or not self.watches_calls:
                self.announced = False
                return function(state, arguments)
            self.enter(state.registered_primop(name), arguments, 0)
            try:
                return function(state, arguments)
            finally:
                self.leave(0)

        return watched

    def close(self) -> None:
        """The end of evaluation: writes what is left of the profile."""
        if self.profile is not None:
            self.profile.close()

    def statistics(self) -> dict[str, Any]:
        """What NIX_SHOW_STATS shows."""
        from frazil.lang.statistics import statistics

        return statistics(self)


class Profile:
    """Stacks of calls, sampled; written as folded stacks (`a;b;c COUNT`), as flame graphs are made of.

    `frequency`: samples a second, 0 for one at every call.
    """

    def __init__(self, evaluator: Any, path: str, frequency: int) -> None:
        self.evaluator = evaluator
        self.path = path
        self.period = 1_000_000_000 // frequency if frequency > 0 else 0
        self.stack: list[tuple[Any, ...]] = []
        self.counts: dict[tuple[tuple[Any, ...], ...], int] = {}
        try:
            self.file = open(path, "wb", buffering=0)
        except OSError as error:
            raise EvalError(f'opening file "{byte_string(path)}": {error.strerror}') from error
        self.sampled = self.written = time.monotonic_ns()

    def enter(self, function: Any, arguments: list[Any], pos: int) -> None:
        self.stack.append(self._frame(function, arguments, pos))
        now = time.monotonic_ns()
        if now - self.sampled > self.period:
            stack = tuple(self.stack)
            self.counts[stack] = self.counts.get(stack, 0) + 1
            self.sampled = now
        if now - self.written >= FLUSH_INTERVAL:
            self.write()
            self.written = time.monotonic_ns()

    def leave(self) -> None:
        if self.stack:
            self.stack.pop()

    def _frame(self, function: Any, arguments: list[Any], pos: int) -> tuple[Any, ...]:
        kind = type(function)
        if kind is Lambda:
            return ("lambda", function.expr, pos)
        if kind is Primop and function.name == "derivationStrict" and arguments:
            name = self._derivation_name(arguments[0])
            if name is not None:
                return ("derivation", name, pos)
        if kind is Primop:
            return ("primop", function.name, pos)
        if kind is PrimopApplication:
            return ("primop", function.primop.name, pos)
        if kind is Attrs and function.has("__functor"):
            return ("functor", None, pos or function.position("__functor"))
        return ("other", None, pos) if function is None or kind in PLAIN or kind is Attrs else ("lambda", function, pos)

    def _derivation_name(self, argument: Any) -> str | None:
        """Its errors are the evaluator's to report, a moment later."""
        from frazil.lang.runtime import force, force_attrs, force_string_no_context
        from frazil.lang.values import MISSING

        try:
            value = force_attrs(force(argument), "").lookup("name")
            return None if value is MISSING else force_string_no_context(value, "")
        except EvalBaseError:
            return None

    def _show(self, frame: tuple[Any, ...]) -> str:
        kind, what, pos = frame
        show = self.evaluator.positions.show
        place = show(pos) if pos > 0 else ""
        if kind == "lambda":
            return (place or show(what.pos)) + (f":{what.name}" if what.name is not None else "")
        if kind == "functor":
            return (place or NOWHERE) + ":functor"
        if kind == "other":
            return place or NOWHERE
        name = f"primop derivationStrict:{what}" if kind == "derivation" else f"primop {what}"
        return f"{place}:{name}" if place else name

    def write(self) -> None:
        """Appends what was sampled since the last time."""
        lines = [";".join([self._show(f) for f in stack]) + f" {count}\n" for stack, count in self.counts.items()]
        self.counts.clear()
        data = memoryview("".join(lines).encode("latin-1"))
        while data:
            data = data[self.file.write(data) :]

    def close(self) -> None:
        if not self.file.closed:
            try:
                self.write()
            finally:
                self.file.close()


PLAIN = frozenset({type(None), bool, int, float, str, list})


class Debugger:
    """Stops at errors and at `builtins.break`; `converse` is what to do then, set by who talks to the user.

    `converse(debugger, error, notice)` returns to go on (`stepping` says how far), or raises. `error` is what was
    raised, `notice` what else is the reason; none where a single step ended.
    """

    def __init__(self, evaluator: Any, settings: Any) -> None:
        self.evaluator = evaluator
        self.ignore_try = settings.ignore_try
        self.on_trace = settings.debugger_on_trace
        self.on_warn = settings.debugger_on_warn or settings.debugger_on_trace
        self.frames: list[Frame] = []
        """The innermost last."""
        self.stepping = False
        self.try_level = 0
        self.inside = False
        self.converse: Callable[[Debugger, EvalBaseError | None, str], None] | None = None

    @property
    def quiet(self) -> bool:
        return self.inside or self.converse is None or (self.ignore_try and self.try_level > 0)

    @contextmanager
    def within(self, frame: Frame) -> Iterator[None]:
        """One step deeper: stops there when stepping, and at an error on its way out."""
        self.frames.append(frame)
        try:
            if self.stepping:
                self.stop(None)
            yield
        except EvalBaseError as error:
            self.failed(error)
            raise
        finally:
            self.frames.pop()

    def failed(self, error: EvalBaseError, names: Any = None) -> None:
        """An error on its way out; only where it is seen first, the debugger stops. `names`: those in scope if that is
        outside of all steps."""
        if getattr(error, "debugged", False):
            return
        error.debugged = True  # type: ignore[attr-defined]
        if error.positions is None:
            error.positions = self.evaluator.positions
        self.stop(error, names=names)

    def stop(self, error: EvalBaseError | None, notice: str = "", names: Any = None) -> None:
        if self.quiet or not (self.frames or names is not None):
            return
        count = len(self.frames)
        if error is not None:
            last = self.frames[count - 1] if count else Frame("", 0, names, False)
            pos = error.pos if error.pos > 0 else last.pos
            self.frames.append(Frame(error.raw_message, pos, last.names, True))
        elif notice:
            self.frames.append(Frame(notice, 0, self.frames[count - 1].names, True))
        depth = self.evaluator.call_depth
        self.inside = True
        try:
            assert self.converse is not None
            self.converse(self, error, notice)
        finally:
            self.inside = False
            self.evaluator.call_depth = depth
            del self.frames[count:]

    def breakpoint(self) -> None:
        """`builtins.break`."""
        self.stop(None, "breakpoint reached")
