"""The life of a task: every pair of status and event is either in the table or impossible."""

from __future__ import annotations

import itertools

import pytest

from models.types import Label, Tier
from runtime.task import FINAL, TRANSITIONS, ImpossibleTransition, Status, Task, TaskEvent, TaskId, apply


def _task(status: Status) -> Task:
    return Task(TaskId("0" * 31 + "1"), Label.PERSONAL, Tier.HOME, status)


@pytest.mark.parametrize(("status", "event"), list(itertools.product(Status, TaskEvent)))
def test_every_pair_moves_as_the_table_says_or_is_impossible(status: Status, event: TaskEvent) -> None:
    following = TRANSITIONS[status].get(event)
    if following is None:
        with pytest.raises(ImpossibleTransition):
            apply(_task(status), event)
    else:
        moved = apply(_task(status), event, "because")
        assert (moved.status, moved.reason) == (following, "because")


def test_ended_tasks_never_change() -> None:
    assert frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELED, Status.REJECTED}) == FINAL


def test_every_status_that_is_not_final_can_be_cancelled_and_can_fail() -> None:
    for status in set(Status) - FINAL:
        assert TRANSITIONS[status][TaskEvent.CANCELLED] is Status.CANCELED
        assert TRANSITIONS[status][TaskEvent.BROKE] is Status.FAILED


def test_moving_a_task_leaves_the_old_value_alone() -> None:
    before = _task(Status.SUBMITTED)
    apply(before, TaskEvent.STARTED)
    assert before.status is Status.SUBMITTED


def test_statuses_carry_the_words_of_a2a() -> None:
    words = {"submitted", "working", "input-required", "completed", "failed", "canceled", "rejected"}
    assert {status.value for status in Status} == words
