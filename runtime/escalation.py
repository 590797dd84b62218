"""What to do with a step's result: accept it, try once more, or say 'not sure' with what was found.

Pure: it takes the result, the verdicts of the checks and the owner's bounds, and returns a decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.types import Refusal, RefusalCode, Result
from runtime.checks import Verdict


@dataclass(frozen=True, slots=True)
class Accept:
    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Run the step again with a fresh context: nothing of the failed attempt is carried over."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotSure:
    refusal: Refusal


Decision = Accept | Retry | NotSure


def decide(
    result: Result, verdicts: Sequence[Verdict], *, floor: float, risk: float | None, retries_left: int
) -> Decision:
    """Return what to do with a result.

    `floor` is the least confidence that is accepted. `risk` is the share of unnoticed errors that the
    owner accepts; None sets no bound.
    """
    if result.refusal is not None:
        return NotSure(result.refusal)
    failed = next((verdict for verdict in verdicts if not verdict.passed), None)
    if failed is not None:
        if retries_left > 0 and result.model:  # a deterministic specialist would only repeat itself
            return Retry(f"check {failed.check} failed: {failed.reason}")
        return NotSure(_refusal(result, f"the answer failed the check {failed.check}: {failed.reason}"))
    if result.confidence < floor:
        reason = f"its confidence of {result.confidence:.2f} is below the least that is accepted, {floor:.2f}"
        return NotSure(_refusal(result, reason))
    return _within_risk(result, risk)


def _within_risk(result: Result, risk: float | None) -> Decision:
    if risk is None:
        return Accept("every check passed")
    if not result.model:
        return Accept("computed, not guessed: within any risk")
    if not result.calibrated:
        reason = f"{result.specialist} is not calibrated on this device, so a risk of {risk:g} can't be promised"
        return NotSure(_refusal(result, f"{reason}; ask without --risk to see the answer as it is"))
    if 1 - result.confidence > risk:
        reason = f"the chance of an error, {1 - result.confidence:.2f}, is above the {risk:g} that you accept"
        return NotSure(_refusal(result, reason))
    return Accept(f"the chance of an error is within {risk:g}")


def _refusal(result: Result, reason: str) -> Refusal:
    return Refusal(RefusalCode.NOT_SURE, reason, found=result.text)
