"""Spans: they nest as the work does, fail with a code, and cross nodes as W3C says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator

import pytest

from models.errors import WorkerDied
from models.types import Signals, Usage
from runtime.trace.spans import (
    Parent,
    Span,
    Tracer,
    make_traceparent,
    parse_traceparent,
    random_id,
    signal_attributes,
    steady_clock,
    usage_attributes,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def counter() -> Iterator[int]:
    number = 0
    while True:
        number += 1
        yield number


def scripted() -> Tracer:
    """Return a tracer whose clock and ids count 1, 2, 3."""
    ticks, ids = counter(), counter()
    return Tracer(TRACE, clock=lambda: next(ticks), ids=lambda size: f"{next(ids):0{2 * size}x}")


def by_name(tracer: Tracer) -> dict[str, Span]:
    return {span.name: span for span in tracer.finished}


def test_spans_nest_as_the_work_does() -> None:
    tracer = scripted()
    with tracer.span("a") as a:
        with tracer.span("b") as b, tracer.span("c"):
            pass
        with tracer.span("d"):
            pass
    found = by_name(tracer)
    assert [found[name].parent_id for name in "abcd"] == ["", a.span_id, b.span_id, a.span_id]
    assert [span.name for span in tracer.finished] == ["c", "b", "d", "a"]
    assert all(span.status == "ok" and span.end_ns > span.start_ns for span in tracer.finished)


def test_steps_side_by_side_have_the_same_parent() -> None:
    tracer = Tracer()

    async def step(name: str) -> None:
        with tracer.span(name):
            await asyncio.sleep(0)
            with tracer.span(f"{name}.inner"):
                await asyncio.sleep(0)

    async def task() -> None:
        with tracer.span("task"):
            async with asyncio.TaskGroup() as group:
                for name in ("x", "y"):
                    group.create_task(step(name))

    asyncio.run(task())
    found = by_name(tracer)
    for name in ("x", "y"):
        assert found[name].parent_id == found["task"].span_id
        assert found[f"{name}.inner"].parent_id == found[name].span_id


def test_an_error_marks_the_span_with_its_code_and_passes_on() -> None:
    tracer = Tracer()
    with pytest.raises(WorkerDied), tracer.span("outer"), tracer.span("inner"):
        raise WorkerDied("it may quote the question")
    assert {span.status for span in tracer.finished} == {"error"}
    assert tracer.finished[0].attributes == {"error.type": "worker_died"}


def test_a_foreign_error_is_named_by_its_class() -> None:
    tracer = Tracer()
    with pytest.raises(asyncio.CancelledError), tracer.span("step"):
        raise asyncio.CancelledError
    assert tracer.finished[0].attributes["error.type"] == "CancelledError"


def test_a_stream_closed_early_is_no_failure_and_leaves_no_span_open() -> None:
    tracer = Tracer()

    async def stream() -> AsyncGenerator[int, None]:
        with tracer.span("stream"):
            yield 1
            yield 2

    async def read_one() -> None:
        items = stream()
        await anext(items)
        await asyncio.create_task(items.aclose())

    asyncio.run(read_one())
    assert tracer.finished[0].status == "ok"


def test_two_tasks_in_one_context_do_not_mix() -> None:
    first, second = Tracer(), Tracer()
    with first.span("first"), second.span("second"):
        pass
    assert second.finished[0].parent_id == ""


def test_a_parent_can_be_named() -> None:
    tracer = scripted()
    with tracer.span("a") as a:
        pass
    with tracer.span("b"), tracer.span("late", parent=a) as late:
        assert late.parent_id == a.span_id


def test_a_traceparent_carries_the_place_to_another_node() -> None:
    here = scripted()
    with here.span("step") as step:
        header = here.traceparent()
    there = Tracer(traceparent=header)
    with there.span("remote") as remote:
        assert (remote.trace_id, remote.parent_id) == (TRACE, step.span_id)


def test_outside_of_a_span_the_header_is_still_valid() -> None:
    assert parse_traceparent(Tracer().traceparent()) is not None


def test_parse_is_the_inverse_of_make() -> None:
    assert parse_traceparent(make_traceparent(TRACE, SPAN)) == Parent(TRACE, SPAN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        f"00-{TRACE}-{SPAN}",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
    ],
)
def test_an_invalid_traceparent_starts_a_new_trace(text: str) -> None:
    assert parse_traceparent(text) is None
    assert Tracer(traceparent=text).trace_id != TRACE


def test_ids_have_the_sizes_of_the_standard() -> None:
    tracer = Tracer()
    with tracer.span("a") as span:
        assert (len(span.trace_id), len(span.span_id)) == (32, 16)
    assert len({random_id(8) for _ in range(100)}) == 100


def test_the_clock_never_runs_backwards() -> None:
    clock = steady_clock()
    times = [clock() for _ in range(1000)]
    assert times == sorted(times)


def test_what_is_unknown_is_left_out() -> None:
    span = Span(TRACE, SPAN, "", "step", 0)
    span.update(usage_attributes(Usage(prompt_tokens=3)) | signal_attributes(Signals(scores={"yes": 0.5})))
    assert span.attributes["gen_ai.usage.input_tokens"] == 3
    assert span.attributes["covey.signal.yes"] == 0.5
    assert "covey.energy_j" not in span.attributes
    assert "covey.signal.mean_logprob" not in span.attributes
