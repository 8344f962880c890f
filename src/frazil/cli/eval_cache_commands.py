"""`eval-cache …`: what is remembered of evaluations. The reference is docs/reference/eval-cache.md."""

from __future__ import annotations

import os
import time

from frazil.cli.common_options import INSTALLABLES, JSON
from frazil.cli.context import Context
from frazil.cli.evaluation import with_deep_stack
from frazil.cli.options import APPEND, Arguments, Command, Option
from frazil.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from frazil.cli.remembered import Remembered
    from frazil.evalcache.cache import EvaluationCache, Miss, Question


def show_statistics(context: Context, arguments: Arguments) -> None:
    from frazil.cli.remembered import open_database

    database = open_database(context)
    found = {"path": database.path, **database.statistics()}
    if arguments.flag("json"):
        from frazil.cli.path_commands import print_json

        print_json(context, arguments, found)
        return
    context.print(f"{found['path']}")
    context.print(f"{found['entries']} answers that rest on {found['groups']} groups of facts")
    context.print(f"{int(str(found['bytes'])) / (1 << 20):.1f} MiB, at most {database.limit >> 20} MiB")


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
    count = database.collect(0 if arguments.flag("all") else limit, older_than)
    context.print(f"{count} answers forgotten")


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    from frazil.cli.settings import parse_integer

    return parse_integer("max-size", text)


# -- why-miss ----------------------------------------------------------------------------------------------------


def why_miss(context: Context, arguments: Arguments) -> int:
    """Status 0 where everything asked for is remembered, 1 otherwise."""
    if not context.settings.boolean("eval-cache"):
        context.print("nothing is remembered: the setting 'eval-cache' is off")
        return 1
    status: int = with_deep_stack(lambda: _why_miss(context, arguments))
    return status


def _why_miss(context: Context, arguments: Arguments) -> int:
    from frazil.evalcache.cache import Miss

    missed = known = 0
    for what, cache, question in _questions(context, arguments):
        found = cache.ask(question)
        if not isinstance(found, Miss):
            known += 1
            context.print(f"{what}: remembered")
        elif found.reasons:
            missed += 1
            _print_reasons(context, what, found)
    if not known and not missed:
        context.print("nothing was remembered of it: it was not evaluated yet, or with other settings or arguments,")
        context.print("or it asked for something that is never remembered, such as the current time")
    return 0 if known and not missed else 1


def _print_reasons(context: Context, what: str, miss: Miss) -> None:
    context.print(f"{what}: has to be evaluated")
    for reason in dict.fromkeys(miss.reasons):
        context.print(f"  {reason}")


def _questions(context: Context, arguments: Arguments) -> Iterator[tuple[str, EvaluationCache, Question]]:
    """All that a command may have remembered of the installables."""
    from frazil.cli.eval_command import output_detail
    from frazil.cli.installables import Opened
    from frazil.flake.outputs import FlakeInstallable

    opened = Opened(context, arguments)
    remembered = opened.remembered
    for text in opened.texts():
        if remembered is not None:
            attributes = "" if text == "." else text
            for kind, attribute in (("derivations", attributes), ("targets", text)):
                question = remembered.question({"kind": kind, "attribute": attribute})
                yield f"{kind} of '{text}'", remembered.cache, question
            detail = output_detail(opened)
            if detail is not None and len(opened.texts()) == 1:
                yield f"value of '{text}'", remembered.cache, remembered.question(detail)
            yield from _places(remembered, attributes)
            continue
        for command, kinds in (("build", ("target",)), ("run", ("program",)), ("develop", ("develop", "target"))):
            (installable,) = Opened(context, arguments, command=command).parse([text])
            memory = installable.memory() if isinstance(installable, FlakeInstallable) else None
            if memory is None or not isinstance(installable, FlakeInstallable):
                continue
            paths = installable.attribute_paths()
            for kind in kinds:
                yield f"{kind} of '{paths[0]}'", memory.cache, memory.question({"kind": kind, "paths": paths})
            detail = output_detail(opened) if command == "build" and len(opened.texts()) == 1 else None
            if detail is not None:
                question = memory.question({**detail, "attribute": None, "paths": paths})
                yield f"value of '{paths[0]}'", memory.cache, question


def _places(remembered: Remembered, attribute: str) -> Iterator[tuple[str, EvaluationCache, Question]]:
    """The derivations of a list or set."""
    tree = remembered.tree(attribute)
    tree.ask(quietly=True)
    if tree.nodes or tree.stale:
        for place in [*tree.nodes, *tree.stale]:
            shown = ".".join([*([attribute] if attribute else []), *place]) or "all of it"
            yield f"what '{shown}' holds", remembered.cache, remembered.question(tree.detail(place))


# -- sharing -----------------------------------------------------------------------------------------------------


def export_answers(context: Context, arguments: Arguments) -> None:
    from frazil.cli.remembered import open_database
    from frazil.evalcache.share import export, folder_of
    from frazil.store.signatures import read_secret_key

    names = arguments.all("key-file") or list(context.settings.words("secret-key-files"))
    keys = [read_secret_key(name) for name in names]
    database = open_database(context)
    written, left_out = export(database, context.store, os.path.abspath(folder_of(arguments.positional[0])), keys)
    context.print(f"{written} answers exported, {left_out} hold on this machine only")


def import_answers(context: Context, arguments: Arguments) -> int:
    from frazil.cli.remembered import open_database
    from frazil.evalcache.share import folder_of, import_
    from frazil.store.signatures import PublicKey

    trusted = None
    if not arguments.flag("no-check-sigs"):
        trusted = [PublicKey.parse(text) for text in context.settings.words("trusted-public-keys")]
    database = open_database(context)
    folder = os.path.abspath(folder_of(arguments.positional[0]))
    taken, refused = import_(database, context.store, folder, trusted, context.warn)
    database.collect_if_large()
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
        positional="installables…",
        at_most=None,
        examples=[("Why is the package evaluated again?", "frazil eval-cache why-miss .#hello")],
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
