"""`covey traces`: see why an answer is as it is, and make Covey forget what was said."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from models import conversations
from models.types import Json
from runtime import config, paths
from runtime.db import Database
from runtime.errors import UsageError
from runtime.journal import Journal
from runtime.trace import show
from runtime.trace.figures import Stats, first, stats
from runtime.trace.spans import TASK
from runtime.trace.store import Summary, TraceStore

STATS_TASKS = 1000
"""The newest tasks that `stats` adds up; reading more would take seconds."""
_UNITS_S = {"m": 60, "h": 3600, "d": 86400}

app = typer.Typer(help="See why an answer is as it is, and make Covey forget what was said.")
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("list")
def list_traces(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 20, as_json: AsJson = False
) -> None:
    """List the newest requests. Example: covey traces list --limit 5"""
    with _opened() as (_, store):
        found = store.summaries(limit)
    if as_json:
        _print_json({"traces": [_summary_json(one) for one in found]})
    elif not found:
        print("There are no traces yet. Ask something first: `covey ask TEXT`.")
    for one in () if as_json else found:
        print(show.summary_line(one))


@app.command("show")
def show_trace(
    trace: Annotated[str, typer.Argument(help="`last`, or the beginning of a trace id.")] = "last",
    as_json: AsJson = False,
) -> None:
    """Show who answered a request, why, and what it cost. Example: covey traces show last"""
    with _opened() as (journal, store):
        task_id = store.find(trace)
        spans, entries, state = store.load(task_id), journal.events(task_id), journal.state(task_id)
        request = journal.content(state.request, task_id)
        answer = journal.content(state.output, task_id)
    root = first(spans, TASK)
    found = root.attributes.get("covey.answer") if root else None
    answer = answer if answer is not None else found if isinstance(found, str) else None
    if as_json:
        shown = show.as_json(task_id, spans, entries)
        _print_json({**shown, "request": request, "answer": answer})
        return
    for line in show.lines(task_id, spans, entries, request=request, answer=answer):
        print(line)


@app.command("stats")
def show_stats(as_json: AsJson = False) -> None:
    """Add up the newest 1000 requests. Example: covey traces stats"""
    with _opened() as (journal, store):
        tasks = journal.tasks(STATS_TASKS)
        found = stats([journal.state(task).status.value for task in tasks], [store.load(task) for task in tasks])
    if as_json:
        _print_json(found.to_json())
        return
    for line in _stats_lines(found):
        print(line)


@app.command("forget")
def forget(
    trace: Annotated[str, typer.Argument(help="`last`, or the beginning of a trace id.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Forget the texts of every request.")] = False,
    before: Annotated[str, typer.Option(help="Forget requests older than this, for example 7d or 12h.")] = "",
    as_json: AsJson = False,
) -> None:
    """Remove texts from the journal; digests and figures stay. Example: covey traces forget last"""
    if sum((bool(trace), everything, bool(before))) != 1:
        raise UsageError("Say what to forget: a trace (`covey traces forget last`), --before 7d, or --all.")
    with _opened() as (journal, store):
        if trace:
            gone = journal.forget(store.find(trace))
        elif before:
            gone = journal.forget(before_ns=max(0, time.time_ns() - parse_age_s(before) * 10**9))
        else:
            gone = journal.forget()
    asyncio.run(_let_models_forget())
    if as_json:
        _print_json({"forgotten_tasks": gone.tasks, "forgotten_texts": gone.texts})
    else:
        print(f"Forgot {gone.texts} texts of {gone.tasks} requests. Their digests and figures are kept.")


async def _let_models_forget() -> None:
    """Remove what models hold of conversations: which of them a text was part of is not written anywhere."""
    from runtime.running import RunningNode  # all of a node: heavy, first use only

    root = paths.home()
    running = RunningNode(root)
    if await running.answers():
        await running.forget()
    conversations.forget(paths.conversations_dir(root))


def parse_age_s(text: str) -> int:
    """Return the seconds in `30m`, `12h` or `7d`. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,6})([mhd])", text.strip().lower())
    if match is None:
        raise UsageError(f"{text!r} is not a length of time: write it like 30m, 12h or 7d.")
    return int(match[1]) * _UNITS_S[match[2]]


@contextmanager
def _opened() -> Iterator[tuple[Journal, TraceStore]]:
    root = paths.ensure_home(paths.home())
    settings = config.load(paths.settings_file(root))
    with Database(paths.journal_file(root)) as database:
        journal = Journal(database, content_days=settings.content_days)
        yield journal, TraceStore(journal)


def _summary_json(one: Summary) -> dict[str, Json]:
    return {
        "trace_id": one.trace_id,
        "time": show.clock_time(one.start_ns),
        "seconds": one.seconds,
        "status": one.status,
        "request": one.request,
        "bytes_out": one.bytes_out,
    }


def _stats_lines(found: Stats) -> Iterator[str]:
    if not found.tasks:
        yield "There are no traces yet. Ask something first: `covey ask TEXT`."
        return
    yield f"Requests   {found.tasks}: " + ", ".join(f"{count} {status}" for status, count in found.statuses.items())
    if found.median_seconds is not None and found.p95_seconds is not None:
        yield f"Time       half within {found.median_seconds:.2f} s, 19 of 20 within {found.p95_seconds:.2f} s"
    if found.model_share is not None:
        yield f"           {found.model_share:.0%} of it inside models"
    yield f"Tokens     {found.completion_tokens} written"
    yield f"Bytes out  {found.bytes_out}"
    for name, work in found.specialists.items():
        sure = "" if work.mean_confidence is None else f", mean confidence {work.mean_confidence:.2f}"
        yield (
            f"{name:<12} {work.runs} runs, {work.failed} failed, {work.not_sure} not sure{sure}, "
            f"{work.mean_seconds:.2f} s each"
        )


def _print_json(value: dict[str, Json]) -> None:
    print(json.dumps(value, ensure_ascii=False))
