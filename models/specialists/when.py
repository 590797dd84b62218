"""Answer questions about dates and times of day that can be calculated, counted from a given today."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from datetime import date, datetime, time
from typing import Any

from models.dates import Day, Lean, read_day, tidied
from models.durations import NoSuchDay
from models.errors import InputError
from models.specialists.day_answers import Unclear
from models.specialists.day_questions import answers
from models.specialists.exact import Found, given_text, one_result
from models.specialists.runner import Runner
from models.types import Chunk, Json, Request, Result

_LONGEST_QUESTION = 200
"""Characters; a longer text is not a bare question about a date."""
_COURTESY = re.compile(
    r"^(?:(?:please|hey|ok|so|(?:can|could|would|will) you|tell me|i (?:need|want|would like) to know)[, ]+)+"
    r"|(?:,? (?:please|thanks|thank you))?[\s?.!]*$"
)


class When(Runner):
    """The specialist. `input` is {"question": str, "today": "YYYY-MM-DD"}."""

    def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        return one_result(self.name, lambda: _answered(request))


def _answered(request: Request) -> Found:
    question = given_text(request, "question")
    given = given_text(request, "today")
    try:
        today = date.fromisoformat(given)
    except ValueError as error:
        raise InputError(f"{given!r} is not a day; give 'today' as YYYY-MM-DD.") from error
    return answered(question, today)


def answered(question: str, today: date) -> Found:
    """Return the answer; phrases that the strict reader does not know are read by dateparser.

    Raises InputError when the question is not one that can be calculated, or names a day that does not exist.
    """
    if len(question) > _LONGEST_QUESTION:
        raise InputError(f"The question is longer than {_LONGEST_QUESTION} characters; ask about the date alone.")
    for lenient in (False, True):
        found = _first(question, today, lenient=lenient)
        if found is not None:
            return found
    raise InputError(
        f"{question!r} is not a question about days or times that can be calculated; "
        "ask for example 'which day is 45 days after 3 March 2026'."
    )


def claim(text: str, today: date) -> dict[str, Json] | None:
    """Return the input for `when` when every word of the text resolves to a calculation with days, else None."""
    if len(text) > _LONGEST_QUESTION:
        return None
    try:
        found = _first(text, today, lenient=False)
    except NoSuchDay:
        found = Found(None, "")
    return {"question": text.strip(), "today": today.isoformat()} if found else None


def _first(question: str, today: date, *, lenient: bool) -> Found | None:
    body = _COURTESY.sub("", tidied(question))
    for answer in answers(body, today, _reader(today, lenient=lenient)):
        try:
            return answer()
        except Unclear:
            continue
    return None


def _reader(today: date, *, lenient: bool) -> Callable[[str, Lean], Day]:
    def read(words: str, lean: Lean) -> Day:
        day = read_day(words, today, lean=lean) or (_guessed(words, today, lean) if lenient else None)
        if day is None:
            raise Unclear(f"{words!r} is not a day; write it like 3 March 2026.")
        return day

    return read


def _guessed(words: str, today: date, lean: Lean) -> Day | None:
    """Read a phrase in another language or order. Only with letters: digits alone were read strictly.

    Only absolute dates: what is relative in English was read strictly too, and a guess there would be wrong.
    """
    import dateparser  # heavy, first use only

    numbers = re.findall(r"\d+", words)
    if not re.search(r"[^\W\d_]{3}", words) or (len(numbers) > 1 and not any(len(one) == 4 for one in numbers)):
        return None
    settings: Any = {
        "PARSERS": ["absolute-time"],
        "REQUIRE_PARTS": ["day", "month"],
        "RELATIVE_BASE": datetime.combine(today, time(12)),
        "PREFER_DATES_FROM": "past" if lean == "past" else "future",
        "RETURN_AS_TIMEZONE_AWARE": False,
    }
    parsed = dateparser.parse(words, settings=settings)
    return Day(parsed.date()) if parsed else None
