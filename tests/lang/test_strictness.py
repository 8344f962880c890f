"""Arguments calculated at once: nobody can tell, neither by what is printed nor by what fails."""

from __future__ import annotations

import pytest
from golden import cases, evaluate

from frazil.lang.effects import FileSystemEffects
from frazil.lang.evaluator import Evaluator

TABLE = r"""
let f = n: if n < 2 then n else f (n - 1) + f (n - 2); in f 12 => 144
let f = a: b: if a == 0 then b else f (a - 1) (b + a); in f 100 0 => 5050
let f = n: n + 1; in f (9223372036854775807 + 0) => !! integer overflow in adding 9223372036854775807 + 1
let f = n: if n < 0 then 1 else 2; in f (9223372036854775807 + 1) => !! integer overflow in adding 9223372036854775807 + 1
let f = n: if n < 0 then 1 else 2; in f (1 / 0) => !! division by zero
let f = n: 1; in f (1 / 0) => 1
let f = a: b: if a then 1 else b; in f true (1 / 0) => 1
(-9223372036854775807 - 1) / (-1) => !! integer overflow in dividing -9223372036854775808 / -1
(-9223372036854775807 - 1) * (-1) => !! integer overflow in multiplying -9223372036854775808 * -1
[ ((-7) / 2) (7 / (-2)) ((-7) / (-2)) (0 / (-3)) ] => [ -3 -3 3 0 ]
[ (1073741823 + 1) (1073741824 * 4) (4611686018427387904 - 1) (-1073741824 - 1) ] => [ 1073741824 4294967296 4611686018427387903 -1073741825 ]
map toString [ 0 7 (-1) 9223372036854775807 (-9223372036854775807 - 1) ] => [ "0" "7" "-1" "9223372036854775807" "-9223372036854775808" ]
[ (4095 + 1) (4095 + 0) (1 == 1) (1 == 2) (1 != 2) (1 == 1.0) ] => [ 4096 4095 true false true true ]
"a${toString 12}b${"c"}" + "" => "a12bc"
1 + [ ] => !! cannot add a list to an integer
1.5 + "x" => !! cannot add a string to a float
1 + 1.5 => 2.5
"""


@pytest.mark.parametrize(("expression", "value"), cases(TABLE))
def test_golden(expression: str, value: str) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    ("function", "shown"),
    [
        ("n: builtins.trace { inherit n; } n", "trace: { n = «thunk»; }"),
        ("n: builtins.trace { a = n + 1; } n", "trace: { a = «thunk»; }"),
        ("n: builtins.trace [ n ] (n + 1)", "trace: [ «thunk» ]"),
        ("n: if builtins.trace { inherit n; } true then n else 1", "trace: { n = «thunk»; }"),
        ("n: let m = builtins.trace { inherit n; } 1; in m + n", "trace: { n = «thunk»; }"),
        ("n: n + builtins.trace { inherit n; } 1", "trace: { n = 2; }"),
    ],
)
def test_what_is_printed(function: str, shown: str) -> None:
    effects = FileSystemEffects()
    Evaluator(effects).eval_string(f"let x = 1; in builtins.seq x ({function}) (x + 1)", "/")
    assert effects.traced == [shown.encode().decode("latin-1")]


def test_long_chains_end_well() -> None:
    assert evaluate(" + ".join(["1"] * 50_000)) == "50000"
    assert evaluate('let x = throw "no"; in ' + " + ".join(["x"] * 50_000)) == "!! no"
