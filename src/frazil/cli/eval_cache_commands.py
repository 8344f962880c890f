"""`eval-cache …`: what is remembered of evaluations. The reference is docs/reference/eval-cache.md."""

from __future__ import annotations

import time

from frazil.cli.common_options import INSTALLABLES, JSON
from frazil.cli.context import Context
from frazil.cli.evaluation import with_deep_stack
from frazil.cli.options import APPEND, Arguments, Command, Option
from frazil.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.evalcache.database import Database


def show_statistics(context: Context, arguments: Arguments) -> None:
    from frazil.cli.remembered import open_database

    database = open_database(context)
    found = {"path": database.path, **database.statistics()}
    _warn_of_trouble(context, database)
    if arguments.flag("json"):
        from frazil.cli.path_commands import print_json

        print_json(context, arguments, found)
        return
    context.print(f"{found['path']}")
    context.print(f"{found['entries']} answers that rest on {found['groups']} groups of facts")
    context.print(f"{int(str(found['bytes'])) / (1 << 20):.1f} MiB, at most {database.limit >> 20} MiB")


def _warn_of_trouble(context: Context, database: Database) -> None:
    """To evaluations it is as if there were no file."""
    if database.trouble is not None:
        context.warn(f"'{database.path}' cannot be used: {database.trouble}")


def collect(context: Context, arguments: Arguments) -> None:
    from frazil.cli.remembered import open_database

    database = open_database(context)
    limit = _size(arguments.value("max-size"))
    days = arguments.value("unused-for")
    older_than = None
    if days is not None:
        if not days.isascii() or not days.isdigit() or len(days) > 6:
            raise UsageError(f"'--unused-for' takes a number of days, not '{days}'")
        older_than = int(time.time()) - int(days) * 24 * 3600
    from frazil.evalcache.database import drop_older_files
    from frazil.evalcache.program import identity

    program = identity(database.program, database.put_program)
    count = database.collect(0 if arguments.flag("all") else limit, older_than, program)
    drop_older_files(database.path)
    _warn_of_trouble(context, database)
    context.print(f"{count} answers forgotten")


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    from frazil.cli.settings import parse_integer

    try:
        return parse_integer("max-size", text)
    except UsageError as error:
        raise UsageError(f"'--max-size' takes a number of bytes, perhaps with K, M, G or T, not '{text}'") from error


# -- why-miss, sharing -------------------------------------------------------------------------------------------------


def why_miss(context: Context, arguments: Arguments) -> int:
    """Status 0 where everything asked for is remembered, 1 otherwise."""
    if not context.settings.boolean("eval-cache"):
        context.print("nothing is remembered: the setting 'eval-cache' is off")
        return 1
    from frazil.cli.why_miss import explain_misses

    status: int = with_deep_stack(lambda: explain_misses(context, arguments))
    return status


def export_answers(context: Context, arguments: Arguments) -> None:
    from frazil.cli.remembered import open_database
    from frazil.evalcache.share import export, folder_of
    from frazil.store.signatures import read_secret_key

    names = arguments.all("key-file") or list(context.settings.words("secret-key-files"))
    keys = [read_secret_key(name) for name in names]
    from frazil.evalcache.program import identity

    database = open_database(context)
    folder = folder_of(arguments.positional[0])
    program = identity(database.program, database.put_program)
    written, left_out, old = export(database, context.store, folder, program, keys)
    _warn_of_trouble(context, database)
    others = f", {old} are of other versions of the program" if old else ""
    context.print(f"{written} answers exported, {left_out} hold on this machine only{others}")


def import_answers(context: Context, arguments: Arguments) -> int:
    from frazil.cli.remembered import open_database
    from frazil.evalcache.program import identity
    from frazil.evalcache.share import folder_of, import_
    from frazil.store.signatures import PublicKey

    trusted = None
    if not arguments.flag("no-check-sigs"):
        trusted = [PublicKey.parse(text) for text in context.settings.words("trusted-public-keys")]
    database = open_database(context)
    folder = folder_of(arguments.positional[0])
    program = identity(database.program, database.put_program)
    taken, refused = import_(database, context.store, folder, program, trusted, context.warn)
    database.collect_if_large()
    _warn_of_trouble(context, database)
    context.print(f"{taken} answers imported, {refused} refused")
    return 1 if refused and not taken else 0


COMMANDS = {
    "eval-cache stat": Command(
        show_statistics,
        "show how much is remembered of evaluations",
        JSON,
        at_most=0,
        examples=[("How much is remembered", "frazil eval-cache stat")],
    ),
    "eval-cache gc": Command(
        collect,
        "forget answers that were not used for long",
        (
            Option("--max-size", "Forget the least recently used until the rest takes at most *bytes*.", "bytes"),
            Option("--unused-for", "Forget what was not used for *days*.", "days"),
            Option("--all", "Forget everything."),
        ),
        at_most=0,
        examples=[("Forget what was not used for a month", "frazil eval-cache gc --unused-for 30")],
    ),
    "eval-cache why-miss": Command(
        why_miss,
        "say what changed since something was evaluated",
        INSTALLABLES,
        (Option("--all", "Ask about all that is remembered of what lies in this folder's tree."),),
        positional="installables…",
        at_most=None,
        examples=[
            ("Why is the package evaluated again?", "frazil eval-cache why-miss .#hello"),
            ("Why is anything, here, `nix-shell -p …` for instance?", "frazil eval-cache why-miss --all"),
        ],
    ),
    "eval-cache export": Command(
        export_answers,
        "write what is remembered to a folder, for other machines",
        (Option("--key-file -k", "Sign the answers with the secret key in *file*.", "file", kind=APPEND),),
        positional="folder",
        at_least=1,
        at_most=1,
        examples=[("On the machine that evaluates", "frazil eval-cache export file:///srv/evaluations")],
    ),
    "eval-cache import": Command(
        import_answers,
        "take over what another machine remembered",
        (Option("--no-check-sigs", "Also answers that no trusted key signed."),),
        positional="folder",
        at_least=1,
        at_most=1,
        examples=[("Take them there", "frazil eval-cache import file:///srv/evaluations")],
    ),
}
