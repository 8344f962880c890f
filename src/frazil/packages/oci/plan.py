"""Which store objects share a layer.

In: a closure as a graph (path to references) and steps as nixpkgs' `layeringPipeline` has them; out: lists of paths, a
layer each. What many paths need comes first, so that images of different programs begin with the same layers; equal
popularity is ordered by name, so the plan depends on nothing but the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .errors import OciError

Graph = Mapping[str, frozenset[str]]
MOST_LAYERS = 127
"""What container programs take."""


def check_count(layers: int, hint: str) -> None:
    """Raises OciError for an image that nobody would take."""
    if layers > MOST_LAYERS:
        raise OciError(f"the image would have {layers} layers, and container programs take at most {MOST_LAYERS}", hint)


def read_graph(records: Iterable[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """From the JSON of `exportReferencesGraph`."""
    graph = {record["path"]: frozenset(record["references"]) - {record["path"]} for record in records}
    return restrict(graph, graph)


def restrict(graph: Graph, kept: Iterable[str]) -> dict[str, frozenset[str]]:
    wanted = frozenset(kept)
    return {path: graph[path] & wanted for path in wanted}


def reachable(graph: Graph, starts: Iterable[str]) -> set[str]:
    found: set[str] = set()
    pending = [path for path in starts if path in graph]
    while pending:
        path = pending.pop()
        if path not in found:
            found.add(path)
            pending.extend(graph[path] - found)
    return found


def topological(graph: Graph) -> list[str]:
    """Each path before what it needs, else by name."""
    order: list[str] = []
    done: set[str] = set()
    for root in sorted(graph):
        stack = [(root, iter(sorted(graph[root])))]
        if root in done:
            continue
        done.add(root)
        while stack:
            path, children = stack[-1]
            for child in children:
                if child not in done:
                    done.add(child)
                    stack.append((child, iter(sorted(graph[child]))))
                    break
            else:
                order.append(path)
                stack.pop()
    order.reverse()
    return order


def by_popularity(graph: Graph) -> list[str]:
    """The most wanted first: counted is in how many ways a path is reached, that is, how often it would stand in the
    dependency tree written out."""
    count = dict.fromkeys(graph, 1)
    for path in topological(graph):
        for reference in graph[path]:
            count[reference] += count[path]
    return sorted(graph, key=lambda path: (-count[path], path))


# -- the pipeline ------------------------------------------------------------------------------------------------------
# A value is a graph, a list of values, or a set of named values. A step takes one and gives one.

Value = Any
Step = Callable[..., Value]


def _is_graph(value: Value) -> bool:
    return isinstance(value, dict) and all(isinstance(item, frozenset) for item in value.values())


def flatten(value: Value) -> list[dict[str, frozenset[str]]]:
    if _is_graph(value):
        return [value] if value else []
    if not isinstance(value, list | dict):
        raise OciError("a step of the layering pipeline gave neither paths nor parts")
    items = value.values() if isinstance(value, dict) else value
    return [graph for item in items for graph in flatten(item)]


def _merge(graphs: Iterable[Graph], whole: Graph) -> dict[str, frozenset[str]]:
    return restrict(whole, [path for graph in graphs for path in graph])


class Pipeline:
    """`whole`: the closure that is planned. Steps: `[name, argument…]`."""

    def __init__(self, whole: Graph) -> None:
        self.whole = whole
        self.steps: dict[str, Step] = {
            "popularity_contest": self._popularity,
            "reverse": lambda value: list(reversed(flatten(value))),
            "flatten": flatten,
            "limit_layers": self._limit,
            "remove_paths": self._remove,
            "subcomponent_in": lambda value, paths: self._subcomponent(value, paths, inward=True),
            "subcomponent_out": lambda value, paths: self._subcomponent(value, paths, inward=False),
            "split_paths": self._split_paths,
            "split_every": self._split_every,
            "pipe": self.run,
            "over": self._over,
            "map": lambda value, step: [self.run(graph, [step]) for graph in flatten(value)],
        }

    def run(self, value: Value, steps: Iterable[Any]) -> Value:
        for step in steps:
            name, *arguments = [step] if isinstance(step, str) else step
            if name not in self.steps:
                raise OciError(
                    f"'{name}' is not a step of a layering pipeline", "there are " + ", ".join(sorted(self.steps))
                )
            try:
                value = self.steps[name](value, *arguments)
            except TypeError as error:
                if "positional argument" not in str(error):
                    raise
                raise OciError(
                    f"the step '{name}' of the layering pipeline has too many or too few arguments"
                ) from None
        return value

    def _graph(self, value: Value) -> dict[str, frozenset[str]]:
        return value if _is_graph(value) else _merge(flatten(value), self.whole)

    def _popularity(self, value: Value) -> Value:
        return [restrict(self.whole, [path]) for path in by_popularity(self._graph(value))]

    def _limit(self, value: Value, count: Any) -> Value:
        if not isinstance(count, int) or count < 1:
            raise OciError(f"an image cannot have at most {count} layers of store paths")
        graphs = flatten(value)
        if len(graphs) <= count:
            return graphs
        return [*graphs[: count - 1], _merge(graphs[count - 1 :], self.whole)]

    def _remove(self, value: Value, paths: Any) -> Value:
        gone = set([paths] if isinstance(paths, str) else paths)
        if _is_graph(value):
            return restrict(self.whole, [path for path in value if path not in gone])
        if isinstance(value, dict):
            return {name: self._remove(item, paths) for name, item in value.items()}
        return [self._remove(item, paths) for item in value]

    def _subcomponent(self, value: Value, paths: Any, *, inward: bool) -> dict[str, Any]:
        graph = self._graph(value)
        walked = graph if not inward else _reversed(graph)
        main = reachable(walked, [paths] if isinstance(paths, str) else paths)
        return {"main": restrict(graph, main), "rest": restrict(graph, graph.keys() - main)}

    def _split_paths(self, value: Value, paths: Any) -> dict[str, Any]:
        """`main`: what only these paths need, themselves included; `common`: what the rest needs too; `rest`."""
        graph = self._graph(value)
        wanted = [path for path in ([paths] if isinstance(paths, str) else paths) if path in graph]
        below = reachable(graph, wanted)
        others = reachable({path: refs - set(wanted) for path, refs in graph.items()}, graph.keys() - below)
        parts = {"main": below - others, "common": below & others, "rest": graph.keys() - below}
        return {name: restrict(graph, part) for name, part in parts.items() if part}

    def _split_every(self, value: Value, paths: Any) -> list[Any]:
        """The closures of these paths one after another, what they share where it comes first."""
        graph = self._graph(value)
        result, left = [], set(graph)
        for path in [paths] if isinstance(paths, str) else paths:
            part = reachable(graph, [path]) & left
            left -= part
            result.append(restrict(graph, part))
        result.append(restrict(graph, left))
        return [part for part in result if part]

    def _over(self, value: Value, name: str, step: Any) -> Value:
        if not isinstance(value, dict) or _is_graph(value):
            raise OciError(f"the step 'over {name}' follows one that makes no parts to choose from")
        return {key: self.run(item, [step]) if key == name else item for key, item in value.items()}


def _reversed(graph: Graph) -> dict[str, frozenset[str]]:
    back: dict[str, set[str]] = {path: set() for path in graph}
    for path, references in graph.items():
        for reference in references:
            back[reference].add(path)
    return {path: frozenset(referrers) for path, referrers in back.items()}


def plan_layers(graph: Graph, maximum: int, pipeline: Iterable[Any] | None = None) -> list[tuple[str, ...]]:
    """At most `maximum` layers (of store objects alone), paths in each by name."""
    steps = [["popularity_contest"], ["limit_layers", maximum]] if pipeline is None else pipeline
    layers = flatten(Pipeline(graph).run(dict(graph), steps))
    return [tuple(sorted(layer)) for layer in layers if layer]
