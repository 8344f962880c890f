"""Evaluations large enough for thunks that are done to be taken out of the way, wherever they are held."""

from __future__ import annotations

import pytest
from golden import evaluate

# Lists, sets, arguments and scopes hold the same thunks; whoever asks first, the others keep one that is done.
COUNT = 40_000
HELD = """
let
  make = i:
    let
      a = i + 1;
      s = { v = a * 2; w = [ a (a + i) ]; f = x: x + a; };
      keep = x: y: { inherit x y; z = y.v; };
    in keep s.w (keep s a // { v = s.v; inherit (s) f; });
  all = builtins.genList make COUNT;
  sum = builtins.foldl' (t: e: t + e.z + builtins.elemAt e.x 1 + e.y.f 1) 0 all;
  again = builtins.foldl' (t: e: t + e.z + builtins.elemAt e.x 1 + e.y.f 1) 0 all;
  more = builtins.genList (i: let e = builtins.elemAt all i; in [ e.y.x.v (builtins.head e.x) e.y.y ]) COUNT;
in
""".replace("COUNT", str(COUNT))
SUM = sum(2 * (i + 1) + (2 * i + 1) + (i + 2) for i in range(COUNT))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("[ sum again (builtins.length more) ]", f"[ {SUM} {SUM} {COUNT} ]"),
        ("builtins.all (l: builtins.elemAt l 0 == 2 * builtins.elemAt l 1) (builtins.deepSeq more more)", "true"),
        # Functions are equal where they are the same one.
        (
            "let e = builtins.elemAt all 5; g = { inherit (e.y) f; }; h = builtins.deepSeq g [ g ];"
            " in [ (again == sum) (h == [ g ]) (e.y.x.w == e.x) (e.x == (builtins.elemAt all 6).x) ]",
            "[ true true true false ]",
        ),
    ],
)
def test_values_stay(expression: str, expected: str) -> None:
    assert evaluate(HELD + expression) == expected
