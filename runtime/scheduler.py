"""Deciding where each step runs: who may and can, then who is soonest done. It places, it runs nothing.

First the rules say who is out, and why; then every seat that is left is given the seconds that the step
would take there: waiting, loading, reading, writing, the way. This device wins ties. All of it is kept
for the trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from models.types import Digest, Tier
from runtime.eligibility import refusal
from runtime.plan import Par, Plan, Run, Seq, StepId, Term, steps_of
from runtime.seats import Need, Seat, Skill, skill_for

TIE_S = 0.25
TIE_SHARE = 0.1
"""A device that would be sooner by less than this and this share is no reason to send anything away."""
LESSER_MODEL_S = 15.0
"""How long a person waits gladly for the better model: added where a model is lesser than the best at hand."""
PREFILL_TPS = 100.0
DECODE_TPS = 10.0
"""Tokens a second of a device that was never measured: a small computer with a small model."""
LOAD_S = 3.0
"""To load a model where nobody measured it."""
BESIDE = 0.5
"""Part of its own time by which a step is slowed by one that runs beside it: a model writes several answers at once."""
COMPUTED_S = 0.01
"""A step without a model."""
ROUND_TRIPS = 3
"""Of a hand-off: two for the TLS connection, one for the question."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that was considered."""

    node: str
    seconds: float | None
    """Until the step would be done there; None: it is out."""
    reason: str
    """Why it is out, or what the seconds are made of."""
    work_s: float = 0.0
    """Part of the seconds in which the device works on this very step."""


@dataclass(frozen=True, slots=True)
class Placement:
    """One step on one node."""

    step: StepId
    node: str
    tier: Tier
    reason: str
    """Why there: one sentence for the trace."""
    id: str = ""
    """The node's id; empty: this device."""
    model: str = ""
    artifacts: tuple[Digest, ...] = ()
    """Of the model that it has for this."""
    cold: bool = False
    """Whether it must load the model first."""
    candidates: tuple[Candidate, ...] = ()
    """All that were considered, the chosen one first."""


class Unplaceable(Exception):
    """No node may and can run the step; the message says why."""

    def __init__(self, message: str, candidates: tuple[Candidate, ...] = ()) -> None:
        super().__init__(message)
        self.candidates = candidates


def place(plan: Plan, seats: Sequence[Seat], needs: Mapping[StepId, Need]) -> tuple[Placement, ...]:
    """Return a placement for every step. Steps that run side by side count as each other's queue.

    Raises Unplaceable.
    """
    beside = dict(_beside(plan.term))
    placed: dict[StepId, Placement] = {}
    for step in plan.steps:
        taken: dict[str, float] = {}
        for other in beside.get(step.id, frozenset()) & placed.keys():
            chosen = placed[other]
            taken[chosen.id] = taken.get(chosen.id, 0.0) + chosen.candidates[0].work_s
        placed[step.id] = place_step(step.id, needs[step.id], seats, taken=taken)
    return tuple(placed.values())


def place_step(
    step: StepId,
    need: Need,
    seats: Sequence[Seat],
    *,
    taken: Mapping[str, float] | None = None,
    tried: frozenset[str] = frozenset(),
) -> Placement:
    """Return the best place for one step. Raises Unplaceable.

    `taken`: seconds that a device is busy already with other steps, by id. `tried`: ids of devices that
    were given the step before and lost it.
    """
    out: list[Candidate] = []
    able: list[tuple[Seat, Skill]] = []
    for seat in seats:
        skill = skill_for(seat, need.capability)
        why = "it was tried before" if seat.id in tried else refusal(seat, skill, need)
        if skill is None or why:
            out.append(Candidate(seat.node, None, why))
        else:
            able.append((seat, skill))
    if not able:
        raise Unplaceable(f"step {step} ({need.capability}) can't be placed: {_nobody(out)}", tuple(out))
    best_rank = min(_rank(skill, need) for _, skill in able)
    scored = [
        (_scored(seat, skill, need, best_rank, (taken or {}).get(seat.id, 0.0)), seat, skill) for seat, skill in able
    ]
    scored.sort(key=lambda one: (one[0].seconds or 0.0, one[1].tier))
    first, seat, skill = _home_wins_ties(scored)
    others = tuple(candidate for candidate, _, _ in scored if candidate is not first)
    return Placement(
        step,
        seat.node,
        seat.tier,
        _chosen(first, seat, others),
        id=seat.id,
        model=skill.model,
        artifacts=skill.artifacts,
        cold=skill.load_s is not None,
        candidates=(first, *others, *out),
    )


def here_after_all(step: StepId, node: str, error: Unplaceable) -> Placement:
    """Return a placement on this device of what no device may and can do: it will say itself what is missing."""
    return Placement(step, node, Tier.DEVICE, "no device may and can do it", candidates=error.candidates)


_Scored = tuple[Candidate, Seat, Skill]


def _home_wins_ties(scored: Sequence[_Scored]) -> _Scored:
    best = scored[0]
    here = next((one for one in scored if one[1].is_here), None)
    if here is None:
        return best
    mine, theirs = here[0].seconds or 0.0, best[0].seconds or 0.0
    return here if mine - theirs <= max(TIE_S, theirs * TIE_SHARE) else best


def _chosen(first: Candidate, seat: Seat, others: Sequence[Candidate]) -> str:
    if not others:
        return f"the only one that may and can; {first.reason}"
    sooner = min(other.seconds or 0.0 for other in others) < (first.seconds or 0.0)
    number = len(others) + 1
    if seat.is_here and sooner:
        return f"done about as soon as on the soonest of {number}, so it stays here: {first.reason}"
    return f"soonest done of {number}: {first.reason}"


def _nobody(out: Sequence[Candidate]) -> str:
    if not out:
        return "there is no device"
    return "; ".join(f"{candidate.node}: {candidate.reason}" for candidate in out)


def _rank(skill: Skill, need: Need) -> int:
    """Return how far down in the specialist's list of models one stands; one that is not in it comes last."""
    return need.models.index(skill.model) if skill.model in need.models else len(need.models)


def _scored(seat: Seat, skill: Skill, need: Need, best_rank: int, taken_s: float) -> Candidate:
    parts = dict(_parts(seat, skill, need))
    own_s = sum(parts.values())
    wait_s = BESIDE * (seat.ahead * own_s + taken_s)
    lesser_s = LESSER_MODEL_S if _rank(skill, need) > best_rank else 0.0
    spent = {"wait": wait_s, **parts}
    said = ", ".join(f"{name} {_seconds(value)}" for name, value in spent.items() if value >= 0.005)
    notes = [f"{skill.model} is not the best model at hand, which counts as {lesser_s:g} s"] if lesser_s else []
    if skill.model and not skill.measured:
        notes.append("nobody here measured its speed yet" if skill.decode_tps else "its speed is a guess")
    reason = f"about {_seconds(wait_s + own_s)}" + (f" ({said})" if said else "")
    return Candidate(seat.node, wait_s + own_s + lesser_s, "; ".join([reason, *notes]), own_s)


def _parts(seat: Seat, skill: Skill, need: Need) -> Iterator[tuple[str, float]]:
    """Yield what the time of a step is made of, in seconds."""
    if not seat.is_here:
        yield "way", seat.rtt_s * ROUND_TRIPS
    if not skill.model:
        yield "compute", COMPUTED_S
        return
    yield "load", skill.load_s or 0.0
    warm = need.prefix_tokens if need.prefix in skill.prefixes else 0
    yield "read", max(0, need.prompt_tokens - warm) / (skill.prefill_tps or PREFILL_TPS)
    yield "write", need.decode_tokens / (skill.decode_tps or DECODE_TPS)


def _beside(term: Term) -> Iterator[tuple[StepId, frozenset[StepId]]]:
    """Yield each step with those that run at the same time."""
    match term:
        case Run():
            yield term.step, frozenset()
        case Seq():
            for part in term.terms:
                yield from _beside(part)
        case Par():
            branches = [frozenset(steps_of(part)) for part in term.terms]
            for number, part in enumerate(term.terms):
                rest = frozenset().union(*branches[:number], *branches[number + 1 :])
                for step, known in _beside(part):
                    yield step, known | rest
        case _:
            assert_never(term)


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 0.95 else f"{seconds:.2f} s"
