"""`flake show`."""

from __future__ import annotations

from frazil.activity import Verbosity
from frazil.cli.common_options import EVALUATION, FLAKE_LOCK, JSON
from frazil.cli.context import Context
from frazil.cli.evaluation import with_deep_stack
from frazil.cli.flake_options import (
    default_setting,
    lock_flags,
    parse_reference,
    print_json,
    standard_output_colours,
    worker_entrance,
)
from frazil.cli.options import Arguments, Command, Option
from frazil.cli.remembered_report import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def show(context: Context, arguments: Arguments) -> None:
    from frazil.flake.show import Shower, ShowOptions

    default_setting(context, "allow-import-from-derivation", "false")
    text = (arguments.positional or ["."])[0]
    json = arguments.flag("json")
    report = Report(context, arguments, text, _detail(context, arguments))
    known = report.recall(_is_output)
    if known is not None:
        _print_again(context, report, known)
        return
    trees = report.open()
    reference = parse_reference(context, trees, text)
    flags = lock_flags(context, arguments, trees, apply_config=False)
    locked = with_deep_stack(lambda: trees.lock(reference, flags))
    known = report.recall_locked(locked, _is_output)
    if known is not None:
        _print_again(context, report, known)
        return
    options = ShowOptions(
        json,
        arguments.flag("legacy"),
        arguments.flag("all-systems"),
        context.settings.system,
        standard_output_colours(context),
        worker_entrance(context, trees),
        trees.effects.recorder,
    )
    context.printed = []
    shower = Shower(options, context.print, lambda text: report.said(Verbosity.WARN, text))
    with report.parts({**_detail(context, arguments), "kind": "show-part"}) as parts:
        result = with_deep_stack(lambda: shower.show(trees.outputs(locked), report.title, parts))
    if json:
        print_json(context, arguments, result)
    printed, context.printed = b"".join(context.printed), None
    output = printed.decode("latin-1")
    title = _byte_string(report.title)
    if not json:
        output = output.replace(title, "\0", 1)
    report.keep({"output": output}, printed)


def _detail(context: Context, arguments: Arguments) -> dict[str, object]:
    """What decides what is printed."""
    import os

    flags = [name for name in ("json", "legacy", "all-systems", "pretty", "no-pretty") if arguments.flag(name)]
    colours = standard_output_colours(context)
    return {"kind": "show", "flags": flags, "terminal": os.isatty(1), "colours": colours}


def _is_output(answer: Mapping[str, Any]) -> bool:
    return isinstance(answer.get("output"), str)


def _print_again(context: Context, report: Report, answer: Mapping[str, Any]) -> None:
    """The first line names the flake as it is locked now."""
    context.print_byte_string(str(answer["output"]).replace("\0", _byte_string(report.title), 1), end="")


def _byte_string(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


COMMANDS = {
    "flake show": Command(
        show,
        "show the outputs provided by a flake",
        JSON,
        (
            Option("--legacy", "Show the contents of the `legacyPackages` output."),
            Option("--all-systems", "Show the contents of outputs for all systems."),
        ),
        EVALUATION,
        FLAKE_LOCK,
        positional="flake-url",
        at_most=1,
        examples=(("Show the outputs of the flake in this folder", "frazil flake show"),),
        experimental="flakes",
    )
}
