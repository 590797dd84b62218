"""Spans: what happened inside a task, when, and why; named as OpenTelemetry does, without its library.

One `Tracer` per task. Spans are values in memory until `trace.store` keeps them; nothing is sent.

Span names and their attributes (`*`: free text, kept apart so that it can be forgotten):

    covey.task    covey.task.id covey.label covey.status covey.request* covey.answer* covey.reason*
                  covey.confidence covey.calibrated covey.abstained covey.tier covey.bytes_out
    covey.route   covey.stage (the one that claimed) covey.capability covey.score
    covey.stage   covey.stage covey.claimed covey.capability covey.score covey.threshold covey.near covey.reason*
    covey.plan    covey.plan.term covey.plan.steps
    covey.step    covey.step.id covey.capability covey.specialist covey.attempt covey.node covey.tier
                  covey.placement (why there) covey.candidates (every device that was considered, and why not)
                  covey.asker (the device that asked for it)
                  covey.label covey.trust covey.seed covey.artifacts covey.refusal
                  covey.confidence covey.calibrated covey.threshold covey.abstained covey.reason* covey.bytes_out
                  gen_ai.request.model gen_ai.usage.* covey.model_seconds covey.energy_j covey.signal.*
    covey.check   covey.check covey.verdict (pass, fail, skipped) covey.reason*
    chat, embeddings, rerank    gen_ai.*: time inside a model
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

from models.types import Signals, Usage

TASK = "covey.task"
ROUTE = "covey.route"
STAGE = "covey.stage"
PLAN = "covey.plan"
STEP = "covey.step"
CHECK = "covey.check"

Attribute = str | bool | int | float | Sequence[str] | Sequence[float]
"""What OpenTelemetry allows as a value."""
Clock = Callable[[], int]
"""Nanoseconds since 1970, never running backwards."""
Ids = Callable[[int], str]
"""Takes a number of bytes, returns twice as many hexadecimal digits."""

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


@dataclass(slots=True)
class Span:
    """One stretch of work. Mutable until it has ended."""

    trace_id: str
    span_id: str
    parent_id: str
    """Empty for the root."""
    name: str
    start_ns: int
    end_ns: int = 0
    """0 while it runs."""
    attributes: dict[str, Attribute] = field(default_factory=dict)
    status: Literal["unset", "ok", "error"] = "unset"

    def set(self, key: str, value: Attribute | None) -> None:
        """Set one attribute; None leaves it out."""
        if value is not None:
            self.attributes[key] = value

    def update(self, attributes: Mapping[str, Attribute | None]) -> None:
        for key, value in attributes.items():
            self.set(key, value)

    def fail(self, code: str) -> None:
        """Mark the work as failed with a stable code; the sentence belongs into `covey.reason`."""
        self.status = "error"
        self.attributes["error.type"] = code

    @property
    def seconds(self) -> float:
        return max(0, self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Parent:
    """Where a trace was before it came here."""

    trace_id: str
    span_id: str


def parse_traceparent(text: str) -> Parent | None:
    """Return the caller's place in its trace, or None where the text is not a valid W3C traceparent."""
    match = _TRACEPARENT.fullmatch(text)
    if match is None or match[1] == _NO_TRACE or match[2] == _NO_SPAN:
        return None
    return Parent(match[1], match[2])


def make_traceparent(trace_id: str, span_id: str) -> str:
    """Return the header that carries this place to another node; always marked as sampled."""
    return f"00-{trace_id}-{span_id}-01"


def steady_clock() -> Clock:
    """Return a clock that starts at the time of day and then follows the steady counter."""
    offset = time.time_ns() - time.perf_counter_ns()
    return lambda: offset + time.perf_counter_ns()


def random_id(size_bytes: int) -> str:
    """Return a random id, never all zeros (which W3C forbids)."""
    while True:
        made = secrets.token_hex(size_bytes)
        if int(made, 16):
            return made


_current: ContextVar[Span | None] = ContextVar("covey_span", default=None)


class Tracer:
    """Collects the spans of one task.

    >>> tracer = Tracer()
    >>> with tracer.span(STEP, {"covey.capability": "when"}) as span:
    ...     span.set("covey.confidence", 0.9)
    >>> [s.name for s in tracer.finished]
    ['covey.step']
    """

    def __init__(
        self, trace_id: str = "", *, traceparent: str = "", clock: Clock | None = None, ids: Ids = random_id
    ) -> None:
        """`trace_id` names the trace; else a valid `traceparent` does, else a new id is drawn."""
        parent = parse_traceparent(traceparent)
        self.trace_id = trace_id or (parent.trace_id if parent else ids(16))
        self.finished: list[Span] = []
        """In the order in which they ended."""
        self._remote_parent = parent.span_id if parent and parent.trace_id == self.trace_id else ""
        self._clock = clock or steady_clock()
        self._ids = ids

    @contextmanager
    def span(
        self, name: str, attributes: Mapping[str, Attribute | None] | None = None, *, parent: Span | None = None
    ) -> Iterator[Span]:
        """Open a span under `parent`, else under the span that is open in this asyncio task.

        An exception marks it failed with the error's code, and passes on.
        """
        outer = _current.get()
        above = parent or (outer if outer is not None and outer.trace_id == self.trace_id else None)
        parent_id = above.span_id if above else self._remote_parent
        span = Span(self.trace_id, self._ids(8), parent_id, name, self._clock())
        span.update(attributes or {})
        _current.set(span)
        try:
            yield span
        except BaseException as error:  # a cancelled step too says in its span how it ended
            if not isinstance(error, GeneratorExit):  # a consumer that had enough is not a failure
                code = getattr(error, "code", None)
                span.fail(code if isinstance(code, str) else type(error).__name__)
            raise
        finally:
            # Set, not reset: an async generator may be closed in another context than it was opened in.
            _current.set(outer)
            span.end_ns = self._clock()
            if span.status == "unset":
                span.status = "ok"
            self.finished.append(span)

    def traceparent(self) -> str:
        """Return the header for a call made inside the span that is open now."""
        current = _current.get()
        inside = current is not None and current.trace_id == self.trace_id
        return make_traceparent(self.trace_id, current.span_id if inside and current else self._ids(8))


def usage_attributes(usage: Usage) -> dict[str, Attribute | None]:
    """Return what an answer cost, under OpenTelemetry's names where it has some."""
    return {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "covey.usage.cached_tokens": usage.cached_tokens,
        "covey.model_seconds": usage.model_seconds,
        "covey.energy_j": usage.energy_j,
    }


def signal_attributes(signals: Signals) -> dict[str, Attribute | None]:
    """Return what the producer said about its own answer."""
    return {
        "covey.signal.mean_logprob": signals.mean_logprob,
        "covey.signal.min_margin": signals.min_margin,
        "covey.signal.mean_entropy": signals.mean_entropy,
        "covey.signal.feasible_mass": signals.feasible_mass,
        **{f"covey.signal.{name}": score for name, score in signals.scores.items()},
    }
