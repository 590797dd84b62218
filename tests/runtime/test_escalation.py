"""What follows from a result: accept, once more, or 'not sure' with what was found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.types import Refusal, RefusalCode, Result
from runtime.checks import Verdict
from runtime.escalation import Accept, NotSure, Retry, decide

GUESSED = Result(output="x", text="x", confidence=0.7, specialist="writer", model="small")
COMPUTED = Result(output="4", text="4", confidence=1.0, specialist="calculate")
GOOD, BAD = Verdict("not_empty", "pass", ""), Verdict("schema", "fail", "age is missing")
SKIPPED = Verdict("schema", "skipped", "no schema")


@pytest.mark.parametrize(
    ("result", "verdicts", "floor", "risk", "retries", "expected"),
    [
        (GUESSED, [GOOD], 0.0, None, 1, Accept),
        (GUESSED, [SKIPPED], 0.0, None, 1, Accept),
        (GUESSED, [GOOD], 0.7, None, 1, Accept),
        (GUESSED, [GOOD], 0.71, None, 1, NotSure),
        (GUESSED, [BAD], 0.0, None, 1, Retry),
        (GUESSED, [BAD], 0.0, None, 0, NotSure),
        (COMPUTED, [BAD], 0.0, None, 1, NotSure),
        (GUESSED, [GOOD], 0.0, 0.05, 1, NotSure),
        (replace(GUESSED, calibrated=True), [GOOD], 0.0, 0.05, 1, NotSure),
        (replace(GUESSED, calibrated=True, confidence=0.96), [GOOD], 0.0, 0.05, 1, Accept),
        (replace(GUESSED, calibrated=True, confidence=0.75), [GOOD], 0.0, 0.25, 1, Accept),
        (COMPUTED, [GOOD], 0.0, 0.05, 1, Accept),
    ],
)
def test_the_decision_follows_from_the_signals(
    result: Result, verdicts: list[Verdict], floor: float, risk: float | None, retries: int, expected: type
) -> None:
    assert isinstance(decide(result, verdicts, floor=floor, risk=risk, retries_left=retries), expected)


def test_a_refusal_is_passed_on_as_it_is() -> None:
    refusal = Refusal(RefusalCode.NOT_FOUND, "the text does not say")
    decision = decide(Result(refusal=refusal), [], floor=0.0, risk=None, retries_left=1)
    assert decision == NotSure(refusal)


def test_what_was_found_is_told_with_the_reason() -> None:
    decision = decide(GUESSED, [BAD], floor=0.0, risk=None, retries_left=0)
    assert isinstance(decision, NotSure)
    assert decision.refusal.found == "x"
    assert "age is missing" in decision.refusal.reason


def test_an_uncalibrated_answer_never_promises_a_risk() -> None:
    decision = decide(GUESSED, [], floor=0.0, risk=0.05, retries_left=1)
    assert isinstance(decision, NotSure)
    assert "not calibrated" in decision.refusal.reason
