"""`nix-store --query`. Source: the manual page of `nix-store --query`."""

from __future__ import annotations

from frazil.cli.context import Context
from frazil.cli.options import Arguments
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from frazil.store.derived_path import DerivedPath
    from frazil.store.path import StorePath


def run_query(context: Context, arguments: Arguments) -> None:
    kinds = [key for key, _ in arguments.order if key in KINDS]
    for kind in kinds[1:]:
        if kind != kinds[0]:
            raise UsageError(f"query type '{_as_given(arguments, kind)}' conflicts with earlier flag")
    kind = kinds[0] if kinds else "outputs"
    KINDS[kind](context, arguments)


def _as_given(arguments: Arguments, kind: str) -> str:
    return arguments.spellings.get(kind, f"--{kind}")


def paths_of(context: Context, arguments: Arguments) -> list[StorePath]:
    follow = context.store.follow_links_to_store_path
    return [follow(text) for text in arguments.positional]


def _with_outputs(context: Context, arguments: Arguments, *, use_output: bool = False) -> list[StorePath]:
    """The paths asked about; with --use-output a derivation's outputs instead, with --force-realise built first."""
    found: list[StorePath] = []
    force = arguments.flag("force-realise")
    use_output = use_output or arguments.flag("use-output")
    if not (force or use_output):
        return paths_of(context, arguments)
    from frazil.cli.legacy_store import Roots

    roots = Roots(context, arguments.value("add-root"))
    for path in paths_of(context, arguments):
        if force:
            roots.add(_realise(context, path))
        if not path.is_derivation or not use_output:
            found.append(path)
            continue
        outputs = []
        for output in context.store.query_derivation_outputs(path).values():
            if output is None:
                raise UsageError(
                    "Cannot use output path of floating content-addressing derivation until we know what it is "
                    "(e.g. by building it)"
                )
            outputs.append(output)
        found += sorted(outputs)
    return found


def _realise(context: Context, path: StorePath) -> DerivedPath:
    from frazil.cli.build_command import build_paths
    from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath

    wanted = DerivedPath(path, ALL_OUTPUTS if path.is_derivation else None)
    build_paths(context, [wanted])
    return wanted


def _print_sorted(context: Context, paths: Iterable[StorePath]) -> None:
    show = context.store.show
    lines = [show(path) for path in context.store.topological(paths)]
    if lines:
        context.print("\n".join(lines))


def outputs(context: Context, arguments: Arguments) -> None:
    for path in paths_of(context, arguments):
        single = Arguments(arguments.program)
        single.values, single.positional = arguments.values, [context.store.show(path)]
        for output in sorted(_with_outputs(context, single, use_output=True)):
            context.print(context.store.show(output))


def requisites(context: Context, arguments: Arguments) -> None:
    include = arguments.flag("include-outputs")
    _print_sorted(context, context.store.closure(_with_outputs(context, arguments), include_outputs=include))


def references(context: Context, arguments: Arguments) -> None:
    _print_sorted(context, context.store.references_among(_with_outputs(context, arguments)))


def referrers(context: Context, arguments: Arguments) -> None:
    found: set[StorePath] = set()
    for path in _with_outputs(context, arguments):
        found |= context.store.query_referrers(path)
    _print_sorted(context, found)


def referrers_closure(context: Context, arguments: Arguments) -> None:
    _print_sorted(context, context.store.closure(_with_outputs(context, arguments), reverse=True))


def deriver(context: Context, arguments: Arguments) -> None:
    for info in context.store.query_infos(paths_of(context, arguments)):
        known = info.deriver
        context.print(context.store.show(known) if known else "unknown-deriver")


def valid_derivers(context: Context, arguments: Arguments) -> None:
    found: set[StorePath] = set()
    for path in paths_of(context, arguments):
        found |= context.store.query_valid_derivers(path)
    _print_sorted(context, found)


def binding(context: Context, arguments: Arguments) -> None:
    from frazil.cli.legacy_store import plain_environment

    if not arguments.positional:
        raise UsageError("expected binding name")
    name = arguments.positional.pop(0)
    for path in paths_of(context, arguments):
        if not path.is_derivation:
            known = context.store.query_info(path).deriver
            if known is None:
                raise FrazilError(f"deriver of path '{context.store.show(path)}' is not known")
            path = known
        environment = plain_environment(context.store.read_derivation(path))
        if name not in environment:
            raise FrazilError(f"derivation '{context.store.show(path)}' has no environment binding named '{name}'")
        context.print_byte_string(environment[name])


def content_hash(context: Context, arguments: Arguments) -> None:
    hashes = context.store.query_nar_hashes(_with_outputs(context, arguments))
    context.print_lines(map(str, hashes))


def size(context: Context, arguments: Arguments) -> None:
    infos = context.store.query_infos(_with_outputs(context, arguments))
    context.print_lines(str(info.nar_size) for info in infos)


def tree(context: Context, arguments: Arguments) -> None:
    from frazil.store.graph import tree as lines_of

    done: set[StorePath] = set()
    for path in paths_of(context, arguments):
        context.print_lines(lines_of(context.store, path, done))


def graph(context: Context, arguments: Arguments) -> None:
    """Graphviz' language."""
    from frazil.store.graph import dot

    context.print_lines(dot(context.store, _with_outputs(context, arguments)))


def graphml(context: Context, arguments: Arguments) -> None:
    from frazil.store.graph import graphml as lines_of

    context.print_lines(lines_of(context.store, _with_outputs(context, arguments)))


def resolve(context: Context, arguments: Arguments) -> None:
    for path in paths_of(context, arguments):
        context.print(context.store.show(path))


def roots(context: Context, arguments: Arguments) -> None:
    settings = context.settings
    wanted = context.store.closure(
        _with_outputs(context, arguments),
        reverse=True,
        include_outputs=settings.boolean("keep-outputs"),
        include_derivers=settings.boolean("keep-derivations"),
    )
    for path, links in sorted(context.store.find_roots().items()):
        if path in wanted:
            for link in sorted(links):
                context.print(f"{link} -> {context.store.show(path)}")


KINDS: dict[str, Callable[[Context, Arguments], None]] = {
    "outputs": outputs,
    "requisites": requisites,
    "references": references,
    "referrers": referrers,
    "referrers-closure": referrers_closure,
    "deriver": deriver,
    "valid-derivers": valid_derivers,
    "binding": binding,
    "hash": content_hash,
    "size": size,
    "tree": tree,
    "graph": graph,
    "graphml": graphml,
    "resolve": resolve,
    "roots": roots,
}
