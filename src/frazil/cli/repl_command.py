"""`repl`: read, evaluate, print. Source: the manual page of `nix repl`.

Names that were defined or loaded form a scope, in which every line is evaluated; later ones hide earlier ones.
"""

from __future__ import annotations

import os
import re
import sys

from frazil.cli.common_options import INSTALLABLES
from frazil.cli.context import Context
from frazil.cli.evaluation import (
    auto_arguments,
    byte_string,
    file_argument,
    root_value,
    with_deep_stack,
    working_directory,
)
from frazil.cli.options import Arguments, Command
from frazil.errors import FrazilBug, FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.store.path import StorePath

ASSIGNMENT = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_'-]*)\s*=(?!=)(.*)", re.S)
UNLIMITED_DEPTH = 1 << 60
PROMPT = "frazil-repl> "
HELP = """\
The following commands are available:

  <expr>                       Evaluate and print expression
  <x> = <expr>                 Bind expression to variable
  :a, :add <expr>              Add attributes from resulting set to scope
  :b <expr>                    Build a derivation
  :bl <expr>                   Build a derivation, creating GC roots in the working directory
  :e, :edit <expr>             Open a derivation or function's file in $EDITOR
  :i <expr>                    Build derivation, then install result into current profile
  :l, :load <path>             Load Nix expression and add it to scope
  :lf, :load-flake <ref>       Load Nix flake and add it to scope
  :ll, :last-loaded            Show the most recently loaded variables
  :p, :print <expr>            Evaluate and print expression recursively
  :q, :quit                    Exit
  :r, :reload                  Reload all files
  :t <expr>                    Describe result of evaluation
  :u <expr>                    Build derivation, then start a shell with it on the path
  :log <expr>                  Show the build log of a derivation
  :te, :trace-enable [bool]    Enable, disable or toggle showing traces for errors
  :?, :help                    Brings up this help menu
"""


class Repl:
    """One conversation. `loads` are repeated by :r."""

    def __init__(self, context: Context, arguments: Arguments) -> None:
        from frazil.cli.installables import Opened

        self.context = context
        self.arguments = arguments
        arguments.values.setdefault("impure", True)
        self.opened = Opened(context, arguments)
        self.session = self.opened.session
        self.scope: dict[str, Any] = {}
        self.loads: list[tuple[str, str]] = []
        self.last_loaded: list[str] = []
        self.show_trace = context.settings.boolean("show-trace")

    # -- lines -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        if sys.stdin.isatty():
            self.context.print(f"Type :? for help, :q to quit ({self.context.program}).")
        self.load_arguments()
        pending = ""
        while True:
            line = self.read(PROMPT if not pending else " " * len(PROMPT))
            if line is None:
                return
            pending += line + "\n"
            if not self.answer(pending):
                continue
            if self.finished:
                return
            pending = ""

    finished = False

    def read(self, prompt: str) -> str | None:
        self.context.flush()
        if sys.stdin.isatty():
            try:
                import readline  # noqa: F401 (gives `input` its line editing)
            except ImportError:
                pass
            try:
                return input(prompt)
            except EOFError:
                return None
            except KeyboardInterrupt:
                self.context.print("")
                return ""
        line = sys.stdin.readline()
        return line.rstrip("\n") if line else None

    def answer(self, text: str) -> bool:
        """Does what a line says. False where it needs another line to be complete."""
        if not text.strip():
            return True
        try:
            self.process(text.strip())
        except FrazilBug:
            raise
        except FrazilError as error:
            if sys.stdin.isatty() and "unexpected end of file" in error.message and not text.startswith(":"):
                return False
            self.show_error(error)
        self.context.flush()
        return True

    def show_error(self, error: FrazilError) -> None:
        from frazil.cli.display import show_error
        from frazil.cli.reporter import write_stderr

        self.context.flush()
        write_stderr(show_error(error, show_trace=self.show_trace, colours=self.context.colours) + "\n")

    def process(self, line: str) -> None:
        if not line.startswith(":"):
            self.define_or_print(line)
            return
        word, _, rest = line.partition(" ")
        command = COMMANDS_BY_NAME.get(word)
        if command is None:
            raise UsageError(f"unknown command '{word}'")
        command(self, rest.strip())

    # -- evaluating --------------------------------------------------------------------------------------------

    def evaluate(self, text: str) -> Any:
        def work() -> Any:
            evaluator = self.session.evaluator
            parsed = evaluator.parse_with_scope(os.fsencode(text), working_directory(), self.scope)
            return evaluator.force(evaluator.evaluate(parsed))

        return with_deep_stack(work)

    def delayed(self, text: str) -> Any:
        """Parsed now, evaluated when looked at."""
        evaluator = self.session.evaluator
        parsed = evaluator.parse_with_scope(os.fsencode(text), working_directory(), dict(self.scope))
        return evaluator.lazy(lambda: evaluator.evaluate(parsed))

    def define_or_print(self, line: str) -> None:
        match = ASSIGNMENT.fullmatch(line)
        if match is None:
            self.show(self.evaluate(line), depth=1)
            return
        name, text = match[1], match[2].strip().removesuffix(";")
        value = self.delayed(text)
        self.scope[name] = value

    def show(self, value: Any, depth: int | None) -> None:
        from frazil.lang.printer import print_value

        def work() -> str:
            return print_value(
                self.session.evaluator,
                value,
                evaluate=True,
                derivation_paths=True,
                indent=2,
                max_depth=UNLIMITED_DEPTH if depth is None else depth,
            )

        self.context.print_byte_string(with_deep_stack(work))

    def add(self, value: Any) -> None:
        from frazil.lang.errors import TypeMismatch
        from frazil.lang.values import Attrs

        value = self.session.evaluator.force(value)
        if not isinstance(value, Attrs):
            kind = self.session.evaluator.type_name(value)
            raise TypeMismatch(f"expected a set but found {kind}")
        items = list(self.session.evaluator.attrs_items(value))
        self.scope.update(items)
        self.last_loaded = [name for name, _ in items]
        self.context.print(f"Added {len(items)} variables.")

    # -- loading -----------------------------------------------------------------------------------------------

    def load_arguments(self) -> None:
        if self.arguments.has("file") or self.arguments.has("expr"):
            self.loads.append(("root", ""))
        self.loads += [("flake", text) for text in self.arguments.positional]
        for kind, text in self.loads:
            self.load(kind, text)

    def reload(self) -> None:
        self.scope.clear()
        self.session.evaluator.reset_file_cache()
        self.session.effects.forget_files()
        for kind, text in self.loads:
            try:
                self.load(kind, text)
            except FrazilBug:
                raise
            except FrazilError as error:
                self.show_error(error)

    def load(self, kind: str, text: str) -> None:
        def work() -> Any:
            evaluator = self.session.evaluator
            given = auto_arguments(self.session, self.arguments)
            if kind == "root":
                return evaluator.auto_call(root_value(self.session, self.arguments), given)
            if kind == "file":
                return evaluator.auto_call(evaluator.eval_file(file_argument(self.session, text)), given)
            return self.flake(text)

        self.add(with_deep_stack(work))

    def flake(self, text: str) -> Any:
        from frazil.cli.flake_options import parse_reference
        from frazil.flake.call import call_flake

        trees = self.opened.trees
        locked = trees.lock(parse_reference(self.context, trees, text or "."), self.opened.flags)
        return call_flake(trees, locked)

    # -- building ----------------------------------------------------------------------------------------------

    def build(self, text: str) -> list[tuple[str, StorePath]]:
        from frazil.cli.build_command import build_paths, outputs_of
        from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath

        path = DerivedPath(self.derivation(text), ALL_OUTPUTS)
        self.session.flush()
        build_paths(self.context, [path])
        return outputs_of(self.context, path)

    def derivation(self, text: str) -> StorePath:
        from frazil.cli.legacy_instantiate import derivations_of

        def work() -> Any:
            return derivations_of(self.session, self.evaluate(text), {})

        found = with_deep_stack(work)
        if len(found) != 1:
            raise UsageError("expression does not evaluate to a derivation, so I can't build it")
        path: StorePath = found[0][0]
        return path


def quit_repl(repl: Repl, rest: str) -> None:
    repl.finished = True


def show_help(repl: Repl, rest: str) -> None:
    repl.context.print(HELP, end="")


def load_file(repl: Repl, rest: str) -> None:
    repl.loads.append(("file", rest))
    repl.load("file", rest)


def load_flake(repl: Repl, rest: str) -> None:
    repl.loads.append(("flake", rest))
    repl.load("flake", rest)


def reload_all(repl: Repl, rest: str) -> None:
    repl.reload()


def add_attributes(repl: Repl, rest: str) -> None:
    repl.add(repl.evaluate(rest))


def last_loaded(repl: Repl, rest: str) -> None:
    for name in repl.last_loaded:
        repl.context.print_byte_string(name)


def print_deeply(repl: Repl, rest: str) -> None:
    repl.show(repl.evaluate(rest), depth=None)


def describe(repl: Repl, rest: str) -> None:
    repl.context.print(repl.session.evaluator.type_name(repl.evaluate(rest)))


def build(repl: Repl, rest: str) -> None:
    outputs = repl.build(rest)
    repl.context.print("")
    repl.context.print("This derivation produced the following outputs:")
    for name, path in outputs:
        repl.context.print(f"  {name} -> {repl.context.store.show(path)}")


def build_and_link(repl: Repl, rest: str) -> None:
    repl.context.print("")
    for name, path in repl.build(rest):
        link = os.path.abspath(f"repl-result-{name}")
        repl.context.store.add_permanent_root(path, link)
        repl.context.print(f"./repl-result-{name} -> {repl.context.store.show(path)}")


def install(repl: Repl, rest: str) -> None:
    from frazil.cli.build_command import set_profile
    from frazil.cli.legacy_env import default_profile

    outputs = repl.build(rest)
    set_profile(repl.context, default_profile(repl.context), [path for name, path in outputs if name == "out"])


def use(repl: Repl, rest: str) -> None:
    from frazil.build.view import run_in_view

    folders = [f"{repl.context.store.show(path)}/bin" for _, path in repl.build(rest)]
    environment = {**os.environ, "PATH": ":".join([*folders, os.environ.get("PATH", "")])}
    run_in_view(repl.context.store, [os.environ.get("SHELL") or "bash"], environment, os.getcwd())


def show_log(repl: Repl, rest: str) -> None:
    path = repl.derivation(rest)
    found = repl.context.store.build_log(path)
    if found is None:
        raise FrazilError(f"build log of derivation '{repl.context.store.show(path)}' is not available")
    repl.context.print_bytes(found)


def trace_enable(repl: Repl, rest: str) -> None:
    repl.show_trace = not repl.show_trace if not rest else rest in {"true", "1", "yes"}
    repl.context.print("showing error traces" if repl.show_trace else "not showing error traces")


def edit(repl: Repl, rest: str) -> None:
    from frazil.lang.values import Lambda, PathValue

    value = repl.evaluate(rest)
    where = value.text if isinstance(value, PathValue) else None
    line = 0
    if isinstance(value, Lambda):
        position = repl.session.evaluator.positions.position(value.expr.pos)
        if position is not None:
            where, line = byte_string(position.file), position.line
    if where is None:
        raise UsageError("there is no file to edit for this value")
    editor = (os.environ.get("EDITOR") or "vi").split()
    os.spawnvp(os.P_WAIT, editor[0], [*editor, *([f"+{line}"] if line else []), os.fsdecode(where.encode("latin-1"))])


COMMANDS_BY_NAME = {
    **dict.fromkeys((":q", ":quit"), quit_repl),
    **dict.fromkeys((":?", ":help"), show_help),
    **dict.fromkeys((":l", ":load"), load_file),
    **dict.fromkeys((":lf", ":load-flake"), load_flake),
    **dict.fromkeys((":r", ":reload"), reload_all),
    **dict.fromkeys((":a", ":add"), add_attributes),
    **dict.fromkeys((":ll", ":last-loaded"), last_loaded),
    **dict.fromkeys((":p", ":print"), print_deeply),
    **dict.fromkeys((":te", ":trace-enable"), trace_enable),
    **dict.fromkeys((":e", ":edit"), edit),
    ":t": describe,
    ":b": build,
    ":bl": build_and_link,
    ":i": install,
    ":u": use,
    ":log": show_log,
}


def run_repl(context: Context, arguments: Arguments) -> None:
    Repl(context, arguments).run()


COMMANDS = {
    "repl": Command(
        run_repl,
        "start an interactive environment for evaluating Nix expressions",
        INSTALLABLES,
        positional="installables…",
        at_most=None,
        experimental=None,
        examples=[("Evaluate with a flake's outputs in scope", "frazil repl .")],
    )
}

__all__ = ["COMMANDS"]
