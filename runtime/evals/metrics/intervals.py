"""Figures with bootstrap intervals, and two runs compared row by row."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from runtime.evals.metrics.outcome import Metric, Options, Outcome, Rows

RESAMPLES = 1000
"""Enough for the second digit of a 95 % interval."""
LEVEL = 0.95
SEED = 0
"""Fixed, so that the same outcomes give the same interval."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric's value on some rows."""

    value: float | None
    """None where no row takes part."""
    interval: tuple[float, float] | None
    """Percentile bootstrap over rows, 95 %."""
    rows: int
    """Rows that take part."""


@dataclass(frozen=True, slots=True)
class Paired:
    """Two runs on the same rows."""

    difference: float
    """This run minus the other."""
    interval: tuple[float, float]
    p_value: float
    """Exact sign test over the rows where the two differ (McNemar's, for right and wrong)."""
    better: int
    """Rows on which this run did better."""
    worse: int
    rows: int


def figure(metric: Metric, outcomes: Sequence[Outcome], options: Options) -> Figure:
    """Return the metric's value on the outcomes with its interval."""
    return figure_of(taking_part(metric.rows(outcomes, options)), metric.fold)


def figure_of(rows: Rows, fold: Callable[[Rows], float]) -> Figure:
    if not len(rows):
        return Figure(None, None, 0)
    return Figure(fold(rows), interval_of([fold(rows[pick]) for pick in resamples(len(rows))]), len(rows))


def taking_part(rows: Rows) -> Rows:
    """Return the lines without a NaN."""
    return rows[~np.isnan(rows).any(axis=1)]


def paired(mine: Rows, other: Rows, metric: Metric) -> Paired | None:
    """Return the comparison of two runs' tables, line by line the same rows; None where none takes part."""
    both = ~(np.isnan(mine).any(axis=1) | np.isnan(other).any(axis=1))
    mine, other = mine[both], other[both]
    if not len(mine):
        return None
    differences = [metric.fold(mine[pick]) - metric.fold(other[pick]) for pick in resamples(len(mine))]
    sign = 1 if metric.higher_is_better else -1
    each = [sign * (metric.fold(mine[i : i + 1]) - metric.fold(other[i : i + 1])) for i in range(len(mine))]
    better, worse = sum(d > 0 for d in each), sum(d < 0 for d in each)
    return Paired(
        metric.fold(mine) - metric.fold(other),
        interval_of(differences),
        sign_test(better, worse),
        better,
        worse,
        len(mine),
    )


def sign_test(better: int, worse: int) -> float:
    """Return the exact two-sided p-value of `better` against `worse` under a fair coin."""
    total, few = better + worse, min(better, worse)
    tail = sum(math.comb(total, k) for k in range(few + 1))
    return min(1.0, float(2 * tail / 2**total)) if total else 1.0


def verdict(comparison: Paired, margin: float, *, higher_is_better: bool) -> str:
    """Return the sentence on whether this run is worse than the other by more than the margin."""
    low, high = comparison.interval
    loss = -low if higher_is_better else high
    gain = low if higher_is_better else -high
    where = f"the 95 % interval of the difference is {low:+.4f} to {high:+.4f}, the margin {margin:g}"
    if gain > 0:
        return f"Better: {where}."
    if loss < margin:
        return f"Not worse: {where}."
    if (high if higher_is_better else -low) < -margin:
        return f"Worse by more than the margin: {where}."
    return f"Not shown to be as good: {where}; more rows would tell."


def resamples(size: int) -> list[np.typing.NDArray[np.int64]]:
    """Return the rows of each resample; the same for the same size."""
    draw = np.random.default_rng(SEED)
    return [draw.integers(0, size, size) for _ in range(RESAMPLES)]


def interval_of(values: Sequence[float] | np.typing.NDArray[np.float64]) -> tuple[float, float]:
    """Return the percentile interval of a figure's values in all resamples."""
    low, high = np.percentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)
