"""Commands on store paths: from installables (or --all) to the paths meant."""

from __future__ import annotations

from frazil.activity import Verbosity
from frazil.cli.common_options import INSTALLABLES, STDIN
from frazil.cli.evaluation import with_deep_stack
from frazil.cli.options import Option
from frazil.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.cli.context import Context
    from frazil.cli.options import Arguments
    from frazil.store.derived_path import DerivedPath
    from frazil.store.path import StorePath

STORE_PATHS = (
    *INSTALLABLES,
    *STDIN,
    Option("--recursive -r", "All that the paths need, too."),
    Option("--all", "All paths of the store."),
    Option("--derivation", "The store derivations themselves, not their outputs."),
)


def derived_paths(context: Context, arguments: Arguments, texts: list[str] | None = None) -> list[DerivedPath]:
    """What installables stand for. Plain store paths are read without the evaluator."""
    wanted = texts if texts is not None else arguments.positional
    needs_evaluation = any(arguments.has(key) for key in ("file", "expr", "attr", "stdin"))
    if wanted and not needs_evaluation:
        plain = [stored_path(context, text) for text in wanted]
        if all(path is not None for path in plain):
            return [path for path in plain if path is not None]
    from frazil.cli.installables import Opened

    opened = Opened(context, arguments)
    known = None if needs_evaluation else opened.recall_targets(wanted or ["."])
    if known is not None:
        return known

    def evaluate() -> list[DerivedPath]:
        return [target.path for target in opened.targets(texts)]

    found: list[DerivedPath] = with_deep_stack(evaluate)
    return found


def stored_path(context: Context, text: str) -> DerivedPath | None:
    from frazil.store.derived_path import DerivedPath
    from frazil.store.errors import BadStorePath

    if "/" not in text or "#" in text or "?" in text:
        return None
    prefix, mark, outputs = text.partition("^")
    try:
        path = context.any_store.follow_links_to_store_path(prefix)
    except BadStorePath:
        return None
    return DerivedPath.parse(context.any_store.show(path) + mark + outputs, context.any_store.directory)


def store_paths(context: Context, arguments: Arguments, *, build: bool = False) -> list[StorePath]:
    """Sorted by dependency."""
    store = context.any_store
    if arguments.flag("all"):
        if arguments.positional:
            raise UsageError("'--all' does not expect arguments")
        return store.topological(store.query_all_valid())
    wanted = derived_paths(context, arguments)
    if not arguments.flag("derivation"):
        _provide(context, wanted, build=build)
    found = list(dict.fromkeys([one for path in wanted for one in paths_meant(context, arguments, path)]))
    if arguments.flag("recursive"):
        return store.topological(store.closure(found))
    return store.topological(found) if len(found) > 1 else found


def _provide(context: Context, paths: list[DerivedPath], *, build: bool) -> None:
    """What is not there is built or fetched, all at once; without `build` it is only said what would be."""
    from frazil.cli.build_command import print_missing

    if build:
        build_missing(context, paths)
        return
    absent = _absent(context, paths)
    if not absent:
        return
    if not context.store_is_cache:
        print_missing(context, absent, Verbosity.ERROR)
        return
    context.note("don't know how to build these paths:", Verbosity.ERROR)
    for path in sorted(path.base for path in absent):
        context.note(f"  {context.any_store.show(path)}", Verbosity.ERROR)


def build_missing(context: Context, paths: list[DerivedPath]) -> None:
    """Raises BuildFailed."""
    from frazil.cli.build_command import build_paths

    absent = _absent(context, paths)
    if absent:
        build_paths(context, absent)


def _absent(context: Context, paths: list[DerivedPath]) -> list[DerivedPath]:
    """All but plain store paths that are valid."""
    plain = [path.base for path in paths if path.outputs is None]
    valid = context.any_store.valid_among(plain) if plain else set()
    return [path for path in paths if path.outputs is not None or path.base not in valid]


def what(context: Context, arguments: Arguments, text: str, path: DerivedPath) -> str:
    """How messages name an installable: by attribute where there is a file, store paths in full."""
    if any(arguments.has(key) for key in ("file", "expr")):
        return text.partition("^")[0]
    return text if text and stored_path(context, text) is None else path.show(context.any_store.directory)


def paths_meant(context: Context, arguments: Arguments, path: DerivedPath) -> list[StorePath]:
    """What `_provide` or `build_missing` has made."""
    from frazil.cli.build_command import outputs_of

    if arguments.flag("derivation"):
        if path.outputs is not None or path.base.is_derivation:
            return [path.base]
        deriver = context.any_store.query_info(path.base).deriver
        if deriver is None:
            raise UsageError(f"'{context.any_store.show(path.base)}' does not have a known deriver")
        return [deriver]
    return [output for _, output in outputs_of(context, path)]
