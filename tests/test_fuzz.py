"""Mutated inputs for everything that reads from outside, the same ones each time; more with `make fuzz`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from tools.fuzz.mutation import MAXIMUM, mutate
from tools.fuzz.targets import TARGETS, refused

SLOW = frozenset({"export", "archive", "nar-restore", "evaluate", "repl"})
LIMIT = 5.0
"""Processor seconds for one input."""


@pytest.mark.parametrize("name", TARGETS)
def test_mutated_input_is_read_or_refused(name: str) -> None:
    target = TARGETS[name]()
    chance = Random(f"property {name}")
    inputs = [*target.seeds, *(mutate(chance, list(target.seeds), target.words) for _ in range(100))]
    for data in inputs[: 25 if name in SLOW else None]:
        start = time.process_time()
        try:
            target.run(data)
        except Exception as error:
            if not refused(error):
                raise AssertionError(f"{name} of {data!r}") from error
        assert time.process_time() - start < LIMIT, (name, data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_seed_is_taken(name: str) -> None:
    """Mutation would find nothing behind seeds that are refused at the door."""
    target = TARGETS[name]()
    taken = 0
    for data in target.seeds:
        try:
            target.run(data)
        except Exception as error:
            assert refused(error), name
        else:
            taken += 1
    assert taken


def test_mutation_is_repeatable_and_bounded() -> None:
    made = [[mutate(Random(n), [b"seed" * 9000], (b"w",)) for n in range(50)] for _ in range(2)]
    assert made[0] == made[1]
    assert max(map(len, made[0])) == MAXIMUM
