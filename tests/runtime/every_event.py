"""One of each event of a task, for tests of what events are kept as and what they come to."""

from __future__ import annotations

from models.types import Digest, Effect, Label, Signals, Tier, Usage
from runtime.events import (
    EffectIntended,
    EffectSettled,
    Event,
    InputGiven,
    InputRequired,
    Planned,
    Routed,
    StepFailed,
    StepFinished,
    StepStarted,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskRejected,
    TaskSubmitted,
)
from runtime.plan import StepId
from runtime.task import TaskId

TASK = TaskId("a1" * 16)
OTHER = TaskId("b2" * 16)
S1 = StepId("s1")
SUBMITTED = TaskSubmitted(Digest("aa"), Label.PERSONAL, Tier.DEVICE)
EVERY_EVENT: tuple[Event, ...] = (
    TaskSubmitted(Digest("aa"), Label.SENSITIVE, Tier.HOME, "answer", "00-x", (Digest("d1"), Digest("d2"))),
    Routed("rules", "when", 0.9, 0.5, {"rules": 0.9, "similar": float("-inf")}, "every slot resolved"),
    Planned("seq(answer, when)", Digest("bb"), (S1, StepId("s2"))),
    StepStarted(S1, "answer", "answer", Digest("cc"), 2, 7, Tier.HOME, "kitchen"),
    StepFinished(
        S1,
        Digest("dd"),
        "not_sure",
        "too vague",
        "smollm2-135m",
        "Q8_0",
        (Digest("ee"),),
        Digest("ff"),
        Digest("00"),
        7,
        Signals(-0.5, 0.1, float("inf"), None, 12, {"yes": 0.5}),
        {"floor": 0.5},
        {"schema": True, "sum": False},
        0.4,
        False,
        Usage(1, 2, 3, 0.5, 0.25, None),
        Tier.HOME,
        12,
    ),
    StepFailed(S1, "worker_died", "it ended"),
    EffectIntended(S1, Effect.ACT, "key-1"),
    EffectSettled(S1, "key-1", "not_done"),
    InputRequired("Which one?", S1),
    InputGiven(Digest("11")),
    TaskCompleted(Digest("22"), 0.8, True, False, Tier.HOME, 34, Usage(1)),
    TaskFailed("disk_full", "no room"),
    TaskCanceled("the caller left"),
    TaskRejected("too_costly", "over budget"),
)
