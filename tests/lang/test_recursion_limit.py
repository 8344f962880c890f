"""Evaluation raises Python's recursion limit and puts it back: elsewhere it guards small stacks."""

from __future__ import annotations

import json
import sys

import pytest

from frazil.lang.effects import FileSystemEffects
from frazil.lang.evaluator import Evaluator, run_with_deep_stack


def test_the_limit_comes_back_after_evaluation() -> None:
    before = sys.getrecursionlimit()
    evaluator = Evaluator(FileSystemEffects())
    assert evaluator.eval_string("let f = n: if n == 0 then 0 else 1 + f (n - 1); in f 500", "/") == 500
    assert sys.getrecursionlimit() == before
    assert run_with_deep_stack(lambda: evaluator.eval_string("1 + 1", "/")) == 2
    assert sys.getrecursionlimit() == before
    with pytest.raises(RecursionError):
        json.loads("[" * 100_000)
