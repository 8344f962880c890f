# cython: binding=True
"""Floating-point numbers as text.

`format_float`: as C++ streams print them (six significant digits), for Nix's printers and XML. `json_float`: the
shortest-or-nearly digits that nlohmann's JSON library writes. Source of truth: "Printing Floating-Point Numbers Quickly
and Accurately with Integers" (Loitsch, PLDI 2010; the variant Grisu2) with that library's parameters.
"""

from __future__ import annotations

ALPHA = -60
DECIMAL_STEP = 8
MINIMUM_DECIMAL = -300


def format_float(value: float) -> str:
    """`%g`, with C's spellings of infinity and not-a-number."""
    if value != value:
        import math

        return "-nan" if math.copysign(1.0, value) < 0 else "nan"
    return f"{value:g}"


def json_float(value: float) -> str:
    """`null` for what JSON lacks."""
    if value != value or value in (float("inf"), float("-inf")):
        return "null"
    sign = "-" if str(value).startswith("-") else ""
    value = abs(value)
    if value == 0.0:
        return sign + "0.0"
    digits, exponent = _grisu2(value)
    return sign + _layout(digits, exponent)


def _layout(digits: str, exponent: int) -> str:
    """`digits` times ten to `exponent`, as a fixed or scientific number."""
    size = len(digits)
    point = size + exponent
    if size <= point <= 15:
        return digits + "0" * exponent + ".0"
    if 0 < point <= 15:
        return digits[:point] + "." + digits[point:]
    if -4 < point <= 0:
        return "0." + "0" * -point + digits
    mantissa = digits if size == 1 else digits[0] + "." + digits[1:]
    power = point - 1
    return f"{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"


_powers: dict = {}


def _cached_power(exponent):
    """(f, e, k) with f * 2**e the 64-bit approximation of 10**k that brings `exponent` into the working range."""
    f_minimum = ALPHA - exponent - 1
    k = f_minimum * 78913 // (1 << 18) if f_minimum <= 0 else -(-f_minimum * 78913 // (1 << 18))
    # C's division truncates: recompute the way it is written there.
    k = int(f_minimum * 78913 / (1 << 18)) + (1 if f_minimum > 0 else 0)
    index = (-MINIMUM_DECIMAL + k + (DECIMAL_STEP - 1)) // DECIMAL_STEP
    decimal = MINIMUM_DECIMAL + index * DECIMAL_STEP
    found = _powers.get(decimal)
    if found is None:
        found = _powers[decimal] = (*_approximate(decimal), decimal)
    return found


def _approximate(decimal):
    """10**decimal as a 64-bit significand (rounded to nearest) and a binary exponent."""
    numerator, denominator = (10**decimal, 1) if decimal >= 0 else (1, 10**-decimal)
    shift = 64 - (numerator.bit_length() - denominator.bit_length())
    for exponent in (shift - 1, shift, shift + 1):
        scaled = (numerator << exponent, denominator) if exponent >= 0 else (numerator, denominator << -exponent)
        quotient = (2 * scaled[0] + scaled[1]) // (2 * scaled[1])
        if quotient.bit_length() == 64:
            return quotient, -exponent
    raise AssertionError("no normalised significand")


def _multiply(x: object, y: object) -> object:
    """The upper half of a 128-bit product, rounded."""
    return (x * y + (1 << 63)) >> 64


def _grisu2(value: float):
    """(digits, exponent) of a positive finite number."""
    import struct

    bits: object = struct.unpack("<Q", struct.pack("<d", value))[0]
    fraction: object = bits & ((1 << 52) - 1)
    biased: object = bits >> 52
    significand: object = fraction if biased == 0 else fraction + (1 << 52)
    exponent: object = 1 - 1075 if biased == 0 else biased - 1075
    narrow = fraction == 0 and biased > 1
    plus: object = 2 * significand + 1
    plus_exponent: object = exponent - 1
    minus: object = 4 * significand - 1 if narrow else 2 * significand - 1
    minus_exponent: object = exponent - 2 if narrow else exponent - 1
    shift: object = 64 - plus.bit_length()
    plus = plus << shift
    plus_exponent = plus_exponent - shift
    minus = minus << (minus_exponent - plus_exponent)
    shift = 64 - significand.bit_length()
    centre: object = significand << shift
    power, power_exponent, decimal = _cached_power(plus_exponent)
    scaled: object = _multiply(centre, power)
    low: object = _multiply(minus, power) + 1
    high: object = _multiply(plus, power) - 1
    return _digits(low, scaled, high, plus_exponent + power_exponent + 64, -decimal)


def _digits(low: object, value: object, high: object, binary: object, exponent: object):
    """Digits of a number in [low, high], as near to `value` as the last digit allows."""
    delta: object = high - low
    distance: object = high - value
    one: object = 1 << -binary
    whole: object = high >> -binary
    rest: object = high & (one - 1)
    text = str(whole)
    digits = []
    remaining: object = len(text)
    for character in text:
        digits.append(character)
        remaining = remaining - 1
        whole = int(text[len(digits) :] or "0")
        left: object = (whole << -binary) + rest
        if left <= delta:
            _round(digits, distance, delta, left, 10**remaining << -binary)
            return "".join(digits), exponent + remaining
    fractional: object = 0
    while True:
        rest = rest * 10
        digits.append(str(rest >> -binary))
        rest = rest & (one - 1)
        fractional = fractional + 1
        delta = delta * 10
        distance = distance * 10
        if rest <= delta:
            break
    _round(digits, distance, delta, rest, one)
    return "".join(digits), exponent - fractional


def _round(digits: list, distance: object, delta: object, rest: object, step: object) -> None:
    """Lowers the last digit while that brings the number nearer."""
    while (
        rest < distance
        and delta - rest >= step
        and (rest + step < distance or distance - rest > rest + step - distance)
    ):
        last = len(digits) - 1
        digits[last] = str(int(digits[last]) - 1)
        rest = rest + step
