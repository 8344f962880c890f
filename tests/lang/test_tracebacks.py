"""Errors carry the language's traces; Python's would take a frame object for every C function that an error passes."""

from __future__ import annotations

import traceback
import tracemalloc

import pytest

import frazil.lang.evaluator
from frazil.lang.effects import FileSystemEffects
from frazil.lang.errors import EvalError
from frazil.lang.evaluator import Evaluator, run_with_deep_stack

RECURSION = "let f = n: if n == 0 then throw ''end'' else 1 + f (n - 1); in f %d"
CAUGHT = "let f = n: if n == 0 then throw ''end'' else 1 + f (n - 1); in (builtins.tryEval (f %d)).success"

pytestmark = pytest.mark.skipif(
    str(frazil.lang.evaluator.__file__).endswith(".py"),
    reason="the evaluator is not compiled",
)


def failure(depth: int) -> EvalError:
    evaluator = Evaluator(FileSystemEffects())

    def work() -> EvalError:
        with pytest.raises(EvalError, match="end") as caught:
            evaluator.force(evaluator.eval_string(RECURSION % depth, "/"))
        return caught.value

    return run_with_deep_stack(work)


def test_the_traceback_does_not_grow_with_the_depth() -> None:
    few, many = (len(list(traceback.walk_tb(failure(depth).__traceback__))) for depth in (10, 1000))
    assert few == many


def test_memory_for_each_call_that_an_error_passes() -> None:
    """Of Python's allocators, the peak: the language's traces are kept."""

    def peak(depth: int) -> int:
        evaluator = Evaluator(FileSystemEffects())
        tracemalloc.start()
        try:
            assert run_with_deep_stack(lambda: evaluator.eval_string(CAUGHT % depth, "/")) is False
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)
    assert peak(4000) - peak(2000) < 2000 * 600


def test_errors_of_python_keep_their_tracebacks() -> None:
    def broken(evaluator: Evaluator, arguments: list[object]) -> object:
        return {}["missing"]

    from frazil.lang.registry import BuiltinSpec

    evaluator = Evaluator(FileSystemEffects(), extra_builtins=[BuiltinSpec("broken", 1, broken)])
    with pytest.raises(KeyError) as caught:
        evaluator.eval_string("let f = n: if n == 0 then builtins.broken 1 else 1 + f (n - 1); in f 5", "/")
    assert len(list(traceback.walk_tb(caught.value.__traceback__))) > 10
