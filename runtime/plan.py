"""A plan: an acyclic graph of steps, and the term that says in which order they run.

A plan is data. `compile` checks it before anything runs, `scheduler` places it, `executor` acts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NewType, assert_never

from models.types import Json, Label, Tier, Trust

StepId = NewType("StepId", str)
"""Name of a step inside its plan, for example `s1`."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Most that a step or term may use; None means no bound of its own."""

    tokens: int | None = None
    """Tokens that may be generated."""
    seconds: float | None = None
    """Wall time from the start of the step or term."""


UNBOUNDED = Budget()


@dataclass(frozen=True, slots=True)
class Given:
    """An input known when the plan was made."""

    value: Json
    label: Label = Label.PERSONAL
    trust: Trust = Trust.OWNER


@dataclass(frozen=True, slots=True)
class FromStep:
    """An input that another step produces."""

    step: StepId
    field: str = ""
    """Field of the producer's object; empty takes the whole output."""


Input = Given | FromStep


@dataclass(frozen=True, slots=True)
class Step:
    """One subtask for one capability."""

    id: StepId
    capability: str
    inputs: Mapping[str, Input]
    label: Label = Label.PERSONAL
    """At least the highest label of its inputs."""
    trust: Trust = Trust.OWNER
    ceiling: Tier = Tier.DEVICE
    """Furthest tier it may run on."""
    budget: Budget = UNBOUNDED
    floor: float = 0.0
    """Least confidence (0..1) at which its result is accepted."""
    checks: tuple[str, ...] = ()
    """Deterministic postconditions that its result must pass, in order."""
    schema: Mapping[str, Json] | None = None
    """JSON Schema of its output, where one is asked for."""

    @property
    def parents(self) -> tuple[StepId, ...]:
        return tuple(dict.fromkeys(i.step for i in self.inputs.values() if isinstance(i, FromStep)))


@dataclass(frozen=True, slots=True)
class Run:
    """Run one step."""

    step: StepId


@dataclass(frozen=True, slots=True)
class Seq:
    """Run the terms one after another."""

    terms: tuple[Term, ...]
    budget: Budget = UNBOUNDED


@dataclass(frozen=True, slots=True)
class Par:
    """Run the terms at the same time; none may read what another produces."""

    terms: tuple[Term, ...]
    budget: Budget = UNBOUNDED


Term = Run | Seq | Par


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps, their order, and the one whose output is the answer."""

    steps: tuple[Step, ...]
    term: Term
    output: StepId
    budget: Budget = UNBOUNDED

    def step(self, step_id: StepId) -> Step:
        """Raises KeyError for a step that is not in the plan."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)


def single(step: Step) -> Plan:
    """Return the plan of one step: the default, because chains of small models lose on average."""
    return Plan((step,), Run(step.id), step.id)


def steps_of(term: Term) -> Iterator[StepId]:
    """Yield the steps that a term runs, left to right."""
    match term:
        case Run():
            yield term.step
        case Seq() | Par():
            for part in term.terms:
                yield from steps_of(part)
        case _:
            assert_never(term)


def draw(term: Term) -> str:
    """Return the term as one line, for example `seq(s1, par(s2, s3))`."""
    match term:
        case Run():
            return term.step
        case Seq():
            return f"seq({', '.join(map(draw, term.terms))})"
        case Par():
            return f"par({', '.join(map(draw, term.terms))})"
        case _:
            assert_never(term)
