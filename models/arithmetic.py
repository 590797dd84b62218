"""Exact arithmetic over fractions, with bounds: a tree of operations and its value.

Knows nothing of text; `models/formula.py` builds the trees. Only roots, broken powers and pi are
inexact, and a value remembers that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction

from models.errors import InputError

MAX_DIGITS = 1000
"""Decimal digits of any numerator or denominator on the way; stops 9**9**9 before it eats the memory."""
MAX_FACTORIAL = 450
"""450! has 1001 digits."""
_PRECISION = 50
"""Digits carried by inexact operations; far more than are ever shown."""
_MAX_ROOT = 64
"""Highest root that is tried exactly."""
PI = Fraction("3.1415926535897932384626433832795028841971693993751")


class Unreadable(InputError):
    """The text is not a calculation. Write it with digits, + - * / and parentheses."""


class Unworkable(InputError):
    """It is a calculation, but it has no value that can be given here."""


@dataclass(frozen=True, slots=True)
class Value:
    number: Fraction
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Number:
    value: Value


@dataclass(frozen=True, slots=True)
class Call:
    operation: str
    arguments: tuple[Node, ...]


Node = Number | Call


def number(value: Fraction | int) -> Number:
    return Number(Value(Fraction(value)))


def call(operation: str, *arguments: Node) -> Call:
    """Return the tree of one operation. Raises Unreadable when it takes another number of arguments."""
    least, most, _ = OPERATIONS[operation]
    if not least <= len(arguments) <= most:
        wanted = str(least) if least == most else f"{least} or more"
        raise Unreadable(
            f"{operation} needs {wanted} numbers but got {len(arguments)}; correct the list and try again."
        )
    return Call(operation, arguments)


def evaluate(node: Node) -> Value:
    """Return the value of a tree. Raises Unworkable: division by zero, too large, not a real number."""
    if isinstance(node, Number):
        return _bounded(node.value)
    arguments = [evaluate(argument) for argument in node.arguments]
    exact = all(argument.exact for argument in arguments)
    _, _, operation = OPERATIONS[node.operation]
    result = operation(*(argument.number for argument in arguments))
    return _bounded(Value(result.number, exact and result.exact))


def _bounded(value: Value) -> Value:
    largest = max(abs(value.number.numerator), value.number.denominator)
    if largest >= 10**MAX_DIGITS:
        raise _too_large()
    return value


def _too_large() -> Unworkable:
    return Unworkable(f"The result has more than {MAX_DIGITS} digits, which is too large here; use smaller numbers.")


def _division_by_zero() -> Unworkable:
    return Unworkable("This divides by zero, which has no result; change the divisor.")


def _divide(left: Fraction, right: Fraction) -> Value:
    if right == 0:
        raise _division_by_zero()
    return Value(left / right)


def _modulo(left: Fraction, right: Fraction) -> Value:
    if right == 0:
        raise _division_by_zero()
    return Value(left % right)


def _power(base: Fraction, exponent: Fraction) -> Value:
    if base == 0 and exponent < 0:
        raise _division_by_zero()
    _check_power_size(base, exponent)
    if exponent.denominator == 1:
        return Value(Fraction(base ** int(exponent)))
    if base < 0:
        raise Unworkable("A root of a negative number is not a real number; use a positive number.")
    root = _exact_root(base, exponent.denominator)
    if root is not None:
        return _power(root, Fraction(exponent.numerator))
    with localcontext() as context:
        context.prec = _PRECISION
        return Value(Fraction(_decimal(base) ** _decimal(exponent)), exact=False)


def _check_power_size(base: Fraction, exponent: Fraction) -> None:
    """Refuse before computing: the digits of a power are known from the logarithm of its base."""
    size = math.log10(max(abs(base.numerator), base.denominator))
    if size and abs(exponent) > MAX_DIGITS / size:
        raise _too_large()


def _exact_root(value: Fraction, degree: int) -> Fraction | None:
    if degree > _MAX_ROOT:
        return None
    above, below = _integer_root(value.numerator, degree), _integer_root(value.denominator, degree)
    if above**degree == value.numerator and below**degree == value.denominator:
        return Fraction(above, below)
    return None


def _integer_root(value: int, degree: int) -> int:
    """Return the largest integer whose power is not above `value`, by bisection."""
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= value else (low, middle - 1)
    return low


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def _cube_root(value: Fraction) -> Value:
    root = _power(abs(value), Fraction(1, 3))
    return Value(-root.number, root.exact) if value < 0 else root


def _factorial(value: Fraction) -> Value:
    if value.denominator != 1 or value < 0:
        raise Unworkable("A factorial needs a whole number that is not negative; change the number.")
    if value > MAX_FACTORIAL:
        raise _too_large()
    return Value(Fraction(math.factorial(int(value))))


def _round(value: Fraction, places: Fraction = Fraction(0)) -> Value:
    """Round half away from zero, as taught at school."""
    if places.denominator != 1 or abs(places) > 100:
        raise Unworkable("Rounding needs a whole number of decimal places up to 100; change it.")
    scale = Fraction(10) ** int(places)
    whole = math.floor(abs(value) * scale + Fraction(1, 2))
    return Value(Fraction(whole if value >= 0 else -whole) / scale)


def _median(*values: Fraction) -> Value:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return Value(ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2)


_MANY = 1000
OPERATIONS: dict[str, tuple[int, int, Callable[..., Value]]] = {
    "add": (2, 2, lambda a, b: Value(a + b)),
    "subtract": (2, 2, lambda a, b: Value(a - b)),
    "multiply": (2, 2, lambda a, b: Value(a * b)),
    "divide": (2, 2, _divide),
    "modulo": (2, 2, _modulo),
    "power": (2, 2, _power),
    "negate": (1, 1, lambda a: Value(-a)),
    "percent": (1, 1, lambda a: Value(a / 100)),
    "factorial": (1, 1, _factorial),
    "sqrt": (1, 1, lambda a: _power(a, Fraction(1, 2))),
    "cbrt": (1, 1, _cube_root),
    "abs": (1, 1, lambda a: Value(abs(a))),
    "floor": (1, 1, lambda a: Value(Fraction(math.floor(a)))),
    "ceil": (1, 1, lambda a: Value(Fraction(math.ceil(a)))),
    "round": (1, 2, _round),
    "min": (1, _MANY, lambda *many: Value(min(many))),
    "max": (1, _MANY, lambda *many: Value(max(many))),
    "sum": (1, _MANY, lambda *many: Value(Fraction(sum(many)))),
    "product": (1, _MANY, lambda *many: Value(math.prod(many, start=Fraction(1)))),
    "average": (1, _MANY, lambda *many: Value(sum(many) / Fraction(len(many)))),
    "median": (1, _MANY, _median),
}
"""Operation to (fewest arguments, most arguments, function)."""
