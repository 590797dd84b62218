"""Metrics of cost: wall seconds a row, tokens a second, tests passed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from runtime.evals.metrics.outcome import Options, Outcome, Rows, column, columns


def seconds(outcomes: Sequence[Outcome], _: Options) -> Rows:
    return column([o.seconds for o in outcomes])


def percentile(share: float) -> Callable[[Rows], float]:
    def fold(rows: Rows) -> float:
        return float(np.percentile(rows[:, 0], share))

    return fold


def tokens_and_seconds(outcomes: Sequence[Outcome], _: Options) -> Rows:
    return columns([(o.tokens, o.seconds) for o in outcomes], 2)


def passed(outcomes: Sequence[Outcome], _: Options) -> Rows:
    """Whether the row's own tests passed; rows whose tests were not run do not take part."""
    return column([o.passed for o in outcomes])
