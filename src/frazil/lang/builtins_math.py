# cython: binding=True
"""Builtins on numbers, and the order of values.

In and out: values of the language. Integers are 64 bits wide and overflow is an error. Source of truth: the manual's
"Built-ins", Nix's `primops.cc` for messages.
"""

import cython
from cython.cimports.frazil.lang.comparison import less_than
from cython.cimports.frazil.lang.runtime import force, force_float, force_int
from cython.cimports.frazil.lang.values import (
    State,
    know_direct,
)

from frazil.lang.errors import EvalError
from frazil.lang.numbers import format_float
from frazil.lang.registry import BuiltinSpec

INT_MIN = -(1 << 63)
INT_MAX = (1 << 63) - 1
EXACT_BUG = "Due to a bug (see https://github.com/NixOS/nix/issues/12899)"
FUTURE = "Future Nix versions might implement the correct behavior."


@cython.ccall
def builtin_add(state: State, arguments: list):
    left = force(arguments[0])
    right = force(arguments[1])
    if type(left) is float or type(right) is float:
        return force_float(left, "while evaluating the first argument of the addition") + force_float(
            right, "while evaluating the second argument of the addition"
        )
    force_int(left, "while evaluating the first argument of the addition")
    force_int(right, "while evaluating the second argument of the addition")
    return bounded(cython.cast(object, left) + right, "adding", left, "+", right)


@cython.ccall
def builtin_sub(state: State, arguments: list):
    left = force(arguments[0])
    right = force(arguments[1])
    if type(left) is float or type(right) is float:
        return force_float(left, "while evaluating the first argument of the subtraction") - force_float(
            right, "while evaluating the second argument of the subtraction"
        )
    force_int(left, "while evaluating the first argument of the subtraction")
    force_int(right, "while evaluating the second argument of the subtraction")
    return bounded(cython.cast(object, left) - right, "subtracting", left, "-", right)


def builtin_mul(state: State, arguments: list):
    left = force(arguments[0])
    right = force(arguments[1])
    if type(left) is float or type(right) is float:
        return force_float(left, "while evaluating the first of the multiplication") * force_float(
            right, "while evaluating the second argument of the multiplication"
        )
    force_int(left, "while evaluating the first argument of the multiplication")
    force_int(right, "while evaluating the second argument of the multiplication")
    return bounded(cython.cast(object, left) * right, "multiplying", left, "*", right)


def builtin_div(state: State, arguments: list):
    left = force(arguments[0])
    right = force(arguments[1])
    divisor: cython.double = force_float(right, "while evaluating the second operand of the division")
    if divisor == 0:
        raise EvalError("division by zero")
    if type(left) is float or type(right) is float:
        dividend: cython.double = force_float(left, "while evaluating the first operand of the division")
        return dividend / divisor
    force_int(left, "while evaluating the first operand of the division")
    quotient: object = abs(left) // abs(right)
    if (left < 0) != (right < 0):
        quotient = -quotient
    return bounded(quotient, "dividing", left, "/", right)


@cython.cfunc
def bounded(result: object, doing: str, left: object, sign: str, right: object) -> object:
    if result < INT_MIN or result > INT_MAX:
        raise EvalError(f"integer overflow in {doing} {left} {sign} {right}")
    return result


def builtin_bit_and(state: State, arguments: list):
    left: cython.longlong = force_int(arguments[0], "while evaluating the first argument passed to builtins.bitAnd")
    right: cython.longlong = force_int(arguments[1], "while evaluating the second argument passed to builtins.bitAnd")
    return left & right


def builtin_bit_or(state: State, arguments: list):
    left: cython.longlong = force_int(arguments[0], "while evaluating the first argument passed to builtins.bitOr")
    right: cython.longlong = force_int(arguments[1], "while evaluating the second argument passed to builtins.bitOr")
    return left | right


def builtin_bit_xor(state: State, arguments: list):
    left: cython.longlong = force_int(arguments[0], "while evaluating the first argument passed to builtins.bitXor")
    right: cython.longlong = force_int(arguments[1], "while evaluating the second argument passed to builtins.bitXor")
    return left ^ right


def builtin_ceil(state: State, arguments: list):
    return rounded(arguments[0], "ceil")


def builtin_floor(state: State, arguments: list):
    return rounded(arguments[0], "floor")


def rounded(argument, name):
    number = force_float(argument, f"while evaluating the first argument passed to builtins.{name}")
    given = force(argument)
    if number - number != 0.0 or not -9223372036854775808.0 <= number < 9223372036854775808.0:
        if type(given) is int:
            raise EvalError(
                f"{EXACT_BUG} the NixInt argument {given} caused undefined behavior in previous Nix"
                f" versions.\n\t{FUTURE}"
            )
        raise EvalError(f"NixFloat argument {format_float(given)} is not in the range of NixInt")
    # `math` is a shared object of its own in many installations: a part of every start.
    result: object = int(number)
    if name == "ceil" and result < number:
        result += 1
    elif name == "floor" and result > number:
        result -= 1
    if type(given) is int and given != result:
        raise EvalError(
            f"{EXACT_BUG} a loss of precision occurred in previous Nix versions because the NixInt argument {given} was"
            f" rounded to {result}.\n\t{FUTURE}"
        )
    return result


@cython.ccall
def builtin_less_than(state: State, arguments: list):
    left = force(arguments[0])
    right = force(arguments[1])
    return True if less_than(state, left, right, "") else False


@cython.ccall
def builtin_is_int(state: State, arguments: list):
    return type(force(arguments[0])) is int


def builtin_is_float(state: State, arguments: list):
    return type(force(arguments[0])) is float


if cython.compiled:
    know_direct(builtin_add, cython.cast(cython.p_void, builtin_add))
    know_direct(builtin_is_int, cython.cast(cython.p_void, builtin_is_int))
    know_direct(builtin_less_than, cython.cast(cython.p_void, builtin_less_than))
    know_direct(builtin_sub, cython.cast(cython.p_void, builtin_sub))


BUILTINS = [
    BuiltinSpec(
        "add", 2, builtin_add, documentation="The sum of two numbers, as `+` gives it.", argument_names=("e1", "e2")
    ),
    BuiltinSpec(
        "bitAnd", 2, builtin_bit_and, documentation="Bitwise “and” of two integers.", argument_names=("e1", "e2")
    ),
    BuiltinSpec("bitOr", 2, builtin_bit_or, documentation="Bitwise “or” of two integers.", argument_names=("e1", "e2")),
    BuiltinSpec(
        "bitXor",
        2,
        builtin_bit_xor,
        documentation="Bitwise exclusive “or” of two integers.",
        argument_names=("e1", "e2"),
    ),
    BuiltinSpec(
        "ceil",
        1,
        builtin_ceil,
        documentation="The smallest integer that is not below a number.",
        argument_names=("number",),
    ),
    BuiltinSpec(
        "div",
        2,
        builtin_div,
        documentation="The quotient of two numbers; for integers rounded towards zero.",
        argument_names=("e1", "e2"),
    ),
    BuiltinSpec(
        "floor",
        1,
        builtin_floor,
        documentation="The largest integer that is not above a number.",
        argument_names=("number",),
    ),
    BuiltinSpec(
        "isFloat",
        1,
        builtin_is_float,
        documentation="Whether a value is a floating-point number.",
        argument_names=("e",),
    ),
    BuiltinSpec("isInt", 1, builtin_is_int, documentation="Whether a value is an integer.", argument_names=("e",)),
    BuiltinSpec(
        "lessThan",
        2,
        builtin_less_than,
        documentation="Whether the first value comes before the second, as `<` decides it.",
        argument_names=("e1", "e2"),
    ),
    BuiltinSpec("mul", 2, builtin_mul, documentation="The product of two numbers.", argument_names=("e1", "e2")),
    BuiltinSpec("sub", 2, builtin_sub, documentation="The difference of two numbers.", argument_names=("e1", "e2")),
]
