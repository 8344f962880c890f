"""`nix-store --query`. Source: the manual page of `nix-store --query`."""

from __future__ import annotations

from frazil.cli.context import Context
from frazil.cli.options import Arguments
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from frazil.store.path import StorePath

MODIFIERS = frozenset({"use-output", "force-realise", "include-outputs"})


def run_query(context: Context, arguments: Arguments) -> None:
    kinds = [key for key, _ in arguments.order if key in KINDS]
    for kind in kinds[1:]:
        if kind != kinds[0]:
            raise UsageError(f"query type '--{kind}' conflicts with earlier flag")
    kind = kinds[0] if kinds else "outputs"
    KINDS[kind](context, arguments)


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
    for path in paths_of(context, arguments):
        if force:
            _realise(context, path)
        if not path.is_derivation or not use_output:
            found.append(path)
            continue
        for output in context.store.query_derivation_outputs(path).values():
            if output is None:
                raise UsageError(
                    "Cannot use output path of floating content-addressing derivation until we know what it is "
                    "(e.g. by building it)"
                )
            found.append(output)
    return found


def _realise(context: Context, path: StorePath) -> None:
    from frazil.cli.build_command import build_paths
    from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath

    build_paths(context, [DerivedPath(path, ALL_OUTPUTS if path.is_derivation else None)])


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
    if not arguments.positional:
        raise UsageError("expected binding name")
    name = arguments.positional.pop(0)
    for path in paths_of(context, arguments):
        if not path.is_derivation:
            known = context.store.query_info(path).deriver
            if known is None:
                raise FrazilError(f"deriver of path '{context.store.show(path)}' is not known")
            path = known
        environment = context.store.read_derivation(path).environment
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
    done: set[StorePath] = set()
    for path in paths_of(context, arguments):
        _print_tree(context, path, "", "", done)


def _print_tree(context: Context, path: StorePath, first: str, rest: str, done: set[StorePath]) -> None:
    """Depth first; a path shown before is not opened again."""
    pending = [(path, first, rest)]
    while pending:
        current, head, tail = pending.pop()
        shown = context.store.show(current)
        if current in done:
            context.print(f"{head}{shown} [...]")
            continue
        done.add(current)
        context.print(head + shown)
        below = list(reversed(context.store.topological(context.store.query_info(current).references)))
        entries = [
            (
                item,
                tail + ("└───" if i == len(below) - 1 else "├───"),
                tail + ("    " if i == len(below) - 1 else "│   "),
            )
            for i, item in enumerate(below)
        ]
        pending += reversed(entries)


COLOURS = ("black", "red", "green", "blue", "magenta", "burlywood")


def graph(context: Context, arguments: Arguments) -> None:
    """Graphviz' language."""
    context.print("digraph G {")
    colour = 0
    for path, below in _walk(context, arguments):
        context.print(f'"{path.base}" [label = "{path.name}", shape = box, style = filled, fillcolor = "#ff0000"];')
        for other in below:
            context.print(f'"{other.base}" -> "{path.base}" [color = "{COLOURS[colour % len(COLOURS)]}"];')
            colour += 1
    context.print("}")


def _walk(context: Context, arguments: Arguments) -> Iterable[tuple[StorePath, list[StorePath]]]:
    """Every path of the closure once, smallest first among those known, with its references but itself."""
    import heapq

    pending = sorted(set(_with_outputs(context, arguments)))
    done: set[StorePath] = set()
    while pending:
        path = heapq.heappop(pending)
        if path in done:
            continue
        done.add(path)
        below = sorted(context.store.query_info(path).references - {path})
        for other in below:
            heapq.heappush(pending, other)
        yield path, below


def graphml(context: Context, arguments: Arguments) -> None:
    context.print("<?xml version='1.0' encoding='utf-8'?>")
    context.print("<graphml xmlns='http://graphml.graphdrawing.org/xmlns'")
    context.print("    xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'")
    context.print("    xsi:schemaLocation='http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd'>")
    for name, kind in (("narSize", "long"), ("name", "string"), ("type", "string")):
        context.print(f"<key id='{name}' for='node' attr.name='{name}' attr.type='{kind}'/>")
    context.print("<graph id='G' edgedefault='directed'>")
    for path, below in _walk(context, arguments):
        kind = "derivation" if path.is_derivation else "output-path"
        nar_size = context.store.query_info(path).nar_size
        context.print(f'  <node id="{path.base}">')
        context.print(f'    <data key="narSize">{nar_size}</data>')
        context.print(f'    <data key="name">{path.name}</data>')
        context.print(f'    <data key="type">{kind}</data>')
        context.print("  </node>")
        for other in below:
            context.print(f'  <edge source="{path.base}" target="{other.base}"/>')
    context.print("</graph>")
    context.print("</graphml>")


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
