"""Answers to questions about days and times of day, one function each; a date with two readings gets both."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from itertools import product

from models import clock
from models.dates import MONTHS, WEEKDAYS, Day, Lean, read_month
from models.durations import Span, calendar_difference, minutes, shifted
from models.errors import InputError
from models.specialists.exact import Found
from models.types import Json


class Unclear(InputError):
    """The words are not a question about days that can be calculated."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a form needs to answer: the words it captured, today, and how a day is read."""

    words: dict[str, str]
    today: date
    read: Callable[[str, Lean], Day]
    """Raises Unclear when the words name no day."""

    def day(self, name: str, lean: Lean = "next") -> Day:
        return self.read(self.words[name], lean)


Answer = tuple[dict[str, Json], str]


def long_date(day: date) -> str:
    """Return `Friday, 17 April 2026`."""
    return f"{WEEKDAYS[day.weekday()]}, {day.day} {MONTHS[day.month - 1]} {day.year}"


def _each(answer: Callable[..., Answer], *days: Day) -> Found:
    """Answer once for each combination of readings; two answers that differ are both given."""
    answers: list[tuple[Answer, str]] = []
    for readings in product(*(day.readings for day in days)):
        made = answer(*(reading.date for reading in readings))
        if made[1] not in (text for (_, text), _ in answers):
            answers.append((made, " and ".join(reading.reading for reading in readings if reading.reading)))
    notes = "; ".join(dict.fromkeys(day.note for day in days if day.note))
    tail = f" ({notes})" if notes else ""
    (output, text), reading = answers[0]
    if len(answers) == 1:
        return Found(output, text + tail)
    others: list[Json] = [other for (other, _), _ in answers[1:]]
    spoken = ", or ".join(f"{text} {reading}" for (_, text), reading in answers)
    return Found({**output, "reading": reading, "others": others}, spoken + tail)


def _date_answer(day: date) -> Answer:
    return {"date": day.isoformat(), "weekday": WEEKDAYS[day.weekday()]}, long_date(day)


def which_day(asked: Asked) -> Found:
    past = asked.words.get("tense") in ("was", "did", "were")
    return _each(_date_answer, asked.day("day", "past" if past else "next"))


def which_day_in_year(asked: Asked) -> Found:
    named = f"{asked.words['day']} {asked.words['year']}"
    return _each(_date_answer, asked.read(named, "next"))


def said_date(asked: Asked) -> Found:
    return _each(_date_answer, asked.read(asked.words.get("near") or "today", "next"))


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if abs(count) == 1 else 's'}"


def _length(start: date, end: date, unit: str) -> Answer:
    """Return the time from start to end; the first day is not counted, the last is."""
    days = (end - start).days
    output: dict[str, Json] = {"days": days}
    early, late = sorted((start, end))
    if unit.startswith("week") and abs(days) >= 7:
        output["weeks"] = abs(days) // 7
        rest = f" and {_plural(abs(days) % 7, 'day')}" if days % 7 else ""
        return output, f"{_plural(abs(days) // 7, 'week')}{rest} ({_plural(abs(days), 'day')})"
    if unit.startswith(("month", "year")):
        years, months, rest_days = calendar_difference(early, late)
        output |= {"years": years, "months": months}
        named = ((years, "year"), (months, "month"), (rest_days, "day"))
        words = ", ".join(_plural(count, noun) for count, noun in named if count) or "0 days"
        return output, f"{words} ({_plural(abs(days), 'day')})"
    return output, _plural(abs(days), "day")


def between_days(asked: Asked) -> Found:
    start, end = _paired(asked)
    unit = asked.words.get("unit") or "days"

    def answer(first: date, last: date) -> Answer:
        output, text = _length(first, last, unit)
        return output, f"{text}, from {long_date(first)} to {long_date(last)}"

    return _each(answer, start, end)


def _paired(asked: Asked) -> tuple[Day, Day]:
    """A year said once holds for both: `between 1 May and 24 December 2026`."""
    start, end = asked.day("start", "this"), asked.day("end", "this")
    if not start.year_given and end.year_given:
        year = end.date.year - (_in_year(start.date, end.date.year) > end.date)
        return Day(_in_year(start.date, year), note=start.note), end
    if not end.year_given:
        year = start.date.year + (_in_year(end.date, start.date.year) < start.date)
        return start, Day(_in_year(end.date, year), note=end.note)
    return start, end


def _in_year(day: date, year: int) -> date:
    return shifted(day, Span(months=12 * (year - day.year)))


def until(asked: Asked) -> Found:
    unit = asked.words.get("unit") or "days"

    def answer(day: date) -> Answer:
        output, text = _length(asked.today, day, unit)
        if day < asked.today:
            return output, f"{long_date(day)} was {text} ago"
        weeks = f" ({_length(asked.today, day, 'weeks')[1].partition(' (')[0]})" if unit == "days" else ""
        return output, f"{text}{weeks if (day - asked.today).days >= 14 else ''}, until {long_date(day)}"

    return _each(answer, asked.day("day"))


def since(asked: Asked) -> Found:
    unit = asked.words.get("unit") or "days"

    def answer(day: date) -> Answer:
        if day > asked.today:
            output, text = _length(asked.today, day, unit)
            return {**output, "days": -(day - asked.today).days}, f"{long_date(day)} is still {text} away"
        output, text = _length(day, asked.today, unit)
        return output, f"{text}, since {long_date(day)}"

    return _each(answer, asked.day("day", "past"))


def leap(asked: Asked) -> Found:
    year = _checked_year(asked.words["year"], asked.today)
    leap = calendar.isleap(year)
    verb = "was" if year < asked.today.year else "is"
    text = f"Yes, {year} {verb} a leap year" if leap else f"No, {year} {verb} not a leap year"
    return Found({"year": year, "leap": leap}, text)


def _checked_year(words: str, today: date) -> int:
    near = {"this year": 0, "the year": 0, "next year": 1, "last year": -1}
    year = today.year + near[words] if words in near else int(words)
    if not 1583 <= year <= 9999:
        raise Unclear("The calendar is only known for the years 1583 to 9999; choose one of these.")
    return year


def days_in_month(asked: Asked) -> Found:
    month = read_month(asked.words["month"], asked.today)
    if month is None:
        raise Unclear(f"{asked.words['month']!r} is not a month; write for example February 2028.")
    days = calendar.monthrange(*month)[1]
    return Found({"days": days}, f"{MONTHS[month[1] - 1]} {month[0]} has {days} days")


def days_in_year(asked: Asked) -> Found:
    year = _checked_year(asked.words["year"], asked.today)
    days = 366 if calendar.isleap(year) else 365
    return Found({"days": days}, f"{year} has {days} days")


def days_left(asked: Asked) -> Found:
    last = asked.read(f"end of {asked.words['period']}", "next").date
    days = (last - asked.today).days
    return Found({"days": days}, f"{_plural(days, 'day')} after today, until {long_date(last)}")


def week(asked: Asked) -> Found:
    def answer(day: date) -> Answer:
        year, week, _ = day.isocalendar()
        return {"week": week, "year": year}, f"Week {week} of {year} (ISO weeks, from Monday), for {long_date(day)}"

    return _each(answer, asked.read(asked.words.get("day") or "today", "next"))


def age(asked: Asked) -> Found:
    born = asked.day("day", "past")
    if not born.year_given:
        raise Unclear("An age needs the year of birth; add it to the date.")
    at = asked.day("at") if asked.words.get("at") else Day(asked.today)

    def answer(birth: date, day: date) -> Answer:
        if birth > day:
            raise Unclear(f"{long_date(birth)} lies after {long_date(day)}; check the date of birth.")
        years, months, days = calendar_difference(birth, day)
        return {"years": years, "months": months, "days": days}, f"{_plural(years, 'year')} old on {long_date(day)}"

    return _each(answer, born, at)


def _time(words: str) -> clock.Clock:
    read = clock.read_time(words)
    if read is None:
        raise Unclear(f"{words!r} is not a time of day; write it like 14:30 or 2:30 pm.")
    return read


def _minutes(words: str) -> Fraction:
    length = minutes(words)
    if length is None:
        raise Unclear(f"{words!r} is not a length of time; write it like 3 h 45 min.")
    return length


def time_after(asked: Asked) -> Found:
    way = -1 if asked.words["way"] in ("before", "minus", "-") else 1
    result, days = clock.shifted(_time(asked.words["time"]), way * _minutes(asked.words["span"]))
    text = clock.clock_text(result)
    if days:
        near = {1: "the next day", -1: "the day before"}
        text += f", {near.get(days) or _plural(abs(days), 'day') + (' later' if days > 0 else ' earlier')}"
    plain = clock.Clock(result.minutes, halved=True)
    return Found({"time": clock.clock_text(plain), "days": days}, text)


def between_times(asked: Asked) -> Found:
    start, end = _time(asked.words["start"]), _time(asked.words["end"])
    length = clock.between(start, end)
    if length is None:
        raise Unclear("It is unclear whether the second time is am or pm; write it like 17:40 or 5:40 pm.")
    over = ", across midnight" if end.minutes <= start.minutes else ""
    return Found(
        {"minutes": float(length) if length.denominator > 1 else int(length)}, clock.length_text(length) + over
    )
