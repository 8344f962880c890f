"""`flake show`."""

from __future__ import annotations

from frazil.cli.common_options import EVALUATION, FLAKE_LOCK, JSON
from frazil.cli.context import Context
from frazil.cli.evaluation import with_deep_stack
from frazil.cli.flake_options import (
    default_setting,
    lock_flags,
    open_trees,
    parse_reference,
    print_json,
    standard_output_colours,
    worker_entrance,
)
from frazil.cli.options import Arguments, Command, Option


def show(context: Context, arguments: Arguments) -> None:
    from frazil.flake.show import Shower, ShowOptions

    default_setting(context, "allow-import-from-derivation", "false")
    trees = open_trees(context, arguments)
    reference = parse_reference(context, trees, (arguments.positional or ["."])[0])
    flags = lock_flags(context, arguments, trees, apply_config=False)
    locked = with_deep_stack(lambda: trees.lock(reference, flags))
    json = arguments.flag("json")
    options = ShowOptions(
        json,
        arguments.flag("legacy"),
        arguments.flag("all-systems"),
        context.settings.system,
        standard_output_colours(context),
        worker_entrance(context, trees),
    )
    shower = Shower(options, context.print, context.warn)
    result = with_deep_stack(lambda: shower.show(trees.outputs(locked), str(locked.flake.locked)))
    if json:
        print_json(context, arguments, result)


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
