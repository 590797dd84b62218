"""A day as people name it, to the day it is: `3 March 2026`, `next Friday`, `2 weeks before Easter`.

Strict: every word must belong. A name with two readings yields both. No clock: today is given.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from typing import Literal

from models.durations import NoSuchDay, Span, shifted, span
from models.holidays import holiday, nth_weekday

Lean = Literal["next", "past", "this"]
"""Which year is meant when none is said: the next such day, the latest one, or this year's."""


@dataclass(frozen=True, slots=True)
class Day:
    date: date
    reading: str = ""
    """What this date takes for granted, where the words allow another: `if the day comes first`."""
    other: Day | None = None
    """The other reading."""
    note: str = ""
    year_given: bool = True

    @property
    def readings(self) -> tuple[Day, ...]:
        return (self, self.other) if self.other else (self,)


WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = tuple(calendar.month_name)[1:]
_MONTH_NUMBER = {
    **{name.lower(): number for number, name in enumerate(MONTHS, 1)},
    **{name[:3].lower(): number for number, name in enumerate(MONTHS, 1)},
    "sept": 9,
}
_WEEKDAY_NUMBER = {
    **{name.lower(): number for number, name in enumerate(WEEKDAYS)},
    **{name[:3].lower(): number for number, name in enumerate(WEEKDAYS)},
    "tues": 1, "thur": 3, "thurs": 3,
}  # fmt: skip
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
_ORDINAL_NUMBER = {
    **{word: number for number, word in enumerate(_ORDINALS, 1)},
    **{f"twenty-{word}": 20 + number for number, word in enumerate(_ORDINALS[:9], 1)},
    "thirtieth": 30, "thirty-first": 31,
}  # fmt: skip
_M = r"(?P<month>" + "|".join(sorted(_MONTH_NUMBER, key=len, reverse=True)) + r")\.?"
_W = r"(?P<weekday>" + "|".join(sorted(_WEEKDAY_NUMBER, key=len, reverse=True)) + r")\.?"
_D = r"(?P<day>\d{1,2}(?:st|nd|rd|th)?|" + "|".join(sorted(_ORDINAL_NUMBER, key=len, reverse=True)) + ")"
_Y = r"(?:,? (?:of |in )?(?P<year>\d{4}|(?:this|next|last) year))?"
_NAMED = (
    re.compile(rf"(?:{_W},? )?(?:the )?{_D}(?: of)? {_M}{_Y}"),
    re.compile(rf"(?:{_W},? )?{_M} (?:the )?{_D}{_Y}"),
)
_NUMERIC = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4})")
_YEAR_FIRST = re.compile(r"(\d{4})([/.-])(\d{1,2})\2(\d{1,2})")
_WEEKDAY = re.compile(rf"(?:on )?(?:(?P<which>next|this|last|past|coming|this coming|this past) )?{_W}")
_IN_WEEK = (
    re.compile(rf"{_W} (?P<which>next|last|this) week"),
    re.compile(rf"(?P<which>next|last|this) week,? (?:on )?{_W}"),
)
_NTH = re.compile(
    r"(?:the )?(?P<nth>first|second|third|fourth|fifth|last|1st|2nd|3rd|4th|5th) " + _W + r" (?:of|in) (?P<period>.+)"
)
_EDGE = re.compile(r"(?:the )?(?P<edge>start|beginning|end|first day|last day) of (?P<period>.+)")
_OFFSET = re.compile(r"(?P<span>.+?) (?P<way>after|from|following|before|prior to) (?P<base>.+)")
_PLUS = re.compile(r"(?P<base>.+?) (?P<way>plus|minus|\+|-) (?P<span>.+)")
_NEAR = {"today": 0, "now": 0, "tomorrow": 1, "yesterday": -1, "the day after tomorrow": 2, "day after tomorrow": 2,
         "the day before yesterday": -2, "day before yesterday": -2}  # fmt: skip


def tidied(text: str) -> str:
    """Return the text in lower case with single spaces and plain quotes, as the patterns expect it."""
    return re.sub(r"\s+", " ", text.replace("’", "'").replace("–", "-")).strip().lower()


def read_day(text: str, today: date, *, lean: Lean = "next") -> Day | None:
    """Return the day that the whole text names; None when it names none.

    Raises NoSuchDay for a date that does not exist, such as 30 February.
    """
    body = tidied(text)
    if len(body) > 120:
        return None
    for rule in _RULES:
        found = rule(body, today, lean)
        if found is not None:
            return found
    return None


def read_month(text: str, today: date) -> tuple[int, int] | None:
    """Return year and month of `February 2028`, `next month`, `June`."""
    body = tidied(text)
    if body in ("this month", "the month", "the current month"):
        return today.year, today.month
    if body in ("next month", "last month"):
        moved = shifted(today.replace(day=1), Span(months=1 if body.startswith("next") else -1))
        return moved.year, moved.month
    match = re.fullmatch(_M + _Y, body)
    return (_year(match["year"], today) or today.year, _MONTH_NUMBER[match["month"]]) if match else None


def _near(body: str, today: date, lean: Lean) -> Day | None:
    offset = _NEAR.get(body)
    return None if offset is None else Day(shifted(today, Span(days=offset)))


def _year_first(body: str, today: date, lean: Lean) -> Day | None:
    match = _YEAR_FIRST.fullmatch(body)
    return Day(_existing(int(match[1]), int(match[3]), int(match[4]))) if match else None


def _numeric(body: str, today: date, lean: Lean) -> Day | None:
    """With slashes or hyphens the day or the month may come first; with dots the day does."""
    match = _NUMERIC.fullmatch(body)
    if match is None:
        return None
    one, two, year = int(match[1]), int(match[3]), int(match[4])
    if match[2] == "." or one > 12 or one == two:
        return Day(_existing(year, two, one))
    if two > 12:
        return Day(_existing(year, one, two))
    other = Day(_existing(year, one, two), "if the month comes first")
    return Day(_existing(year, two, one), "if the day comes first", other)


def _named_month(body: str, today: date, lean: Lean) -> Day | None:
    for pattern in _NAMED:
        match = pattern.fullmatch(body)
        if match is None:
            continue
        month, number = _MONTH_NUMBER[match["month"]], _ordinal(match["day"])
        year = _year(match["year"], today)
        found = _dated(partial(_existing, month=month, day=number), year, today, lean)
        wrong_weekday = match["weekday"] and _WEEKDAY_NUMBER[match["weekday"]] != found.date.weekday()
        return None if wrong_weekday else found
    return None


def _weekday(body: str, today: date, lean: Lean) -> Day | None:
    """`Next` and `last` mean the nearest such day to some and that of the next or last week to others."""
    match = _WEEKDAY.fullmatch(body)
    if match is None:
        return None
    number, which = _WEEKDAY_NUMBER[match["weekday"]], match["which"] or ""
    name = WEEKDAYS[number]
    monday = today - timedelta(days=today.weekday())
    if which.startswith(("last", "past", "this past")):
        near = today - timedelta(days=(today.weekday() - number - 1) % 7 + 1)
        far, words = monday + timedelta(days=number - 7), ("the latest", "of last week")
    else:
        near = today + timedelta(days=(number - today.weekday() - (which != "this")) % 7 + (which != "this"))
        far, words = monday + timedelta(days=number + 7), ("the coming", "of next week")
    if which not in ("next", "last") or near == far:
        return Day(near)
    return Day(near, f"if {words[0]} {name} is meant", Day(far, f"if {name} {words[1]} is meant"))


def _in_week(body: str, today: date, lean: Lean) -> Day | None:
    match = next((found for pattern in _IN_WEEK if (found := pattern.fullmatch(body))), None)
    if match is None:
        return None
    weeks = {"next": 1, "this": 0, "last": -1}[match["which"]]
    return Day(shifted(today, Span(days=7 * weeks + _WEEKDAY_NUMBER[match["weekday"]] - today.weekday())))


def _nth_weekday(body: str, today: date, lean: Lean) -> Day | None:
    match = _NTH.fullmatch(body)
    period = read_month(match["period"], today) if match else None
    if match is None or period is None:
        return None
    nth = -1 if match["nth"] == "last" else _ordinal(match["nth"])
    weekday, month = _WEEKDAY_NUMBER[match["weekday"]], period[1]

    def rule(year: int) -> date:
        found = nth_weekday(year, month, weekday, nth)
        if found is None:
            raise NoSuchDay(f"{MONTHS[month - 1]} {year} has no fifth {WEEKDAYS[weekday]}; ask for the last one.")
        return found

    said = re.search(r"\d{4}|month|year", match["period"])
    return _dated(rule, period[0] if said else None, today, lean)


def _edge(body: str, today: date, lean: Lean) -> Day | None:
    match = _EDGE.fullmatch(body)
    if match is None:
        return None
    at_end = match["edge"] in ("end", "last day")
    year = _year(match["period"].removeprefix("the "), today) or (today.year if match["period"] == "the year" else None)
    if year:
        return Day(date(year, 12, 31) if at_end else date(year, 1, 1))
    period = read_month(match["period"], today)
    if period is None:
        return None
    return Day(date(*period, calendar.monthrange(*period)[1] if at_end else 1))


def _holiday(body: str, today: date, lean: Lean) -> Day | None:
    match = re.fullmatch(rf"(?:the )?(?:(?P<which>next|last|this) )?(?P<name>[a-z.' ]+?){_Y}", body)
    known = holiday(match["name"]) if match else None
    if match is None or known is None:
        return None
    leans: dict[str, Lean] = {"next": "next", "last": "past", "this": "this"}
    found = _dated(known[0], _year(match["year"], today), today, leans.get(match["which"] or "", lean))
    return replace(found, note=known[1])


def _offset(body: str, today: date, lean: Lean) -> Day | None:
    """`in 2 weeks`, `10 days ago`, `45 days after 3 March 2026`, `tomorrow plus 3 days`."""
    if body.startswith("in ") and (length := span(body[3:])):
        return _moved(Day(today), length)
    if body.endswith(" ago") and (length := span(body[:-4])):
        return _moved(Day(today), -length)
    for pattern in (_OFFSET, _PLUS):
        match = pattern.fullmatch(body)
        length = span(match["span"]) if match else None
        base = read_day(match["base"], today, lean=lean) if match and length else None
        if match and length and base:
            return _moved(base, -length if match["way"] in ("before", "prior to", "minus", "-") else length)
    return None


def _moved(base: Day, by: Span) -> Day:
    other = _moved(base.other, by) if base.other else None
    note = "Mondays to Fridays counted, holidays not considered" if by.working_days else base.note
    return replace(base, date=shifted(base.date, by), other=other, note=note)


def _dated(rule: Callable[[int], date], year: int | None, today: date, lean: Lean) -> Day:
    """Apply a yearly rule; without a year take the one that `lean` points to (29 February may be years away)."""
    if year is not None:
        return Day(rule(year))
    if lean == "this":
        return Day(rule(today.year), year_given=False)
    step = 1 if lean == "next" else -1
    for candidate in range(today.year, today.year + 9 * step, step):
        try:
            found = rule(candidate)
        except NoSuchDay:
            continue
        if (found - today).days * step >= 0:
            return Day(found, year_given=False)
    return Day(rule(today.year), year_given=False)


def _existing(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError as error:
        name = MONTHS[month - 1] if 1 <= month <= 12 else f"month {month}"
        raise NoSuchDay(f"There is no {day} {name} {year}; check the date.") from error


def _year(said: str | None, today: date) -> int | None:
    near = {"this year": 0, "next year": 1, "last year": -1}
    if said in near:
        return today.year + near[said]
    return int(said) if said and re.fullmatch(r"[12]\d{3}", said) else None


def _ordinal(text: str) -> int:
    return _ORDINAL_NUMBER.get(text) or int(re.sub(r"\D", "", text))


_RULES = (
    _near, _year_first, _numeric, _named_month, _weekday, _in_week, _nth_weekday, _edge, _holiday, _offset,
)  # fmt: skip
"""First answer wins."""
