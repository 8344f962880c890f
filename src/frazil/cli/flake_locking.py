"""`flake lock` and `flake update`."""

from __future__ import annotations

from frazil.cli.common_options import EVALUATION, FLAKE_LOCK
from frazil.cli.context import Context
from frazil.cli.evaluation import with_deep_stack
from frazil.cli.flake_options import lock_flags, open_trees, parse_reference
from frazil.cli.options import Arguments, Command, Option
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.flake.lock import InputPath


def lock(context: Context, arguments: Arguments) -> None:
    context.settings.set("tarball-ttl", "0")
    trees = open_trees(context, arguments)
    reference = parse_reference(context, trees, (arguments.positional or ["."])[0])
    flags = lock_flags(context, arguments, trees)
    with_deep_stack(lambda: trees.lock(reference, flags.with_(write_lock_file=True, fail_on_unlocked=True)))


def update(context: Context, arguments: Arguments) -> None:
    context.settings.set("tarball-ttl", "0")
    trees = open_trees(context, arguments)
    updates = _updates(context, arguments.positional)
    reference = parse_reference(context, trees, arguments.value("flake", ".") or ".")
    flags = lock_flags(context, arguments, trees)
    every = flags.input_updates | updates
    changed = flags.with_(recreate_lock_file=not every, write_lock_file=True, input_updates=every)
    with_deep_stack(lambda: trees.lock(reference, changed))


def _updates(context: Context, texts: list[str]) -> frozenset[InputPath]:
    from frazil.flake.lock import parse_input_path

    found: set[InputPath] = set()
    for text in texts:
        try:
            path = parse_input_path(text)
            if not path:
                raise UsageError(
                    "input path to be updated cannot be zero-length; it would refer to the flake itself, not an input"
                )
        except FrazilError:
            context.warn(
                f"Invalid flake input '{text}'. To update a specific flake, use 'nix flake update --flake {text}' "
                "instead."
            )
            raise
        if path in found:
            context.warn(f"Input '{text}' was specified multiple times. You may have done this by accident.")
        found.add(path)
    return frozenset(found)


def _without(*keys: str) -> tuple[Option, ...]:
    return tuple(option for option in FLAKE_LOCK if option.key not in keys)


COMMANDS = {
    "flake lock": Command(
        lock,
        "create missing lock file entries",
        EVALUATION,
        _without("no-write-lock-file"),
        positional="flake-url",
        at_most=1,
        examples=(("Lock what is not locked yet", "frazil flake lock"),),
        experimental="flakes",
    ),
    "flake update": Command(
        update,
        "update flake lock file",
        (Option("--flake", "The flake to operate on. Default is the current directory.", "flake-url"),),
        EVALUATION,
        _without("no-write-lock-file", "no-update-lock-file"),
        positional="inputs…",
        at_most=None,
        examples=(("Lock all inputs anew", "frazil flake update"), ("Only nixpkgs", "frazil flake update nixpkgs")),
        experimental="flakes",
    ),
}
