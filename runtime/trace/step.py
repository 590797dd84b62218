"""What the trace says of one attempt at a step: where and why there, and what became of it."""

from __future__ import annotations

from typing import assert_never

from models.types import Specialist
from runtime.escalation import Accept, NotSure, Retry
from runtime.plan import Step
from runtime.scheduler import Placement
from runtime.trace.spans import Attribute

HUB_ID = "hub:"
"""How the id of a hub begins; a node's id has capital letters."""


def described(
    step: Step, placement: Placement, specialist: Specialist, attempt: int, seed: int
) -> dict[str, Attribute | None]:
    """Return what is known of an attempt when it begins."""
    return {
        "covey.step.id": step.id,
        "covey.capability": step.capability,
        "covey.specialist": specialist.name,
        "covey.attempt": attempt,
        "covey.node": placement.node,
        "covey.hub": placement.id.startswith(HUB_ID) or None,
        "covey.tier": placement.tier.name.lower(),
        "covey.label": step.label.name.lower(),
        "covey.trust": step.trust.value,
        "covey.placement": placement.reason,
        "covey.candidates": tuple(f"{one.node}: {one.reason}" for one in placement.candidates) or None,
        "covey.threshold": step.floor,
        "covey.seed": seed,
    }


def reason_of(decision: Accept | Retry | NotSure) -> str:
    """Return why an attempt ended as it did, as one sentence."""
    match decision:
        case Accept():
            return f"accepted: {decision.reason}"
        case Retry():
            return f"run again: {decision.reason}"
        case NotSure():
            return f"not sure: {decision.refusal.reason}"
        case _:
            assert_never(decision)
