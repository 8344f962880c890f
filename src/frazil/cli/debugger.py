"""The debugger: a conversation where evaluation stopped, with the commands of `repl` and some of its own.

In: `lang.observation.Debugger`, which stops; out: evaluation goes on, or ends. Names are those in scope at the chosen
step. Source: `nix eval --debugger`, the debugger's part of Nix's `repl.cc`.
"""

from __future__ import annotations

import os

from frazil.cli.context import Context, Left
from frazil.cli.evaluation import byte_string
from frazil.cli.options import Arguments
from frazil.cli.repl import HELP, Repl
from frazil.lang.observed import bindings, levels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.instantiate.session import Session
    from frazil.lang.errors import EvalBaseError
    from frazil.lang.observation import Debugger, Frame

DEBUG_HELP = """
        Debug mode commands
  :env             Show env stack
  :bt, :backtrace  Show trace stack
  :st              Show current trace
  :st <idx>        Change to another trace in the stack
  :c, :continue    Go until end of program, exception, or builtins.break
  :s, :step        Go one step
"""


conversing: list[DebugRepl] = []
"""Where evaluation stopped, the innermost last."""


def interrupt() -> bool:
    """What is being evaluated for a conversation ends. False where there is none."""
    if not conversing:
        return False
    conversing[-1].evaluator.interrupt()
    return True


class Conversation:
    """One for a whole evaluation: it greets once."""

    def __init__(self, context: Context, session: Session) -> None:
        self.context = context
        self.session = session
        self.greeted = False

    def converse(self, debugger: Debugger, error: EvalBaseError | None, notice: str) -> None:
        self.context.flush()
        if error is not None:
            self.say(self.text_of(error) + "\n")
            if debugger.try_level > 0:
                self.say("This exception occurred in a 'tryEval' call. Use --ignore-try to skip these.\n")
        elif notice:
            self.say(f"info: {notice}\n")
        repl = DebugRepl(self, debugger)
        conversing.append(repl)
        try:
            repl.run()
        finally:
            conversing.pop()
        if repl.going_on:
            return
        debugger.stepping = False
        debugger.converse = None
        if error is None:
            raise Left

    def text_of(self, error: EvalBaseError) -> str:
        from frazil.cli.display import show_error
        from frazil.lang.values import copy_error

        # How it was reached is for the commands to say.
        bare = copy_error(error)
        bare.frames = []
        return show_error(bare, show_trace=False, colours=self.context.colours)

    def say(self, text: str) -> None:
        from frazil.cli.reporter import write_stderr

        write_stderr(text + "\n")


class DebugRepl(Repl):
    """`going_on`: whether the user wants evaluation to continue."""

    def __init__(self, conversation: Conversation, debugger: Debugger) -> None:
        # Not `Repl.__init__`: the session is there, and in the middle of an evaluation.
        self.conversation = conversation
        self.context = conversation.context
        self.session = conversation.session
        self.evaluator = self.session.evaluator
        self.arguments = Arguments(self.context.program)
        self.debugger = debugger
        self.scope = {}
        self.loaded_files = []
        self.loaded_flakes = []
        self.last_loaded = None
        self.show_trace = self.context.settings.boolean("show-trace")
        self.colours = "NO_COLOR" not in os.environ
        self.finished = False
        self.going_on = False
        self.index = 0
        self.use_frame(0)

    def greet(self) -> None:
        if not self.conversation.greeted:
            self.conversation.greeted = True
            self.notice(f"Nix {self.session.settings.nix_version} debugger\nType :? for help.")

    def load_installables(self) -> None:
        """None belong to the place where evaluation stopped."""

    def load_flake(self, text: str) -> None:
        get_flake = self.evaluator.builtins().lookup("getFlake")
        self.add(self.on_deep_stack(lambda: self.evaluator.call(get_flake, byte_string(text))))

    def process(self, line: str) -> None:
        word, *rest = line.split(None, 1) or [""]
        command = DEBUG_COMMANDS.get(word)
        if command is None:
            super().process(line)
        else:
            command(self, rest[0] if rest else "")

    def answer(self, text: str) -> None:
        try:
            super().answer(text)
        finally:
            self.evaluator.end_interruption()

    def known_commands(self) -> list[str]:
        return [*super().known_commands(), *DEBUG_COMMANDS]

    # -- steps -------------------------------------------------------------------------------------------------

    @property
    def frames(self) -> list[Frame]:
        """The innermost first, as they are numbered."""
        return self.debugger.frames[::-1]

    def use_frame(self, index: int) -> None:
        self.index = index
        self.scope.clear()
        self.scope.update(bindings(self.frames[index].names))

    def show_frame(self, index: int) -> None:
        frame = self.frames[index]
        text = f"\n{index}: " + ("error: " if frame.is_error else "") + frame.message
        position = self.session.evaluator.positions.position(frame.pos)
        if position is not None:
            text += f"\n{position}\n"
            for number, source in (
                (position.line - 1, position.previous_line),
                (position.line, position.source_line),
                (position.line + 1, position.next_line),
            ):
                if source is not None:
                    text += f"\n {number:5}| {source}"
                if number == position.line:
                    text += f"\n      |{' ' * position.column}^"
        self.context.print(text)

    def show_names(self, index: int) -> None:
        level = 0
        for level, (kind, names) in enumerate(levels(self.frames[index].names)):
            self.context.print(f"Env level {level}")
            shown = "".join(f"{name} " for name in names or ())
            if kind != "with":
                self.print(f"static: {shown}")
            else:
                # A set that nobody has looked into yet has no names to show.
                self.print("static: " if names is None else f"static: \nwith: {shown}")
            self.context.print("")
        level = len(levels(self.frames[index].names))
        self.context.print(f"Env level {level}")
        self.print("".join(f"{name} " for name in self.session.evaluator.global_names()))
        self.context.print("")


def show_environment(repl: DebugRepl, rest: str) -> None:
    repl.show_names(repl.index)


def show_steps(repl: DebugRepl, rest: str) -> None:
    for index in range(len(repl.frames)):
        repl.show_frame(index)


def choose_step(repl: DebugRepl, rest: str) -> None:
    index = int(rest) if rest.isdigit() and rest.isascii() else repl.index
    if index < len(repl.frames):
        repl.show_frame(index)
        repl.context.print("")
        repl.show_names(index)
        repl.use_frame(index)


def go_on(repl: DebugRepl, rest: str) -> None:
    repl.debugger.stepping = False
    repl.finished = repl.going_on = True


def go_one_step(repl: DebugRepl, rest: str) -> None:
    repl.debugger.stepping = True
    repl.finished = repl.going_on = True


def show_debug_help(repl: DebugRepl, rest: str) -> None:
    repl.context.print(HELP + DEBUG_HELP, end="")


DEBUG_COMMANDS = {
    **dict.fromkeys((":?", ":help"), show_debug_help),
    **dict.fromkeys((":bt", ":backtrace"), show_steps),
    ":env": show_environment,
    ":st": choose_step,
    **dict.fromkeys((":c", ":continue"), go_on),
    **dict.fromkeys((":s", ":step"), go_one_step),
}
