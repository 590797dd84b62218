"""S0: a rule claims a request only when all of it resolves."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from models.tables import read
from models.types import Json
from runtime.stages import choices
from runtime.stages.rules import Seen, claim, field_names, is_question

TODAY = date(2026, 3, 2)


def _claimed(text: str, *files: str) -> tuple[str | None, dict[str, Json]]:
    found = claim(Seen(text, TODAY, files))
    assert (found.score == 1.0) is (found.capability is not None)
    return found.capability, dict(found.input)


@pytest.mark.parametrize(
    ("text", "capability"),
    [
        ("What is 17.5% of 2,340 plus 12?", "calculate"),
        ("12 * 12", "calculate"),
        ("5 miles in km", "convert"),
        ("How many days until 25 December 2026?", "when"),
        ("Write a python function that reverses a list", "code"),
        ("Write a short poem about rain", "generate"),
        ("Please draft an email to my landlord about the heating", "generate"),
        ("Tell me a joke", "generate"),
    ],
)
def test_plain_requests_are_claimed(text: str, capability: str) -> None:
    assert _claimed(text)[0] == capability


@pytest.mark.parametrize(
    ("text", "capability"),
    [
        ("Summarize this", "summarize"),
        ("Please summarise the attached letter in two sentences.", "summarize"),
        ("tl;dr", "summarize"),
        ("Extract the name and the date", "extract"),
        ("What does it cost?", "answer"),
        ("who signed the lease?", "answer"),
        ("find 'deposit' in this document", "find"),
        ("what kind of file is this", "filetype"),
        ("Classify this review as positive, negative or neutral", "classify"),
        ("Rewrite this so that it sounds friendlier", "generate"),
    ],
)
def test_requests_about_a_file_are_claimed_only_with_one(text: str, capability: str) -> None:
    assert _claimed(text, "letter.txt")[0] == capability
    if capability != "generate":
        assert _claimed(text)[0] != capability


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "?",
        "hmm",
        "What is the capital of Australia?",
        "summarize",
        "my number is 555-1234",
        "Extract",
        "24/7",
        "Should I write a will?",
        "x" * 5000,
    ],
)
def test_what_does_not_resolve_is_left_to_the_next_stage(text: str) -> None:
    assert _claimed(text)[0] is None


def test_arithmetic_about_a_file_is_a_question_about_the_file() -> None:
    assert _claimed("What is 2 + 2?", "notes.txt")[0] == "answer"


def test_the_fields_to_extract_become_names() -> None:
    text = "Extract the name, the due date and total amount from this invoice"
    assert _claimed(text, "invoice.txt") == ("extract", {"fields": ["name", "due_date", "total_amount"]})


def test_a_text_after_the_colon_is_what_is_worked_on() -> None:
    assert _claimed("Extract name and date from: Invoice for Ann Lee, 3 May 2026.") == (
        "extract",
        {"fields": ["name", "date"], "text": "Invoice for Ann Lee, 3 May 2026."},
    )
    capability, given = _claimed("Summarize this in one sentence:\nThe mill burned down. It was old.")
    assert capability == "summarize"
    assert given == {"text": "The mill burned down. It was old.", "sentences": 1}


def test_the_number_of_sentences_is_read() -> None:
    assert _claimed("Summarize this file in three sentences", "a.txt")[1] == {"sentences": 3}
    assert _claimed("Summarize this file in at most 2 sentences", "a.txt")[1] == {"sentences": 2}


def test_labels_are_read_from_the_words() -> None:
    capability, given = _claimed("Classify this as spam, normal or urgent: You won a prize!")
    assert (capability, given["labels"], given["text"]) == (
        "classify",
        ["spam", "normal", "urgent"],
        "You won a prize!",
    )


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("Is this review positive or negative: the food was cold", ["positive", "negative"]),
        (
            "Is the following comment a question, a complaint or praise?\nWhy so late?",
            ["question", "complaint", "praise"],
        ),
        ("Does this sentence sound angry or calm: Go away.", ["angry", "calm"]),
        ("Sort this note into work, family and health: Dentist at nine", ["work", "family", "health"]),
        ("Is this urgent or can it wait? The server is down.", ["urgent", "can wait"]),
        ("Can this wait or is it urgent: the server is down", ["can wait", "urgent"]),
        ("Is this mail urgent, important or can it wait?\nThe server is down.", ["urgent", "important", "can wait"]),
        ("Is this spam or not? You won a prize.", ["spam", "not spam"]),
        ("Is this text about sports, politics or business: the minister resigned", ["sports", "politics", "business"]),
        ("Is this text about sport or about politics?\nThe minister resigned.", ["sport", "politics"]),
        ("Is this tweet hate speech, yes or no: I like these people", ["hate speech", "not hate speech"]),
        ("Tell me whether this is spam or not spam: You won a prize.", ["spam", "not spam"]),
    ],
)
def test_a_question_between_labels_is_a_choice(text: str, labels: list[str]) -> None:
    capability, given = _claimed(text)
    assert (capability, given["labels"]) == ("classify", labels)


@pytest.mark.parametrize(
    "text",
    [
        "Is the deposit refundable or not?",
        "Is the door open or closed?",
        "Is it in Berlin or in Hamburg?",
        "Does it mention refunds or deposits?",
    ],
)
def test_what_a_text_says_is_no_choice_of_what_it_is(text: str) -> None:
    assert _claimed(text, "letter.txt")[0] == "answer"


def test_a_question_that_a_table_answers_is_worked_out() -> None:
    seen = Seen("Who has the highest score?", TODAY, ("s.csv",), table=read("name,score\nAnn,3\nBob,5\n"))
    found = claim(seen)
    assert (found.capability, found.input) == (
        "table",
        {"query": {"measure": "highest", "column": "score", "show": "name"}},
    )
    assert claim(replace(seen, text="Who has the highest grade?")).capability == "answer"


def test_a_novel_is_no_choice_and_costs_no_time() -> None:
    assert choices.labels("is this " + "aa bb, " * 50_000 + "or not") == ()


def test_functions_and_schemas_say_what_is_wanted() -> None:
    assert claim(Seen("turn on the light", TODAY, functions=({"name": "light"},))).capability == "call"
    assert claim(Seen("Ann, 3 May", TODAY, schema={"type": "object"})).capability == "extract"


@pytest.mark.parametrize("words", ["", "the", "everything that matters to me in life", "a; b", "x, , y"])
def test_what_is_no_list_of_fields_is_none(words: str) -> None:
    assert field_names(words) is None


@pytest.mark.parametrize(
    ("text", "question"),
    [("Is it open", True), ("when", True), ("Paris.", False), ("really?", True), ("island life", False)],
)
def test_questions_are_told_from_statements(text: str, question: bool) -> None:
    assert is_question(text) is question


def test_rules_are_fast_on_a_pasted_novel() -> None:
    import time

    text = ("write and summarize, extract the name and date; " * 40_000)[:1_000_000]
    started = time.perf_counter()
    claim(Seen(text, TODAY, ("a.txt",)))
    assert time.perf_counter() - started < 2
