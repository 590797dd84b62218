"""A task: what a caller asked, and where it stands. Statuses are those of A2A; one table holds every transition."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import NewType

from models.types import Label, Tier

TaskId = NewType("TaskId", str)
"""32 lower-case hexadecimal digits; also the trace id of the task."""


class Status(Enum):
    SUBMITTED = "submitted"
    WORKING = "working"
    INPUT_REQUIRED = "input-required"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    REJECTED = "rejected"


class TaskEvent(Enum):
    """What can happen to a task."""

    STARTED = "started"
    """Its plan compiled and the first step runs."""
    ASKED = "asked"
    """It waits for the owner."""
    REPLIED = "replied"
    FINISHED = "finished"
    """It has an answer; 'not sure' is an answer."""
    BROKE = "broke"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    """The plan compiler turned it down; nothing ran."""


TRANSITIONS: dict[Status, dict[TaskEvent, Status]] = {
    Status.SUBMITTED: {
        TaskEvent.STARTED: Status.WORKING,
        TaskEvent.ASKED: Status.INPUT_REQUIRED,
        TaskEvent.FINISHED: Status.COMPLETED,  # "no specialist here can do this" needs no work
        TaskEvent.REFUSED: Status.REJECTED,
        TaskEvent.BROKE: Status.FAILED,
        TaskEvent.CANCELLED: Status.CANCELED,
    },
    Status.WORKING: {
        TaskEvent.ASKED: Status.INPUT_REQUIRED,
        TaskEvent.FINISHED: Status.COMPLETED,
        TaskEvent.BROKE: Status.FAILED,
        TaskEvent.CANCELLED: Status.CANCELED,
    },
    Status.INPUT_REQUIRED: {
        TaskEvent.REPLIED: Status.WORKING,
        TaskEvent.BROKE: Status.FAILED,
        TaskEvent.CANCELLED: Status.CANCELED,
    },
    Status.COMPLETED: {},
    Status.FAILED: {},
    Status.CANCELED: {},
    Status.REJECTED: {},
}
"""Every transition there is; a pair that is missing can't happen."""

FINAL = frozenset(status for status, following in TRANSITIONS.items() if not following)
"""Statuses that never change again."""


@dataclass(frozen=True, slots=True)
class Task:
    """One request of one caller."""

    id: TaskId
    label: Label
    ceiling: Tier
    status: Status = Status.SUBMITTED
    reason: str = ""
    """Why it stands where it stands: the last event's sentence."""


class ImpossibleTransition(AssertionError):
    """A bug: the event can't happen to a task in that status."""


def apply(task: Task, event: TaskEvent, reason: str = "") -> Task:
    """Return the task after the event. Raises ImpossibleTransition for a pair that is not in the table."""
    following = TRANSITIONS[task.status].get(event)
    if following is None:
        raise ImpossibleTransition(f"a task that is {task.status.value} can't be {event.value}")
    return replace(task, status=following, reason=reason)
