"""Errors of the evaluator: what `throw`, `abort`, `assert` and every wrong expression raise.

Messages are built from byte strings (one character a byte, as every string of the language here); `message` is the
decoded text for display. Positions are small integers of the evaluator's position table until somebody asks for
them, so that an error which `tryEval` swallows costs little. Source of truth for classes and wording: Nix's
`eval-error.hh` and the sites that raise them.

Builtins raise without a position: whoever called one adds the line "while calling the '…' builtin" with the place of
the call. `pos=CALL_SITE` means the same.
"""

from __future__ import annotations

from frazil.errors import FrazilError, TraceFrame
from frazil.position import Position

CALL_SITE = -1
"""A position meaning "where the running builtin was called from"."""
# Below CALL_SITE: what has no place in Nix, a literal, and is at -1 - pos. Told only where there is nothing better.

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    class Positions(Protocol):
        def position(self, pos: int) -> Position | None: ...


def display(text: str) -> str:
    """The text to show for a byte string (or for ordinary text, unchanged)."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return text


INTERNAL_FILES = "/__corepkgs__"
"""Where `<nix/…>` is found; nobody sees it by that name."""


def shown_path(text: str) -> str:
    """A path as messages and printed values call it; a byte string."""
    if text.startswith(INTERNAL_FILES) and text[len(INTERNAL_FILES) :][:1] in ("", "/"):
        return f"<nix{text[len(INTERNAL_FILES) :] or '/'}>"
    return text


def byte_string(text: str) -> str:
    """Ordinary text as a byte string of the language: one character for each byte of its UTF-8 form."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def warning_text(message: str, position: Position | None) -> str:
    """A warning with its place and the lines around it, as errors show theirs; a byte string."""
    if position is None:
        return f"warning: {message}"
    lines = [f"at {position}:"]
    if position.source_line is not None:
        if position.previous_line is not None:
            lines.append(f" {position.line - 1:5}| {position.previous_line}")
        lines.append(f" {position.line:5}| {position.source_line}")
        lines.append(f"      |{' ' * position.column}^")
        if position.next_line is not None:
            lines.append(f" {position.line + 1:5}| {position.next_line}")
    margin = " " * len("warning: ")
    return f"warning: {message}\n" + "\n".join((margin + byte_string(line)).rstrip() for line in lines)


class AlwaysShown(str):
    """The text of a trace line that is shown even without `--show-trace`."""

    __slots__ = ()


class EvalBaseError(FrazilError):
    """Everything that evaluation raises.

    `frames` holds what `add_trace` collected, innermost first: (pos, text). `positions` is set by the evaluator.
    `document`: the text that was being read, if not an expression (a byte string). `asked`: gives the places of the
    attributes that lead to what was asked for, outermost first.
    """

    document: str | None = None
    asked: Callable[[], list[Position]] | None = None

    def __init__(
        self,
        message: str,
        *,
        pos: int = 0,
        positions: Positions | None = None,
        position: Position | None = None,
        trace: Sequence[TraceFrame] = (),
        hint: str | None = None,
        suggestions: Sequence[str] = (),
        exit_status: int | None = None,
    ) -> None:
        self.raw_message = message
        self.pos = pos
        self.positions = positions
        self.frames: list[tuple[int, str | Callable[[], str], Position | None]] = []
        self.suggestions = list(suggestions)
        self._position = position
        self._outer_trace = list(trace)
        self.hint = hint
        Exception.__init__(self, message)
        if exit_status is not None:
            self.exit_status = exit_status

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process: as it would be shown, without what it was raised in."""
        known = (self.raw_message, self.position, self.hint, self.suggestions, getattr(self, "__notes__", []))
        return _from_other_process, (type(self), *known)

    @property
    def message(self) -> str:  # type: ignore[override]
        return display(self.raw_message)

    @property
    def position(self) -> Position | None:  # type: ignore[override]
        if self._position is None and self.pos > 0 and self.positions is not None:
            self._position = self.positions.position(self.pos)
        return self._position

    @property
    def quiet_position(self) -> Position | None:
        """Where an error is that has no place in Nix's own messages, since what is wrong there is a literal."""
        pos = next((pos for pos in (self.pos, *(frame[0] for frame in self.frames)) if pos != 0), 0)
        if pos >= CALL_SITE or self.positions is None:
            return None
        return self.positions.position(-1 - pos)

    def settle_position(self, position: Position | None) -> None:
        """For an error without a place of its own: the nearest that is known."""
        if self._position is None:
            self._position = position

    @property
    def trace(self) -> list[TraceFrame]:  # type: ignore[override]
        """Outermost first."""
        shown = []
        # Endless recursion leaves a million steps, of which few differ.
        same: dict[tuple[int, str, bool, Position | None], TraceFrame] = {}
        for pos, text, known in reversed(self.frames):
            always = isinstance(text, AlwaysShown)
            words = text if isinstance(text, str) else text()
            key = pos, words, always, known
            frame = same.get(key)
            if frame is None:
                position = known
                if position is None and pos > 0 and self.positions is not None:
                    position = self.positions.position(pos)
                frame = same[key] = TraceFrame(display(words), position, always)
            shown.append(frame)
        return [*self._outer_trace, *shown]

    def add_trace(self, pos: int, text: str | Callable[[], str], position: Position | None = None) -> None:
        """Note one step outwards: what was being done at `pos` (0: nowhere) when this happened."""
        self.frames.append((pos, text, position))

    def settle_call_site(self, pos: int) -> None:
        """Forget CALL_SITE: the line "while calling the '…' builtin", which has `pos`, says it already."""
        if self.pos == CALL_SITE:
            self.pos = 0
        frames = self.frames
        for index in range(len(frames) - 1, -1, -1):
            if frames[index][0] != CALL_SITE:
                break
            frames[index] = (0, frames[index][1], frames[index][2])

    def suggestion_text(self) -> str:
        """`Did you mean …?`, or nothing."""
        names = [display(n) for n in self.suggestions]
        if not names:
            return ""
        if len(names) == 1:
            return f"Did you mean {names[0]}?"
        return f"Did you mean one of {', '.join(names[:-1])} or {names[-1]}?"


def _from_other_process(
    kind: type[EvalBaseError],
    message: str,
    position: Position | None,
    hint: str | None,
    suggestions: Sequence[str],
    notes: Sequence[str],
) -> EvalBaseError:
    error = kind.__new__(kind)
    EvalBaseError.__init__(error, message, position=position, hint=hint, suggestions=suggestions)
    for note in notes:
        error.add_note(note)
    return error


class EvalError(EvalBaseError):
    """Nix's EvalError: almost everything."""


def note_step(error: FrazilError, positions: Positions, pos: int, text: str | Callable[[], str]) -> None:
    """Note one step outwards in an error of another room, as of the store, that goes through evaluation."""
    words = text if isinstance(text, str) else text()
    position = positions.position(pos) if pos > 0 else None
    error.trace.insert(0, TraceFrame(display(words), position, isinstance(text, AlwaysShown)))


def as_eval_error(error: FrazilError, pos: int = 0, kind: type[EvalBaseError] = EvalError) -> EvalBaseError:
    """An error of another room as one of the language: its trace is the innermost part of what is still to come."""
    found = kind(
        byte_string(error.message), pos=pos, position=error.position, hint=error.hint, exit_status=error.exit_status
    )
    for frame in reversed(error.trace):
        found.add_trace(
            0, AlwaysShown(byte_string(frame.text)) if frame.always else byte_string(frame.text), frame.position
        )
    return found


class AssertionFailed(EvalError):
    """A failed `assert`; with its subclass the only thing `tryEval` catches."""


class ThrownError(AssertionFailed):
    """`throw`."""


class AbortError(EvalError):
    """`abort`."""


class TypeMismatch(EvalError):
    """A value of the wrong type."""


class UndefinedVariable(EvalError):
    """A name that no scope defines. `near`: names in scope that may have been meant."""

    near: Sequence[str] = ()


class MissingArgument(EvalError):
    """A function with formals called without one."""


class CallMismatch(TypeMismatch):
    """A function with formals called with other arguments than it takes; `formals`: as they are written, shortened."""

    formals = ""


class MissingAttribute(EvalError):
    """An attribute that a set lacks, with suggestions. `available`: the names it has."""

    available: Sequence[str] = ()


class InfiniteRecursion(EvalError):
    """A value that needs itself. `cycle`: positions of the values that need each other, innermost first."""

    def __init__(self, message: str, *, pos: int = 0, positions: Positions | None = None) -> None:
        super().__init__(message, pos=pos, positions=positions)
        self.thunk: object = None
        self.cycle: list[int] = []

    @property
    def steps(self) -> list[Position]:
        """Places of the cycle, each once, in the order they need each other."""
        if self.positions is None:
            return []
        found = [self.positions.position(pos) for pos in dict.fromkeys(reversed(self.cycle)) if pos > 0]
        return [place for place in found if place is not None]


class InvalidStorePath(EvalError):
    """A store path that is not valid."""


class StackOverflow(EvalBaseError):
    """Too many nested calls; not catchable."""


class Interrupted(KeyboardInterrupt):
    """`Evaluator.interrupt` was called. No value is spoilt: evaluating again starts where it was left."""

    def __str__(self) -> str:
        return "evaluation was interrupted"

    def _render_traceback_(self) -> list[str]:
        """What notebooks show: not what was running inside."""
        return [f"KeyboardInterrupt: {self}"]


class ImportFromDerivationError(EvalBaseError):
    """Import from derivation, where it is switched off."""


class RestrictedPath(EvalError):
    """Access that pure or restricted evaluation forbids."""


class ParseError(EvalBaseError):
    """The text is not an expression; `pos` says where."""
