"""What the commands on flakes share: their trees, lock options, and printing of JSON."""

from __future__ import annotations

import os

from frazil.activity import Verbosity
from frazil.cli.base_directory import base_directory
from frazil.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from frazil.cli.context import Context
    from frazil.cli.options import Arguments
    from frazil.flake.flake_file import Flake
    from frazil.flake.lock import InputPath
    from frazil.flake.locking import LockFlags
    from frazil.flake.reference import FlakeReference
    from frazil.flake.tree import Trees
    from frazil.instantiate.session import Session


def open_trees(context: Context, arguments: Arguments, session: Session | None = None) -> Trees:
    """A session's trees (of a new one, evaluating purely, by default), with the registry entries of the options."""
    from frazil.cli.evaluation_caches import open_lender
    from frazil.flake.tree import trees_of

    trees = trees_of(session or context.session(arguments, pure=True))
    trees.color = context.colours
    trees.use_registries = context.settings.boolean("use-registries")
    trees.lender = lambda database: open_lender(context, database)
    trees.use_cache = context.settings.boolean("eval-cache")
    for original, resolved in arguments.all("override-flake"):
        override_registry(trees, parse_reference(context, trees, original), parse_reference(context, trees, resolved))
    for text in arguments.all("inputs-from"):
        take_inputs_from(context, trees, text)
    return trees


def override_registry(trees: Trees, original: FlakeReference, resolved: FlakeReference) -> None:
    trees.add_flag_entry(original, resolved)


def take_inputs_from(context: Context, trees: Trees, text: str) -> None:
    """`--inputs-from`: a flake's inputs as registry entries."""
    from frazil.flake.lock import LockedNode
    from frazil.flake.locking import LockFlags, lock_flake
    from frazil.flake.reference import FlakeReference

    locked = lock_flake(trees, parse_reference(context, trees, text), LockFlags(write_lock_file=False))
    for name, _ in locked.lock_file.root.sorted_inputs():
        node = locked.lock_file.find_input((name,))
        if isinstance(node, LockedNode):
            locked_input = FlakeReference({**node.locked.attributes, "__final": True}, node.locked.subdirectory)
            trees.add_flag_entry(FlakeReference({"type": "indirect", "id": name}), locked_input)


def parse_reference(context: Context, trees: Trees, text: str, *, allow_missing: bool = False) -> FlakeReference:
    """A reference of the command line: relative to the current folder."""
    from frazil.flake.reference import FlakeReference

    return FlakeReference.parse(
        text, base_directory(), allow_missing=allow_missing, notice=trees.notice, warn=trees.warn
    )


def input_path(text: str, option: str) -> InputPath:
    from frazil.flake.lock import parse_input_path

    path = parse_input_path(text)
    if not path:
        raise UsageError(
            f"{option} was passed a zero-length input path, which would refer to the flake itself, not an input"
        )
    return path


def lock_flags(context: Context, arguments: Arguments, trees: Trees, *, apply_config: bool = True) -> LockFlags:
    """From the options in `common_options.FLAKE_LOCK`."""
    from frazil.flake.locking import LockFlags

    settings = context.settings
    if arguments.flag("recreate-lock-file"):
        context.warn(
            "'--recreate-lock-file' is deprecated and will be removed in a future version; "
            "use 'nix flake update' instead."
        )
    updates = arguments.all("update-input")
    if updates:
        context.warn(
            "'--update-input' is a deprecated alias for 'flake update' and will be removed in a future version."
        )
    overrides = {
        input_path(path, "--override-input"): parse_reference(context, trees, text, allow_missing=True)
        for path, text in arguments.all("override-input")
    }
    return LockFlags(
        recreate_lock_file=arguments.flag("recreate-lock-file"),
        update_lock_file=not arguments.flag("no-update-lock-file"),
        write_lock_file=not arguments.flag("no-write-lock-file") and not overrides,
        use_registries=settings.boolean("use-registries"),
        allow_dirty=settings.boolean("allow-dirty"),
        allow_dirty_locks=settings.boolean("allow-dirty-locks"),
        warn_dirty=settings.boolean("warn-dirty"),
        commit_lock_file=arguments.flag("commit-lock-file"),
        commit_summary=settings.text("commit-lock-file-summary"),
        reference_lock_file=arguments.value("reference-lock-file"),
        output_lock_file=arguments.value("output-lock-file"),
        input_overrides=overrides,
        input_updates=frozenset(input_path(text, "--update-input") for text in updates),
        apply_config=(lambda flake: apply_flake_config(context, trees.session, flake)) if apply_config else None,
        default_overrides=default_overrides(context, trees),
    )


def default_overrides(context: Context, trees: Trees) -> dict[str, FlakeReference]:
    """The setting `frazil-input-overrides`."""
    table = context.settings.mapping("frazil-input-overrides")
    return {name: parse_reference(context, trees, text, allow_missing=True) for name, text in table.items()}


def apply_flake_config(context: Context, session: Session, flake: Flake) -> None:
    """A flake's `nixConfig`, as far as the user trusts it: for all that is evaluated, fetched and built from now on."""
    if not flake.config:
        return
    from frazil.flake.config import Trust, trusted_list_path

    trust = Trust(
        context.settings.boolean("accept-flake-config"),
        trusted_list_path(os.environ),
        ask,
        lambda text: context.note(text, Verbosity.INFO),
        context.warn,
    )
    accepted = trust.accepted(flake.config)
    if not accepted:
        return
    for name, text in accepted.items():
        context.settings.set(name, text)
    from frazil.cli.room_settings import eval_settings

    settings = eval_settings(
        context.settings, pure=session.settings.pure, search_path=[], whole_trace=context.own_layout
    )
    session.change_settings(settings)


def ask(question: str) -> str | None:
    """A one-letter answer from the terminal; None where there is none."""
    import sys

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    sys.stderr.write(question + " ")
    sys.stderr.flush()
    return sys.stdin.readline().strip()[:1] or None


def worker_entrance(context: Context, trees: Trees) -> Callable[[], Callable[[], bool]] | None:
    """What a forked process that evaluates a part does first. None where it could do more than evaluate (build)."""
    if trees.effects.settings.allow_import_from_derivation:
        return None

    def enter() -> Callable[[], bool]:
        from frazil.cli.room_settings import store_settings
        from frazil.flake.workers import Listening
        from frazil.store.local import LocalStore

        reporter = Listening(getattr(context.reporter, "verbosity", Verbosity.INFO))

        def open_store() -> LocalStore:
            return LocalStore(context.store_config, store_settings(context.settings), reporter)

        trees.session.enter_fork(open_store, reporter)
        recorder = trees.effects.recorder
        before = 0 if recorder is None else len(recorder.messages)
        # What is not said at this verbosity belongs to what is remembered all the same.
        return lambda: reporter.heard or (recorder is not None and len(recorder.messages) > before)

    return enter


def default_setting(context: Context, name: str, value: str) -> None:
    """A command's own default: what the user set stays."""
    if name not in context.settings.overridden:
        context.settings.set(name, value)


def print_json(context: Context, arguments: Arguments, value: Any) -> None:
    """As Nix does: indented on a terminal, one line elsewhere; keys sorted."""
    import json
    import sys

    pretty = arguments.flag("pretty") or (sys.stdout.isatty() and not arguments.flag("no-pretty"))
    if pretty:
        text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    else:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    context.print(text)


def standard_output_colours(context: Context) -> bool:
    import sys

    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM", "dumb") != "dumb"
