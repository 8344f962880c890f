"""`search`. Source: its manual page."""

from __future__ import annotations

from frazil.cli.common_options import INSTALLABLES, JSON
from frazil.cli.context import Context
from frazil.cli.evaluation import with_deep_stack
from frazil.cli.options import APPEND, Arguments, Command, Option
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from frazil.cli.installables import Opened
    from frazil.flake.search import Hit, Search

COLOURS = ("\x1b[32;1m", "\x1b[0;1m", "\x1b[0m")
"""Of what was found, of attribute paths, and of the rest."""
PLAIN = ("", "", "")


def search(context: Context, arguments: Arguments) -> None:
    from frazil.cli.flake_options import default_setting, print_json
    from frazil.cli.installables import Opened
    from frazil.flake.search import Search

    installable, *wanted = arguments.positional
    if not wanted:
        raise UsageError("Must provide at least one regex! To match all packages, use 'nix search <installable> ^'.")
    default_setting(context, "allow-import-from-derivation", "false")
    what = Search(list(map(_byte_string, wanted)), list(map(_byte_string, arguments.all("exclude"))))
    opened = Opened(context, arguments, command="search", read_only=True)
    if _recall(context, opened, installable):
        return
    context.printed = []
    hits = with_deep_stack(lambda: _run(context, opened, installable, what, show=not arguments.flag("json")))
    if hits is None:
        context.printed = None
        return
    if arguments.flag("json"):
        record = {
            _text(hit.path): {
                "pname": _text(hit.name),
                "version": _text(hit.version),
                "description": _text(hit.description),
            }
            for hit in hits
        }
        print_json(context, arguments, record)
    elif not hits:
        raise FrazilError("no results for the given search term(s)!")
    printed, context.printed = b"".join(context.printed or []), None
    _keep(context, opened, installable, printed)


def _detail(context: Context, arguments: Arguments) -> dict[str, object]:
    """What decides what is printed."""
    import os

    words = [list(map(_byte_string, given)) for given in (arguments.positional[1:], arguments.all("exclude"))]
    flags = [name for name in ("json", "pretty", "no-pretty") if arguments.flag(name)]
    return {
        "kind": "search",
        "words": words,
        "flags": flags,
        "terminal": os.isatty(1),
        "colours": _colours(context) is COLOURS,
    }


def _is_output(answer: Mapping[str, Any]) -> bool:
    return isinstance(answer.get("output"), str)


def _recall(context: Context, opened: Opened, text: str) -> bool:
    """Prints what an earlier run found in a local flake that is as it was. -> whether there was one."""
    found = opened.recall("search", text, _is_output, _detail(context, opened.arguments))
    if found is None:
        return False
    doorstep, answer = found
    doorstep.say([answer])
    context.print_byte_string(str(answer["output"]), end="")
    return True


def _keep(context: Context, opened: Opened, text: str, printed: bytes) -> None:
    from frazil.flake.outputs import FlakeInstallable

    (item,) = opened.parse([text])
    memory = item.memory() if isinstance(item, FlakeInstallable) else None
    if memory is not None and isinstance(item, FlakeInstallable):
        detail = {**_detail(context, opened.arguments), "paths": item.attribute_paths()}
        memory.keep(detail, {"output": printed.decode("latin-1")}, printed, whole=True)
        opened.note_locks()


def _run(context: Context, opened: Opened, installable: str, what: Search, *, show: bool) -> list[Hit] | None:
    """Shows what it finds at once: evaluating all packages takes long. None where it was remembered, and is shown."""
    from frazil.flake.outputs import FlakeInstallable, ValueInstallable

    (item,) = opened.parse([installable])
    if not isinstance(item, ValueInstallable):
        raise UsageError(f"'{installable}' is a store path, not something to evaluate")
    memory = item.memory() if isinstance(item, FlakeInstallable) else None
    if memory is not None and isinstance(item, FlakeInstallable):
        known = memory.ask({**_detail(context, opened.arguments), "paths": item.attribute_paths()}, _is_output)
        if known is not None:
            context.print_byte_string(str(known["output"]), end="")
            opened.note_locks()
            return None
    from contextlib import nullcontext

    from frazil.flake.parts import Parts

    hits: list[Hit] = []
    with nullcontext() if memory is None else Parts(memory, {"kind": "search-part"}) as parts:
        for cursor in item.cursors(auto_call=True):
            for hit in what.below(cursor, remembered=parts):
                if show:
                    _show(context, hit, following=bool(hits))
                hits.append(hit)
    return hits


def _show(context: Context, hit: Hit, *, following: bool) -> None:
    from frazil.flake.search import highlight

    green, bold, normal = _colours(context)
    path = highlight(hit.path, hit.path_spans, green, bold)
    version = f" ({hit.version})" if hit.version else ""
    context.print_byte_string(("\n" if following else "") + f"* {bold}{path}{normal}{version}")
    if hit.description:
        context.print_byte_string("  " + highlight(hit.description, hit.description_spans, green, normal))
    context.flush()


def _colours(context: Context) -> tuple[str, str, str]:
    """Nix has them in pipes, too, and programs that call it count on that."""
    return COLOURS if context.output_colours or context.program != "frazil" else PLAIN


def _byte_string(text: str) -> str:
    import os

    return os.fsencode(text).decode("latin-1")


def _text(byte_string: str) -> str:
    return byte_string.encode("latin-1").decode("utf-8", "replace")


COMMANDS = {
    "search": Command(
        search,
        "search for packages",
        INSTALLABLES,
        JSON,
        (Option("--exclude -e", "Leave out packages that match *regex*.", "regex", kind=APPEND),),
        positional="installable regexes…",
        at_least=1,
        at_most=None,
        examples=(
            ("Packages that have to do with both words", "frazil search nixpkgs sql client"),
            ("All packages of the flake in this folder", "frazil search . ^"),
        ),
    )
}
