"""Times of day: `14:30`, `2:30 pm`, `noon`; adding to them and the time between two of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_DAY_MINUTES = 24 * 60
_TIME = re.compile(r"(?P<hour>\d{1,2})(?:[:.](?P<minute>\d{2}))? ?(?P<half>a\.?m\.?|p\.?m\.?)?(?: o'clock)?")
_NAMED = {"noon": 720, "midday": 720, "midnight": 0}


@dataclass(frozen=True, slots=True)
class Clock:
    minutes: Fraction
    """Since midnight, 0 up to 1440."""
    halved: bool
    """Whether morning or afternoon was said (or cannot be in doubt)."""
    twelve: bool = False
    """Whether it was written with am or pm."""


def read_time(text: str) -> Clock | None:
    """Return the time of day that the whole text names; a bare `9` is none."""
    body = text.strip().lower()
    if body in _NAMED:
        return Clock(Fraction(_NAMED[body]), halved=True)
    match = _TIME.fullmatch(body)
    if match is None or (match["minute"] is None and match["half"] is None):
        return None
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    if minute > 59 or hour > 23 or (match["half"] and not 1 <= hour <= 12):
        return None
    if match["half"]:
        hour = hour % 12 + (12 if match["half"].startswith("p") else 0)
    doubt_free = bool(match["half"]) or hour > 12 or hour == 0 or match["hour"].startswith("0")
    return Clock(Fraction(hour * 60 + minute), doubt_free, bool(match["half"]))


def shifted(clock: Clock, minutes: Fraction) -> tuple[Clock, int]:
    """Return the time that many minutes later (earlier when negative) and how many midnights lie between."""
    days, rest = divmod(clock.minutes + minutes, _DAY_MINUTES)
    return Clock(Fraction(rest), clock.halved, clock.twelve), int(days)


def between(start: Clock, end: Clock) -> Fraction | None:
    """Return the minutes from one time to the next such other time; None where it is unclear if pm is meant."""
    if end.minutes <= start.minutes and not (start.halved and end.halved):
        return None
    return (end.minutes - start.minutes) % _DAY_MINUTES


def clock_text(clock: Clock) -> str:
    """Return `14:30`, with seconds only where there are some, and `2:30 pm` behind it where the asker writes so."""
    total_s = round(clock.minutes * 60) % (_DAY_MINUTES * 60)
    hour, rest = divmod(total_s, 3600)
    tail = f":{rest // 60:02d}" + (f":{rest % 60:02d}" if rest % 60 else "")
    if not clock.twelve:
        return f"{hour:02d}{tail}"
    return f"{hour % 12 or 12}{tail} {'am' if hour < 12 else 'pm'} ({hour:02d}{tail})"


def length_text(minutes: Fraction) -> str:
    """Return `8 hours 25 minutes`."""
    total_s = round(minutes * 60)
    parts = ((total_s // 3600, "hour"), (total_s % 3600 // 60, "minute"), (total_s % 60, "second"))
    return " ".join(f"{count} {name}{'s' * (count != 1)}" for count, name in parts if count) or "0 minutes"
