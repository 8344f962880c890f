"""Dependencies in order, as trees and as pictures."""

from __future__ import annotations

import pytest

from frazil.store import graph
from frazil.store.errors import ReferenceCycle
from frazil.store.local import LocalStore
from frazil.store.path import StoreDirectory, StorePath

DIRECTORY = StoreDirectory()


def path(number: int) -> StorePath:
    return StorePath(f"{number:032d}", "x")


def order(references: dict[int, list[int]]) -> list[int]:
    by_path = {path(number): [path(other) for other in others] for number, others in references.items()}
    found = graph.topological_order(set(by_path), by_path.__getitem__, DIRECTORY)
    return [int(item.hash_part) for item in found]


def test_references_come_first() -> None:
    assert order({3: [1, 2], 2: [1], 1: []}) == [1, 2, 3]
    assert order({1: [2, 3], 2: [3], 3: []}) == [3, 2, 1]
    assert order({1: [1], 2: [9]}) == [1, 2]
    assert order({}) == []


def test_long_chains_and_circles() -> None:
    count = 5000
    assert order({number: [number + 1] for number in range(count)} | {count: []}) == list(range(count, -1, -1))
    with pytest.raises(ReferenceCycle, match="cycle detected"):
        order({1: [2], 2: [3], 3: [1]})


def test_trees_and_pictures(store: LocalStore) -> None:
    one = store.add_text("one", b"1")
    two = store.add_text("two", b"2", [one])
    three = store.add_text("three", b"3", [one, two])
    lines = list(graph.tree(store, three))
    assert lines[0] == store.show(three)
    assert sorted(line.lstrip("├└─│ ") for line in lines[1:]) == sorted(
        [store.show(one), store.show(two), f"{store.show(one)} [...]"]
    )
    drawn = list(graph.dot(store, [three]))
    assert (drawn[0], drawn[-1]) == ("digraph G {", "}")
    assert sum(" -> " in line for line in drawn) == 3
    assert sum("label" in line for line in drawn) == 3
    xml = "\n".join(graph.graphml(store, [three]))
    assert xml.count("<node ") == 3 and xml.count("<edge ") == 3
