"""Where `repl` gets its lines: a terminal with editing, history, completion and colours, or a plain stream.

Lines that come through a pipe are repeated behind the prompt where _NIX_TEST_REPL_ECHO is 1, as Nix does.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from frazil.cli.repl import Repl

    class LineSource(Protocol):
        def read(self, *, continued: bool) -> str | None: ...


PROMPT = "nix-repl> "
CONTINUATION = "        > "


def open_lines(repl: Repl) -> LineSource:
    if sys.stdin.isatty() and sys.stdout.isatty():
        if os.environ.get("TERM", "dumb") not in {"", "dumb"}:
            try:
                from frazil.cli.repl_terminal import TerminalLines

                return TerminalLines(repl)
            except ImportError:
                pass  # without prompt_toolkit lines can still be typed
        return TypedLines(repl)
    return StreamLines(repl)


class StreamLines:
    """Standard input that is no terminal."""

    def __init__(self, repl: Repl) -> None:
        self.repl = repl
        self.echo = os.environ.get("_NIX_TEST_REPL_ECHO") == "1"

    def read(self, *, continued: bool) -> str | None:
        try:
            line = sys.stdin.buffer.readline()
        except OSError:  # a closed standard input has no lines
            return None
        if not line:
            return None
        text = os.fsdecode(line.removesuffix(b"\n"))
        if self.echo:
            self.repl.context.print((CONTINUATION if continued else PROMPT) + text)
            self.repl.context.flush()
        return text


class TypedLines:
    """A terminal that can do nothing but show lines."""

    def __init__(self, repl: Repl) -> None:
        self.repl = repl

    def read(self, *, continued: bool) -> str | None:
        try:
            return input(CONTINUATION if continued else PROMPT)
        except EOFError:
            return None
        except KeyboardInterrupt:
            self.repl.context.print()
            raise
