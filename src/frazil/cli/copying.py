"""Copying store objects with what they refer to into another store; `copy`. Source: its manual page."""

from __future__ import annotations

from collections.abc import Iterable

from frazil.cli.common_options import INSTALLABLES, JSON, STDIN
from frazil.cli.context import Context
from frazil.cli.options import Arguments, Command, Option
from frazil.cli.store_paths import STORE_PATHS
from frazil.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.store.derived_path import DerivedPath
    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath

SPOOL = 64 << 20
"""Archives up to this size pass through memory, bytes."""


def copy_paths_to(
    context: Context, destination: str, paths: Iterable[StorePath], *, check_signatures: bool = False
) -> int:
    """Copies the closure of `paths` to the store that `destination` names; how many objects it lacked."""
    with _open(context, destination) as target:
        closure = context.store.closure(list(paths))
        return _copy_all(context, context.store, target, closure, destination, check_signatures)


def _open(context: Context, address: str) -> LocalStore:
    from frazil.cli.room_settings import foreign_store_settings
    from frazil.store.local import LocalStore
    from frazil.store.opening import open_store

    settings = foreign_store_settings(context.settings, context.verbosity)
    store = open_store(address, settings, context.reporter, context.settings.environment)
    assert isinstance(store, LocalStore)
    return store


def _copy_all(
    context: Context,
    source: LocalStore,
    target: LocalStore,
    paths: set[StorePath],
    destination: str,
    check_signatures: bool,
) -> int:
    missing = paths - target.valid_among(paths)
    for path in source.topological(missing):
        context.note(f"copying path '{source.show(path)}' to '{destination}'...")
        _copy(source, target, path, check_signatures)
    return len(missing)


def _copy(source: LocalStore, target: LocalStore, path: StorePath, check_signatures: bool) -> None:
    import tempfile

    with tempfile.SpooledTemporaryFile(max_size=SPOOL) as spool:
        source.dump_nar(path, spool.write)
        spool.seek(0)
        target.add_nar(source.query_info(path), spool.read, check_signatures=check_signatures)


# -- copy ----------------------------------------------------------------------------------------------------------


def copy(context: Context, arguments: Arguments) -> None:
    import contextlib

    origin, destination = arguments.value("from"), arguments.value("to")
    if not origin and not destination:
        raise UsageError("you must pass '--from' and/or '--to'")
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(_open(context, origin)) if origin else context.store
        wanted = _wanted(context, arguments, source, from_elsewhere=bool(origin))
        roots = [path for _, path in wanted]
        target = stack.enter_context(_open(context, destination)) if destination else context.store
        if arguments.flag("all"):
            paths = set(source.query_all_valid())
        else:
            paths = set(roots) if arguments.flag("no-recursive") else source.closure(roots)
        name = destination or context.settings.text("store") or "auto"
        _copy_all(context, source, target, paths, name, not arguments.flag("no-check-sigs"))
        if "ca-derivations" in context.settings.features:
            _copy_realisations(source, target, [derived for derived, _ in wanted])
        link = arguments.value("out-link")
        if link:
            _make_links(target, link, roots)


def _wanted(
    context: Context, arguments: Arguments, source: LocalStore, *, from_elsewhere: bool
) -> list[tuple[DerivedPath, StorePath]]:
    """What was asked for, built where it is an installable of the own store."""
    from frazil.cli.store_paths import derived_paths, paths_meant
    from frazil.store.derived_path import DerivedPath

    if arguments.flag("all"):
        if arguments.positional:
            raise UsageError("'--all' does not expect arguments")
        return []
    if not from_elsewhere:
        derived = derived_paths(context, arguments)
        return [(one, path) for one in derived for path in paths_meant(context, arguments, one, build=True)]
    found = []
    for text in arguments.positional:
        if not source.directory.is_inside(text):
            raise UsageError(
                f"'{text}' is not a path of the store to copy from", hint="with '--from', name store paths"
            )
        derived_path = DerivedPath.parse(text, source.directory)
        found += [(derived_path, path) for path in _outputs_there(source, derived_path)]
    return found


def _outputs_there(source: LocalStore, path: DerivedPath) -> list[StorePath]:
    """Store paths that exist in another store; nothing is built there."""
    from frazil.store.errors import InvalidPath

    if path.outputs is None:
        return [path.base]
    known = source.query_derivation_outputs(path.base)
    found = []
    for name in known if path.outputs.names is None else sorted(path.outputs.names):
        output = known.get(name)
        if output is None or not source.is_valid(output):
            raise InvalidPath(f"output '{name}' of '{source.show(path.base)}' is not in the store to copy from")
        found.append(output)
    return found


def _copy_realisations(source: LocalStore, target: LocalStore, paths: list[DerivedPath]) -> None:
    """Where the outputs of floating derivations went: without it, the copy would be built again."""
    for path in paths:
        if path.outputs is None or path.through:
            continue
        for name in source.query_derivation_outputs(path.base):
            output = source.query_realisation(path.base, name)
            if output is not None and target.is_valid(output) and target.query_realisation(path.base, name) is None:
                target.register_realisation(path.base, name, output)


def _make_links(target: LocalStore, link: str, paths: list[StorePath]) -> None:
    import os

    for number, path in enumerate(dict.fromkeys(paths)):
        target.add_permanent_root(path, os.path.abspath(link) + (f"-{number}" if number else ""))


# -- store make-content-addressed ----------------------------------------------------------------------------------


def make_content_addressed(context: Context, arguments: Arguments) -> None:
    import contextlib

    from frazil.activity import Verbosity
    from frazil.cli.flake_options import print_json
    from frazil.cli.store_paths import store_paths
    from frazil.store.addressing import make_content_addressed as rewrite

    source, destination = context.store, arguments.value("to")
    paths = store_paths(context, arguments)
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(_open(context, destination)) if destination else source
        moved = rewrite(
            source,
            target,
            paths,
            lambda old, new: context.note(f"rewriting '{source.show(old)}' to '{target.show(new)}'"),
        )
    shown = {source.show(path): source.show(moved[path]) for path in paths}
    if arguments.flag("json"):
        print_json(context, arguments, {"rewrites": shown})
        return
    for old, new in shown.items():
        context.note(f"rewrote '{old}' to '{new}'", Verbosity.NOTICE)


COMMANDS = {
    "store make-content-addressed": Command(
        make_content_addressed,
        "rewrite a path or closure to content-addressed form",
        STORE_PATHS,
        JSON,
        (Option("--to", "The store to add the new paths to.", "store-uri"),),
        positional="installables…",
        at_most=None,
        examples=(("A package that needs no signature anywhere", "frazil store make-content-addressed .#hello"),),
    ),
    "copy": Command(
        copy,
        "copy paths between stores",
        INSTALLABLES,
        STDIN,
        (
            Option("--from", "The store to copy from.", "store-uri"),
            Option("--to", "The store to copy to.", "store-uri"),
            Option("--all", "All paths of the store."),
            Option("--derivation", "The store derivations themselves, not their outputs."),
            Option("--no-recursive", "Only the paths given, nothing that they need."),
            Option("--no-check-sigs", "Do not require that paths are signed by trusted keys."),
            Option("--out-link -o", "Make links at *path* that keep what was copied.", "path"),
        ),
        positional="installables…",
        at_most=None,
        examples=(
            (
                "A package and all it needs, into another store",
                "frazil copy --to ./store --no-check-sigs .#hello",
            ),
            ("A path back", "frazil copy --from ./store --no-check-sigs /nix/store/…"),
        ),
    ),
}
