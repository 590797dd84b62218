"""Metrics of ranked lists: was the right one among the first k, and how far up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runtime.evals.metrics.outcome import Options, Outcome, Rows, column


def recall_at(k: int) -> Callable[[Sequence[Outcome], Options], Rows]:
    """Return the metric 'the expected one is among the first k'."""

    def rows(outcomes: Sequence[Outcome], _: Options) -> Rows:
        return column([0 < _rank(o) <= k for o in outcomes])

    return rows


def reciprocal_rank(outcomes: Sequence[Outcome], _: Options) -> Rows:
    return column([1 / rank if (rank := _rank(o)) else 0.0 for o in outcomes])


def _rank(outcome: Outcome) -> int:
    """Return the place of the expected one, counted from 1; 0 when it is not in the list."""
    listed = outcome.answer if isinstance(outcome.answer, list) else []
    return listed.index(outcome.expected) + 1 if outcome.expected in listed else 0
