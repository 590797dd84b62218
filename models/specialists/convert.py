"""Convert between units of one kind: lengths, weights, volumes, temperatures, data sizes, times."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from fractions import Fraction
from functools import cache
from typing import Any

from models.errors import InputError
from models.numerals import decimal_text, rounded_text, shown
from models.quantities import Part, quantity, tidy
from models.specialists.exact import Found, given_text, one_result
from models.specialists.runner import Runner
from models.types import Chunk, Json, Request, Result
from models.units import Unit, everything, named

_LONGEST_REQUEST = 200
"""Characters; a longer text is not a bare conversion."""
_EXACT_DIGITS = 7
"""A result that is exact with this many digits is shown whole."""
_LEAST_DIGITS = 4
"""Fewest significant digits of a rounded result."""
_PLAIN_NAME = re.compile(r"[A-Za-z_]{2,40}(?: ?/ ?[A-Za-z_]{1,40})?")
"""What may be looked up in pint itself; no exponents, so that no huge power is ever computed."""
_LEAD = (
    r"(?:(?:please|can you|could you|hey|tell me)[, ]+)*"
    r"(?:convert|change|turn|express|what(?:'s|s| is| are| would)|how much (?:is|are|does)|"
    r"how (?:long|far|tall|high|heavy|hot|cold|warm|fast|big|large) (?:is|are)|how do (?:i|you) convert)?"
)
_AMOUNT = re.compile(rf"{_LEAD} ?(?P<quantity>\S.*?)(?: (?:is|are|be|weigh))?(?: what)?", re.IGNORECASE)
_CUT = re.compile(r" (?:to|in|into|as)(?= )", re.IGNORECASE)
_COUNT = re.compile(
    r"(?:(?:please|tell me)[, ]+)*(?:how many|what amount of) (?P<unit>\S.*?)(?: (?:is|are)(?: there)?| does)?"
    r"(?: (?:in|make|makes|make up|equal|equals|to|per|is|are))+ (?P<quantity>\S.*?)(?: (?:have|equal|contain))?",
    re.IGNORECASE,
)
_COUNT_LAST = re.compile(
    r"(?P<quantity>\S.*?) (?:is|are|equals?)(?: equal)?(?: to)? how many (?P<unit>\S.*)", re.IGNORECASE
)
_SUBSTANCE = re.compile(r" of [a-z]+(?: [a-z]+)?$", re.IGNORECASE)


class Convert(Runner):
    """The specialist. `input` is {"quantity", "from", "to"}; a quantity like `5 ft 11 in` holds its own units."""

    def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        return one_result(self.name, lambda: _converted(request))


def _converted(request: Request) -> Found:
    amount, target = given_text(request, "quantity"), given_text(request, "to")
    source = request.input.get("from", "")
    if not isinstance(source, str) or len(amount) + len(source) + len(target) > _LONGEST_REQUEST:
        raise InputError("convert needs a short text named 'from'; give the unit's name, for example 'km'.")
    return converted(amount, source, target)


def converted(amount: str, source: str, target: str) -> Found:
    """Return the quantity in the target unit. Raises InputError: unknown unit, other kind, below absolute zero."""
    parts, unit = _read(tidy(amount), tidy(source), tidy(target))
    value = sum((magnitude(part.number, from_, unit) for part, from_ in parts), Fraction(0))
    text, whole = _sensible(value, max(part.digits for part, _ in parts), inexact=unit.kind == "angle")
    given = " ".join(f"{shown(part.number)[0]} {from_.symbol_for(part.number)}" for part, from_ in parts)
    notes = "; ".join(dict.fromkeys(u.note for u in (*(from_ for _, from_ in parts), unit) if u.note))
    sentence = f"{given} {'=' if whole else '≈'} {text} {unit.symbol_for(value)}" + (f" ({notes})" if notes else "")
    return Found({"value": text, "unit": unit.symbol}, sentence)


def _read(amount: str, source: str, target: str) -> tuple[list[tuple[Part, Unit]], Unit]:
    parts = quantity(f"{amount} {source}" if source else amount) or quantity(amount) or _foreign(amount, source)
    targets = named(target) or _looked_up(target)
    if not parts:
        raise InputError(f"{(amount + ' ' + source).strip()!r} is not a number with a known unit; write it like 72 °F.")
    if not targets:
        raise InputError(f"{target!r} is not a unit known here; use its usual name or symbol.")
    matched = _same_kind(parts, targets)
    if matched is None:
        one, other = parts[0].units[0], targets[0]
        raise InputError(f"{one.symbol} measures {one.kind} and {other.symbol} {other.kind}; choose units of one kind.")
    return matched


def _foreign(amount: str, source: str) -> tuple[Part, ...]:
    """Read a unit that only pint knows, by borrowing the number from a unit that is known."""
    numbers = quantity(f"{amount} m")
    units = _looked_up(source)
    return (Part(numbers[0].number, units, numbers[0].digits),) if len(numbers) == 1 and units else ()


def _same_kind(parts: tuple[Part, ...], targets: tuple[Unit, ...]) -> tuple[list[tuple[Part, Unit]], Unit] | None:
    """Choose, where names mean several units, the first of one kind throughout."""
    for target in targets:
        chosen = [next((unit for unit in part.units if unit.kind == target.kind), None) for part in parts]
        if all(chosen) and not (target.kind == "temperature" and len(parts) > 1):
            return [(part, unit) for part, unit in zip(parts, chosen, strict=True) if unit], target
    return None


@cache
def _registry() -> Any:
    import pint  # heavy, first use only

    return pint.UnitRegistry(non_int_type=Fraction)


@cache
def _kinds() -> dict[str, str]:
    """Return our kind of each of pint's dimensions; angles and data have none there."""
    return {_dimension(unit.name): unit.kind for unit in everything()}


def _dimension(name: str) -> str:
    dimensions = _registry().Unit(name).dimensionality
    return " ".join(f"{base}^{exponent!s}" for base, exponent in sorted(dimensions.items()))


def _looked_up(name: str) -> tuple[Unit, ...]:
    if not _PLAIN_NAME.fullmatch(name):
        return ()
    try:
        dimension = _dimension(name)
    except Exception:  # pint raises several unrelated types for a name it does not know
        return ()
    return (Unit(name, name, _kinds().get(dimension, dimension)),) if dimension else ()


def magnitude(number: Fraction, source: Unit, target: Unit) -> Fraction:
    try:
        given = _registry().Quantity(number, source.name)
        below_zero = source.kind == "temperature" and given.to("kelvin").magnitude < 0
        result = Fraction(given.to(target.name).magnitude)
    except (TypeError, ValueError, ArithmeticError) as error:  # pint's own errors derive from these
        raise InputError(f"{source.symbol} can't be converted to {target.symbol}; choose other units.") from error
    if below_zero:
        raise InputError(f"{shown(number)[0]} {source.symbol} is below absolute zero; check the number.")
    return result


def _sensible(value: Fraction, digits: int, *, inexact: bool) -> tuple[str, bool]:
    """Return the text and whether it is exact: short exact values whole, others rounded, never left of the units."""
    whole = None if inexact else decimal_text(value)
    if whole is not None and (value.denominator == 1 or len(whole.strip("-0.").replace(".", "")) <= _EXACT_DIGITS):
        text, exact = shown(value)
        return text, exact
    before_point = len(str(abs(int(value)))) if abs(value) >= 1 else 0
    return rounded_text(value, max(_LEAST_DIGITS, digits + 2, min(before_point, 15))), False


def claim(text: str) -> dict[str, Json] | None:
    """Return the input for `convert` when the whole text asks for one conversion between units of one kind."""
    if len(text) > _LONGEST_REQUEST:
        return None
    body = re.sub(r"(?:,? please| thanks)?[\s?.!=]*$", "", tidy(text), flags=re.IGNORECASE)
    for amount, target in _readings(body):
        found = _claimed(amount, target)
        if found is not None:
            return found
    return None


def _readings(body: str) -> list[tuple[str, str]]:
    """Return each way to cut the text into a quantity and a unit; `in` may be an inch."""
    count = _COUNT.fullmatch(body) or _COUNT_LAST.fullmatch(body)
    counted = [(count["quantity"], count["unit"])] if count else []
    return counted + [
        (amount["quantity"], body[cut.end() + 1 :])
        for cut in _CUT.finditer(body)
        if (amount := _AMOUNT.fullmatch(body[: cut.start()]))
    ]


def _claimed(amount: str, target: str) -> dict[str, Json] | None:
    of_something = _SUBSTANCE.search(amount)
    parts = quantity(amount[: of_something.start()] if of_something else amount)
    matched = _same_kind(parts, named(target)) if parts else None
    if matched is None or (of_something and matched[1].kind not in ("volume", "mass")):
        return None
    if any(unit.name == "month" for unit in (matched[1], *(unit for _, unit in matched[0]))):
        return None
    bare = amount[: of_something.start()] if of_something else amount
    if len(parts) == 1 and (single := re.fullmatch(r"(-?[\d.,]*\d)\s*([^\d\s].*)", bare)):
        return {"quantity": single[1], "from": single[2], "to": target}
    return {"quantity": bare, "from": "", "to": target}
