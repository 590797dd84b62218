"""Fitting a head: multinomial logistic regression, its temperature, and how sure one may be of a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression

from models.heads.head import Head, softmax
from models.types import Digest

Floats = NDArray[np.float32]

TOLERANCE, MAX_ITERATIONS = 1e-5, 300
"""The gradient is averaged over rows: with 150 labels it is below 1e-3 before the first step."""


def fit(
    name: str, inputs: Floats, labels: Sequence[str], encoder: Digest, *, c: float, weights: Floats | None = None
) -> Head:
    """Return a head with temperature 1 and no reject. `c` is the inverse strength of the regularisation."""
    model = LogisticRegression(C=c, max_iter=MAX_ITERATIONS, tol=TOLERANCE)
    model.fit(inputs, np.asarray(labels), sample_weight=weights)
    coefficients, bias = model.coef_.T, model.intercept_
    if len(model.classes_) == 2:  # one column: the second label against the first
        coefficients, bias = np.hstack([-coefficients, coefficients]) / 2, np.concatenate([-bias, bias]) / 2
    return Head(
        name,
        tuple(str(label) for label in model.classes_),
        coefficients.astype(np.float32),
        bias.astype(np.float32),
        1.0,
        0.0,
        encoder,
    )


def logits(head: Head, inputs: Floats) -> Floats:
    values: Floats = inputs @ head.weights + head.bias
    return values


def temperature(held_out: Floats, places: NDArray[np.int64], weights: Floats | None = None) -> float:
    """Return what to divide held-out logits by, so that probabilities match how often they are right."""

    def loss(log_t: float) -> float:
        shares = softmax(held_out / np.float32(np.exp(log_t)))
        return float(-np.average(np.log(shares[np.arange(len(places)), places] + 1e-9), weights=weights))

    return float(np.exp(minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded").x))


def interval(
    figure: Callable[[NDArray[np.int64]], float], rows: int, groups: Sequence[object] | None = None, draws: int = 1000
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a figure of row numbers; rows of one group are drawn together."""
    random = np.random.default_rng(7)
    keys = list(range(rows)) if groups is None else list(groups)
    members: dict[object, list[int]] = {}
    for row, key in enumerate(keys):
        members.setdefault(key, []).append(row)
    clusters = [np.array(rows_of) for rows_of in members.values()]
    values: list[float] = []
    for _ in range(draws):
        drawn = random.integers(0, len(clusters), len(clusters))
        values.append(figure(np.concatenate([clusters[i] for i in drawn])))
    return float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))


def measured(
    figure: Callable[[NDArray[np.int64]], float], rows: int, groups: Sequence[object] | None = None
) -> dict[str, object]:
    """Return a figure with its interval, as a head's `.json` holds it."""
    low, high = interval(figure, rows, groups)
    return {
        "value": round(figure(np.arange(rows)), 4),
        "interval": [round(low, 4), round(high, 4)],
        "rows": rows,
    }
