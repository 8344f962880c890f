"""Watching an evaluation: function traces, folded stacks, counts, the debugger's stops."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from frazil.lang.effects import FileSystemEffects
from frazil.lang.errors import EvalBaseError
from frazil.lang.evaluator import Evaluator
from frazil.lang.observed import bindings, levels
from frazil.lang.settings import EvalSettings


def evaluate(text: str, **settings: Any) -> tuple[Evaluator, list[str]]:
    effects = FileSystemEffects()
    evaluator = Evaluator(effects, EvalSettings(**settings))
    try:
        evaluator.force_deep(evaluator.eval_string(text, "/"))
    except EvalBaseError:
        pass
    evaluator.close()
    return evaluator, effects.traced


def test_nothing_is_watched_unless_asked_for() -> None:
    assert evaluate("1")[0].observer is None


STACKS = [
    ("let f = x: x; in f 1", ["1:18:f 1"]),
    ("(x: x) 1", ["1:1 1"]),
    ("builtins.head [ 0 ]", ["1:1:primop head 1"]),
    ("let a = builtins.all (let f = x: x; in f); in a [ 1 ]", [
        "1:9:primop all 1", "1:47:primop all 1", "1:47:primop all;1:31:f 1"]),
    ("{ __functor = x: y: y; } 1", ["1:1:functor 1", "1:1:functor;1:3 1"]),
    ('builtins.tryEval (throw "e")', ["1:1:primop tryEval 1", "1:1:primop tryEval;1:19:primop throw 1"]),
    ("let f = { x }: x; in f { }", ["1:22:f 1"]),
    ("let g = x: x; f = { a }: a; in f (g { a = 1; })", ["1:32:f 1", "1:32:f;1:35:g 1"]),
    ("let f = x: let y = x; in z: y + z; in f 1 2", ["1:39:f 1"]),
    ("1 2", ["1:1 1"]),
    ("map (x: x) [ 1 2 ]", ["1:1:primop map 1", "1:6 2"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "stacks"), STACKS)
def test_stacks_of_calls(text: str, stacks: list[str], tmp_path: Path) -> None:
    path = tmp_path / "profile"
    evaluate(text, eval_profiler="flamegraph", eval_profile_file=str(path), eval_profiler_frequency=0)
    assert path.read_text(encoding="utf-8").replace("«string»:", "").splitlines() == stacks


def test_a_profile_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(EvalBaseError, match="opening file"):
        evaluate("1", eval_profiler="flamegraph", eval_profile_file=str(tmp_path / "none" / "profile"))


def test_function_calls_are_traced() -> None:
    traced = evaluate('builtins.tryEval (throw "e")', trace_function_calls=True)[1]
    shown = [re.sub(r" at \d+$", "", line.encode("latin-1").decode()) for line in traced]
    assert shown == [
        "function-trace entered «string»:1:1",
        "function-trace entered «string»:1:19",
        "function-trace exited «string»:1:19",
        "function-trace exited «string»:1:1",
    ]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("builtins.foldl' (a: b: a + b) 0 [ 1 2 3 ]", {18: 3, 21: 3}),
        ("builtins.sort (a: b: a < b) [ 2 1 ]", {16: 1, 19: 1}),
        ("builtins.mapAttrs (n: v: v) { a = 1; b = 2; }", {20: 2, 23: 2}),
        ("builtins.foldl' (a: if a == 0 then b: b else b: a) 0 [ 1 2 ]", {18: 2, 36: 1, 46: 1}),
    ],
)
def test_both_functions_of_a_call_by_a_builtin_count(text: str, columns: dict[int, int]) -> None:
    observer = evaluate(text, show_stats=True, count_calls=True)[0].observer
    found = observer.statistics()
    assert {function["column"]: function["count"] for function in found["functions"]} == columns
    assert found["nrFunctionCalls"] == sum(columns.values())


def test_counts() -> None:
    text = "let s = { a = 1; b = 2; }; f = x: x // { c = s.a; }; in map f [ s s ] ++ [ 1 ]"
    observer = evaluate(text, show_stats=True, count_calls=True)[0].observer
    found = observer.statistics()
    assert found["nrFunctionCalls"] == 2
    assert found["nrPrimOpCalls"] == 1
    assert found["primops"] == {"map": 1}
    assert found["nrOpUpdates"] == 2
    assert found["nrLookups"] == 2
    assert found["list"] == {"bytes": 48, "concats": 1, "elements": 6}
    assert found["functions"] == [{"name": "f", "line": 1, "column": 32, "count": 2}]
    assert found["attributes"] == [{"line": 1, "column": 11, "count": 2}]
    assert found["symbols"]["number"] > 0


@pytest.mark.parametrize("text", [text for text, _ in STACKS])
@pytest.mark.parametrize(
    "settings", [{"trace_function_calls": True}, {"show_stats": True, "count_calls": True}, {"debugger": True}]
)
def test_watching_changes_no_result(text: str, settings: dict[str, Any]) -> None:
    from frazil.lang.printer import print_value

    def outcome(**given: Any) -> str:
        evaluator = Evaluator(FileSystemEffects(), EvalSettings(**given))
        try:
            return print_value(evaluator, evaluator.eval_string(text, "/"), evaluate=True)
        except EvalBaseError as error:
            return f"{error.message} {[frame.text for frame in error.trace]}"

    assert outcome(**settings) == outcome()


class Stops:
    """Notes where the debugger stops, and goes on."""

    def __init__(self, text: str, *, steps: int = 0, **settings: Any) -> None:
        self.seen: list[tuple[str, list[str]]] = []
        self.names: list[Any] = []
        self.steps = steps
        self.evaluator = Evaluator(FileSystemEffects(), EvalSettings(debugger=True, **settings))
        self.debugger = self.evaluator.observer.debugger
        self.debugger.converse = self.converse
        try:
            self.evaluator.force_deep(self.evaluator.eval_string(text, "/"))
        except EvalBaseError as error:
            self.error = error.message

    def converse(self, debugger: Any, error: EvalBaseError | None, notice: str) -> None:
        self.seen.append((notice if error is None else error.message, [f.message for f in debugger.frames[::-1]]))
        names = debugger.frames[-1].names
        self.names.append((levels(names), sorted(bindings(names))))
        self.steps -= 1
        debugger.stepping = self.steps > 0


def test_the_debugger_stops_once_at_an_error() -> None:
    stops = Stops('let x.a = 1; in with x; (y: builtins.seq x.a (throw "no")) x.a')
    assert stops.seen == [
        (
            "no",
            [
                "no",
                "while calling a function",
                "while calling a function",
                "while calling anonymous lambda",
                "while calling a function",
                "while evaluating a 'let' expression",
            ],
        )
    ]
    assert stops.names == [([("names", ["y"]), ("with", ["a"]), ("names", ["x"])], ["a", "x", "y"])]
    assert stops.error == "no"
    assert stops.debugger.frames == []


def test_breakpoints_warnings_and_steps() -> None:
    stops = Stops("let a = 1; in builtins.break a", steps=2)
    assert [notice for notice, _ in stops.seen] == ["breakpoint reached"]
    assert len(Stops("builtins.warn ''w'' 1", debugger_on_warn=True).seen) == 1
    assert Stops("builtins.warn ''w'' 1").seen == []
    stepped = Stops("let f = x: x; in builtins.seq (builtins.break 1) (f 2)", steps=3)
    assert [frames[0] for _, frames in stepped.seen][1:] == ["while calling a function", "while calling 'f'"]


def test_errors_inside_try_eval_can_be_ignored() -> None:
    assert len(Stops('builtins.tryEval (throw "x")').seen) == 1
    assert Stops('builtins.tryEval (throw "x")', ignore_try=True).seen == []


def test_operators_are_calls_of_builtins() -> None:
    text = "let a = 3; in [ (a - 1) (a * 2) (a / 2) (-a) (a < 1) (a >= 1) (a + 1) ]"
    observer = evaluate(text, show_stats=True, count_calls=True)[0].observer
    found = observer.statistics()
    assert found["primops"] == {"div": 1, "lessThan": 2, "mul": 1, "sub": 2}


def test_sorting_with_less_than_calls_nothing() -> None:
    observer = evaluate("builtins.sort builtins.lessThan [ 3 1 2 ]", show_stats=True, count_calls=True)[0].observer
    assert observer.statistics()["primops"] == {"sort": 1}
