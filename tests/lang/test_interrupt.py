"""Other threads run while something is evaluated, and can end it."""

from __future__ import annotations

import threading

import pytest

from frazil.lang.effects import FileSystemEffects
from frazil.lang.errors import Interrupted
from frazil.lang.evaluator import Evaluator, run_with_deep_stack

ENDLESS = (
    "let f = n: if n == 0 then 0 else f (n - 1); in builtins.foldl' (a: b: f 100) 0 (builtins.genList (i: i) 3000000)"
)


def interrupted(evaluator: Evaluator, value: object) -> None:
    timer = threading.Timer(0.2, evaluator.interrupt)
    timer.start()
    with pytest.raises(Interrupted):
        run_with_deep_stack(lambda: evaluator.force(value))
    timer.join()


def test_an_evaluation_ends_when_interrupted_and_can_be_asked_again() -> None:
    evaluator = Evaluator(FileSystemEffects())
    attrs = evaluator.eval_string(f"rec {{ endless = {ENDLESS}; other = 1 + 1; }}", "/")
    interrupted(evaluator, attrs.lookup("endless"))
    assert evaluator.force(attrs.lookup("other")) == 2
    assert evaluator.eval_string("let f = n: if n == 0 then 7 else f (n - 1); in f 100", "/") == 7
    interrupted(evaluator, attrs.lookup("endless"))


def test_interrupting_nothing_changes_nothing() -> None:
    evaluator = Evaluator(FileSystemEffects())
    evaluator.interrupt()
    assert evaluator.eval_string("(x: x) 1", "/") == 1


@pytest.mark.parametrize(
    "expression",
    [
        "builtins.length (builtins.genList (i: i) 1500000)",
        "let l = builtins.genList (i: i) 300000; in builtins.length (map (i: i) l) + builtins.length (l ++ l ++ l)",
        "let l = builtins.genList (i: i) 300000; in if builtins.elem (-1) l || l == map (i: i) l then 1 else 0",
        'builtins.fromTOML (builtins.concatStringsSep "" (builtins.genList (i: "a${toString i} = 1\\n") 100000))',
    ],
)
def test_long_work_of_builtins_gives_others_turns(expression: str) -> None:
    evaluator = Evaluator(FileSystemEffects())
    turns: list[int] = []
    done = threading.Event()

    def count() -> None:
        while not done.is_set():
            turns.append(1)
            done.wait(0.0001)

    other = threading.Thread(target=count)
    other.start()
    before = len(turns)
    run_with_deep_stack(lambda: evaluator.force(evaluator.eval_string(expression, "/")))
    during = len(turns) - before
    done.set()
    other.join()
    assert during  # without turns the other thread would not have run at all
