"""Quantities as people write them: `72 °F`, `5 ft 11 in`, `half a mile`, `2½ cups`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from models.numerals import literal_at, part_at, words_at
from models.units import Unit, unit_at

_GLYPHS = {"½": Fraction(1, 2), "¼": Fraction(1, 4), "¾": Fraction(3, 4), "⅓": Fraction(1, 3), "⅔": Fraction(2, 3)}
_RATIO = re.compile(r"(?:(\d+) )?(\d{1,3})/(\d{1,3})(?![\d/])")
_QUOTES = str.maketrans({"′": "'", "’": "'", "″": '"', "”": '"', "º": "°", "−": "-", "µ": "µ"})


@dataclass(frozen=True, slots=True)
class Part:
    """One number and what its unit may mean."""

    number: Fraction
    units: tuple[Unit, ...]
    digits: int
    """Significant digits as written."""


def tidy(text: str) -> str:
    """Return the text with one kind of quote, degree sign and minus."""
    return re.sub(r"\s+", " ", text.translate(_QUOTES)).strip()


def quantity(text: str) -> tuple[Part, ...]:
    """Return the parts of a quantity; empty when any word of the text does not belong to it."""
    parts: list[Part] = []
    at = 0
    while at < len(text):
        if parts and (gap := re.compile(r"(?:,? and |, ?| )").match(text, at)):
            at = gap.end()
        found = _part_at(text, at, parts)
        if found is None:
            return ()
        part, at = found
        parts.append(part)
        if len(parts) > 4:
            return ()
    return tuple(parts)


def _part_at(text: str, at: int, before: list[Part]) -> tuple[Part, int] | None:
    read = _number_at(text, at)
    if read is None:
        return None
    number, end = read
    digits = _significant(text[at:end])
    unit = unit_at(text, end)
    if unit is not None:
        return Part(number, unit[0], digits), unit[1]
    if end == len(text) and len(before) == 1 and before[0].units[0].name == "foot":
        inches = unit_at("in", 0)
        assert inches is not None
        return Part(number, inches[0], digits), end
    return None


def _significant(written: str) -> int:
    """Zeros that end a whole number are not counted: 100 has one digit, 100.0 four."""
    digits = re.sub(r"\D", "", written).lstrip("0")
    return len(digits if "." in written else digits.rstrip("0")) or 1


def _number_at(text: str, at: int) -> tuple[Fraction, int] | None:
    sign = re.compile(r"-\s?|minus ", re.IGNORECASE).match(text, at)
    if sign:
        read = _number_at(text, sign.end()) if at == 0 else None
        return (-read[0], read[1]) if read else None
    if ratio := _RATIO.match(text, at):
        whole, above, below = int(ratio[1] or 0), int(ratio[2]), int(ratio[3])
        return (whole + Fraction(above, below), ratio.end()) if below else None
    if text[at : at + 1] in _GLYPHS:
        return _GLYPHS[text[at]], at + 1
    literal = literal_at(text, at)
    if literal is None:
        return _words_at(text, at)
    number, end = literal
    glyph = re.compile(r" ?([½¼¾⅓⅔])").match(text, end)
    return (number + _GLYPHS[glyph[1]], glyph.end()) if glyph else (number, end)


def _words_at(text: str, at: int) -> tuple[Fraction, int] | None:
    run = list(re.compile(r"[a-zA-Z]+").finditer(text, at))[:10]
    if not run or run[0].start() != at:
        return None
    words = [word.group().lower() for word in run]
    part = part_at(words)
    if part:
        value, used = part
        used += 1 if words[used : used + 1] in (["a"], ["an"]) else 2 if words[used : used + 2] == ["of", "a"] else 0
        return value, run[used - 1].end()
    whole = words_at(words)
    if whole:
        return whole[0], run[whole[1] - 1].end()
    return (Fraction(1), run[0].end()) if words[0] in ("a", "an") else None
