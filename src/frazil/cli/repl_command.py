"""`repl`: read, evaluate, print. Source: the manual page of `nix repl`."""

from __future__ import annotations

from frazil.cli.common_options import INSTALLABLES
from frazil.cli.context import Context
from frazil.cli.options import Arguments, Command


def run_repl(context: Context, arguments: Arguments) -> None:
    from frazil.cli.repl import Repl

    Repl(context, arguments).run()


COMMANDS = {
    "repl": Command(
        run_repl,
        "start an interactive environment for evaluating Nix expressions",
        INSTALLABLES,
        positional="installables…",
        at_most=None,
        experimental=None,
        description="The attributes of the installables become variables. Type :? for the commands of the "
        "environment. In a terminal Tab completes, lines are kept in a history, and Enter begins another line where "
        "an expression is not complete.",
        examples=[
            ("Evaluate with a flake's outputs in scope", "frazil repl ."),
            ("Look into a file", "frazil repl --file ./default.nix"),
            ("Evaluate what a pipe brings", "echo '1 + 2' | frazil repl"),
        ],
    )
}

__all__ = ["COMMANDS"]
