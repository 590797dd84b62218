"""Numbers as people write them: digits with separators, number words, and exact values back to text.

English first: a dot is the decimal point. A number that could be read in two ways is not read at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction

GROUPED = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?(?![\d.,]*\d)")
"""2,340 and 1,234,567.8"""
_LITERALS = (
    re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+,\d+(?![\d.,]*\d)"),  # 1.234,5: only a decimal comma can follow a dot
    re.compile(r"[1-9]\d?(?:,\d{2})+,\d{3}(?:\.\d+)?(?![\d.,]*\d)"),  # 12,34,567: Indian groups
    GROUPED,
    re.compile(r"[1-9]\d{0,2}(?:[ '\u2019\u00a0\u202f]\d{3})+(?:\.\d+)?(?![\d.,]*\d)(?! \d)"),  # 2 340
    re.compile(r"(?:\d+(?:\.\d+)?|\.\d+)[eE][+-]?\d{1,3}(?![\w.])"),
    PLAIN := re.compile(r"(?:\d+(?:\.\d+)?|\.\d+)(?!(?:[.,]\d)|\d)"),
)
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_ONES = {word: value for value, word in enumerate(_UNITS)}
_TENS = {
    word: 10 * value for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_TAILS = {"half": Fraction(1, 2), "quarter": Fraction(1, 4), "third": Fraction(1, 3)}
_PARTS = {
    "half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9, "tenth": 10, "hundredth": 100,
}  # fmt: skip
ROUNDED_DIGITS = 12
"""Significant digits of a value that has no short exact form."""
_EXACT_DIGITS = 30
"""Longest exact decimal with a fraction part that is still shown whole."""
_EXACT_INTEGER_DIGITS = 200
"""Longest integer that is still shown whole; longer ones help nobody."""


def literal_at(text: str, start: int) -> tuple[Fraction, int] | None:
    """Return the number in digits that begins at `start` and where it ends; None if there is none or it is unclear."""
    for pattern in _LITERALS:
        match = pattern.match(text, start)
        if match:
            return _literal(match.group()), match.end()
    return None


def plain_at(text: str, start: int) -> tuple[Fraction, int] | None:
    """Like `literal_at` for digits without separators, where a comma separates arguments."""
    match = re.compile(r"\d+(?:\.\d+)?|\.\d+").match(text, start)
    return (Fraction(match.group()), match.end()) if match else None


def scaled(text: str, value: Fraction, end: int) -> tuple[Fraction, int]:
    """Return the number times the scale word behind it, if there is one: `1.5 million`."""
    match = re.compile(r" (hundred|thousand|million|billion|trillion)\b", re.IGNORECASE).match(text, end)
    if match is None:
        return value, end
    return value * {"hundred": 100, **_SCALES}[match[1].lower()], match.end()


def _literal(text: str) -> Fraction:
    bare = re.sub(r"[ '\u2019\u00a0\u202f]", "", text)
    decimal_comma = "," in bare and "." in bare and bare.rindex(",") > bare.rindex(".")
    return Fraction(bare.replace(".", "").replace(",", ".") if decimal_comma else bare.replace(",", ""))


def words_at(words: Sequence[str], start: int = 0) -> tuple[Fraction, int] | None:
    """Return the longest number in words from `start` and the index after it: `two hundred and five`, `a dozen`."""
    whole = _dozens(words, start) or _integer(words, start)
    if whole is None:
        return None
    value, end = whole
    if end < len(words) and words[end] == "point":
        return _decimals(words, value, end + 1)
    if list(words[end : end + 2]) == ["and", "a"] and end + 2 < len(words) and words[end + 2] in _TAILS:
        return value + _TAILS[words[end + 2]], end + 3
    return value, end


def part_at(words: Sequence[str], start: int = 0) -> tuple[Fraction, int] | None:
    """Return a part in words and the index after it: `half`, `a third`, `two thirds`."""
    if words[start] == "half":
        return Fraction(1, 2), start + 1
    count = 1 if words[start] in ("a", "an") else _ONES.get(words[start], 0)
    if not 0 < count < 20 or start + 1 >= len(words):
        return None
    name = words[start + 1]
    singular = {"halves": "half"}.get(name, name.removesuffix("s"))
    if singular not in _PARTS or (count == 1) != (name == singular):
        return None
    return Fraction(count, _PARTS[singular]), start + 2


def _dozens(words: Sequence[str], start: int) -> tuple[Fraction, int] | None:
    if list(words[start : start + 3]) == ["half", "a", "dozen"]:
        return Fraction(6), start + 3
    count = 1 if words[start] == "a" else _ONES.get(words[start], 0)
    if count and start + 1 < len(words) and words[start + 1] == "dozen":
        return Fraction(12 * count), start + 2
    return None


def _integer(words: Sequence[str], start: int) -> tuple[Fraction, int] | None:
    total, at, ceiling, best = 0, start, None, None
    while True:
        group = _below_thousand(words, at, leading=at == start)
        if group is None:
            return best
        value, at = group
        scale = _SCALES.get(words[at]) if at < len(words) else None
        if ceiling is not None and (scale or 1) >= ceiling:
            return best
        total += value * (scale or 1)
        at += 1 if scale else 0
        best = Fraction(total), at
        if not scale:
            return best
        ceiling = scale
        at += 1 if at < len(words) and words[at] == "and" else 0


def _below_thousand(words: Sequence[str], at: int, *, leading: bool) -> tuple[int, int] | None:
    """Read `205` of `two hundred and five`; `a` counts as one only before hundred and the scales."""
    if at < len(words) and words[at] == "a" and leading:
        big = at + 1 < len(words) and (words[at + 1] == "hundred" or words[at + 1] in _SCALES)
        small: tuple[int, int] | None = (1, at + 1) if big else None
    else:
        small = _below_hundred(words, at)
    if small is None:
        return None
    value, end = small
    if not (end < len(words) and words[end] == "hundred" and 0 < value < 100):
        return small
    after = end + 1
    rest = _below_hundred(words, after + 1 if after < len(words) and words[after] == "and" else after)
    return (value * 100 + rest[0], rest[1]) if rest else (value * 100, after)


def _below_hundred(words: Sequence[str], at: int) -> tuple[int, int] | None:
    if at >= len(words):
        return None
    if words[at] in _ONES:
        return _ONES[words[at]], at + 1
    if words[at] not in _TENS:
        return None
    tens = _TENS[words[at]]
    ones = _ONES.get(words[at + 1], 0) if at + 1 < len(words) else 0
    return (tens + ones, at + 2) if 0 < ones < 10 else (tens, at + 1)


def _decimals(words: Sequence[str], value: Fraction, at: int) -> tuple[Fraction, int] | None:
    end = at
    while end < len(words) and _ONES.get(words[end], 10) < 10:
        end += 1
    if end == at:
        return None
    digits = "".join(str(_ONES[word]) for word in words[at:end])
    return value + Fraction(int(digits), 10 ** len(digits)), end


def decimal_text(value: Fraction) -> str | None:
    """Return the exact decimal, or None when it has no end: 2/5 -> `0.4`, 1/3 -> None."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return None
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


def rounded_text(value: Fraction, digits: int = ROUNDED_DIGITS) -> str:
    """Return the value rounded half-even to that many significant digits, in scientific form when very long."""
    with localcontext() as context:
        context.prec = digits
        decimal = (Decimal(value.numerator) / Decimal(value.denominator)).normalize()
    if -7 < decimal.adjusted() < 21:
        return f"{decimal:f}"
    return f"{decimal:e}".replace("e+", "e")


def shown(value: Fraction, *, exact: bool = True) -> tuple[str, bool]:
    """Return the text of a value and whether that text is exact."""
    whole = decimal_text(value) if exact else None
    if whole is not None:
        limit = _EXACT_INTEGER_DIGITS if value.denominator == 1 else _EXACT_DIGITS
        if len(whole.lstrip("-").replace(".", "")) <= limit:
            return whole, True
    return rounded_text(value), False
