"""Dependencies in order and as pictures: the tree, Graphviz and GraphML texts of `nix-store --query`.

In: a store and paths. Out: lines without their ends. Source of truth: the manual's `nix-store --query`.
"""

from __future__ import annotations

from frazil.store.errors import ReferenceCycle
from frazil.store.path import StoreDirectory, StorePath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from frazil.store.local import LocalStore

_CONNECTION = "├───"
_LAST = "└───"
_LINE = "│   "
_NOTHING = "    "
_COLOURS = ("black", "red", "green", "blue", "magenta", "burlywood")


def topological_order(
    paths: set[StorePath],
    references: Callable[[StorePath], Collection[StorePath]],
    directory: StoreDirectory,
) -> list[StorePath]:
    """References first. Deterministic: the order in which C++ Nix prints closures. Raises ReferenceCycle."""
    done: set[StorePath] = set()
    order: list[StorePath] = []
    for start in sorted(paths):
        if start in done:
            continue
        inner = references(start)
        if not inner:
            done.add(start)
            order.append(start)
            continue
        active = {start}
        stack = [(start, _sorted_inner(start, paths, inner))]
        while stack:
            current, pending = stack[-1]
            following = next(pending, None)
            if following is None:
                stack.pop()
                active.discard(current)
                done.add(current)
                order.append(current)
            elif following in active:
                raise ReferenceCycle(
                    f"cycle detected in the references of '{directory.show(following)}' "
                    f"from '{directory.show(current)}'"
                )
            elif following not in done:
                active.add(following)
                stack.append((following, _sorted_inner(following, paths, references(following))))
    return order


def _sorted_inner(path: StorePath, paths: set[StorePath], references: Iterable[StorePath]) -> Iterator[StorePath]:
    return iter(sorted([other for other in references if other != path and other in paths]))


def tree(store: LocalStore, path: StorePath, done: set[StorePath] | None = None) -> Iterator[str]:
    """References as a tree; what was shown before (`done`) is cut short with `[...]`."""
    done = set() if done is None else done
    stack: list[tuple[StorePath, str, str]] = [(path, "", "")]
    while stack:
        current, first, rest = stack.pop()
        shown = store.show(current)
        if current in done:
            yield f"{first}{shown} [...]"
            continue
        done.add(current)
        yield f"{first}{shown}"
        inner = store.topological(store.query_references(current))
        following = []
        for index, reference in enumerate(inner):
            last = index == len(inner) - 1
            following.append((reference, rest + (_LAST if last else _CONNECTION), rest + (_NOTHING if last else _LINE)))
        stack.extend(reversed(following))


def _walk(store: LocalStore, roots: Iterable[StorePath]) -> Iterator[tuple[StorePath, list[StorePath]]]:
    """Each path of the closure once with its other references, the smallest waiting one first."""
    import heapq

    waiting = sorted(set(roots))
    done: set[StorePath] = set()
    while waiting:
        path = heapq.heappop(waiting)
        if path in done:
            continue
        done.add(path)
        references = sorted(store.query_references(path) - {path})
        for reference in references:
            heapq.heappush(waiting, reference)
        yield path, references


def dot(store: LocalStore, roots: Iterable[StorePath]) -> Iterator[str]:
    yield "digraph G {"
    edges = 0
    for path, references in _walk(store, roots):
        yield f'"{path.base}" [label = "{path.name}", shape = box, style = filled, fillcolor = "#ff0000"];'
        for reference in references:
            colour = _COLOURS[edges % len(_COLOURS)]
            edges += 1
            yield f'"{reference.base}" -> "{path.base}" [color = "{colour}"];'
    yield "}"


def graphml(store: LocalStore, roots: Iterable[StorePath]) -> Iterator[str]:
    yield "<?xml version='1.0' encoding='utf-8'?>"
    yield "<graphml xmlns='http://graphml.graphdrawing.org/xmlns'"
    yield "    xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'"
    yield "    xsi:schemaLocation='http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd'>"
    yield (
        "<key id='narSize' for='node' attr.name='narSize' attr.type='long'/>"
        "<key id='name' for='node' attr.name='name' attr.type='string'/>"
        "<key id='type' for='node' attr.name='type' attr.type='string'/>"
        "<graph id='G' edgedefault='directed'>"
    )
    for path, references in _walk(store, roots):
        info = store.query_info(path)
        yield f'  <node id="{path.base}">'
        yield f'    <data key="narSize">{info.nar_size}</data>'
        yield f'    <data key="name">{path.name[: path.name.find("-") + 1]}</data>'
        yield f'    <data key="type">{"derivation" if path.is_derivation else "output-path"}</data>'
        yield "  </node>"
        for reference in references:
            yield f'  <edge source="{path.base}" target="{reference.base}"/>'
    yield "</graph>"
    yield "</graphml>"
