"""Metrics of handing some requests to a stronger model: quality against the share handed over.

Read from what a weaker and a stronger model gave on the same rows, recorded by others or just measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.evals.metrics.intervals import Figure, interval_of, resamples
from runtime.evals.metrics.outcome import Options, Outcome, Rows, column, columns

HARD, LENGTH, UNSURE, LOOKS = "hard", "length", "unsure", "looks"
"""Scores of a row by which it may be handed over, the highest first. The first is that of marking; where the answer of
this device is known, `unsure` is one less its confidence, and `looks` how hard the request looks by itself."""
MARKED, ANSWERED = "marked", "hub_answered"
"""Scores of a row: 1 where Covey hands it over with the bounds it has, and where the hub has an answer."""
WEAK_OPTION, STRONG_OPTION = "weak", "strong"
"""Options of a suite: under which names a row has the two models' outcomes."""
SHARES = tuple(n / 20 for n in range(21))
"""Of the curve that is drawn and written down."""
APGR, OVER_LENGTH, GAP, OVER_RANDOM = "apgr", "apgr_over_length", "gap", "marked_over_random"
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


def rows_by(score: str) -> Callable[[Sequence[Outcome], Options], Rows]:
    """Return the table of each row's score and length, and of what both models gave; one without does not take part."""

    def table(outcomes: Sequence[Outcome], options: Options) -> Rows:
        return columns([_row(one, options, score) for one in outcomes], 4)

    return table


rows = rows_by(HARD)


def _row(one: Outcome, options: Options, score: str) -> tuple[float, float, float, float]:
    known = one.expected if isinstance(one.expected, dict) else {}
    weak, strong = (_number(known.get(options.get(name, name))) for name in (WEAK_OPTION, STRONG_OPTION))
    return one.scores.get(score, np.nan), one.scores.get(LENGTH, np.nan), weak, strong


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def hub_answered(outcomes: Sequence[Outcome], _: Options) -> Rows:
    return column([one.scores.get(ANSWERED) for one in outcomes])


def all_local(rows: Rows) -> float:
    return float(rows[:, _WEAK].mean())


def all_hub(rows: Rows) -> float:
    return float(rows[:, _STRONG].mean())


def gap(rows: Rows) -> float:
    return all_hub(rows) - all_local(rows)


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
    whole = gap(rows)
    if whole <= 0:  # the other model is no better: no way of choosing gains anything
        return RANDOM
    found = curve(rows, by)
    return float(((found[1:] + found[:-1]) / 2 - all_local(rows)).mean() / whole)


def apgr(rows: Rows) -> float:
    """Return the share of the gap that is recovered, averaged over all shares handed over (APGR)."""
    return _apgr(rows, rows[:, _HARD])


def marked_share(rows: Rows) -> float:
    """Return the share that Covey hands over; the table is `rows_by(MARKED)`."""
    return float(rows[:, _HARD].mean())


def marked_quality(rows: Rows) -> float:
    return float(np.where(rows[:, _HARD] > 0, rows[:, _STRONG], rows[:, _WEAK]).mean())


def marked_over_random(rows: Rows) -> float:
    """Return what handing over just those gains over as many at random."""
    return marked_quality(rows) - all_local(rows) - marked_share(rows) * gap(rows)


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


_JUDGED = (
    (GAP, 0.0, "The hub", "this device"),
    (APGR, RANDOM, "Marking", "handing over at random"),
    (OVER_LENGTH, 0.0, "Marking", "handing over the longest"),
    (OVER_RANDOM, 0.0, "Handing over what Covey marks", "as many at random"),
)
"""Metric, the value of one that is no better, who is judged, and against whom."""


def verdicts(figures: Mapping[str, Figure]) -> list[str]:
    """Return what the intervals allow to say: nobody has to remember to write it down."""
    said = []
    for name, least, who, other in _JUDGED:
        found = figures.get(name)
        if found is None or found.interval is None:
            continue
        low, high = found.interval
        if low > least:
            said.append(f"{who} is better than {other}.")
        elif high < least:
            said.append(f"{who} is worse than {other}.")
        else:
            said.append(f"{who} is not shown to be better than {other}: the interval of {name} holds {least:g}.")
    return said
