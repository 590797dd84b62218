"""Decides whether a step needs deeper reasoning than was given to it, and who is tried next. Pure.

Nothing reaches a hub that was not marked here; every mark, and every place left out, has a reason for the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from models.types import Label, RefusalCode, Tier

HARD = 0.55
"""What the head for hard requests says of sums in several steps and of proofs, and of no everyday request that was
tried. It is a weak sign (AUROC about .6), so it never decides alone."""
STEADY = 0.9
"""Mean probability of an answer's tokens from which the look of the question no longer counts against it."""
ENOUGH_RUNS = 10
"""Past runs of a kind below which they say nothing."""
SELDOM = 0.5
"""Share of past runs of a kind that were sure, below which another sure one is doubted."""
REASONING = frozenset({"generate", "answer", "summarize", "code", "extract", "classify", "call"})
"""Kinds of work that a stronger model does better; the rest is computed, searched, or about this device."""
NOT_ACCEPTED = 2.0
"""Doubt of a step that was not accepted: above that of any which was, for its hardness is at most 1."""
NOBODY_KNOWS = frozenset({RefusalCode.NOT_FOUND, RefusalCode.INVALID_INPUT})
"""Refusals that no stronger model cures: the given text does not say it, or the request was put wrongly."""


class Height(IntEnum):
    """How far up a try is, in the order in which they are made."""

    PEER = 1
    """A paired device with a better model."""
    HOME_HUB = 2
    LENT_HOME_HUB = 3
    """A hub at home that a paired device lends: one more device sees the request than with one of the owner's own."""
    AWAY_HUB = 4
    LENT_AWAY_HUB = 5


HEIGHTS = {
    Height.PEER: ("a paired device", Tier.HOME),
    Height.HOME_HUB: ("a hub at home", Tier.HOME),
    Height.LENT_HOME_HUB: ("a hub at home, through a paired device", Tier.HOME),
    Height.AWAY_HUB: ("a hub away from home", Tier.HUB),
    Height.LENT_AWAY_HUB: ("a hub away from home, through a paired device", Tier.HUB),
}

Permission = Literal["never", "ask", "allowed"]


@dataclass(frozen=True, slots=True)
class Past:
    """How a kind of work has gone here lately."""

    runs: int = 0
    sure: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of a step after this device has tried it."""

    capability: str
    accepted: bool
    reason: str
    """Why it was accepted or not."""
    model: str = ""
    """Empty: it was computed."""
    refusal: RefusalCode | None = None
    confidence: float = 0.0
    calibrated: bool = False
    hardness: float | None = None
    """How hard the request looks, 0..1; None where nothing here can tell."""
    past: Past = Past()


@dataclass(frozen=True, slots=True)
class Mark:
    """Whether a step is marked as needing deeper reasoning, and why."""

    hard: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Rung:
    """Somebody stronger who could be tried."""

    height: Height
    name: str
    id: str
    permission: Permission = "allowed"
    why_not: str = ""
    """Why it can't be tried, whatever the owner says; empty when it can."""
    via: str = ""
    """Node id of the paired device that lends it; empty: it is the owner's own."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """Who is tried, in order, and why the others are not."""

    rungs: tuple[Rung, ...]
    left_out: tuple[str, ...]


def mark(look: Look) -> Mark:
    """Return whether a step is marked; the first rule that says something decides."""
    marks = (rule(look) for rule in RULES)
    return next((found for found in marks if found is not None), Mark(False, f"accepted here: {look.reason}"))


def doubt(look: Look) -> float:
    """Return how much speaks for marking a step: `mark` marks from 1 on, but for how its kind has gone lately.

    Other bounds than HARD and STEADY, both moved alike, are other values than 1: so a curve over all of them can be
    drawn, with what is marked as one point of it.

    >>> doubt(Look("generate", True, "", model="small", confidence=0.8, hardness=0.55))
    1.0
    """
    if any(rule(look) is not None for rule in (_not_reasoning, _computed, _nobody_knows)):
        return 0.0
    if not look.accepted:
        return NOT_ACCEPTED + 1 - look.confidence
    if look.calibrated or look.hardness is None:
        return 0.0
    return min(look.hardness / HARD, (1 - look.confidence) / (1 - STEADY))


def ladder(rungs: Sequence[Rung], *, ceiling: Tier, label: Label, tried: frozenset[str] = frozenset()) -> Ladder:
    """Return who is tried next and then, and why the others are not."""
    kept: list[Rung] = []
    out: list[str] = []
    for rung in sorted(rungs, key=lambda one: one.height):
        why = _why_not(rung, ceiling, label, tried)
        if why:
            out.append(f"{rung.name}: {why}")
        else:
            kept.append(rung)
    return Ladder(tuple(kept), tuple(out))


def _why_not(rung: Rung, ceiling: Tier, label: Label, tried: frozenset[str]) -> str:
    words, tier = HEIGHTS[rung.height]
    if rung.id in tried:
        return "it was tried already"
    if label is Label.SECRET:
        return "what is secret never leaves this device"
    if tier > ceiling:
        return f"it is {words}, and this may not go further than the {ceiling.name.lower()}"
    if rung.permission == "never":
        return "you said never for this kind"
    return rung.why_not


def _not_reasoning(look: Look) -> Mark | None:
    if look.capability.partition(".")[0] in REASONING:
        return None
    return Mark(False, f"{look.capability} is nothing that a stronger model does better")


def _computed(look: Look) -> Mark | None:
    return Mark(False, "it was computed, not guessed") if look.accepted and not look.model else None


def _nobody_knows(look: Look) -> Mark | None:
    if look.refusal not in NOBODY_KNOWS:
        return None
    return Mark(False, f"no stronger model cures it: {look.reason}")


def _not_sure(look: Look) -> Mark | None:
    return None if look.accepted else Mark(True, f"not sure here: {look.reason}")


def _calibrated(look: Look) -> Mark | None:
    """A measured confidence knows more than the look of the question."""
    return Mark(False, f"its calibrated confidence is enough: {look.reason}") if look.calibrated else None


def _looks_hard(look: Look) -> Mark | None:
    if look.hardness is None or look.hardness < HARD or look.confidence >= STEADY:
        return None
    return Mark(
        True,
        f"the request looks hard ({look.hardness:.2f}, from {HARD:.2f} on it counts), and the answer is not steady "
        f"({look.confidence:.2f})",
    )


def _seldom_sure(look: Look) -> Mark | None:
    runs, sure = look.past.runs, look.past.sure
    if runs < ENOUGH_RUNS or sure >= SELDOM * runs:
        return None
    return Mark(True, f"of the last {runs} of this kind only {sure} were sure here")


RULES: tuple[Callable[[Look], Mark | None], ...] = (
    _not_reasoning,
    _computed,
    _nobody_knows,
    _not_sure,
    _calibrated,
    _looks_hard,
    _seldom_sure,
)
"""In this order: what rules a hub out, what the result says of itself, then what is only likely."""
