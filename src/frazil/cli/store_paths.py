"""Commands on store paths: from installables (or --all) to the paths meant."""

from __future__ import annotations

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
    """Sorted by dependency where --recursive is given."""
    store = context.any_store
    if arguments.flag("all"):
        if arguments.positional:
            raise UsageError("'--all' does not expect arguments")
        return store.topological(store.query_all_valid())
    found: list[StorePath] = []
    for path in derived_paths(context, arguments):
        found += paths_meant(context, arguments, path, build=build)
    found = list(dict.fromkeys(found))
    if arguments.flag("recursive"):
        return store.topological(store.closure(found))
    return found


def paths_meant(context: Context, arguments: Arguments, path: DerivedPath, *, build: bool) -> list[StorePath]:
    from frazil.cli.build_command import build_paths, outputs_of

    if arguments.flag("derivation"):
        if path.outputs is not None or path.base.is_derivation:
            return [path.base]
        deriver = context.any_store.query_info(path.base).deriver
        if deriver is None:
            raise UsageError(f"'{context.any_store.show(path.base)}' does not have a known deriver")
        return [deriver]
    if build and path.outputs is not None:
        build_paths(context, [path])
    return [output for _, output in outputs_of(context, path)]
