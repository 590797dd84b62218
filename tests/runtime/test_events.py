"""What the events of a task come to: its status, what is left to do, what may have been done."""

from __future__ import annotations

import pytest

from models.types import Digest, Effect
from runtime.events import (
    NO_DIGEST,
    EffectIntended,
    EffectSettled,
    Event,
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
    apply,
    fold,
)
from runtime.plan import StepId
from runtime.task import Status
from tests.runtime.every_event import EVERY_EVENT, S1, SUBMITTED


class TestState:
    def test_a_task_that_has_ended_stays_as_it_ended(self) -> None:
        ended = fold([SUBMITTED, TaskCompleted(Digest("22"), 0.8)])
        for event in EVERY_EVENT:
            assert apply(ended, event) == ended

    @pytest.mark.parametrize(
        ("event", "status"),
        [
            (Routed("rules", "when", 1, 0.5), Status.WORKING),
            (InputRequired("Which?"), Status.INPUT_REQUIRED),
            (TaskFailed("x"), Status.FAILED),
            (TaskCanceled(), Status.CANCELED),
            (TaskRejected("x"), Status.REJECTED),
            (TaskCompleted(NO_DIGEST), Status.COMPLETED),
        ],
    )
    def test_status_follows_the_last_event(self, event: Event, status: Status) -> None:
        assert fold([SUBMITTED, event]).status is status

    def test_resume_reruns_exactly_the_steps_without_a_finish(self) -> None:
        steps = (S1, StepId("s2"), StepId("s3"))
        state = fold(
            [
                SUBMITTED,
                Planned("seq", Digest("p"), steps),
                StepStarted(S1, "answer", "answer", Digest("i")),
                StepFinished(S1, Digest("o")),
                StepStarted(steps[1], "when", "when", Digest("i")),
            ]
        )
        assert state.unfinished == steps[1:]
        assert state.steps[S1].output == "o"

    def test_a_second_attempt_is_counted(self) -> None:
        started = StepStarted(S1, "answer", "answer", Digest("i"))
        state = fold([SUBMITTED, started, StepFailed(S1, "worker_died"), started])
        assert (state.steps[S1].attempts, state.steps[S1].status) == (2, "started")

    def test_an_intent_without_outcome_stays_open(self) -> None:
        state = fold([SUBMITTED, EffectIntended(S1, Effect.ACT, "a"), EffectIntended(S1, Effect.ACT, "b")])
        state = apply(state, EffectSettled(S1, "b", "done"))
        assert (state.open_effects, state.settled_effects) == ({"a"}, {"b"})
