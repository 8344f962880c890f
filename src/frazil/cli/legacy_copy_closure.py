"""`nix-copy-closure`: copying closures to and from machines reached by SSH. Source: its manual page."""

from __future__ import annotations

from frazil.cli.context import Context
from frazil.cli.options import Arguments, Command, Option
from frazil.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.store.interface import Store


def run_copy_closure(context: Context, arguments: Arguments) -> None:
    if not arguments.positional:
        raise UsageError("no host name specified")
    host, *texts = arguments.positional
    compress = arguments.flag("gzip")
    for name in ("bzip2", "xz"):
        if arguments.flag(name):
            context.warn(f"'--{name}' means '--gzip': SSH has one way to compress")
            compress = True
    downwards = arguments.came_last("from", "to")
    with _open_host(context, host, compress=compress) as remote:
        source, target = (remote, context.store) if downwards else (context.store, remote)
        _copy(context, arguments, source, target, texts)


def _copy(context: Context, arguments: Arguments, source: Store, target: Store, texts: list[str]) -> None:
    from frazil.store.copying import copy_paths
    from frazil.store.local import LocalStore

    assert isinstance(source, LocalStore)
    roots = [source.follow_links_to_store_path(text) for text in texts]
    closure = source.closure(roots, include_outputs=arguments.flag("include-outputs"))
    if arguments.flag("dry-run"):
        for path in source.topological(closure - target.valid_among(closure)):
            context.note(f"would copy '{source.show(path)}'")
        return
    if arguments.flag("use-substitutes"):
        target.substitute_there(closure)
    copy_paths(source, target, closure, context.reporter, check_signatures=False)


def _open_host(context: Context, host: str, *, compress: bool) -> Store:
    from frazil.cli.room_settings import foreign_store_settings
    from frazil.store.opening import open_store

    settings = foreign_store_settings(context.settings, context.verbosity)
    address = f"ssh://{host}" + ("?compress=true" if compress else "")
    return open_store(address, settings, context.reporter, context.settings.environment)


PROGRAMS = {
    "nix-copy-closure": Command(
        run_copy_closure,
        "copy store objects and what they need to or from another machine over SSH",
        (
            Option("--to", "Copy to the host (the default)."),
            Option("--from", "Copy from the host."),
            Option("--gzip", "Compress what goes over the network."),
            Option("--bzip2", "As --gzip.", hidden=True),
            Option("--xz", "As --gzip.", hidden=True),
            Option("--include-outputs", "With derivations, copy their outputs, too."),
            Option("--use-substitutes -s", "Let the other machine fetch what it can from its own binary caches."),
            Option("--dry-run", "Only say what would be copied."),
            Option("--show-progress", "No longer means anything.", hidden=True),
        ),
        positional="host paths…",
        at_most=None,
        experimental=None,
        examples=[("Copy a build to a server", "nix-copy-closure --to admin@server ./result")],
    )
}
