"""The first confident claim wins, and everything that was said is kept."""

from __future__ import annotations

import pytest

from runtime.claims import Claim, Stage
from runtime.router import THRESHOLDS, confident, route


def _claim(stage: Stage, capability: str | None, score: float) -> Claim:
    return Claim(stage, capability, score, f"{stage} says {capability}")


NOTHING = _claim("rules", None, 0.0)


@pytest.mark.parametrize(
    ("claims", "winner"),
    [
        ([], None),
        ([NOTHING], None),
        ([NOTHING, _claim("similar", "generate", 0.9)], "generate"),
        ([_claim("rules", "when", 1.0), _claim("similar", "generate", 0.99)], "when"),
        ([_claim("asked", "extract", 0.0), _claim("rules", "when", 1.0)], "extract"),
        ([NOTHING, _claim("similar", "generate", THRESHOLDS["similar"] - 0.01)], None),
        ([NOTHING, _claim("similar", "generate", THRESHOLDS["similar"])], "generate"),
    ],
)
def test_the_first_confident_claim_wins(claims: list[Claim], winner: str | None) -> None:
    assert route(claims).capability == winner


def test_a_confident_no_is_a_decision_too() -> None:
    routing = route([NOTHING, _claim("similar", None, 0.9)])
    assert routing.claim is not None
    assert routing.capability is None


def test_a_stage_without_a_claim_decides_nothing() -> None:
    assert not confident(_claim("similar", None, 0.0))


def test_all_claims_are_kept_with_the_reason() -> None:
    claims = (NOTHING, _claim("similar", "generate", 0.1))
    routing = route(claims)
    assert routing.claims == claims
    assert "rules says None" in routing.reason
    assert "similar says generate" in routing.reason
