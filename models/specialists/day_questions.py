"""The forms of questions about days and times of day that can be calculated.

A form is a pattern for the whole question, in lower case, and the function that answers it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial

from models.dates import Day, Lean
from models.specialists import day_answers as answer
from models.specialists.day_answers import Asked
from models.specialists.exact import Found

_UNIT = r"(?P<unit>days|weeks|months|years)"
_DAY_WORD = r"(?:day of the week|day of week|weekday|day|date)"
_WEEK = r"(?:calendar |iso )?week(?: number)?(?: of the year)?"
_YEAR = r"(?P<year>\d{4}|this year|next year|last year)"
_FROM_TO = r"(?:between|from) (?P<start>.+?) (?:and|to|until|till) (?P<end>.+)"
_UNTIL = r"(?:until|till|to|before) (?P<day>.+)"
_RELATIVE = r"(?P<day>.+ (?:after|before|from) .+)"
_NTH = r"(?P<day>(?:the )?(?:first|second|third|fourth|fifth|last|\d(?:st|nd|rd|th)) \w+day (?:of|in) .+)"
_IS_IT = r"(?: are there| are| is it| was it| were there| is there| is the time)?"
"""Alone these ask only with a year; `two weeks from now` is rather the answer to a question."""
_WHO = r"(?:i|he|she|they)"

_SHAPES: tuple[tuple[str, Callable[[Asked], Found]], ...] = (
    (r"what(?:'s| is) (?:the date(?: of| for)?|the day) (?P<near>today|tomorrow)", answer.said_date),
    (r"(?:what(?:'s| was| is) )?(?P<near>yesterday|today|tomorrow)'s date(?: is)?", answer.said_date),
    (rf"what {_DAY_WORD} (?:it is(?: today)?|today is)", answer.said_date),
    (r"what (?P<near>yesterday|today|tomorrow)'s date (?:is|was)", answer.said_date),
    (rf"(?:what|which) {_DAY_WORD} (?:is it|is it today|is today)", answer.said_date),
    (r"what(?:'s| is) the (?:current )?date", answer.said_date),
    (
        rf"(?:what|which) {_DAY_WORD} (?:will|is|was|does|did) (?P<day>.+?) (?:be|fall|fall on|be on)?(?: ?on)? ?"
        r"in (?P<year>\d{4})",
        answer.which_day_in_year,
    ),
    (
        rf"(?:what|which) {_DAY_WORD} (?P<tense>is|was|were|will|would|did|does)(?: it)?(?: be)?(?: on)? "
        r"(?P<day>.+?)(?: be| fall| fall on| land on| on)?",
        answer.which_day,
    ),
    (
        rf"on (?:what|which) {_DAY_WORD} (?P<tense>is|was|did|does|will) (?P<day>.+?)(?: fall| be)?",
        answer.which_day,
    ),
    (rf"what(?:'s| is| was| will be) the {_DAY_WORD}(?: on| of)? (?P<day>.+)", answer.which_day),
    (r"when (?P<tense>is|was|will) (?P<day>.+?)(?: be)?", answer.which_day),
    (r"when's (?P<day>.+)", answer.which_day),
    (rf"what(?:'s| is) {_RELATIVE}", answer.which_day),
    (rf"what(?:'s| is) {_NTH}", answer.which_day),
    (rf"(?=.*\d{{4}}){_RELATIVE}", answer.which_day),
    (rf"(?=.*\d{{4}}){_NTH}", answer.which_day),
    (rf"(?:how many |number of )?{_UNIT}{_IS_IT} {_FROM_TO}", answer.between_days),
    (rf"how (?:long|many hours|many minutes|much time){_IS_IT} {_FROM_TO}", answer.between_times),
    (rf"how (?:long|much time){_IS_IT} {_FROM_TO}", answer.between_days),
    (rf"how many (?:more )?{_UNIT}(?: are| is)?(?: it| there)?(?: left)? {_UNTIL}", answer.until),
    (rf"how (?:long|much time)(?: is it| is there| is left)? {_UNTIL}", answer.until),
    (rf"{_UNIT} (?:left )?(?:until|till) (?P<day>.+)", answer.until),
    (rf"how (?:many {_UNIT}|far) away is (?P<day>.+)", answer.until),
    (rf"how (?:many {_UNIT}|long)(?: has it been| have passed| is it)? since (?P<day>.+)", answer.since),
    (rf"how (?:many {_UNIT}|long) ago (?:was|is) (?P<day>.+)", answer.since),
    (rf"(?:is|was|will) {_YEAR}(?: be)? a leap year", answer.leap),
    (r"(?:how many )?days(?: are)?(?: there)? (?:in|does) (?P<month>.+?)(?: have)?", answer.days_in_month),
    (rf"(?:how many )?days(?: are)?(?: there)? (?:in|does) (?:the year )?{_YEAR}(?: have)?", answer.days_in_year),
    (
        r"how many days(?: are)?(?: there)? left (?:in|of) (?P<period>(?:this|the) (?:month|year))",
        answer.days_left,
    ),
    (rf"(?:what|which) {_WEEK} (?:is it|is this|are we in)(?: now| today)?", answer.week),
    (
        rf"(?:what|which) {_WEEK} (?:is|was|does|will)(?: it on| it be on)? (?P<day>.+?)(?: in| fall in| be in)?",
        answer.week,
    ),
    (r"(?:what(?:'s| is) the )?(?:calendar |iso )?week number (?:of|for|on) (?P<day>.+)", answer.week),
    (
        r"how old (?:is|am|are|would|will) (?:someone|somebody|a person|i|he|she|they)(?: be)?(?: now| today)?"
        rf"(?: who (?:is|was))?(?: if {_WHO} (?:was|were|is))? born (?:on )?(?P<day>.+?)(?: (?:today|now))?",
        answer.age,
    ),
    (
        rf"(?:if )?(?:{_WHO} (?:was|were) |i'm )?born (?:on )?(?P<day>.+?),? "
        r"how old (?:am i|is he|is she|are they|would i be)(?: now| today)?",
        answer.age,
    ),
    (
        r"(?:what time (?:is it|is|will it be|would it be|was it) )?"
        r"(?P<span>.+?) (?P<way>after|from|past|before) (?P<time>.+)",
        answer.time_after,
    ),
    (r"(?:what(?:'s| is| time is) )?(?P<time>.+?) (?P<way>plus|minus|\+|-) (?P<span>.+)", answer.time_after),
)
_FORMS = tuple((re.compile(shape), function) for shape, function in _SHAPES)
"""A question may fit several; the first whose words all resolve answers it."""


def answers(body: str, today: date, read: Callable[[str, Lean], Day]) -> Iterator[Callable[[], Found]]:
    """Yield, for each form that the whole question fits, the work that answers it (may raise Unclear)."""
    for pattern, function in _FORMS:
        match = pattern.fullmatch(body)
        if match:
            words = {name: text for name, text in match.groupdict().items() if text}
            yield partial(function, Asked(words, today, read))
