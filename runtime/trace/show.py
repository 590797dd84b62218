"""A trace as a person reads it who did not build Covey: what was asked, who did it and why, what it cost.

Pure: spans and events in, lines or one JSON object out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from models.types import Json
from runtime.events import StepFailed, TaskState, TaskSubmitted, fold
from runtime.journal import Entry
from runtime.trace.figures import cost, first, number
from runtime.trace.spans import CHECK, ROUTE, STAGE, STEP, TASK, Attribute, Span
from runtime.trace.store import Summary

WIDTH = 100
"""Characters of a quoted text; the rest is in `--json`."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def as_json(trace_id: str, spans: Sequence[Span], entries: Sequence[Entry]) -> dict[str, Json]:
    """Return the whole trace as one JSON object."""
    state = fold(entry.event for entry in entries)
    spent = cost(spans)
    return {
        "trace_id": trace_id,
        "status": state.status.value,
        "label": state.label.name.lower(),
        "capability": state.capability,
        "confidence": state.confidence,
        "abstained": state.abstained,
        "bytes_out": state.bytes_out,
        "reason": state.reason,
        "digests": {"request": state.request, "answer": state.output},
        "cost": {**asdict(spent), "other_seconds": spent.other_seconds},
        "spans": [_span_json(span) for span in spans],
        "events": [
            {"id": entry.id, "time": clock_time(entry.time_ns), "kind": type(entry.event).__name__} for entry in entries
        ],
    }


def summary_line(one: Summary) -> str:
    """Return a trace as one line of a list."""
    text = _quoted(one.request) if one.request else "(text not kept)"
    return f"{one.trace_id[:8]}  {_local_time(one.start_ns)}  {one.status:<14} {_seconds(one.seconds):>9}  {text}"


def clock_time(time_ns: int) -> str:
    """Return a time for programs: ISO 8601, UTC."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="milliseconds")


def lines(
    trace_id: str, spans: Sequence[Span], entries: Sequence[Entry], *, request: str | None, answer: str | None
) -> Iterator[str]:
    """Yield the lines of the page. `request` and `answer` are None when their text is not kept (any more)."""
    state = fold(entry.event for entry in entries)
    yield from _heading(trace_id, spans, entries, state, request, answer)
    yield from _routing(spans, state)
    yield from _work(spans, entries)
    if any(span.name == STEP for span in spans):
        yield from _spending(spans)
    if spans:
        yield ""
        yield from _tree(spans)


def _heading(
    trace_id: str,
    spans: Sequence[Span],
    entries: Sequence[Entry],
    state: TaskState,
    request: str | None,
    answer: str | None,
) -> Iterator[str]:
    yield f"Trace {trace_id}"
    began = next((entry for entry in entries if isinstance(entry.event, TaskSubmitted)), None)
    root = first(spans, TASK)
    took = f", took {_seconds(root.seconds)}" if root else ""
    if began is not None:
        yield _row("Asked", f"{_local_time(began.time_ns)}, label {state.label.name.lower()}")
    yield _row("", _quoted(request))
    yield _row("Status", f"{state.status.value}{took}" + (f": {_plain(state.reason)}" if state.reason else ""))
    if not spans and state.unfinished:
        yield _row("", f"Covey stopped before the end; steps without an outcome: {', '.join(state.unfinished)}")
    if state.abstained:
        yield _row("Answer", f"not sure{_because(root) if root else ''}")
        yield from (_row("Found", _quoted(answer)),) if answer else ()
    elif answer is not None or state.output:
        yield _row("Answer", _quoted(answer))


def _routing(spans: Sequence[Span], state: TaskState) -> Iterator[str]:
    route = first(spans, ROUTE)
    if route is None:
        if state.capability:
            yield _row("Routed to", state.capability)
        return
    chosen, capability = _text(route, "covey.stage"), _text(route, "covey.capability")
    if chosen and capability:
        yield _row("Routed to", f"{capability}, claimed by stage {chosen}")
    else:
        yield _row("Routed to", f"nothing, for no stage was sure{_because(route)}")
    for stage in (span for span in spans if span.name == STAGE):
        yield _row("", _stage(stage, chosen))


def _stage(span: Span, chosen: str) -> str:
    name, capability = _text(span, "covey.stage"), _text(span, "covey.capability") or "no capability"
    score = span.attributes.get("covey.score")
    threshold = span.attributes.get("covey.threshold")
    scored = f"score {_figure(score)}" if score is not None else "no score"
    needed = f" (needs {_figure(threshold)})" if threshold is not None else ""
    mark = "→" if name == chosen else " "
    near = span.attributes.get("covey.near")
    alike = ""
    if isinstance(near, Sequence) and not isinstance(near, str) and near:
        alike = "; looked like " + ", ".join(f"“{_short(str(one), 40)}”" for one in near[:3])
    return f"{mark} {name:<8} {capability:<12} {scored}{needed}{_because(span)}{alike}"


def _work(spans: Sequence[Span], entries: Sequence[Entry]) -> Iterator[str]:
    for step in (span for span in spans if span.name == STEP):
        model = _text(step, "gen_ai.request.model")
        where = _text(step, "covey.node") or "this device"
        attempt = int(number(step, "covey.attempt"))
        again = f", attempt {attempt}" if attempt > 1 else ""
        failed = step.status == "error"
        by = f" (model {model})" if model else "" if failed else " (computed, no model)"
        if step.attributes.get("covey.hub"):
            where += " (hub)"
        elif _text(step, "covey.tier") in ("home", "hub") and not _text(step, "covey.asker"):
            where += " (paired device)"
        if asker := _text(step, "covey.asker"):
            where += f", for {asker}"
        yield _row("Tried by" if failed else "Done by", f"{_text(step, 'covey.specialist')}{by} on {where}{again}")
        yield from _placement(step)
        if failed:
            yield _row("", f"failed: {_text(step, 'error.type')}{_because(step)}")
            yield from _marked(step)
            continue
        yield _row("", _sureness(step))
        yield from _marked(step)
        for check in (span for span in spans if span.name == CHECK and span.parent_id == step.span_id):
            yield _row("", f"check {_text(check, 'covey.check')}: {_text(check, 'covey.verdict')}{_because(check)}")
    if not spans:
        for entry in entries:
            if isinstance(entry.event, StepFailed):
                yield _row(
                    "Failed", f"step {entry.event.step}: {entry.event.code} {_plain(entry.event.reason)}".rstrip()
                )


def _placement(step: Span) -> Iterator[str]:
    """Yield why a step ran where it did, where there was a choice, and what it sent there."""
    considered = step.attributes.get("covey.candidates")
    if isinstance(considered, Sequence) and not isinstance(considered, str) and len(considered) > 1:
        yield _row("", f"why there: {_text(step, 'covey.placement')}")
        yield from (_row("", f"not {_plain(str(other))}") for other in considered[1:])
    if sent := int(number(step, "covey.bytes_out")):
        yield _row("", f"{sent} bytes were sent there; `covey ledger list` has them")
    if cost_there := number(step, "covey.money"):
        yield _row("", f"it cost {cost_there:.6f}, by the price that is set for it")


def _marked(step: Span) -> Iterator[str]:
    """Yield whether the step was marked as needing deeper reasoning, and who was tried then or not."""
    if "covey.marked" not in step.attributes:
        return
    marked = bool(step.attributes["covey.marked"])
    tried = step.attributes.get("covey.ladder")
    if not marked:
        yield _row("", f"not marked for deeper reasoning: {_text(step, 'covey.mark')}")
        return
    names = ", then ".join(str(one) for one in tried) if isinstance(tried, Sequence) else "nobody"
    yield _row("", f"marked for deeper reasoning: {_text(step, 'covey.mark')}; tried next: {names}")
    left_out = step.attributes.get("covey.left_out")
    if isinstance(left_out, Sequence) and not isinstance(left_out, str):
        yield from (_row("", f"not {_plain(str(other))}") for other in left_out)


def _sureness(step: Span) -> str:
    confidence = step.attributes.get("covey.confidence")
    said = "confidence unknown"
    if confidence is not None:
        kind = "calibrated" if step.attributes.get("covey.calibrated") else "uncalibrated"
        said = f"confidence {_figure(confidence)}, {kind}"
    threshold = step.attributes.get("covey.threshold")
    needed = f" (needs {_figure(threshold)})" if threshold else ""
    return f"{said}{needed}{_because(step)}"


def _spending(spans: Sequence[Span]) -> Iterator[str]:
    spent = cost(spans)
    share = f" ({spent.other_seconds / spent.seconds:.0%})" if spent.seconds else ""
    yield _row(
        "Time",
        f"{_seconds(spent.seconds)}: {_seconds(spent.model_seconds)} in models, "
        f"{_seconds(spent.other_seconds)} for loading them, routing and checking{share}",
    )
    yield _row(
        "Tokens",
        f"{spent.prompt_tokens} read ({spent.cached_tokens} of them known already), {spent.completion_tokens} written",
    )
    left = "left this device" if spent.bytes_out else "nothing left this device"
    yield _row("Bytes out", f"{spent.bytes_out} ({left})")


def _tree(spans: Sequence[Span]) -> Iterator[str]:
    """Yield one line per span, children under their parents, in the order in which they began."""
    known = {span.span_id for span in spans}
    below: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda span: span.start_ns):
        below.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)
    waiting = [(span, "", "", "") for span in reversed(below.get("", []))]
    while waiting:  # not recursive: a trace from elsewhere may be deeper than Python's stack
        span, lead, branch, below_lead = waiting.pop()
        left = f"{lead}{branch}{span.name} {_topic(span)}".rstrip()
        failed = f"  {_text(span, 'error.type')}" if span.status == "error" else ""
        yield f"{left:<60} {_seconds(span.seconds):>9}{failed}"
        children = below.get(span.span_id, [])
        for child in reversed(children):
            last = child is children[-1]
            waiting.append((child, below_lead, "└─ " if last else "├─ ", below_lead + ("   " if last else "│  ")))


def _topic(span: Span) -> str:
    for key in ("covey.check", "covey.step.id", "covey.stage", "gen_ai.request.model"):
        if text := _text(span, key):
            return text
    return ""


def _span_json(span: Span) -> dict[str, Json]:
    attributes: dict[str, Json] = {key: _json(value) for key, value in span.attributes.items()}
    return {
        "name": span.name,
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "start": clock_time(span.start_ns),
        "seconds": span.seconds,
        "status": span.status,
        "attributes": attributes,
    }


def _json(value: Attribute) -> Json:
    return value if isinstance(value, str | bool | int | float) else list(value)


def _text(span: Span, key: str) -> str:
    value = span.attributes.get(key)
    return _plain(value) if isinstance(value, str) else ""


def _because(span: Span) -> str:
    reason = _text(span, "covey.reason")
    return f": {_short(reason, WIDTH)}" if reason else ""


def _figure(value: Attribute) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else str(value)


def _row(title: str, text: str) -> str:
    return f"{title:<10} {text}"


def _quoted(text: str | None) -> str:
    if text is None:
        return "(the text is not kept; its digest is)"
    return f"“{_short(text, WIDTH)}”"


def _short(text: str, limit: int) -> str:
    plain = _plain(text)
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def _plain(text: str) -> str:
    """Return the text on one line, without characters that a terminal obeys."""
    return " ".join(_CONTROL.sub(" ", text).split())


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def _local_time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9).astimezone().strftime("%Y-%m-%d %H:%M:%S")
