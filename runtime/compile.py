"""The plan compiler: everything that can be known to be wrong before anything runs.

`compile_plan` returns the problems as sentences; an empty tuple means the plan may run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import assert_never

from models.types import Authority, Label, Tier, Trust
from runtime.plan import UNBOUNDED, Budget, FromStep, Given, Par, Plan, Run, Seq, Step, StepId, Term, steps_of
from runtime.signatures import Kind, Signature, fits, is_of

MAX_STEPS = 16
"""Steps in one plan: long chains of small models lose accuracy; more is a runaway plan."""

Clearance = Mapping[Tier, Label]
CLEARANCE: Clearance = {
    Tier.PROCESS: Label.SECRET,
    Tier.DEVICE: Label.SECRET,
    Tier.HOME: Label.PERSONAL,
    Tier.HUB: Label.PUBLIC,
}
"""Highest label that may reach a tier without a further act of the owner; a grant to a paired device is one."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What this node can do under one capability."""

    capability: str
    signature: Signature
    max_tokens: int
    """Most tokens that one run generates; 0 for a deterministic specialist."""
    retries: int = 1
    """Runs that may follow a failed one; they count in the worst case."""


def compile_plan(
    plan: Plan,
    *,
    offers: Mapping[str, Offer],
    grant: Authority,
    budget: Budget = UNBOUNDED,
    clearance: Clearance = CLEARANCE,
) -> tuple[str, ...]:
    """Return every reason why the plan may not run, as sentences; empty when it may."""
    shape = tuple(_shape(plan))
    if shape:  # the other checks rely on a sound graph
        return shape
    problems = [problem for step in plan.steps for problem in _step(step, plan, offers, grant, clearance)]
    problems.extend(_worst_case(plan, offers, budget))
    return tuple(problems)


def furthest(label: Label, ceiling: Tier, clearance: Clearance = CLEARANCE) -> Tier:
    """Return the furthest tier, at most `ceiling`, that a value with this label may reach."""
    return max(tier for tier in Tier if tier <= ceiling and label <= clearance[tier])


def _shape(plan: Plan) -> Iterator[str]:
    ids = [step.id for step in plan.steps]
    if not ids:
        yield "the plan has no steps"
        return
    if len(ids) > MAX_STEPS:
        yield f"the plan has {len(ids)} steps; at most {MAX_STEPS} are allowed"
    for step_id in sorted({step_id for step_id in ids if ids.count(step_id) > 1}):
        yield f"two steps are both called {step_id}"
    known = set(ids)
    strange = [(step.id, parent) for step in plan.steps for parent in step.parents if parent not in known]
    for step_id, parent in strange:
        yield f"step {step_id} reads from {parent}, which is not in the plan"
    if plan.output not in known:
        yield f"the answer is to come from {plan.output}, which is not in the plan"
    ran = list(steps_of(plan.term))
    if sorted(ran) != sorted(ids):
        yield f"the term runs {', '.join(ran) or 'nothing'}, but the steps are {', '.join(ids)}"
    if strange or sorted(ran) != sorted(ids):
        return
    cycle = _cycle(plan)
    if cycle:
        yield f"the steps {' → '.join(cycle)} wait for each other"
        return
    parents = {step.id: set(step.parents) for step in plan.steps}
    yield from _order(plan.term, frozenset(), parents)


def _cycle(plan: Plan) -> list[StepId]:
    """Return the steps of one cycle, or an empty list."""
    waiting = {step.id: set(step.parents) for step in plan.steps}
    while ready := [step_id for step_id, parents in waiting.items() if not parents]:
        for step_id in ready:
            del waiting[step_id]
        for parents in waiting.values():
            parents.difference_update(ready)
    return list(waiting)


def _order(term: Term, done: frozenset[StepId], parents: Mapping[StepId, set[StepId]]) -> Iterator[str]:
    """Yield the steps that would run before what they read."""
    match term:
        case Run():
            for early in sorted(parents[term.step] - done):
                yield f"step {term.step} reads from {early}, which has not finished when it starts"
        case Seq():
            for part in term.terms:
                yield from _order(part, done, parents)
                done = done | frozenset(steps_of(part))
        case Par():
            for part in term.terms:
                yield from _order(part, done, parents)
        case _:
            assert_never(term)


def _step(step: Step, plan: Plan, offers: Mapping[str, Offer], grant: Authority, clearance: Clearance) -> Iterator[str]:
    offer = offers.get(step.capability)
    if offer is None:
        yield f"step {step.id} needs {step.capability!r}, and no specialist here offers it"
        return
    if not grant.allows(step.capability):
        yield f"step {step.id} needs {step.capability!r}, which this caller may not use"
    for effect in sorted(offer.signature.effects - grant.effects, key=lambda e: e.value):
        yield f"step {step.id} would {effect.value.replace('_', ' ')}, which this caller may not do"
    yield from _types(step, plan, offers)
    yield from _labels(step, plan, offer, clearance)


def _types(step: Step, plan: Plan, offers: Mapping[str, Offer]) -> Iterator[str]:
    signature = offers[step.capability].signature
    for name in sorted(set(signature.required) - set(step.inputs)):
        yield f"step {step.id}: {step.capability} needs {name!r}, and nothing provides it"
    for name, source in step.inputs.items():
        wanted = signature.field(name)
        if wanted is None:
            yield f"step {step.id}: {step.capability} has no input {name!r}"
        elif isinstance(source, Given):
            if not is_of(wanted, source.value):
                yield f"step {step.id}: {name!r} must be {wanted}"
        else:
            produced = _produced(source, plan, offers)
            if produced is not None and not fits(produced, wanted):
                yield f"step {step.id}: {name!r} must be {wanted}, but {source.step} produces {produced}"


def _produced(source: FromStep, plan: Plan, offers: Mapping[str, Offer]) -> Kind | None:
    """Return the type of what an edge carries; None when the producer is unknown or a field is taken."""
    offer = offers.get(plan.step(source.step).capability)
    if offer is None:
        return None
    if source.field and offer.signature.output == "object":
        return None  # the type of a field is known only when it is there; the executor checks it
    return offer.signature.output


def _labels(step: Step, plan: Plan, offer: Offer, clearance: Clearance) -> Iterator[str]:
    for name, source in step.inputs.items():
        origin: Given | Step = source if isinstance(source, Given) else plan.step(source.step)
        if origin.label > step.label:
            yield f"step {step.id} is {step.label.name.lower()}, but its input {name!r} is {origin.label.name.lower()}"
        untrusted = origin.trust is Trust.UNTRUSTED
        if untrusted and step.trust is Trust.OWNER:
            yield f"step {step.id} is marked as the owner's, but its input {name!r} is untrusted"
        free = offer.signature.field(name) not in ("flag", "number")
        if untrusted and free and offer.signature.effects:
            yield f"step {step.id} has an effect, and its input {name!r} is untrusted text"
    if step.label > clearance[step.ceiling]:
        yield f"step {step.id} is {step.label.name.lower()}, which may not reach the tier {step.ceiling.name.lower()}"


def _worst_case(plan: Plan, offers: Mapping[str, Offer], budget: Budget) -> Iterator[str]:
    tokens = sum(step_tokens(step, offers) for step in plan.steps)
    for bound in (budget, plan.budget):
        if bound.tokens is not None and tokens > bound.tokens:
            yield f"the plan may take {tokens} tokens, and {bound.tokens} are allowed"
            break
    seconds = _seconds(plan.term, plan)
    for bound in (budget, plan.budget):
        if bound.seconds is not None and seconds is not None and seconds > bound.seconds:
            yield f"the plan may take {seconds:g} seconds, and {bound.seconds:g} are allowed"
            break


def step_tokens(step: Step, offers: Mapping[str, Offer]) -> int:
    """Return the most tokens that a step generates, its retry included."""
    offer = offers.get(step.capability)
    if offer is None:
        return 0
    once = offer.max_tokens if step.budget.tokens is None else min(step.budget.tokens, offer.max_tokens)
    return once * (1 + offer.retries)


def _seconds(term: Term, plan: Plan) -> float | None:
    """Return the longest a term may take, or None where a step has no deadline."""
    match term:
        case Run():
            return plan.step(term.step).budget.seconds
        case Seq() | Par():
            parts = [_seconds(part, plan) for part in term.terms]
            known = [part for part in parts if part is not None]
            if len(known) < len(parts):
                return term.budget.seconds
            longest = sum(known) if isinstance(term, Seq) else max(known, default=0.0)
            return longest if term.budget.seconds is None else min(longest, term.budget.seconds)
        case _:
            assert_never(term)
