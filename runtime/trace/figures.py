"""What traces add up to: the cost of one, and over many how long, how sure and how often."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from models.types import Json
from runtime.trace.spans import STEP, TASK, Span


@dataclass(frozen=True, slots=True)
class Cost:
    """What a trace cost, summed over its steps."""

    seconds: float
    model_seconds: float
    """Inside models; with steps side by side it may exceed `seconds`."""
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    bytes_out: int

    @property
    def other_seconds(self) -> float:
        return max(0.0, self.seconds - self.model_seconds)


@dataclass(frozen=True, slots=True)
class Work:
    """What one specialist did, over many traces."""

    runs: int
    failed: int
    not_sure: int
    mean_confidence: float | None
    """Of the runs that did not fail; None when there are none."""
    mean_seconds: float


@dataclass(frozen=True, slots=True)
class Stats:
    """Many traces together."""

    tasks: int
    statuses: Mapping[str, int]
    median_seconds: float | None
    """None without any trace that has spans."""
    p95_seconds: float | None
    model_share: float | None
    """Part of all time that was inside models, 0..1."""
    completion_tokens: int
    bytes_out: int
    specialists: Mapping[str, Work]

    def to_json(self) -> dict[str, Json]:
        return asdict(self)


def cost(spans: Sequence[Span]) -> Cost:
    """Add up what the steps of a trace cost."""
    root = first(spans, TASK)
    steps = [span for span in spans if span.name == STEP]
    return Cost(
        seconds=root.seconds if root else sum(span.seconds for span in steps),
        model_seconds=sum(number(span, "covey.model_seconds") for span in spans),
        prompt_tokens=int(sum(number(span, "gen_ai.usage.input_tokens") for span in steps)),
        cached_tokens=int(sum(number(span, "covey.usage.cached_tokens") for span in steps)),
        completion_tokens=int(sum(number(span, "gen_ai.usage.output_tokens") for span in steps)),
        bytes_out=int(sum(number(span, "covey.bytes_out") for span in steps)),
    )


def stats(statuses: Sequence[str], traces: Sequence[Sequence[Span]]) -> Stats:
    """Add up many traces; `statuses` holds one per task, with or without spans."""
    costs = [cost(spans) for spans in traces if spans]
    seconds = sorted(one.seconds for one in costs)
    total = sum(seconds)
    steps: dict[str, list[Span]] = defaultdict(list)
    for spans in traces:
        for span in spans:
            if span.name == STEP:
                steps[str(span.attributes.get("covey.specialist", "unknown"))].append(span)
    return Stats(
        tasks=len(statuses),
        statuses=dict(Counter(statuses).most_common()),
        median_seconds=_quantile(seconds, 0.5),
        p95_seconds=_quantile(seconds, 0.95),
        model_share=min(1.0, sum(one.model_seconds for one in costs) / total) if total else None,
        completion_tokens=sum(one.completion_tokens for one in costs),
        bytes_out=sum(one.bytes_out for one in costs),
        specialists={name: _work(steps[name]) for name in sorted(steps)},
    )


def first(spans: Sequence[Span], name: str) -> Span | None:
    return next((span for span in spans if span.name == name), None)


def number(span: Span, key: str) -> float:
    """Return a figure of a span; 0 where it has none."""
    value = span.attributes.get(key)
    return value if isinstance(value, int | float) else 0.0


def _work(spans: Sequence[Span]) -> Work:
    ended = [span for span in spans if span.status != "error"]
    confidences = [number(span, "covey.confidence") for span in ended if "covey.confidence" in span.attributes]
    return Work(
        runs=len(spans),
        failed=len(spans) - len(ended),
        not_sure=sum(bool(span.attributes.get("covey.abstained")) for span in ended),
        mean_confidence=sum(confidences) / len(confidences) if confidences else None,
        mean_seconds=sum(span.seconds for span in spans) / len(spans),
    )


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least this share of the values does not exceed."""
    if not ordered:
        return None
    return ordered[math.ceil(len(ordered) * share) - 1]
