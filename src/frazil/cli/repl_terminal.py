"""Lines of `repl` from a terminal, by prompt_toolkit: multi-line editing, history, completion, highlighting."""

from __future__ import annotations

import os
import re

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.styles import Style

from frazil.cli.repl_completion import complete
from frazil.cli.repl_input import CONTINUATION, PROMPT
from frazil.errors import FrazilError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from frazil.cli.repl import Repl

STYLE = Style.from_dict(
    {
        "keyword": "bold",
        "string": "ansimagenta",
        "number": "ansicyan",
        "comment": "ansibrightblack",
        "path": "ansigreen",
        "builtin": "ansiblue",
        "command": "ansiyellow",
    }
)
_TOKENS = re.compile(
    r"""(?P<comment>\#.*|/\*(?:.|\n)*?(?:\*/|\Z))
    |(?P<string>"(?:\\.|[^"\\])*"?|''(?:''['$\\]|(?!'').|\n)*(?:''|\Z))
    |(?P<path><[\w.+/-]+>|(?:~|\.{1,2}|[\w.+-]+)?(?:/[\w.+-]+)+/?)
    |(?P<number>\b\d+(?:\.\d*)?(?:[eE][+-]?\d+)?\b)
    |(?P<keyword>\b(?:if|then|else|assert|with|let|in|rec|inherit|or)\b)
    |(?P<builtin>\b(?:builtins|true|false|null|import|map|throw|abort|toString|derivation)\b)
    |(?P<command>^\s*:[a-z?-]+)
    |(?P<name>[A-Za-z_][\w'-]*)""",
    re.VERBOSE,
)


class TerminalLines:
    """Reads what may be several lines at once: Enter adds one while the text is not complete."""

    def __init__(self, repl: Repl) -> None:
        self.session: PromptSession[str] = PromptSession(
            history=open_history(),
            completer=ReplCompleter(repl),
            complete_while_typing=False,
            enable_history_search=True,
            multiline=True,
            prompt_continuation=CONTINUATION,
            key_bindings=bindings(lambda text: is_complete(repl, text)),
            lexer=NixLexer() if repl.colours else None,
            style=STYLE,
        )
        # Terminals that do not say where the cursor is are served as well: no warning in the middle of a line.
        self.session.app.renderer.cpr_not_supported_callback = None

    def read(self, *, continued: bool) -> str | None:
        from frazil.activity import is_main_thread

        prompt = CONTINUATION if continued else PROMPT
        try:
            # A debugger's conversation is held where evaluation runs; signals are the main thread's.
            return self.session.prompt(prompt, handle_sigint=is_main_thread())
        except EOFError:
            return None


def open_history() -> History:
    """Kept in the user's data folder; where that cannot be written, for this session only."""
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    path = os.path.join(home, "frazil", "repl-history")
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
    except OSError:
        return InMemoryHistory()
    return FileHistory(path)


def is_complete(repl: Repl, text: str) -> bool:
    """Whether Enter should end the input. A wrong text is complete: its error is to be shown."""
    from frazil.cli.repl import Incomplete

    line = text.strip()
    if line.startswith(":"):
        line = line.partition(" ")[2].strip()
        if not line or text.split(None, 1)[0] in {":l", ":load", ":lf", ":load-flake", ":te", ":trace-enable"}:
            return True
    try:
        repl.parse(line)
    except Incomplete:
        return False
    except FrazilError:
        return not _is_open_definition(line)
    return True


def _is_open_definition(text: str) -> bool:
    """`x = {` and the like: the value still lacks an end."""
    balance = 0
    for match in re.finditer(r"""#.*|/\*(?:.|\n)*?\*/|"(?:\\.|[^"\\])*"|''(?:.|\n)*?''|[][(){}]""", text):
        if match[0] in "([{":
            balance += 1
        elif match[0] in ")]}":
            balance -= 1
    return balance > 0 or (bool(re.match(r"[A-Za-z_][\w'.-]*\s*=", text)) and text.rstrip().endswith("="))


def bindings(complete_text: Callable[[str], bool]) -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion is not None:
            buffer.complete_state = None
        elif not buffer.text.strip() or complete_text(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=True)

    @keys.add("escape", "enter")
    def next_line(event: KeyPressEvent) -> None:
        event.current_buffer.newline()

    return keys


class ReplCompleter(Completer):
    """Completes behind Tab only: what stands before a dot is evaluated."""

    def __init__(self, repl: Repl) -> None:
        self.repl = repl

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        for text, replaced in complete(self.repl, document.text_before_cursor):
            yield Completion(text, -replaced, display=text.rpartition(".")[2] or text)


class NixLexer(Lexer):
    """Colours the language. Strings and comments may go over lines."""

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        lines = highlight(document.text)

        def line(number: int) -> StyleAndTextTuples:
            return lines[number] if number < len(lines) else []

        return line


def highlight(text: str) -> list[StyleAndTextTuples]:
    """The text with styles, by line."""
    lines: list[StyleAndTextTuples] = [[]]

    def add(style: str, piece: str) -> None:
        for index, part in enumerate(piece.split("\n")):
            if index:
                lines.append([])
            if part:
                lines[-1].append((style, part))

    at = 0
    for match in _TOKENS.finditer(text):
        add("", text[at : match.start()])
        kind = match.lastgroup or ""
        add("" if kind == "name" else f"class:{kind}", match[0])
        at = match.end()
    add("", text[at:])
    return lines
