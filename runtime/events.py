"""What happens to a task, as immutable events, and the state that they add up to.

Pure: `fold` of a task's events is its state, so history can be replayed and a task resumed.
An event holds digests and figures. Free text (a reason, a question) stands only in the fields
named in FREE_TEXT, which the journal keeps apart so that it can be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, assert_never

from models.types import Digest, Effect, Label, Signals, Tier, Usage
from runtime.plan import StepId
from runtime.task import FINAL, Status

NO_DIGEST = Digest("")
"""Of a secret, or of nothing."""
NO_STEP = StepId("")
FREE_TEXT = frozenset({"reason", "question"})
"""Event fields that may quote what the owner wrote."""


@dataclass(frozen=True, slots=True)
class TaskSubmitted:
    """A caller asked something."""

    request: Digest
    """Of the request's text, kept with `Journal.put_content`; empty for a secret."""
    label: Label
    ceiling: Tier
    capability: str = ""
    """Empty: the router chooses."""
    traceparent: str = ""
    """The caller's trace, where the task is part of one."""
    documents: tuple[Digest, ...] = ()


@dataclass(frozen=True, slots=True)
class Routed:
    """A routing stage claimed the task."""

    stage: str
    capability: str
    score: float
    threshold: float
    scores: Mapping[str, float] = field(default_factory=dict)
    """Every stage's score."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan that passed the compiler."""

    term: str
    """For example `seq(extract, when)`: capabilities and operators, never data."""
    plan: Digest
    steps: tuple[StepId, ...]


@dataclass(frozen=True, slots=True)
class StepStarted:
    step: StepId
    capability: str
    specialist: str
    input: Digest
    attempt: int = 1
    seed: int = 0
    tier: Tier = Tier.DEVICE
    node: str = ""
    """Where it runs; empty is this node."""


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step ended with an output or a refusal."""

    step: StepId
    output: Digest
    """Of the result's output; of nothing when it refused."""
    refusal: str = ""
    """The refusal's code; empty when it answered."""
    reason: str = ""
    model: str = ""
    quantisation: str = ""
    artifacts: tuple[Digest, ...] = ()
    prompt: Digest = NO_DIGEST
    """Of the prompt template; with the artifacts and the grammar it names what was calibrated."""
    grammar: Digest = NO_DIGEST
    seed: int = 0
    signals: Signals = field(default_factory=Signals)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    verdicts: Mapping[str, bool] = field(default_factory=dict)
    """Check name to whether it passed."""
    confidence: float = 0.0
    calibrated: bool = False
    usage: Usage = field(default_factory=Usage)
    tier: Tier = Tier.DEVICE
    bytes_out: int = 0
    """Bytes that left this device for this step."""


@dataclass(frozen=True, slots=True)
class StepFailed:
    """A step ended with an error; another attempt may follow."""

    step: StepId
    code: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EffectIntended:
    """Synced before an effect is tried: an intent without outcome may or may not have happened."""

    step: StepId
    effect: Effect
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class EffectSettled:
    """Synced after the effect: it is known whether it happened."""

    step: StepId
    idempotency_key: str
    outcome: Literal["done", "not_done"]


@dataclass(frozen=True, slots=True)
class InputRequired:
    """The task waits for its owner."""

    question: str
    step: StepId = NO_STEP


@dataclass(frozen=True, slots=True)
class InputGiven:
    """The owner answered."""

    answer: Digest


@dataclass(frozen=True, slots=True)
class TaskCompleted:
    output: Digest
    confidence: float = 0.0
    calibrated: bool = False
    abstained: bool = False
    tier: Tier = Tier.DEVICE
    bytes_out: int = 0
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class TaskFailed:
    code: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TaskCanceled:
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TaskRejected:
    """Not begun: the compiler, a label or an authority refused it."""

    code: str
    reason: str = ""


Event = (
    TaskSubmitted
    | Routed
    | Planned
    | StepStarted
    | StepFinished
    | StepFailed
    | EffectIntended
    | EffectSettled
    | InputRequired
    | InputGiven
    | TaskCompleted
    | TaskFailed
    | TaskCanceled
    | TaskRejected
)


@dataclass(frozen=True, slots=True)
class StepState:
    """What is known of one step."""

    capability: str
    specialist: str
    attempts: int
    status: Literal["started", "finished", "failed"] = "started"
    output: Digest = NO_DIGEST
    refusal: str = ""
    code: str = ""
    """Of the last error."""


@dataclass(frozen=True, slots=True)
class TaskState:
    """What a task's events add up to."""

    status: Status = Status.SUBMITTED
    label: Label = Label.PERSONAL
    request: Digest = NO_DIGEST
    capability: str = ""
    plan: tuple[StepId, ...] = ()
    steps: Mapping[StepId, StepState] = field(default_factory=dict)
    open_effects: frozenset[str] = frozenset()
    """Idempotency keys of intents without an outcome."""
    settled_effects: frozenset[str] = frozenset()
    """Keys of effects that were done: never to be done again."""
    question: str = ""
    output: Digest = NO_DIGEST
    confidence: float = 0.0
    abstained: bool = False
    bytes_out: int = 0
    code: str = ""
    reason: str = ""

    @property
    def unfinished(self) -> tuple[StepId, ...]:
        """Steps of the plan that a resume must run: those with no finish."""
        return tuple(s for s in self.plan if s not in self.steps or self.steps[s].status != "finished")


def fold(events: Iterable[Event]) -> TaskState:
    """Return the state after all the events, in order."""
    state = TaskState()
    for event in events:
        state = apply(state, event)
    return state


def apply(state: TaskState, event: Event) -> TaskState:
    """Return the state after one more event. A task that has ended stays as it ended."""
    if state.status in FINAL:
        return state
    match event:
        case TaskSubmitted():
            return replace(state, label=event.label, request=event.request, capability=event.capability)
        case Routed():
            return replace(state, status=Status.WORKING, capability=event.capability)
        case Planned():
            return replace(state, status=Status.WORKING, plan=event.steps)
        case StepStarted() | StepFinished() | StepFailed():
            return replace(state, status=Status.WORKING, steps=_steps(state.steps, event))
        case EffectIntended():
            return replace(state, open_effects=state.open_effects | {event.idempotency_key})
        case EffectSettled():
            done = {event.idempotency_key} if event.outcome == "done" else set()
            return replace(
                state,
                open_effects=state.open_effects - {event.idempotency_key},
                settled_effects=state.settled_effects | done,
            )
        case InputRequired():
            return replace(state, status=Status.INPUT_REQUIRED, question=event.question)
        case InputGiven():
            return replace(state, status=Status.WORKING, question="")
        case TaskCompleted():
            return replace(
                state,
                status=Status.COMPLETED,
                output=event.output,
                confidence=event.confidence,
                abstained=event.abstained,
                bytes_out=event.bytes_out,
            )
        case TaskFailed():
            return replace(state, status=Status.FAILED, code=event.code, reason=event.reason)
        case TaskCanceled():
            return replace(state, status=Status.CANCELED, reason=event.reason)
        case TaskRejected():
            return replace(state, status=Status.REJECTED, code=event.code, reason=event.reason)
        case _:
            assert_never(event)


def _steps(
    steps: Mapping[StepId, StepState], event: StepStarted | StepFinished | StepFailed
) -> Mapping[StepId, StepState]:
    before = steps.get(event.step, StepState(capability="", specialist="", attempts=0))
    match event:
        case StepStarted():
            after = StepState(event.capability, event.specialist, max(event.attempt, before.attempts + 1))
        case StepFinished():
            after = replace(before, status="finished", output=event.output, refusal=event.refusal)
        case StepFailed():
            after = replace(before, status="failed", code=event.code)
        case _:
            assert_never(event)
    return {**steps, event.step: after}
