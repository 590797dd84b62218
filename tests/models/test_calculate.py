"""The calculator claims whole calculations only, and its sentence shows what was calculated."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.specialists.calculate import calculated, claim
from models.types import Chunk, Result
from tests.models.exact_runs import others_requests, run, spec, stream
from tests.models.ordinary_requests import NOT_FOR_RULES

CLAIMED = [
    ("What is 17.5% of 2,340 plus 12?", "421.5"),
    ("What's 12 * 7?", "84"),
    ("12*7", "84"),
    ("3 + 4 =", "7"),
    ("calculate 15/4", "3.75"),
    ("Please compute (3+4)*5.", "35"),
    ("how much is 15% tip on $42.50", "6.375"),
    ("what is 10% off 80", "72"),
    ("add 20% to 50", "60"),
    ("decrease 50 by 20%", "40"),
    ("what percent of 80 is 20", "25"),
    ("20 is what percent of 80?", "25"),
    ("sum of 1, 2 and 3", "6"),
    ("sum of 2,340 and 12", "2352"),
    ("sum of 1,200, 3,400 and 560", "5160"),
    ("What is the average of 10, 20 and 60?", "30"),
    ("the largest of 3, 9 and 4", "9"),
    ("subtract 5 from 20", "15"),
    ("divide 100 by 8", "12.5"),
    ("what is 3/4 as a decimal", "0.75"),
    ("What is two hundred and five times 3?", "615"),
    ("what is a third of 9", "3"),
    ("what is 2 to the power of 10", "1024"),
    ("round 3.14159 to 2 decimals", "3.14"),
    ("what is 10 - 4?", "6"),
    ("what does 12 * 7 equal?", "84"),
    ("could you tell me what is 7 times 8 please", "56"),
    ("can you tell me what 30% off 279 is, please", "195.3"),
    ("60 percent off of 350 dollars", "140"),
    ("what is an 18 percent tip on 20 dollars", "3.6"),
    ("what is 1.5 million divided by 4", "375000"),
    ("what is the sum of 3 plus 5", "8"),
    ("please add 456 and 781 for me", "1237"),
    ("5!", "120"),
    ("√16", "4"),
    ("What is 0.1 + 0.2?", "0.3"),
    ("2^64", "18446744073709551616"),
]


@pytest.mark.parametrize(("text", "value"), CLAIMED)
def test_calculation_in_a_request_is_claimed_and_has_its_value(text: str, value: str) -> None:
    slots = claim(text)
    assert slots is not None
    assert calculated(str(slots["expression"])).output["value"] == value  # type: ignore[index, call-overload]


@pytest.mark.parametrize("text", spec("calculate").requests)
def test_requests_of_the_spec_are_claimed(text: str) -> None:
    assert claim(text) is not None


@pytest.mark.parametrize("text", NOT_FOR_RULES)
def test_ordinary_request_is_not_claimed(text: str) -> None:
    assert claim(text) is None


@pytest.mark.parametrize("text", others_requests("calculate"))
def test_requests_of_other_specialists_are_not_claimed(text: str) -> None:
    assert claim(text) is None


@pytest.mark.parametrize("text", ["what is 1/0", "9**9**9", "what is 5 mod 0?", "sqrt(-1)"])
def test_calculation_without_result_is_claimed_so_that_its_reason_is_told(text: str) -> None:
    slots = claim(text)
    assert slots is not None
    with pytest.raises(InputError):
        calculated(str(slots["expression"]))


def test_result_streams_one_chunk_then_the_result() -> None:
    chunk, result = stream("calculate", {"expression": "17.5% of 2,340 + 12"})
    assert isinstance(chunk, Chunk)
    assert isinstance(result, Result)
    assert chunk.text == result.text == "17.5% of 2,340 + 12 = 421.5"
    assert result.output == {"value": "421.5", "exact": "843/2"}
    assert (result.confidence, result.calibrated, result.specialist) == (1.0, False, "calculate")
    assert result.usage.seconds > 0


def test_rounded_value_is_marked_and_keeps_its_exact_fraction() -> None:
    result = run("calculate", {"expression": "10 / 3"})
    assert result.text == "10 / 3 ≈ 3.33333333333"
    assert result.output == {"value": "3.33333333333", "exact": "10/3"}


def test_irrational_value_has_no_exact_fraction() -> None:
    assert run("calculate", {"expression": "sqrt(2)"}).output == {"value": "1.41421356237", "exact": ""}


def test_money_is_shown_with_its_sign_and_in_cents() -> None:
    assert calculated("15% tip on $42.50").text.endswith("= $6.375 (about $6.38)")
    assert calculated("€10 + €2.50").text.endswith("= €12.50")
    assert calculated("$2 - $5").text.endswith("= -$3")


@pytest.mark.parametrize(
    "given", [{}, {"expression": ""}, {"expression": 5}, {"expression": "a stone"}, {"expression": "1" * 5000}]
)
def test_wrong_input_is_one_sentence(given: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        run("calculate", given)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@given(st.text(max_size=80))
def test_claim_never_fails_on_any_text(text: str) -> None:
    claim(text)


@given(st.text(alphabet="what is 0123456789+-*/%$,.?=()andofsum", max_size=60))
def test_whatever_is_claimed_has_a_value_or_a_reason(text: str) -> None:
    slots = claim(text)
    if slots is not None:
        try:
            assert calculated(str(slots["expression"])).text
        except InputError as error:
            assert str(error)


@pytest.mark.parametrize(
    "piece", ["?", "= ", ". ", "please ", "what is ", "sum of 1, ", "two hundred and ", "5 % ", "a of "]
)
def test_hostile_text_is_refused_quickly(piece: str) -> None:
    started = time.perf_counter()
    claim((piece * 400)[:399] + "x")
    assert time.perf_counter() - started < 1
