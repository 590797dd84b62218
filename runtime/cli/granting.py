"""Reads what an owner types about a grant: labels, kinds of work, hours, lengths of time."""

from __future__ import annotations

import re

from models.types import Label
from peers.grants import QuietHours
from runtime.errors import UsageError

MOST_AT_ONCE = 16
"""A link carries no more tasks of one side than that."""
MOST_PER_MINUTE = 600
"""Ten a second keep a small device busy with refusing alone."""
UNITS_S = {"m": 60, "h": 3600, "d": 86400}


def parse_label(text: str) -> Label:
    """Return the label of that name that a device can be granted. Raises UsageError."""
    names = {label.name.lower(): label for label in Label if label is not Label.SECRET}
    if text.lower() not in names:
        raise UsageError(f"A device can be granted {', '.join(names)}, not {text!r}. Secret things never leave.")
    return names[text.lower()]


def parse_capabilities(text: str) -> frozenset[str] | None:
    """Return the kinds of work in `extract,embed`; None for `all`. Raises UsageError."""
    if text == "all":
        return None
    names = [name.strip() for name in text.split(",")]
    wrong = next((name for name in names if not re.fullmatch(r"[a-z][a-z0-9_.-]{0,63}", name)), None)
    if wrong is not None:
        raise UsageError(f"{wrong!r} is no kind of work. Run `covey specialists list` to see their names.")
    return frozenset(names)


def parse_quiet(text: str) -> QuietHours | None:
    """Return the hours in `22:00-07:00`; None for `none`. Raises UsageError."""
    if text == "none":
        return None
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-3]):([0-5]\d)", text)
    if match is None:
        raise UsageError(f"{text!r} are no hours: write them like 22:00-07:00, or `none`.")
    first, second, third, fourth = (int(part) for part in match.groups())
    return QuietHours(first * 60 + second, third * 60 + fourth)


def parse_length_s(text: str) -> int:
    """Return the seconds in `30m`, `2h` or `7d`. Raises UsageError."""
    match = re.fullmatch(r"([1-9]\d{0,4})([mhd])", text.strip().lower())
    if match is None:
        raise UsageError(f"{text!r} is not a length of time: write it like 30m, 2h or 7d.")
    return int(match[1]) * UNITS_S[match[2]]
