"""Deciding where each step runs. It places, it runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.types import Label, Tier
from runtime.compile import CLEARANCE
from runtime.plan import Plan, Step, StepId


@dataclass(frozen=True, slots=True)
class Seat:
    """A place where work can be done: this device, or later a peer."""

    node: str
    """Name of the node."""
    tier: Tier
    capabilities: frozenset[str]


@dataclass(frozen=True, slots=True)
class Placement:
    """One step on one node."""

    step: StepId
    node: str
    tier: Tier
    reason: str
    """Why there: one sentence for the trace."""


class Unplaceable(Exception):
    """No node may and can run the step; the message says why."""


def place(plan: Plan, seats: Sequence[Seat]) -> tuple[Placement, ...]:
    """Return a placement for every step; the nearest eligible seat wins. Raises Unplaceable."""
    return tuple(_place(step, seats) for step in plan.steps)


def _place(step: Step, seats: Sequence[Seat]) -> Placement:
    able = [seat for seat in seats if step.capability in seat.capabilities]
    eligible = [seat for seat in able if seat.tier <= step.ceiling and _may_see(seat, step.label)]
    if not eligible:
        why = "no node offers it" if not able else "the label or the tier keeps it from the nodes that offer it"
        raise Unplaceable(f"step {step.id} ({step.capability}) can't be placed: {why}")
    nearest = min(eligible, key=lambda seat: seat.tier)
    return Placement(step.id, nearest.node, nearest.tier, f"nearest of {len(eligible)} that may and can")


def _may_see(seat: Seat, label: Label) -> bool:
    return label <= CLEARANCE[seat.tier]
