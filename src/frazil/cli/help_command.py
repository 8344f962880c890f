"""`help`."""

from __future__ import annotations

from frazil.cli.commands import GROUP_SUMMARIES, table
from frazil.cli.context import Context
from frazil.cli.options import Arguments, Command
from frazil.errors import UsageError


def run_help(context: Context, arguments: Arguments) -> None:
    from frazil.cli.help import show_help

    words = arguments.positional
    name = " ".join(words)
    if words and name not in table() and name not in GROUP_SUMMARIES:
        raise UsageError(f"Nix has no subcommand '{name}'")
    context.print(show_help(context.program, words), end="")


COMMANDS = {
    "help": Command(
        run_help,
        "show help about frazil or one of its commands",
        positional="command…",
        at_most=None,
        experimental=None,
        examples=[("Show what `flake show` does", "frazil help flake show")],
    )
}
