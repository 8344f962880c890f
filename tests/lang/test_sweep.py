"""Large evaluations: thunks that are done are taken out of the way, and everything is what it was."""

from __future__ import annotations

import pytest

from frazil.lang.effects import FileSystemEffects
from frazil.lang.evaluator import Evaluator
from frazil.lang.settings import EvalSettings

# Each step makes scopes, sets and lists that hold the same thunks; some are evaluated by one holder only, some never,
# some are functions, and one fails.
STEPS = """
let
  inherit (builtins) foldl' genList elemAt seq tryEval length filter map;
  step = n: let
    a = n + 1; b = a * 2; xs = [ a b (n - 1) ]; failing = throw "no ${toString n}";
    same = { inherit a b xs failing; list = map (x: x + a) xs; f = y: y + b; };
    kept = filter (x: x > 0) same.list;
  in seq same.b { inherit same kept; hold = v: [ v a b xs ]; deep = { inherit a; next = { inherit b xs; }; }; };
  steps = genList step COUNT;
  value = s: s.same.a + s.same.f 1 + length s.kept + elemAt s.deep.next.xs 1 + elemAt (s.hold 7) 1
    + (if (tryEval s.same.failing).success then 1000000 else 0);
  total = foldl' (sum: s: sum + value s) 0;
in [ (total steps) (total steps) (foldl' (sum: s: sum + elemAt s.same.xs 2) 0 steps) ]
"""


@pytest.mark.parametrize("count", [10, 100_000])
def test_values_stay_what_they_are(count: int) -> None:
    evaluator = Evaluator(FileSystemEffects(), EvalSettings())
    found = evaluator.eval_string(STEPS.replace("COUNT", str(count)).encode(), "/")
    numbers = range(count)
    kept = [sum(x + n + 1 > 0 for x in (n + 1, 2 * n + 2, n - 1)) for n in numbers]
    total = sum((n + 1) + (2 * n + 3) + kept[n] + (2 * n + 2) + (n + 1) for n in numbers)
    assert [evaluator.force(item) for item in evaluator.force(found)] == [total, total, sum(n - 1 for n in numbers)]
