"""Copying store objects with what they refer to into another store; `copy`. Source: its manual page."""

from __future__ import annotations

from frazil.cli.common_options import INSTALLABLES, JSON, STDIN
from frazil.cli.context import Context
from frazil.cli.options import Arguments, Command, Option
from frazil.cli.store_paths import STORE_PATHS
from frazil.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from frazil.store.derived_path import DerivedPath
    from frazil.store.interface import Store
    from frazil.store.path import StorePath


def copy_paths_to(
    context: Context, destination: str, paths: Iterable[StorePath], *, check_signatures: bool = False
) -> int:
    """Copies the closure of `paths` to the store that `destination` names; how many objects it lacked."""
    from frazil.store.copying import copy_closure

    context.store.flush()
    target = context.open_address(destination)
    return copy_closure(context.store, target, paths, context.reporter, check_signatures=check_signatures)


# -- copy ----------------------------------------------------------------------------------------------------------


def copy(context: Context, arguments: Arguments) -> None:
    from frazil.store.copying import copy_paths, copy_realisations

    origin, destination = arguments.value("from"), arguments.value("to")
    if not origin and not destination:
        raise UsageError("you must pass '--from' and/or '--to'")
    source = context.open_address(origin) if origin else context.store
    wanted = _wanted(context, arguments, source, from_elsewhere=bool(origin))
    roots = [path for _, path in wanted]
    target = context.open_address(destination) if destination else context.store
    context.store.flush()
    if arguments.flag("all"):
        paths = set(source.query_all_valid())
    else:
        paths = set(roots) if arguments.flag("no-recursive") else source.closure(roots)
    checks = not arguments.flag("no-check-sigs")
    if arguments.flag("substitute-on-destination"):
        _substitute_there(context, target, paths)
    copy_paths(source, target, paths, context.reporter, check_signatures=checks)
    if "ca-derivations" in context.settings.features:
        copy_realisations(source, target, _outputs(source, wanted), check_signatures=checks)
    profile = arguments.value("profile")
    if profile is not None:
        from frazil.cli.build_command import set_profile

        if target is not context.store:
            raise UsageError("'--profile' needs this machine's own store as the destination")
        set_profile(context, profile, list(dict.fromkeys(roots)))
    link = arguments.value("out-link")
    if link:
        _make_links(context, target, link, roots)


def _substitute_there(context: Context, target: Store, paths: set[StorePath]) -> None:
    """Lets the target fetch what it can from its own substituters, before anything is copied to it."""
    from frazil.store.local import LocalStore

    if isinstance(target, LocalStore) and not target.builds_elsewhere:
        from frazil.build.substitution import substitute_paths

        substitute_paths(target, paths, context.build_settings, context.reporter)
    else:
        target.substitute_there(paths)


def _wanted(
    context: Context, arguments: Arguments, source: Store, *, from_elsewhere: bool
) -> list[tuple[DerivedPath, StorePath]]:
    """What was asked for, built where it is an installable of the own store."""
    from frazil.cli.store_paths import build_missing, derived_paths, paths_meant
    from frazil.store.derived_path import DerivedPath

    if arguments.flag("all"):
        if arguments.positional:
            raise UsageError("'--all' does not expect arguments")
        return []
    if not from_elsewhere or not all(source.directory.is_inside(text) for text in arguments.positional):
        derived = derived_paths(context, arguments)
        if not from_elsewhere:
            if not arguments.flag("derivation"):
                build_missing(context, derived)
            return [(one, path) for one in derived for path in paths_meant(context, arguments, one)]
        context.store.flush()
        return [(one, path) for one in derived for path in _there(context, arguments, source, one)]
    found = []
    for text in arguments.positional:
        derived_path = DerivedPath.parse(text, source.directory)
        found += [(derived_path, path) for path in _there(context, arguments, source, derived_path)]
    return found


def _there(context: Context, arguments: Arguments, source: Store, path: DerivedPath) -> list[StorePath]:
    """Store paths that exist in another store; nothing is built there."""
    from frazil.store.errors import InvalidPath

    if path.outputs is None or arguments.flag("derivation"):
        return [path.base]
    # Which outputs there are is known here, where the derivation was made; where floating ones went, there.
    reader = context.store if context.store.is_valid(path.base) else source
    known = reader.read_derivation(path.base).output_paths(source.directory)
    found = []
    for name in path.outputs.choose(known):
        output = known.get(name) or source.query_realisation(path.base, name)
        if output is None or not source.is_valid(output):
            raise InvalidPath(f"output '{name}' of '{source.show(path.base)}' is not in the store to copy from")
        found.append(output)
    return found


def _outputs(source: Store, wanted: list[tuple[DerivedPath, StorePath]]) -> list[tuple[StorePath, str]]:
    """Of derivations whose outputs were asked for; and of those that these were resolved to."""
    from frazil.build.resolution import resolved_path

    found = []
    for path in dict.fromkeys(derived for derived, _ in wanted):
        if path.outputs is None or path.through or not source.is_valid(path.base):
            continue
        names = path.outputs.choose(source.read_derivation(path.base).outputs)
        for derivation in dict.fromkeys((resolved_path(source, path.base), path.base)):
            if derivation is not None:
                found += [(derivation, name) for name in names]
    return found


def _make_links(context: Context, target: Store, link: str, paths: list[StorePath]) -> None:
    import os

    from frazil.store.local import LocalStore

    if not isinstance(target, LocalStore):
        raise UsageError("'--out-link' needs a destination in the file system")
    for number, path in enumerate(dict.fromkeys(paths)):
        target.add_permanent_root(path, os.path.abspath(link) + (f"-{number}" if number else ""))


# -- logs and signatures -------------------------------------------------------------------------------------------


def copy_log(context: Context, arguments: Arguments) -> None:
    from frazil.cli.store_paths import derived_paths
    from frazil.errors import FrazilError
    from frazil.store.derived_path import DerivedPath

    origin, destination = arguments.value("from"), arguments.value("to")
    if not origin and not destination:
        raise UsageError("you must pass '--from' and/or '--to'")
    source = context.open_address(origin) if origin else context.any_store
    target = context.open_address(destination) if destination else context.any_store
    inside = all(source.directory.is_inside(text) for text in arguments.positional)
    if origin and inside:
        paths = [DerivedPath.parse(text, source.directory) for text in arguments.positional]
    else:
        paths = derived_paths(context, arguments)
    for path in paths:
        derivation = path.base
        if not derivation.is_derivation:
            info = source.query_info_or_none(derivation)
            if info is None or info.deriver is None:
                raise FrazilError(f"build log of '{path.show(source.directory)}' is not available")
            derivation = info.deriver
        log = source.exact_log(derivation)
        if log is None:
            raise FrazilError(f"build log of '{source.show(derivation)}' is not available")
        target.add_build_log(derivation, log)


def copy_signatures(context: Context, arguments: Arguments) -> None:
    from frazil.cli.store_paths import store_paths

    addresses = arguments.all("substituter")
    if not addresses:
        raise UsageError("you must specify at least one substituter using '-s'")
    store = context.any_store
    stores = [context.open_address(address) for address in addresses]
    paths = store_paths(context, arguments)
    added = 0
    for info in store.query_infos(paths):
        new: set[str] = set()
        for other in stores:
            found = other.query_info_or_none(info.path)
            # Signatures are of contents: those of other contents say nothing here.
            if found is None or (found.nar_hash, found.nar_size, found.references) != (
                info.nar_hash,
                info.nar_size,
                info.references,
            ):
                continue
            new |= found.signatures - info.signatures
        if new:
            store.add_signatures(info.path, new)
            added += len(new)
    context.note(f"imported {added} signatures")


# -- store make-content-addressed ----------------------------------------------------------------------------------


def make_content_addressed(context: Context, arguments: Arguments) -> None:
    from frazil.activity import Verbosity
    from frazil.cli.flake_options import print_json
    from frazil.cli.store_paths import store_paths
    from frazil.store.addressing import make_content_addressed as rewrite

    origin = arguments.value("from")
    destination = arguments.value("to")
    if origin is not None:
        context.read_from(origin)
    source: Store = context.any_store
    paths = store_paths(context, arguments, build=not context.store_is_cache)
    target = context.open_address(destination or context.store_address) if destination or origin else source
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
        (
            Option("--from", "The store to read the paths from.", "store-uri"),
            Option("--to", "The store to add the new paths to.", "store-uri"),
        ),
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
            Option("--substitute-on-destination -s", "Let the destination fetch from its own substituters first."),
            Option("--profile", "Set the profile *path* to what was copied.", "path"),
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
    "store copy-log": Command(
        copy_log,
        "copy build logs between stores",
        INSTALLABLES,
        STDIN,
        (
            Option("--from", "The store to copy from.", "store-uri"),
            Option("--to", "The store to copy to.", "store-uri"),
        ),
        positional="installables…",
        at_most=None,
        examples=(("A log into a binary cache", "frazil store copy-log --to file:///srv/cache ./result"),),
    ),
    "store copy-sigs": Command(
        copy_signatures,
        "copy store path signatures from substituters",
        STORE_PATHS,
        (Option("--substituter -s", "A store to copy signatures from; may be repeated.", "store-uri", kind="append"),),
        positional="installables…",
        at_most=None,
        examples=(
            ("Signatures of a package's closure", "frazil store copy-sigs -rs https://cache.nixos.org ./result"),
        ),
    ),
}
