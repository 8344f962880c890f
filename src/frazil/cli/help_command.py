"""`help`, `help-stores` and `version`."""

from __future__ import annotations

from frazil.cli.commands import GROUP_SUMMARIES, table
from frazil.cli.common_options import JSON
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


def help_stores(context: Context, arguments: Arguments) -> None:
    from frazil.cli.help_stores import PAGE

    context.print(PAGE, end="")


def version(context: Context, arguments: Arguments) -> None:
    from frazil.cli.program import NIX_VERSION, print_version

    if not arguments.flag("json"):
        print_version(context, arguments)
        return
    from frazil.cli.flake_options import print_json

    print_json(context, arguments, {"version": NIX_VERSION, "libraries": libraries()})


def libraries() -> dict[str, str]:
    """What is loaded where it can be asked, else what is installed; optional ones where they are there."""
    import platform
    import sqlite3
    import ssl
    import zlib
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    import frazil

    frazil.complete_site()
    found = {
        "openssl": ssl.OPENSSL_VERSION.split()[1],
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
    }
    for name in ("brotli", "cryptography", "httpx", "obstore", "prompt_toolkit", "pygit2", "rich", "zstandard"):
        try:
            found[name] = installed(name)
        except PackageNotFoundError:
            continue
    return found


COMMANDS = {
    "help-stores": Command(
        help_stores,
        "show help about store types and their settings",
        experimental=None,
        examples=[("Which addresses `--store` takes", "frazil help-stores")],
    ),
    "version": Command(
        version,
        "show the version, and those of the libraries in use",
        JSON,
        examples=[("For a report of a fault", "frazil version --json")],
    ),
    "help": Command(
        run_help,
        "show help about frazil or one of its commands",
        positional="command…",
        at_most=None,
        experimental=None,
        examples=[("Show what `flake show` does", "frazil help flake show")],
    ),
}
