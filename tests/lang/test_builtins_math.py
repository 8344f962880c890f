"""`frazil.lang.builtins_math`."""

from __future__ import annotations

import pytest
from golden import cases, evaluate

TABLE = r"""
builtins.add 1 2 => 3
builtins.add 1 2.5 => 3.5
builtins.add 9223372036854775807 1 => !! integer overflow in adding 9223372036854775807 + 1
builtins.sub 1 2 => -1
builtins.sub (-9223372036854775807) 2 => !! integer overflow in subtracting -9223372036854775807 - 2
builtins.mul 3 4 => 12
builtins.mul 4611686018427387904 2 => !! integer overflow in multiplying 4611686018427387904 * 2
builtins.mul "a" 2 => !! expected an integer but found a string: "a"
builtins.div 7 2 => 3
builtins.div (-7) 2 => -3
builtins.div 7.0 2 => 3.5
builtins.div 1 0 => !! division by zero
builtins.div 1 0.0 => !! division by zero
builtins.div (-9223372036854775807 - 1) (-1) => !! integer overflow in dividing -9223372036854775808 / -1
builtins.bitAnd 12 10 => 8
builtins.bitOr 12 10 => 14
builtins.bitXor 12 10 => 6
builtins.bitXor (-1) 1 => -2
builtins.bitAnd 1.0 1 => !! expected an integer but found a float: 1
builtins.ceil 1.2 => 2
builtins.ceil 7 => 7
builtins.floor (-1.2) => -2
builtins.floor 1.0e30 => !! NixFloat argument 1e+30 is not in the range of NixInt
builtins.lessThan 1 1.5 => true
builtins.lessThan "a" "b" => true
builtins.lessThan [ 1 2 ] [ 1 ] => false
builtins.lessThan null 1 => !! cannot compare null with an integer; values are null and 1
builtins.isInt 1 => true
builtins.isInt 1.0 => false
builtins.isFloat 1.0 => true
"""


@pytest.mark.parametrize(("expression", "value"), cases(TABLE))
def test_golden(expression: str, value: str) -> None:
    assert evaluate(expression) == value


def test_large_integers_are_not_rounded_silently() -> None:
    assert "a loss of precision occurred" in evaluate("builtins.ceil 9007199254740993")
    assert "caused undefined behavior" in evaluate("builtins.floor 9223372036854775807")
