"""Layer plans: what is popular comes first, nothing is lost or doubled, the steps of pipelines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.packages.oci.errors import OciError
from frazil.packages.oci.plan import Pipeline, by_popularity, flatten, plan_layers, read_graph, topological


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, frozenset[str]]:
    count = draw(st.integers(0, 9))
    names = [f"p{number}" for number in range(count)]
    return {
        name: frozenset(draw(st.sets(st.sampled_from(names[:number])))) if number else frozenset()
        for number, name in enumerate(names)
    }


SIMPLE = {"app": ["lib", "libc"], "tool": ["libc"], "lib": ["libc"], "libc": []}
GRAPH = {name: frozenset(references) for name, references in SIMPLE.items()}


@given(graphs(), st.integers(1, 12))
def test_each_path_is_in_one_layer(graph: dict[str, frozenset[str]], maximum: int) -> None:
    layers = plan_layers(graph, maximum)
    assert sorted(path for layer in layers for path in layer) == sorted(graph)
    assert len(layers) <= maximum


@given(graphs())
def test_users_before_what_they_use(graph: dict[str, frozenset[str]]) -> None:
    order = topological(graph)
    assert all(order.index(path) < order.index(needed) for path in graph for needed in graph[path])


def test_popularity() -> None:
    assert by_popularity(GRAPH) == ["libc", "lib", "app", "tool"]
    assert plan_layers(GRAPH, 2) == [("libc",), ("app", "lib", "tool")]


def test_the_order_of_the_records_changes_nothing() -> None:
    records = [{"path": path, "references": [*references, path]} for path, references in SIMPLE.items()]
    assert plan_layers(read_graph(records), 9) == plan_layers(read_graph(records[::-1]), 9)


def run(*steps: object) -> object:
    return [sorted(part) for part in flatten(Pipeline(GRAPH).run(dict(GRAPH), steps))]


def test_steps() -> None:
    assert run(["split_paths", ["app"]]) == [["app", "lib"], ["libc"], ["tool"]]
    assert run(["subcomponent_out", ["tool"]]) == [["libc", "tool"], ["app", "lib"]]
    assert run(["subcomponent_in", ["lib"]]) == [["app", "lib"], ["libc", "tool"]]
    assert run(["split_every", ["tool", "app"]]) == [["libc", "tool"], ["app", "lib"]]
    assert run(["popularity_contest"], ["reverse"], ["limit_layers", 2]) == [["tool"], ["app", "lib", "libc"]]
    assert run(["remove_paths", "libc"]) == [["app", "lib", "tool"]]
    assert run(
        ["subcomponent_out", ["tool"]], ["over", "main", ["pipe", [["popularity_contest"], ["limit_layers", 3]]]]
    ) == [["libc"], ["tool"], ["app", "lib"]]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([["shuffle"]], "not a step"),
        ([["limit_layers"]], "too many or too few"),
        ([["limit_layers", 0]], "at most 0"),
        ([["over", "main", ["reverse"]]], "no parts"),
    ],
)
def test_wrong_pipelines(steps: list[object], message: str) -> None:
    with pytest.raises(OciError, match=message):
        run(*steps)
