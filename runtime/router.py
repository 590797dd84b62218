"""Choosing one capability: the first stage whose claim is confident wins, and every score is kept.

Pure: stages speak first (`runtime/stages/`), this module only decides between what they said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runtime.claims import Claim, Stage

THRESHOLDS: Mapping[Stage, float] = {
    "asked": 0.0,  # the caller's own word needs no score
    "rules": 1.0,  # a rule resolves every slot or says nothing
    "similar": 0.5,  # the stage's score is already calibrated: more likely right than wrong
}
"""Least score at which a stage's claim wins."""


@dataclass(frozen=True, slots=True)
class Routing:
    """What was decided, with everything that was said."""

    claim: Claim | None
    """The winner; None when no stage was sure. A winner without capability means 'nothing here can do this'."""
    claims: tuple[Claim, ...]
    """In the order in which the stages spoke."""
    reason: str
    """One sentence: why this one."""

    @property
    def capability(self) -> str | None:
        return self.claim.capability if self.claim else None


def confident(claim: Claim, thresholds: Mapping[Stage, float] = THRESHOLDS) -> bool:
    """Return whether a claim decides. A stage that makes no claim scores 0 and decides nothing."""
    if claim.capability is None:
        return claim.score > 0 and claim.score >= thresholds[claim.stage]
    return claim.score >= thresholds[claim.stage]


def route(claims: Sequence[Claim], thresholds: Mapping[Stage, float] = THRESHOLDS) -> Routing:
    """Return the first confident claim, or none with the reasons of all."""
    for claim in claims:
        if confident(claim, thresholds):
            return Routing(claim, tuple(claims), f"{claim.stage}: {claim.reason}")
    reasons = "; ".join(f"{claim.stage}: {claim.reason}" for claim in claims)
    return Routing(None, tuple(claims), f"no stage was sure ({reasons})" if reasons else "no stage was asked")
