"""Metrics of handing some requests to a stronger model: quality against the share handed over.

Read from recorded outcomes of a weaker and a stronger model on the same rows, so neither runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.evals.metrics.intervals import Figure, interval_of, resamples
from runtime.evals.metrics.outcome import Options, Outcome, Rows, columns

HARD, LENGTH = "hard", "length"
"""Scores of a row by which it may be handed over, the highest first."""
WEAK_OPTION, STRONG_OPTION = "weak", "strong"
"""Options of a suite: under which names a row has the two models' outcomes."""
SHARES = tuple(n / 20 for n in range(21))
"""Of the curve that is drawn and written down."""
APGR, OVER_LENGTH = "apgr", "apgr_over_length"
RANDOM = 0.5
"""What handing over at random gives of the gap, on average over all shares."""
_HARD, _LENGTH, _WEAK, _STRONG = range(4)

Curve = NDArray[np.float64]
"""Quality with 0, 1, 2, … rows handed over."""


@dataclass(frozen=True, slots=True)
class Point:
    """Quality at one share handed over."""

    share: float
    marking: float
    interval: tuple[float, float]
    """Of `marking`: percentile bootstrap over rows, 95 %."""
    random: float
    length: float
    oracle: float


def rows(outcomes: Sequence[Outcome], options: Options) -> Rows:
    """Return both scores and both outcomes of each row; one without recorded outcomes does not take part."""
    return columns([_row(one, options) for one in outcomes], 4)


def _row(one: Outcome, options: Options) -> tuple[float, float, float, float]:
    known = one.expected if isinstance(one.expected, dict) else {}
    weak, strong = (_number(known.get(options.get(name, name))) for name in (WEAK_OPTION, STRONG_OPTION))
    return one.scores.get(HARD, np.nan), one.scores.get(LENGTH, np.nan), weak, strong


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def all_local(rows: Rows) -> float:
    return float(rows[:, _WEAK].mean())


def all_hub(rows: Rows) -> float:
    return float(rows[:, _STRONG].mean())


def oracle(rows: Rows) -> float:
    """Return the quality of whoever knew beforehand which model is right."""
    return float(np.maximum(rows[:, _WEAK], rows[:, _STRONG]).mean())


def curve(rows: Rows, by: Curve) -> Curve:
    """Return the quality with each number of rows handed over, the highest `by` first.

    Rows of the same score come in no order: each of them gives what they give on average.
    """
    values, inverse, counts = np.unique(-by, return_inverse=True, return_counts=True)
    gains = np.bincount(inverse, rows[:, _STRONG] - rows[:, _WEAK], minlength=len(values)) / counts
    return np.concatenate([[0.0], np.cumsum(np.repeat(gains, counts))]) / len(rows) + all_local(rows)


def _apgr(rows: Rows, by: Curve) -> float:
    gap = all_hub(rows) - all_local(rows)
    if gap <= 0:  # the other model is no better: no way of choosing gains anything
        return RANDOM
    found = curve(rows, by)
    return float(((found[1:] + found[:-1]) / 2 - all_local(rows)).mean() / gap)


def apgr(rows: Rows) -> float:
    """Return the share of the gap that is recovered, averaged over all shares handed over (APGR)."""
    return _apgr(rows, rows[:, _HARD])


def length_apgr(rows: Rows) -> float:
    return _apgr(rows, rows[:, _LENGTH])


def apgr_over_length(rows: Rows) -> float:
    return apgr(rows) - length_apgr(rows)


def oracle_apgr(rows: Rows) -> float:
    return _apgr(rows, rows[:, _STRONG] - rows[:, _WEAK])


def calls_at(part: float) -> Callable[[Rows], float]:
    """Return the metric 'smallest share handed over that recovers this part of the gap'."""

    def fold(rows: Rows) -> float:
        low, high = all_local(rows), all_hub(rows)
        if high <= low:
            return 1.0
        reached = curve(rows, rows[:, _HARD]) >= low + part * (high - low) - 1e-12
        return float(np.argmax(reached)) / len(rows)

    return fold


def points(rows: Rows) -> tuple[Point, ...]:
    """Return the curve at round shares, with what the same share gives otherwise."""
    if not len(rows):
        return ()
    drawn = np.array([_at(curve(part, part[:, _HARD])) for part in (rows[pick] for pick in resamples(len(rows)))])
    marking, length = _at(curve(rows, rows[:, _HARD])), _at(curve(rows, rows[:, _LENGTH]))
    best = _at(curve(rows, rows[:, _STRONG] - rows[:, _WEAK]))
    low, high = all_local(rows), all_hub(rows)
    return tuple(
        Point(
            share,
            float(marking[n]),
            interval_of(drawn[:, n]),
            low + share * (high - low),
            float(length[n]),
            float(best[n]),
        )
        for n, share in enumerate(SHARES)
    )


def _at(found: Curve) -> Curve:
    return np.interp(SHARES, np.linspace(0, 1, len(found)), found)


def verdicts(figures: Mapping[str, Figure]) -> list[str]:
    """Return what the intervals allow to say of marking: nobody has to remember to write it down."""
    said = []
    for name, least, other in (
        (APGR, RANDOM, "handing over at random"),
        (OVER_LENGTH, 0.0, "handing over the longest"),
    ):
        found = figures.get(name)
        if found is None or found.interval is None:
            continue
        low, high = found.interval
        if low > least:
            said.append(f"Marking is better than {other}.")
        elif high < least:
            said.append(f"Marking is worse than {other}.")
        else:
            said.append(f"Marking is not shown to be better than {other}: the interval of {name} holds {least:g}.")
    return said
