"""Checks are deterministic: they pass what is right, fail what is wrong, and skip what they can't judge."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from models.types import Evidence, Json, Refusal, RefusalCode, Result
from runtime.checks import CHECKS, STANDARD, Subject, checks_of, holds_back, run_checks, unknown_checks
from runtime.recompute import NotArithmetic, recompute

PERSON: Json = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


def _outcome(name: str, output: Json, **given: Any) -> str:
    schema = given.pop("schema", None)
    evidence = given.pop("evidence", ())
    text = output if isinstance(output, str) else "text"
    subject = Subject(given, Result(output=output, text=text, evidence=evidence), schema)
    return run_checks((name,), subject)[0].outcome


@pytest.mark.parametrize(
    ("expression", "exact", "outcome"),
    [
        ("17.5% of 2,340 plus 12", "843/2", "pass"),
        ("2 ^ 10", "1024", "pass"),
        ("7 / 3", "7/3", "pass"),
        ("12 × 12", "144", "pass"),
        ("12 × 12", "145", "fail"),
        ("sqrt 16", "4", "skipped"),
        ("sqrt 2", "", "skipped"),
        ("9 ** 99999", "1", "skipped"),
        ("2 + 2", "four", "fail"),
    ],
)
def test_arithmetic_is_computed_a_second_way(expression: str, exact: str, outcome: str) -> None:
    assert _outcome("arithmetic_recomputes", {"value": exact, "exact": exact}, expression=expression) == outcome


def test_the_digits_are_taken_as_typed_and_not_as_floats() -> None:
    assert recompute("0.1 + 0.2") == Fraction(3, 10)


@pytest.mark.parametrize("text", ["", "2,5", "__import__('os')", "a + 1", "2 +", "1 / 0", "(" * 500, "1" * 2000])
def test_what_is_not_plain_arithmetic_is_never_guessed(text: str) -> None:
    with pytest.raises(NotArithmetic):
        recompute(text)


@pytest.mark.parametrize(
    ("output", "outcome"),
    [({"age": 3}, "pass"), ({"age": "3"}, "fail"), ({}, "fail")],
)
def test_the_schema_is_enforced(output: Json, outcome: str) -> None:
    assert _outcome("schema", output, schema=PERSON) == outcome


def test_a_schema_that_is_no_schema_fails_with_a_reason() -> None:
    subject = Subject({}, Result(output={}, text="{}"), {"type": "nonsense"})
    assert "schema itself is not valid" in run_checks(("schema",), subject)[0].reason


@pytest.mark.parametrize(
    ("value", "unit", "outcome"),
    [("8.04672", "km", "pass"), ("3.107", "km", "fail"), ("8", "parsecs of cheese", "skipped")],
)
def test_a_conversion_is_converted_back(value: str, unit: str, outcome: str) -> None:
    given = {"quantity": "5", "from": "miles", "to": "km"}
    assert _outcome("conversion_recomputes", {"value": value, "unit": unit}, **given) == outcome


@pytest.mark.parametrize(
    ("output", "outcome"),
    [
        ({"date": "2028-02-29"}, "pass"),
        ({"date": "2027-02-29"}, "fail"),
        ({"days": 12}, "skipped"),
        ("2026-13-01", "fail"),
    ],
)
def test_a_date_must_be_in_the_calendar(output: Json, outcome: str) -> None:
    assert _outcome("date_parses", output) == outcome


def test_a_quote_must_be_where_it_is_said_to_be() -> None:
    documents: Json = [{"name": "a.txt", "text": "The mill was built in 1821."}]
    there, shifted = Evidence("a.txt", 22, 26, "1821"), Evidence("a.txt", 21, 25, "1821")
    elsewhere = Evidence("b.txt", 22, 26, "1821")
    for evidence, outcome in ((there, "pass"), (shifted, "fail"), (elsewhere, "fail")):
        assert _outcome("evidence_in_source", "1821", documents=documents, evidence=(evidence,)) == outcome
    assert _outcome("evidence_in_source", "1821", documents=documents) == "fail"


def test_a_search_without_hits_needs_no_quote() -> None:
    assert _outcome("evidence_in_source", [], documents=[{"name": "a", "text": "b"}]) == "pass"


@pytest.mark.parametrize(
    ("output", "outcome"),
    [
        ({"name": "ann LEE", "total": 1234}, "pass"),
        ({"name": "Bob"}, "fail"),
        ({"items": [{"price": 99}]}, "fail"),
        ({"due": "2026-05-03", "paid": True}, "skipped"),
    ],
)
def test_extracted_values_must_be_in_the_text(output: Json, outcome: str) -> None:
    assert _outcome("values_in_source", output, text="Invoice for Ann Lee: 1,234 EUR by 3 May 2026") == outcome


LEVELS: dict[str, Json] = {"enum": ["low", "high"]}
LISTED: dict[str, Json] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "level": LEVELS,
        "maybe": {"anyOf": [LEVELS, {"type": "null"}]},
        "named": {"$ref": "#/$defs/level"},
        "parts": {"type": "array", "items": {"type": "object", "properties": {"level": LEVELS}}},
    },
    "$defs": {"level": LEVELS},
}


@pytest.mark.parametrize(
    ("output", "outcome"),
    [
        ({"name": "Ann Lee", "level": "high"}, "pass"),
        ({"name": "Ann Lee", "maybe": "low", "named": "low", "parts": [{"level": "low"}]}, "pass"),
        ({"name": "Bob", "level": "high"}, "fail"),
        ({"parts": [{"level": "low", "who": "Bob"}]}, "fail"),
        ({"level": "high"}, "skipped"),
    ],
)
def test_a_value_from_a_list_need_not_be_in_the_text(output: Json, outcome: str) -> None:
    """`urgent` may be said in a hundred ways; that the value is one of the list, the schema's own check holds."""
    assert _outcome("values_in_source", output, text="Ann Lee needs it now", schema=LISTED) == outcome
    assert _outcome("values_in_source", {"name": "Ann Lee", "level": "high"}, text="Ann Lee needs it now") == "fail"


@pytest.mark.parametrize(
    ("code", "language", "outcome"),
    [
        ("def f():\n    return 1", "python", "pass"),
        ("def f(:", "python", "fail"),
        ("def f(:", None, "fail"),
        ("SELECT 1", None, "skipped"),
        ("fn main() {}", "rust", "skipped"),
        ("x" * 10 + "(" * 5000, "python", "fail"),
    ],
)
def test_python_must_parse_and_is_never_run(code: str, language: str | None, outcome: str) -> None:
    assert _outcome("python_parses", code, language=language) == outcome


def test_a_summary_keeps_to_the_number_of_sentences() -> None:
    assert _outcome("sentence_count", "One. Two.", sentences=2) == "pass"
    assert _outcome("sentence_count", "One went. Two came. Three left.", sentences=2) == "fail"
    assert _outcome("sentence_count", "One.") == "skipped"


def test_a_label_must_be_one_of_those_given() -> None:
    assert _outcome("label_known", "spam", labels=["spam", "ham"]) == "pass"
    assert _outcome("label_known", "eggs", labels=["spam", "ham"]) == "fail"
    assert _outcome("label_known", "eggs", examples=[{"text": "x", "label": "eggs"}]) == "pass"
    assert _outcome("label_known", "eggs") == "skipped"


def test_a_call_must_name_a_function_and_fit_its_parameters() -> None:
    functions: Json = [{"name": "f", "description": "", "parameters": PERSON}]
    for output, outcome in (
        ({"function": "f", "arguments": {"age": 3}}, "pass"),
        ({"function": "f", "arguments": {}}, "fail"),
        ({"function": "g", "arguments": {"age": 3}}, "fail"),
    ):
        assert _outcome("function_known", output, functions=functions) == outcome


def test_a_ranking_names_every_passage_once() -> None:
    first, second = {"index": 0, "score": 1.0}, {"index": 1, "score": 0.5}
    assert _outcome("ranking_complete", [second, first], passages=["a", "b"]) == "pass"
    assert _outcome("ranking_complete", [first, first], passages=["a", "b"]) == "fail"


@pytest.mark.parametrize(("mime", "outcome"), [("text/plain", "pass"), ("nonsense", "fail"), (None, "fail")])
def test_a_file_type_has_the_form_of_a_mime_type(mime: Json, outcome: str) -> None:
    assert _outcome("mime_is_wellformed", {"mime": mime}) == outcome


def test_an_empty_answer_is_no_answer() -> None:
    assert _outcome("not_empty", "") == "fail"
    assert _outcome("not_empty", "hi") == "pass"


def test_a_refusal_is_not_checked() -> None:
    refused = Result(refusal=Refusal(RefusalCode.NOT_FOUND, "not there"))
    assert run_checks(tuple(CHECKS), Subject({}, refused)) == ()


def test_the_first_failure_ends_the_list() -> None:
    verdicts = run_checks(("not_empty", "python_parses"), Subject({}, Result(output="", text="")))
    assert [verdict.check for verdict in verdicts] == ["not_empty"]


def test_a_specialist_gets_the_checks_of_its_kind_and_its_own_once() -> None:
    assert checks_of("code", ("python_parses", "values_in_source")) == (
        "not_empty",
        "python_parses",
        "values_in_source",
    )
    assert unknown_checks(("not_empty", "is_true")) == ("is_true",)


def test_every_standard_check_exists() -> None:
    assert not unknown_checks([name for names in STANDARD.values() for name in names])


def test_only_harmless_checks_let_an_answer_stream() -> None:
    assert not holds_back(("not_empty",))
    assert holds_back(("not_empty", "python_parses"))
