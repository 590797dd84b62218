"""Bootstrap intervals are sane, and paired comparisons say what the data say."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.evals.metrics.intervals import figure_of, paired, sign_test, verdict
from runtime.evals.metrics.outcome import Rows, mean
from runtime.evals.metrics.table import METRICS


def flags(*ones_and_zeros: int) -> Rows:
    return np.array(ones_and_zeros, dtype=np.float64).reshape(-1, 1)


def test_interval_holds_the_value_and_is_the_same_again() -> None:
    rows = flags(*([1] * 150 + [0] * 50))
    first, second = figure_of(rows, mean), figure_of(rows, mean)
    assert first == second
    assert first.value == 0.75
    low, high = first.interval or (0, 0)
    assert low == pytest.approx(0.75 - 1.96 * (0.75 * 0.25 / 200) ** 0.5, abs=0.01)
    assert high == pytest.approx(0.75 + 1.96 * (0.75 * 0.25 / 200) ** 0.5, abs=0.01)


def test_interval_covers_the_truth_about_95_times_in_100() -> None:
    draw = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        low, high = figure_of((draw.random((100, 1)) < 0.7).astype(float), mean).interval or (0, 0)
        covered += low <= 0.7 <= high
    assert 88 <= covered <= 100


def test_interval_of_one_row_is_that_row() -> None:
    assert figure_of(flags(1), mean).interval == (1.0, 1.0)


@pytest.mark.parametrize(("better", "worse", "p"), [(0, 0, 1.0), (5, 0, 2 / 32), (1, 1, 1.0), (8, 2, 112 / 1024)])
def test_sign_test_is_exact(better: int, worse: int, p: float) -> None:
    assert sign_test(better, worse) == pytest.approx(p)


def test_sign_test_of_thousands_of_rows_does_not_overflow() -> None:
    assert sign_test(3000, 2900) == pytest.approx(0.197, abs=0.01)


def test_pairing_finds_a_small_gain_that_two_separate_intervals_would_hide() -> None:
    draw = np.random.default_rng(5)
    other = (draw.random((300, 1)) < 0.7).astype(float)
    mine = other.copy()
    mine[np.flatnonzero(other == 0)[:15]] = 1
    found = paired(mine, other, METRICS["accuracy"])
    assert found is not None
    assert found.difference == pytest.approx(0.05)
    assert found.interval[0] > 0
    assert (found.better, found.worse) == (15, 0)
    assert found.p_value < 0.001
    assert verdict(found, 0.02, higher_is_better=True).startswith("Better:")


def test_equal_runs_are_not_worse() -> None:
    rows = flags(*([1] * 80 + [0] * 20))
    found = paired(rows, rows, METRICS["accuracy"])
    assert found is not None
    assert found.interval == (0.0, 0.0)
    assert verdict(found, 0.02, higher_is_better=True).startswith("Not worse:")


def test_a_clear_loss_is_named() -> None:
    found = paired(flags(*([0] * 50 + [1] * 50)), flags(*([1] * 100)), METRICS["accuracy"])
    assert found is not None
    assert verdict(found, 0.02, higher_is_better=True).startswith("Worse by more than the margin:")


def test_too_few_rows_prove_nothing() -> None:
    found = paired(flags(1, 0, 1, 1), flags(1, 1, 1, 0), METRICS["accuracy"])
    assert found is not None
    assert verdict(found, 0.02, higher_is_better=True).startswith("Not shown to be as good:")


def test_where_lower_is_better_a_fall_is_a_gain() -> None:
    slow, fast = np.full((50, 1), 2.0), np.full((50, 1), 1.0)
    found = paired(fast, slow, METRICS["seconds_p50"])
    assert found is not None
    assert (found.better, found.worse) == (50, 0)
    assert verdict(found, 0.02, higher_is_better=False).startswith("Better:")


def test_rows_missing_on_one_side_do_not_take_part() -> None:
    found = paired(flags(1, 1), np.array([[np.nan], [1.0]]), METRICS["accuracy"])
    assert found is not None
    assert found.rows == 1
    assert paired(flags(1), np.array([[np.nan]]), METRICS["accuracy"]) is None
