"""Questions about days agree with the calendar; what is not wholly a date is not claimed."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.clock import between, read_time
from models.dates import NoSuchDay, read_day
from models.durations import Span, calendar_difference, minutes, shifted, span
from models.errors import InputError
from models.holidays import easter
from models.specialists.day_answers import long_date
from models.specialists.when import answered, claim
from tests.models.exact_runs import others_requests, run, spec
from tests.models.ordinary_requests import NOT_FOR_RULES

TODAY = date(2026, 11, 18)
"""A Wednesday."""

CLAIMED = [
    ("Which day is 45 days after 3 March 2026?", "Friday, 17 April 2026"),
    ("what is 45 days after 3 March 2026", "Friday, 17 April 2026"),
    ("what day of the week was 20 July 1969", "Sunday, 20 July 1969"),
    ("what day of the week is July 4th 2027?", "Sunday, 4 July 2027"),
    ("what day of the week will Christmas be in 2030", "Wednesday, 25 December 2030"),
    ("what date is 3 weeks from today", "Wednesday, 9 December 2026"),
    ("What is the date in two weeks?", "Wednesday, 2 December 2026"),
    ("what date was 100 days ago", "Monday, 10 August 2026"),
    ("what's today's date", "Wednesday, 18 November 2026"),
    ("can you tell me what today's date is", "Wednesday, 18 November 2026"),
    ("tell me what day it is", "Wednesday, 18 November 2026"),
    ("what day is it", "Wednesday, 18 November 2026"),
    ("what date is the day after tomorrow", "Friday, 20 November 2026"),
    ("the last Friday of October 2026", "Friday, 30 October 2026"),
    ("when is Easter 2027", "Sunday, 28 March 2027 (Western Easter)"),
    ("when is the first Monday of next month?", "Monday, 7 December 2026"),
    ("1 month after 31 January 2026", "Saturday, 28 February 2026"),
    (
        "10 working days after 1 December 2026",
        "Tuesday, 15 December 2026 (Mondays to Fridays counted, holidays not considered)",
    ),
    (
        "how many days between 1 May and 24 December 2026",
        "237 days, from Friday, 1 May 2026 to Thursday, 24 December 2026",
    ),
    (
        "how many weeks are there between 2026-01-01 and 2026-12-31",
        "52 weeks (364 days), from Thursday, 1 January 2026 to Thursday, 31 December 2026",
    ),
    ("how long until Christmas", "37 days (5 weeks and 2 days), until Friday, 25 December 2026"),
    ("how many days until 5 June", "199 days (28 weeks and 3 days), until Saturday, 5 June 2027"),
    ("how many days since 1 January 2026", "321 days, since Thursday, 1 January 2026"),
    ("is 2028 a leap year", "Yes, 2028 is a leap year"),
    ("was 1900 a leap year?", "No, 1900 was not a leap year"),
    ("days in February 2028", "February 2028 has 29 days"),
    ("how many days does 2028 have", "2028 has 366 days"),
    ("how many days are left in this year", "43 days after today, until Thursday, 31 December 2026"),
    ("what week number is it", "Week 47 of 2026 (ISO weeks, from Monday), for Wednesday, 18 November 2026"),
    ("how old is someone born on 19 November 1990", "35 years old on Wednesday, 18 November 2026"),
    ("what time is 3h 45min after 14:30", "18:15"),
    ("what time is 2 hours after 11:30 pm", "1:30 am (01:30), the next day"),
    ("14:30 plus 45 minutes", "15:15"),
    ("how many hours between 9 am and 5:30 pm", "8 hours 30 minutes"),
    ("how long is it from 22:00 to 06:15", "8 hours 15 minutes, across midnight"),
]


@pytest.mark.parametrize(("question", "text"), CLAIMED)
def test_question_is_claimed_and_answered(question: str, text: str) -> None:
    slots = claim(question, TODAY)
    assert slots == {"question": question, "today": "2026-11-18"}
    assert answered(question, TODAY).text == text


@pytest.mark.parametrize("text", spec("when").requests)
def test_requests_of_the_spec_are_claimed(text: str) -> None:
    assert claim(text, TODAY) is not None


@pytest.mark.parametrize("text", NOT_FOR_RULES)
def test_ordinary_request_is_not_claimed(text: str) -> None:
    assert claim(text, TODAY) is None


@pytest.mark.parametrize("text", others_requests("when"))
def test_requests_of_other_specialists_are_not_claimed(text: str) -> None:
    assert claim(text, TODAY) is None


def test_day_and_month_in_doubt_are_both_answered() -> None:
    result = run("when", {"question": "what day is 3/4/2026", "today": "2026-11-18"})
    assert result.text == (
        "Friday, 3 April 2026 if the day comes first, or Wednesday, 4 March 2026 if the month comes first"
    )
    assert isinstance(result.output, dict)
    assert result.output["date"] == "2026-04-03"
    assert result.output["others"] == [{"date": "2026-03-04", "weekday": "Wednesday"}]


@pytest.mark.parametrize("words", ["13/4/2026", "4/13/2026", "13.4.2026", "2026/4/13", "2026-04-13", "13-4-2026"])
def test_order_of_day_and_month_is_clear_where_only_one_works(words: str) -> None:
    found = read_day(words, TODAY)
    assert found is not None
    assert (found.date, found.other) == (date(2026, 4, 13), None)


def test_next_friday_names_both_readings_only_when_they_differ() -> None:
    on_wednesday = answered("what's the date next Friday", TODAY).text
    assert on_wednesday == (
        "Friday, 20 November 2026 if the coming Friday is meant, "
        "or Friday, 27 November 2026 if Friday of next week is meant"
    )
    assert answered("what's the date next Friday", date(2026, 11, 20)).text == "Friday, 27 November 2026"


@pytest.mark.parametrize("question", ["what day is 30 February 2026", "when is the fifth Monday of February 2026"])
def test_day_that_does_not_exist_is_claimed_and_says_so(question: str) -> None:
    assert claim(question, TODAY) is not None
    with pytest.raises(NoSuchDay, match="no"):
        answered(question, TODAY)


def test_wrong_weekday_in_a_date_is_not_believed() -> None:
    assert read_day("Sunday, 18 November 2026", TODAY) is None
    assert read_day("Wednesday, 18 November 2026", TODAY) is not None


@pytest.mark.parametrize("question", ["when is 3 mars 2026", "what day is Montag, 3. August 2026"])
def test_date_in_another_language_is_read_when_asked_for_but_never_claimed(question: str) -> None:
    assert claim(question, TODAY) is None
    assert "2026" in answered(question, TODAY).text


@pytest.mark.parametrize(
    "given",
    [
        {"question": "when is Christmas"},
        {"question": "", "today": "2026-11-18"},
        {"question": "when is Christmas", "today": "yesterday"},
        {"question": "hello", "today": "2026-11-18"},
        {"question": "when is dinner", "today": "2026-11-18"},
        {"question": "how long is it from 9:15 to 5:40", "today": "2026-11-18"},
        {"question": "x" * 1000, "today": "2026-11-18"},
        {"question": "9999999 days after today", "today": "2026-11-18"},
        {"question": "how old is someone born on 5 May 2050", "today": "2026-11-18"},
    ],
)
def test_wrong_input_is_one_sentence(given: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        run("when", given)
    assert str(caught.value).endswith(".")


_DAYS = st.dates(date(1600, 1, 1), date(2900, 12, 31))


@given(_DAYS, st.integers(0, 5000))
def test_days_after_and_before_agree_with_datetime(day: date, count: int) -> None:
    after = answered(f"which day is {count} days after {day.day} {day:%B} {day.year}", TODAY)
    before = answered(f"which day is {count} days before {day.isoformat()}", TODAY)
    assert after.output["date"] == (day + timedelta(days=count)).isoformat()  # type: ignore[index, call-overload]
    assert before.output["date"] == (day - timedelta(days=count)).isoformat()  # type: ignore[index, call-overload]


@given(_DAYS, _DAYS)
def test_days_between_agree_with_datetime(start: date, end: date) -> None:
    found = answered(f"how many days between {start.isoformat()} and {long_date(end)}", TODAY)
    assert found.output["days"] == (end - start).days  # type: ignore[index, call-overload]


@given(_DAYS)
def test_written_date_reads_back(day: date) -> None:
    for words in (long_date(day), f"{day:%B} {day.day}, {day.year}", f"{day.day}th of {day:%b} {day.year}"):
        found = read_day(words, TODAY)
        assert found is not None
        assert found.date == day


@given(_DAYS, st.integers(-400, 400).filter(bool))
def test_working_days_agree_with_counting_one_by_one(day: date, count: int) -> None:
    step = timedelta(days=1 if count > 0 else -1)
    expected, left = day, abs(count)
    while left:
        expected += step
        left -= expected.weekday() < 5
    assert shifted(day, Span(working_days=count)) == expected


@given(_DAYS, _DAYS)
def test_years_months_and_days_lead_from_one_day_to_the_other(one: date, other: date) -> None:
    start, end = sorted((one, other))
    years, months, days = calendar_difference(start, end)
    assert shifted(start, Span(months=12 * years + months, days=days)) == end
    assert 0 <= months < 12
    assert 0 <= days < 31


@pytest.mark.parametrize(
    ("year", "day"), [(1961, "04-02"), (2000, "04-23"), (2024, "03-31"), (2025, "04-20"), (2038, "04-25")]
)
def test_easter_falls_where_the_almanac_says(year: int, day: str) -> None:
    assert easter(year).isoformat() == f"{year}-{day}"


def test_day_without_a_year_leans_to_the_future_or_the_past() -> None:
    ahead, behind = read_day("5 June", TODAY), read_day("5 June", TODAY, lean="past")
    assert ahead is not None and behind is not None
    assert (ahead.date, behind.date) == (date(2027, 6, 5), date(2026, 6, 5))
    leap = read_day("29 February", TODAY)
    assert leap is not None
    assert leap.date == date(2028, 2, 29)


def test_lengths_of_time_are_read_whole_or_not_at_all() -> None:
    assert span("2 weeks and 3 days") == Span(days=17)
    assert span("one year, 2 months") == Span(months=14)
    assert span("half a day") is None
    assert span("3 hours") is None
    assert span("5 apples") is None
    assert minutes("3h 45min") == 225
    assert minutes("two and a half hours") == 150
    assert minutes("2 days") is None


def test_times_in_doubt_between_morning_and_evening_are_not_guessed() -> None:
    nine, five = read_time("9:15"), read_time("5:40")
    evening = read_time("5:40 pm")
    assert nine and five and evening
    assert between(nine, five) is None
    assert between(nine, evening) == Fraction(505)
    assert read_time("25:00") is None
    assert read_time("13 pm") is None
    assert read_time("9") is None


@given(st.text(max_size=80))
def test_claim_never_fails_on_any_text(text: str) -> None:
    claim(text, TODAY)


def test_hostile_text_is_refused_quickly() -> None:
    started = time.perf_counter()
    for piece in (
        "how many days between ",
        "from and to ",
        "1 day after ",
        "in in in ",
        "before 5 - + ",
        "a and a half ",
    ):
        claim((piece * 100)[:200], TODAY)
    assert time.perf_counter() - started < 2


def test_claim_does_not_load_dateparser() -> None:
    code = (
        "import sys, datetime; from models.specialists.when import claim; "
        "claim('when is 3 mars', datetime.date(2026, 1, 1)); sys.exit('dateparser' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
