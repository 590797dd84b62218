"""Lengths of time as people write them, and adding them to a day: `2 weeks and 3 days`, `10 working days`."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from models.errors import InputError
from models.quantities import quantity, tidy

MAX_DAYS = 4_000_000
"""More than the calendar of this library holds (years 1 to 9999)."""
_WORKING = re.compile(r"(.+?) (?:working|business)[ -]days?|(.+?) weekdays?")
_DAYS = {"day": 1, "week": 7, "fortnight": 14}
_MONTHS = {"month": 1, "common_year": 12, "century": 1200}
_MINUTES = {"minute": Fraction(1), "hour": Fraction(60), "second": Fraction(1, 60)}


class NoSuchDay(InputError):
    """The words name a day that the calendar does not have."""


@dataclass(frozen=True, slots=True)
class Span:
    """A length in calendar units; months are added before days."""

    months: int = 0
    days: int = 0
    working_days: int = 0

    def __neg__(self) -> Span:
        return Span(-self.months, -self.days, -self.working_days)


def span(text: str) -> Span | None:
    """Return a length in days, weeks, months or years; None when the text is not one, or not in whole days.

    Raises NoSuchDay when it is longer than the calendar.
    """
    if working := _WORKING.fullmatch(text):
        count = quantity(f"{working[1] or working[2]} days")
        whole = len(count) == 1 and count[0].number.denominator == 1 and 0 < count[0].number < MAX_DAYS
        return Span(working_days=int(count[0].number)) if whole else None
    months, days = Fraction(0), Fraction(0)
    parts = quantity(tidy(text))
    for part in parts:
        name = part.units[0].name
        months += part.number * _MONTHS.get(name, 0)
        days += part.number * _DAYS.get(name, 0)
        if name not in _MONTHS and name not in _DAYS:
            return None
    if not parts or months.denominator != 1 or days.denominator != 1 or min(months, days) < 0:
        return None
    if max(months, days) > MAX_DAYS:
        raise NoSuchDay("That is longer than the calendar of the years 1 to 9999; use a shorter time.")
    return Span(int(months), int(days))


def minutes(text: str) -> Fraction | None:
    """Return a length of hours, minutes and seconds in minutes; None when the text is not one."""
    parts = quantity(tidy(text))
    factors = [_MINUTES.get(part.units[0].name) for part in parts]
    if not parts or None in factors:
        return None
    return sum((part.number * factor for part, factor in zip(parts, factors, strict=True) if factor), Fraction(0))


def shifted(day: date, by: Span) -> date:
    """Return the day that much later (earlier when negative). Raises NoSuchDay outside the years 1 to 9999.

    A day that its new month does not have becomes that month's last: 31 January + 1 month is 28 February.
    """
    try:
        return _working(_months(day, by.months) + timedelta(days=by.days), by.working_days)
    except (OverflowError, ValueError) as error:
        raise NoSuchDay("That day lies outside the years 1 to 9999; use a shorter time.") from error


def _months(day: date, count: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + count, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1])) if count else day


def _working(day: date, count: int) -> date:
    """Count Mondays to Fridays; whole weeks at once, so that a large count costs nothing."""
    if not count:
        return day
    step = 1 if count > 0 else -1
    while day.weekday() > 4:
        day -= timedelta(days=step)
    weeks, rest = divmod(abs(count), 5)
    day += timedelta(days=7 * weeks * step)
    while rest:
        day += timedelta(days=step)
        rest -= day.weekday() < 5
    return day


def calendar_difference(start: date, end: date) -> tuple[int, int, int]:
    """Return whole years, months and days from `start` to a later `end`."""
    months = (end.year - start.year) * 12 + end.month - start.month
    months -= _months(start, months) > end
    return months // 12, months % 12, (end - _months(start, months)).days
