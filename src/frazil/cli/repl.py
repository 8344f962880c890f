"""The conversation of `repl`: lines in, values and messages out; a scope that lines add to.

Source: the manual page of `nix repl`, and what it prints. How lines are read is in `repl_input`, what the commands do
with derivations in `repl_builds`, documentation in `repl_documentation`.
"""

from __future__ import annotations

import os

from frazil.activity import Verbosity
from frazil.cli.evaluation import auto_arguments, file_argument, working_directory
from frazil.errors import FrazilBug, FrazilError, Signalled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from frazil.cli.context import Context
    from frazil.cli.options import Arguments

MOST_NAMES_SHOWN = 20
UNLIMITED_DEPTH = 1 << 60
SPACE = " \n\r\t"
OF_DEBUGGER = frozenset({":env", ":bt", ":backtrace", ":st", ":c", ":continue", ":s", ":step"})
WITH_EXPRESSION = frozenset(
    {":a", ":add", ":b", ":bl", ":e", ":edit", ":i", ":p", ":print", ":sh", ":t", ":u", ":doc"}
) | {":log"}
HELP = """\
The following commands are available:

  <expr>                       Evaluate and print expression
  <x> = <expr>                 Bind expression to variable
  :a, :add <expr>              Add attributes from resulting set to scope
  :b <expr>                    Build a derivation
  :bl <expr>                   Build a derivation, creating GC roots in the
                               working directory
  :e, :edit <expr>             Open package or function in $EDITOR
  :i <expr>                    Build derivation, then install result into
                               current profile
  :l, :load <path>             Load Nix expression and add it to scope
  :lf, :load-flake <ref>       Load Nix flake and add it to scope
  :ll, :last-loaded            Show most recently loaded variables added to scope
  :p, :print <expr>            Evaluate and print expression recursively
                               Strings are printed directly, without escaping.
  :q, :quit                    Exit nix-repl
  :r, :reload                  Reload all files
  :sh <expr>                   Build dependencies of derivation, then start
                               nix-shell
  :t <expr>                    Describe result of evaluation
  :u <expr>                    Build derivation, then start nix-shell
  :doc <expr>                  Show documentation of a builtin function
  :log <expr>                  Show logs for a derivation
  :te, :trace-enable [bool]    Enable, disable or toggle showing traces for
                               errors
  :?, :help                    Brings up this help menu
"""


class Incomplete(Exception):
    """The line ends in the middle of an expression: another one belongs to it."""

    def __init__(self, error: FrazilError) -> None:
        super().__init__(str(error))
        self.error = error


class Repl:
    """One conversation. Later names of the scope hide earlier ones; `loaded…` is repeated by `:reload`."""

    def __init__(self, context: Context, arguments: Arguments) -> None:
        from frazil.cli.installables import Opened

        self.context = context
        self.arguments = arguments
        context.shows_evaluation = False  # the terminal is the conversation's
        arguments.values.setdefault("impure", True)
        self.opened = Opened(context, arguments, command="repl")
        self.session = self.opened.session
        self.evaluator = self.session.evaluator
        self.scope: dict[str, Any] = {}
        self.loaded_files: list[str] = []
        self.loaded_flakes: list[str] = []
        self.last_loaded: list[str] | None = None
        self.show_trace = context.settings.boolean("show-trace")
        self.colours = "NO_COLOR" not in os.environ
        self.finished = False

    # -- the loop ----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Ends at the end of input or `:quit`."""
        from frazil.cli.repl_input import open_lines

        self.greet()
        self.load_installables()
        lines = open_lines(self)
        text = ""
        while not self.finished:
            self.context.flush()
            try:
                line = lines.read(continued=bool(text))
            except Signalled:
                raise
            except KeyboardInterrupt:
                text = ""
                continue
            if line is None:
                self.context.print()
                return
            text += line + "\n"
            try:
                self.answer(text)
            except Incomplete:
                continue
            text = ""
            if not self.finished:
                self.context.print()

    def greet(self) -> None:
        from frazil import __version__
        from frazil.cli.program import NIX_VERSION

        name = f"Nix {NIX_VERSION}" if self.context.program == "nix" else f"frazil {__version__} (Nix {NIX_VERSION})"
        self.notice(f"{name}\nType :? for help.")

    def answer(self, text: str) -> None:
        """Does what a line says; an error is shown and leaves everything as it was. Raises Incomplete."""
        try:
            self.process(text.strip(SPACE))
        except (Incomplete, FrazilBug, Signalled):
            raise
        except FrazilError as error:
            self.show_error(error)
        except MemoryError:
            self.say_error("error: out of memory")
        except OSError as error:
            self.say_error(f"error: {error.strerror or error}" + (f": '{error.filename}'" if error.filename else ""))
        except KeyboardInterrupt:
            if Signalled.received is not None:
                raise Signalled(Signalled.received) from None
            self.say_error("error: interrupted by the user")

    def process(self, line: str) -> None:
        if not line:
            return
        if not line.startswith(":"):
            if not self.define(line):
                self.show(self.evaluate(line), depth=1)
            return
        word, *rest = line.split(None, 1)
        command = commands().get(word)
        if command is None:
            raise FrazilError(f"unknown command '{word}'", hint=self.near_command(word))
        if not rest and word in WITH_EXPRESSION:
            raise FrazilError(f"the command '{word}' needs an expression")
        command(self, rest[0] if rest else "", word)

    def known_commands(self) -> list[str]:
        return list(commands())

    def near_command(self, word: str) -> str:
        from frazil.cli.suggest import did_you_mean

        if word in OF_DEBUGGER:
            return f"'{word}' is for a debugger: start with --debugger"
        near = did_you_mean(word, self.known_commands())
        return f"{near} ':?' shows all commands" if near else "':?' shows all commands"

    # -- messages ----------------------------------------------------------------------------------------------

    def notice(self, text: str) -> None:
        self.context.flush()
        self.context.note(text, Verbosity.NOTICE)

    def say_error(self, text: str) -> None:
        self.context.flush()
        self.context.note(text, Verbosity.ERROR)

    def show_error(self, error: FrazilError) -> None:
        self.say_error(self.context.show_error(error, show_trace=self.show_trace))

    def print(self, text: str, end: str = "\n") -> None:
        """A byte string, to standard output."""
        self.context.print_byte_string(text, end=end)

    # -- evaluating --------------------------------------------------------------------------------------------

    def on_deep_stack(self, work: Callable[[], Any]) -> Any:
        """Ctrl-C ends the work and leaves all values as they were."""
        from frazil.lang.evaluator import run_with_deep_stack

        return run_with_deep_stack(work, self.evaluator.interrupt)

    def parse(self, text: str) -> Any:
        """An expression over the scope. Raises Incomplete where it lacks an end."""
        from frazil.lang.errors import ParseError

        try:
            return self.evaluator.parse_with_scope(os.fsencode(text), working_directory(), dict(self.scope))
        except ParseError as error:
            if is_incomplete(error):
                raise Incomplete(error) from error
            raise

    def evaluate(self, text: str) -> Any:
        return self.on_deep_stack(lambda: self.evaluator.force(self.evaluator.evaluate(self.parse(text))))

    def define(self, text: str) -> bool:
        """`a = 1; inherit (b) c;`, the last semicolon may be missing. False where the line is something else."""
        from functools import partial

        from frazil.lang.errors import ParseError

        parsed: Any = None
        for candidate in (text, text + ";"):
            try:
                data = os.fsencode(candidate)
                parsed = self.on_deep_stack(partial(self._parse_definitions, data, os.fsencode(text)))
                break
            except ParseError:
                pass
        if parsed is None:
            self._check_open_string(text)
            return False
        found = self.on_deep_stack(lambda: self.evaluator.evaluate(parsed))
        self.scope.update(self.evaluator.attrs_items(found))
        return True

    def _parse_definitions(self, data: bytes, shown: bytes) -> Any:
        return self.evaluator.parse_bindings(data, working_directory(), dict(self.scope), shown=shown)

    def _check_open_string(self, text: str) -> None:
        """Raises Incomplete for a definition that ends inside a string."""
        from frazil.lang.errors import ParseError

        try:
            data = os.fsencode("{" + text + ";")
            self.on_deep_stack(lambda: self.evaluator.parse_string(data, working_directory()))
        except ParseError as error:
            if is_incomplete(error):
                raise Incomplete(error) from error
        except FrazilError:
            pass  # an undefined variable, for one: the line is looked at as an expression next

    def show(self, value: Any, depth: int | None) -> None:
        from frazil.lang.printer import print_value

        def work() -> str:
            return print_value(
                self.evaluator,
                value,
                evaluate=True,
                derivation_paths=True,
                indent=2,
                errors="throw-top-level",
                ansi=self.colours,
                max_depth=UNLIMITED_DEPTH if depth is None else depth,
            )

        self.print(self.on_deep_stack(work))

    def add(self, value: Any) -> None:
        """The attributes of a set become names of the scope."""
        from frazil.lang.runtime import force_attrs, show_name

        trace = "while evaluating an attribute set to be merged in the global scope"
        attrs = self.on_deep_stack(lambda: force_attrs(value, trace))
        items = list(self.evaluator.attrs_items(attrs))
        self.scope.update(items)
        self.last_loaded = in_order_of_creation(self.evaluator, list(attrs.copy_table()))
        self.notice(f"Added {len(items)} variables.")
        shown = [show_name(name).encode("latin-1").decode("utf-8", "replace") for name, _ in items[:MOST_NAMES_SHOWN]]
        self.notice(", ".join(shown))
        if len(items) > MOST_NAMES_SHOWN:
            self.notice(f"... and {len(items) - MOST_NAMES_SHOWN} more; view with :ll")

    # -- loading -----------------------------------------------------------------------------------------------

    def forget_files(self) -> None:
        """So that changes on disk are seen."""
        self.evaluator.reset_file_cache()
        self.session.effects.forget_files()

    def load_installables(self) -> None:
        for value, what in self.on_deep_stack(self._installables):
            self.notice(f"Loading installable '{what}'...")
            self._or_show_error(self.add, value)

    def _installables(self) -> list[tuple[Any, str]]:
        from frazil.flake.installable import ValueInstallable

        arguments = self.arguments
        if not (arguments.positional or arguments.has("file") or arguments.has("expr") or arguments.has("attr")):
            return []
        found = []
        for item in self.opened.parse(self.opened.texts(default="" if self.opened.from_expression else ".")):
            if not isinstance(item, ValueInstallable):
                raise FrazilError(f"installable '{item.what()}' does not correspond to a Nix language value")
            found.append((item.value(auto_call=arguments.has("file")), item.what()))
        return found

    def load_file(self, text: str) -> None:
        def work() -> Any:
            value = self.evaluator.eval_file(file_argument(self.session, text))
            return self.evaluator.auto_call(value, auto_arguments(self.session, self.arguments))

        self.add(self.on_deep_stack(work))
        _remember(self.loaded_files, text)

    def load_flake(self, text: str) -> None:
        from frazil.cli.flake_options import parse_reference
        from frazil.flake.call import call_flake

        if not text:
            raise FrazilError(
                "cannot use ':load-flake' without a path specified. (Use '.' for the current working directory.)"
            )

        def work() -> Any:
            trees = self.opened.trees
            reference = parse_reference(self.context, trees, text, allow_missing=True)
            return call_flake(trees, trees.lock(reference, self.opened.flags_without_overrides()))

        self.add(self.on_deep_stack(work))
        _remember(self.loaded_flakes, text)

    def reload(self) -> None:
        self.scope.clear()
        self.forget_files()
        self.opened.forget()
        for text in list(self.loaded_files):
            self.notice(f'Loading "{text}"...')
            self._or_show_error(self.load_file, text)
        self.load_installables()
        for text in list(self.loaded_flakes):
            self.notice(f"Loading flake '{text}'...")
            self._or_show_error(self.load_flake, text)

    def _or_show_error(self, work: Callable[[Any], None], argument: Any) -> None:
        try:
            work(argument)
        except FrazilBug:
            raise
        except FrazilError as error:
            self.show_error(error)


def is_incomplete(error: FrazilError) -> bool:
    return "unexpected end of file" in error.message


def in_order_of_creation(evaluator: Any, names: list[str]) -> list[str]:
    """As Nix numbers names: those of the evaluator and the texts first, computed ones as they were put into the set."""
    known = {name: index for index, name in enumerate((*evaluator.globals, *evaluator.symbols))}
    return sorted(names, key=lambda name: known.get(name, len(known)))


def _remember(texts: list[str], text: str) -> None:
    """Last; once."""
    if text in texts:
        texts.remove(text)
    texts.append(text)


# -- commands ------------------------------------------------------------------------------------------------------


def quit_repl(repl: Repl, rest: str, word: str) -> None:
    repl.finished = True


def show_help(repl: Repl, rest: str, word: str) -> None:
    repl.context.print(HELP, end="")


def load_file(repl: Repl, rest: str, word: str) -> None:
    repl.forget_files()
    repl.load_file(rest)


def load_flake(repl: Repl, rest: str, word: str) -> None:
    repl.load_flake(rest)


def reload_all(repl: Repl, rest: str, word: str) -> None:
    repl.reload()


def add_attributes(repl: Repl, rest: str, word: str) -> None:
    repl.add(repl.evaluate(rest))


def last_loaded(repl: Repl, rest: str, word: str) -> None:
    if repl.last_loaded is None:
        raise FrazilError("nothing has been loaded yet")
    for name in repl.last_loaded:
        repl.print(name)


def print_deeply(repl: Repl, rest: str, word: str) -> None:
    from frazil.lang.values import ContextString

    value = repl.evaluate(rest)
    if isinstance(value, str | ContextString):
        repl.print(value if isinstance(value, str) else value.text)
    else:
        repl.show(value, depth=None)


def describe(repl: Repl, rest: str, word: str) -> None:
    from frazil.lang.runtime import show_type

    repl.print(show_type(repl.evaluate(rest)))


def trace_enable(repl: Repl, rest: str, word: str) -> None:
    if rest not in {"", "true", "false"}:
        raise FrazilError(f"unexpected argument '{rest}' to {word}")
    repl.show_trace = not repl.show_trace if not rest else rest == "true"
    repl.context.print("showing error traces" if repl.show_trace else "not showing error traces")


def commands() -> dict[str, Callable[[Repl, str, str], None]]:
    """What begins with a colon."""
    from frazil.cli import repl_builds
    from frazil.cli.repl_documentation import show_documentation

    return {
        **dict.fromkeys((":q", ":quit"), quit_repl),
        **dict.fromkeys((":?", ":help"), show_help),
        **dict.fromkeys((":l", ":load"), load_file),
        **dict.fromkeys((":lf", ":load-flake"), load_flake),
        **dict.fromkeys((":r", ":reload"), reload_all),
        **dict.fromkeys((":a", ":add"), add_attributes),
        **dict.fromkeys((":ll", ":last-loaded"), last_loaded),
        **dict.fromkeys((":p", ":print"), print_deeply),
        **dict.fromkeys((":te", ":trace-enable"), trace_enable),
        **dict.fromkeys((":e", ":edit"), repl_builds.edit),
        **dict.fromkeys((":b", ":bl"), repl_builds.build),
        ":t": describe,
        ":i": repl_builds.install,
        ":u": repl_builds.use,
        ":sh": repl_builds.shell,
        ":log": repl_builds.show_log,
        ":doc": show_documentation,
    }
