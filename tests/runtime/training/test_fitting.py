"""The fit of a classifier from vectors, and how good it is said to be."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.training.fitting import best_temperature, fit
from runtime.training.measuring import doubling_gain, folds_of, macro_f1, measure


def clusters(rows: int, spread: float, labels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    places = np.arange(rows) % labels
    vectors = np.eye(labels, 32)[places] + spread * random.normal(size=(rows, 32))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), places


def test_the_fit_finds_what_scikit_learn_finds() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    vectors, places = clusters(300, 0.4)
    ours = fit(vectors[:200], places[:200], 3).logits(vectors[200:])
    theirs = linear.LogisticRegression(C=30.0, max_iter=500).fit(vectors[:200], places[:200])
    shares = np.exp(ours) / np.exp(ours).sum(axis=1, keepdims=True)
    assert np.abs(shares - theirs.predict_proba(vectors[200:])).max() < 0.05
    assert (ours.argmax(axis=1) == theirs.predict(vectors[200:])).mean() >= 0.97


def test_chance_labels_are_measured_as_chance_and_clear_ones_as_clear() -> None:
    vectors, places = clusters(150, 0.1)
    clear = measure(vectors, places, ["a", "b", "c"])
    shuffled = measure(vectors, np.random.default_rng(0).permutation(places), ["a", "b", "c"])
    assert clear.accuracy.value == 1.0
    assert clear.weakest == () and clear.confused == ()
    assert shuffled.accuracy.value is not None and shuffled.accuracy.interval is not None
    assert abs(shuffled.accuracy.value - 1 / 3) < 0.15
    low, high = shuffled.accuracy.interval
    assert low < shuffled.accuracy.value < high
    assert sum(one.count for one in shuffled.confused) > 0


def test_every_label_is_spread_over_all_folds() -> None:
    places = np.array([0] * 50 + [1] * 10 + [2] * 5)
    folds = folds_of(places)
    for place in range(3):
        counts = np.bincount(folds[places == place], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_macro_f1_counts_every_label_alike() -> None:
    pairs = np.array([[0, 0]] * 8 + [[1, 0]] * 2, dtype=np.float64)
    assert macro_f1(pairs) == pytest.approx((2 * 8 / 18 + 0) / 2)


def test_gain_of_twice_as_many_rows_follows_the_curve() -> None:
    falling = [(100, 1 - 0.4), (200, 1 - 0.2), (400, 1 - 0.1)]
    assert doubling_gain(falling) == pytest.approx(0.05, abs=1e-6)
    assert doubling_gain([(10, 0.8), (20, 0.8), (40, 0.8)]) == pytest.approx(0, abs=1e-9)
    assert doubling_gain([(10, 0.9), (20, 0.8)]) == 0
    assert doubling_gain([(10, 0.9), (20, 1.0)]) == 0


def test_few_rows_without_a_mistake_do_not_make_it_certain() -> None:
    logits = np.array([[2.0, 0.0]] * 8, dtype=np.float32)
    few = best_temperature(logits, np.zeros(8, dtype=np.int64))
    many = best_temperature(np.repeat(logits, 50, axis=0), np.zeros(400, dtype=np.int64))
    assert few > many
