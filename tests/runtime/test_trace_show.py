"""A trace on a page: a person who did not build Covey can read who answered, why, and what it cost."""

from __future__ import annotations

import json

import pytest

from models.types import Digest, Label, Tier
from runtime.events import Event, Planned, StepFailed, TaskCompleted, TaskFailed, TaskSubmitted
from runtime.journal import Entry
from runtime.plan import StepId
from runtime.task import TaskId
from runtime.trace import show
from runtime.trace.figures import cost, stats
from runtime.trace.spans import CHECK, ROUTE, STAGE, STEP, TASK, Attribute, Span

ID = TaskId("a1b2c3d4" * 4)
MS = 10**6


def span(name: str, number: int, parent: int, start_ms: int, end_ms: int, **attributes: Attribute) -> Span:
    dotted = {key.replace("__", "."): value for key, value in attributes.items()}
    return Span(
        ID, f"{number:016x}", f"{parent:016x}" if parent else "", name, start_ms * MS, end_ms * MS, dotted, "ok"
    )


def answered() -> list[Span]:
    return [
        span(TASK, 1, 0, 0, 1000, covey__status="completed"),
        span(ROUTE, 2, 1, 0, 10, covey__stage="similar", covey__capability="answer", covey__score=0.93),
        span(
            STAGE,
            3,
            2,
            0,
            2,
            covey__stage="rules",
            covey__score=0.0,
            covey__threshold=0.5,
            covey__reason="no rule fits",
        ),
        span(
            STAGE,
            4,
            2,
            2,
            10,
            covey__stage="similar",
            covey__capability="answer",
            covey__score=0.93,
            covey__threshold=0.55,
            covey__near=["who signed it", "when is it due", "what does it cost", "a fourth"],
        ),
        span(
            STEP,
            5,
            1,
            10,
            990,
            covey__step__id="s1",
            covey__specialist="answer",
            covey__attempt=2,
            covey__node="this device",
            covey__confidence=0.714,
            covey__calibrated=False,
            covey__threshold=0.5,
            covey__model_seconds=0.9,
            gen_ai__request__model="qwen2.5-coder-0.5b",
            gen_ai__usage__input_tokens=120,
            covey__usage__cached_tokens=80,
            gen_ai__usage__output_tokens=9,
        ),
        span(CHECK, 6, 5, 980, 981, covey__check="quoted", covey__verdict="fail", covey__reason="not in the source"),
    ]


def entries(*events: Event) -> list[Entry]:
    return [Entry(number, number * MS, ID, event) for number, event in enumerate(events, start=1)]


SUBMITTED = TaskSubmitted(Digest("aa"), Label.PERSONAL, Tier.DEVICE)
COMPLETED = entries(SUBMITTED, TaskCompleted(Digest("bb"), 0.714))


def page(
    spans: list[Span], events: list[Entry], request: str | None = "When is it due?", answer: str | None = "May"
) -> str:
    return "\n".join(show.lines(ID, spans, events, request=request, answer=answer))


@pytest.mark.parametrize(
    "said",
    [
        "“When is it due?”",
        "label personal",
        "completed, took 1.00 s",
        "“May”",
        "answer, claimed by stage similar",
        "rules    no capability score 0.00 (needs 0.50): no rule fits",
        "→ similar  answer       score 0.93 (needs 0.55)",
        "looked like “who signed it”, “when is it due”, “what does it cost”",
        "answer (model qwen2.5-coder-0.5b) on this device, attempt 2",
        "confidence 0.71, uncalibrated (needs 0.50)",
        "check quoted: fail: not in the source",
        "1.00 s: 900.0 ms in models, 100.0 ms for loading them, routing and checking (10%)",
        "120 read (80 of them known already), 9 written",
        "0 (nothing left this device)",
    ],
)
def test_the_page_says(said: str) -> None:
    assert said in page(answered(), COMPLETED)


def test_a_fourth_example_would_be_too_many() -> None:
    assert "a fourth" not in page(answered(), COMPLETED)


def test_the_tree_shows_who_called_whom() -> None:
    tree = page(answered(), COMPLETED).split("\n\n")[1].splitlines()
    assert [line[:40].rstrip() for line in tree] == [
        "covey.task",
        "├─ covey.route similar",
        "│  ├─ covey.stage rules",
        "│  └─ covey.stage similar",
        "└─ covey.step s1",
        "   └─ covey.check quoted",
    ]
    assert tree[0].endswith("1.00 s")


def test_a_deep_trace_from_elsewhere_is_drawn() -> None:
    deep = [span("n", number, number - 1, 0, 1) for number in range(1, 2000)]
    assert len(page(deep, COMPLETED).splitlines()) > 1999


def test_what_is_computed_names_no_model() -> None:
    step = span(STEP, 1, 0, 0, 1, covey__specialist="calculate", covey__confidence=1.0)
    assert "calculate (computed, no model) on this device" in page([step], COMPLETED)


def test_a_failed_step_says_why() -> None:
    step = span(STEP, 1, 0, 0, 1, covey__specialist="answer", error__type="worker_died", covey__reason="it ended")
    step.status = "error"
    assert "failed: worker_died: it ended" in page([step], COMPLETED)


def test_not_sure_says_what_was_found() -> None:
    root = span(TASK, 1, 0, 0, 1, covey__reason="below the floor")
    shown = page([root], entries(SUBMITTED, TaskCompleted(Digest(""), 0.2, abstained=True)), answer="perhaps May")
    assert "not sure: below the floor" in shown
    assert "Found      “perhaps May”" in shown


def test_no_sure_stage_is_said() -> None:
    route = span(ROUTE, 1, 0, 0, 1, covey__reason="nothing was near")
    assert "nothing, for no stage was sure: nothing was near" in page([route], COMPLETED)


def test_forgotten_texts_are_said_to_be_gone() -> None:
    assert page(answered(), COMPLETED, request=None, answer=None).count("(the text is not kept; its digest is)") == 2


def test_a_task_that_was_killed_shows_what_is_known() -> None:
    known = entries(
        SUBMITTED, Planned("seq", Digest("p"), (StepId("s1"),)), StepFailed(StepId("s1"), "worker_died", "it ended")
    )
    shown = page([], known, answer=None)
    assert "Covey stopped before the end; steps without an outcome: s1" in shown
    assert "step s1: worker_died it ended" in shown


def test_a_failure_has_its_reason() -> None:
    assert "failed: no room on the disk" in page([], entries(SUBMITTED, TaskFailed("disk_full", "no room on the disk")))


def test_a_document_can_not_paint_the_terminal() -> None:
    shown = page(answered(), COMPLETED, request="a\x1b[31mred\nline\x07", answer="\x9b2J")
    assert "\x1b" not in shown and "\x07" not in shown and "\x9b" not in shown
    assert "“a [31mred line”" in shown


def test_json_is_one_object_with_everything() -> None:
    shown = json.loads(json.dumps(show.as_json(ID, answered(), COMPLETED)))
    assert (shown["trace_id"], shown["status"], shown["cost"]["completion_tokens"]) == (ID, "completed", 9)
    assert [one["name"] for one in shown["spans"]] == [TASK, ROUTE, STAGE, STAGE, STEP, CHECK]
    assert [one["kind"] for one in shown["events"]] == ["TaskSubmitted", "TaskCompleted"]


def test_steps_side_by_side_never_leave_less_than_no_time() -> None:
    steps = [span(STEP, number, 0, 0, 100, covey__model_seconds=0.09) for number in (2, 3)]
    assert cost([span(TASK, 1, 0, 0, 100), *steps]).other_seconds == 0


def test_stats_add_up() -> None:
    failed = span(STEP, 9, 1, 0, 500, covey__specialist="answer", error__type="x")
    failed.status = "error"
    found = stats(["completed", "failed", "working"], [answered(), [span(TASK, 1, 0, 0, 500), failed], []])
    assert (found.tasks, found.statuses) == (3, {"completed": 1, "failed": 1, "working": 1})
    assert (found.median_seconds, found.p95_seconds) == (0.5, 1.0)
    assert found.model_share == pytest.approx(0.9 / 1.5)
    work = found.specialists["answer"]
    assert (work.runs, work.failed, work.not_sure, work.mean_confidence) == (2, 1, 0, 0.714)


def test_stats_of_nothing_are_nothing() -> None:
    found = stats([], [])
    assert (found.tasks, found.median_seconds, found.model_share, found.specialists) == (0, None, None, {})
