"""Days with a name, by year: those that are the same wherever the name is used, or that say whose they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta


def easter(year: int) -> date:
    """Return Easter Sunday in the Gregorian calendar (the anonymous algorithm of 1876)."""
    golden, century, in_century = year % 19, year // 100, year % 100
    leap_centuries = century // 4
    lunar = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - leap_centuries - lunar + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (in_century // 4) - epact - in_century % 4) % 7
    correction = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * correction + 114, 31)
    return date(year, month, day + 1)


def nth_weekday(year: int, month: int, weekday: int, nth: int) -> date | None:
    """Return the nth such weekday of a month (-1 is the last); None when the month has no fifth."""
    first = date(year, month, 1)
    days = [first + timedelta(days=offset) for offset in range(31)]
    matching = [day for day in days if day.month == month and day.weekday() == weekday]
    return matching[-1] if nth == -1 else matching[nth - 1] if nth <= len(matching) else None


def _thanksgiving(year: int) -> date:
    found = nth_weekday(year, 11, 3, 4)
    assert found is not None
    return found


_FIXED: tuple[tuple[str, int, int], ...] = (
    (r"christmas(?: day)?|xmas", 12, 25),
    (r"christmas eve", 12, 24),
    (r"boxing day", 12, 26),
    (r"new year(?:'?s)?(?: day)?", 1, 1),
    (r"new year(?:'?s)? eve", 12, 31),
    (r"valentine(?:'?s)?(?: day)?", 2, 14),
    (r"(?:st\.?|saint) patrick(?:'?s)? day", 3, 17),
    (r"hallowe'?en", 10, 31),
)
_MOVING: tuple[tuple[str, Callable[[int], date], str], ...] = (
    (r"easter(?: sunday)?", easter, "Western Easter"),
    (r"good friday", lambda year: easter(year) - timedelta(days=2), "Western Easter"),
    (r"easter monday", lambda year: easter(year) + timedelta(days=1), "Western Easter"),
    (r"pentecost|whit sunday", lambda year: easter(year) + timedelta(days=49), "Western Easter"),
    (r"(?:us )?thanksgiving(?: day)?", _thanksgiving, "Thanksgiving in the USA"),
)


def _on(month: int, day: int) -> Callable[[int], date]:
    return lambda year: date(year, month, day)


_HOLIDAYS = (
    *((re.compile(name), _on(month, day), "") for name, month, day in _FIXED),
    *((re.compile(name), rule, note) for name, rule, note in _MOVING),
)


def holiday(name: str) -> tuple[Callable[[int], date], str] | None:
    """Return the rule from a year to the day, and a note on whose day it is; None for an unknown name."""
    for pattern, rule, note in _HOLIDAYS:
        if pattern.fullmatch(name):
            return rule, note
    return None
