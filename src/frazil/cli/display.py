"""How errors look: Nix's layout (message, position with source lines, trace frames) plus `hint:`. Sizes for people.

Errors in, text out. Colours are added only when asked for. Source: `nix --show-trace`'s output; the manual has no page.
"""

from __future__ import annotations

import os

from frazil.errors import FrazilBug, FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.errors import TraceFrame
    from frazil.position import Position

RED, WARNING, BLUE, GREEN, FAINT, NORMAL = (
    "\x1b[31;1m",
    "\x1b[35;1m",
    "\x1b[34;1m",
    "\x1b[32;1m",
    "\x1b[2m",
    "\x1b[0m",
)
FRAMES_WITHOUT_SHOW_TRACE = 3
TRUNCATED = "(stack trace truncated; use '--show-trace' to show the full, detailed trace)"


class Palette:
    """Escape sequences, or nothing."""

    __slots__ = ("blue", "faint", "green", "normal", "red", "warning")

    def __init__(self, colours: bool) -> None:
        self.red, self.warning, self.blue, self.green, self.faint, self.normal = (
            (RED, WARNING, BLUE, GREEN, FAINT, NORMAL) if colours else ("",) * 6
        )


def show_error(
    error: FrazilError, *, show_trace: bool = False, colours: bool = False, level: str = "error", hints: bool = True
) -> str:
    """The whole text, without a final newline. `hints`: whether those are shown, which Nix has not."""
    palette = Palette(colours)
    prefix = f"{palette.red}{level}:{palette.normal} "
    lines: list[str] = []
    frames = [frame for frame in error.trace if frame.text]
    if frames:
        lines += _show_frames(frames, show_trace, palette)
        lines += ["", prefix + readable(error.message)]
    else:
        lines.append(readable(error.message))
    if error.position is not None:
        lines += show_position(error.position, "", palette)
    suggestions = getattr(error, "suggestions", None)
    if suggestions:
        lines.append(show_suggestions([readable(s) for s in suggestions]))
    text = terminal_text(_indent("\n".join(lines), prefix), colours)
    if error.hint and hints:
        text += f"\n\n       {palette.green}hint:{palette.normal} " + readable(error.hint).replace(
            "\n", "\n             "
        )
    return text


def show_suggestions(words: list[str]) -> str:
    if len(words) == 1:
        return f"Did you mean {words[0]}?"
    return f"Did you mean one of {', '.join(words[:-1])} or {words[-1]}?"


def _show_frames(frames: list[TraceFrame], show_trace: bool, palette: Palette) -> list[str]:
    lines: list[str] = []
    seen: set[tuple[str, str]] = set()
    skipped: list[TraceFrame] = []
    count = 0
    truncated = False
    for frame in frames:
        truncated = truncated or (not show_trace and count > FRAMES_WITHOUT_SHOW_TRACE)
        if truncated and not _always_shown(frame):
            continue
        key = (frame.text, str(frame.position))
        if key in seen:
            skipped.append(frame)
            continue
        seen.add(key)
        shown, counted = _show_skipped(skipped, palette)
        lines, count = lines + shown, count + counted
        skipped = []
        lines += _show_frame(frame, palette)
        count += 2 if frame.position is not None else 1
    lines += _show_skipped(skipped, palette)[0]
    if truncated:
        lines += ["", palette.warning + TRUNCATED + palette.normal]
    return lines


def _always_shown(frame: TraceFrame) -> bool:
    """The chain of derivations that led to an error is never cut short."""
    return frame.always or (
        frame.text.startswith("while evaluating derivation '") and "whose name attribute is located" in frame.text
    )


def _show_skipped(skipped: list[TraceFrame], palette: Palette) -> tuple[list[str], int]:
    if not skipped:
        return [], 0
    if len(skipped) > 5:
        return ["", f"{palette.warning}({len(skipped)} duplicate frames omitted){palette.normal}"], 0
    return [line for frame in skipped for line in _show_frame(frame, palette)], len(skipped)


def _show_frame(frame: TraceFrame, palette: Palette) -> list[str]:
    lines = ["", "… " + readable(frame.text)]
    if frame.position is not None:
        lines += show_position(frame.position, "  ", palette)
    return lines


def show_position(position: Position, indent: str, palette: Palette) -> list[str]:
    place = readable(f"{position.file}:{position.line}:{position.column}")
    lines = [f"{indent}{palette.blue}at {palette.warning}{place}{palette.normal}:"]
    if position.source_line is None:
        return lines
    if position.previous_line is not None and position.line > 1:
        lines.append(f" {position.line - 1:5}| {readable(position.previous_line)}")
    lines.append(f" {position.line:5}| {readable(position.source_line)}")
    if position.column > 0:
        lines.append(f"      |{' ' * position.column}{palette.red}^{palette.normal}")
    if position.next_line is not None:
        lines.append(f" {position.line + 1:5}| {readable(position.next_line)}")
    return lines


def _indent(text: str, prefix: str) -> str:
    width = " " * 7
    lines = text.rstrip().split("\n")
    shown = "\n".join(((prefix if i == 0 else width) + line).rstrip() for i, line in enumerate(lines))
    return f"{shown}\n{width}" if text.endswith("\n") else shown


def clean(text: str) -> str:
    """What was no UTF-8 becomes replacement characters."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def readable(text: str) -> str:
    """Text for standard error: for a terminal one that any takes; elsewhere what was no UTF-8 stays as it was."""
    return text if text.isascii() or not os.isatty(2) else clean(text)


# A control sequence, an operating system command, or another escape sequence of two characters.
_ESCAPE = r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|\][^\x1b\x07]*(?:\x1b\\?|\x07)?|[@-_]?)"


def terminal_text(text: str, colours: bool) -> str:
    """Without escape sequences other than colours (those only where wanted), bells and carriage returns; tabulators
    become spaces up to the next multiple of eight."""
    if text.isprintable() or not any(c in text for c in "\x1b\t\r\a"):
        return text
    import re

    out: list[str] = []
    width = 0
    for piece in re.split(rf"({_ESCAPE}|[\t\r\a])", text):
        if piece.startswith("\x1b"):
            if colours and piece.endswith("m"):
                out.append(piece)
        elif piece == "\t":
            spaces = 8 - width % 8
            out.append(" " * spaces)
            width += spaces
        elif piece not in ("\r", "\a"):
            out.append(piece)
            width += len(piece) - piece.count("\n")
    return "".join(out)


def help_notice(error: FrazilError, program: str) -> str:
    return f"\nTry '{program} --help' for more information." if isinstance(error, UsageError) else ""


def show_bug(error: BaseException, *, trace: bool) -> str:
    """An unexpected exception: one paragraph, and the Python traceback only where asked for."""
    kind = type(error).__name__
    message = error.message if isinstance(error, FrazilBug) else f"{kind}: {error}"
    text = f"frazil bug: {message}\n\nThis is a mistake in frazil, not in what you gave it. Please report it"
    if not trace:
        return text + ";\nrun the same again with --debug (or FRAZIL_DEBUG=1) to see where it happened."
    import traceback

    return text + " together with this:\n\n" + "".join(traceback.format_exception(error))


def plain_text(text: str) -> str:
    """What files from elsewhere say may not steer a terminal."""
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def decimal_size(count: int) -> str:
    """Bytes, as people read them."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
