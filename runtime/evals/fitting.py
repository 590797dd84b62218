"""Fits multinomial logistic regression over vectors and hashed words; the loss is scikit-learn's, the search scipy's.

A text fills some twenty of thousands of word places, so the words stay sparse beside the dense vectors:
fifteen thousand texts of 150 labels take about a minute, and a gigabyte less than as one table.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_array

from models.heads import wording
from models.heads.head import Head, softmax
from models.types import Digest

Floats = NDArray[np.float32]

MAX_STEPS = 200
"""Of L-BFGS; the slopes of all shipped heads are flat before."""
FLAT = 1e-6
"""Largest slope left; the loss is a mean over rows, so this is far below what any probability shows."""


def fit(
    name: str,
    vectors: Floats,
    texts: Sequence[str],
    labels: Sequence[str],
    encoder: Digest,
    *,
    c: float,
    places: int = 0,
    word_weight: float = 0.0,
    row_weights: Floats | None = None,
) -> Head:
    """Return a head with temperature 1 and no reject; `c` is the inverse strength of the regularisation.

    `places` are those for hashed words; 0 reads the vectors only. `row_weights`: how much each row counts, else 1.
    """
    names = sorted(set(labels))
    targets = np.array([names.index(label) for label in labels])
    seen = sparse(texts, places, word_weight) if places else None
    counts = np.ones(len(labels), dtype=np.float32) if row_weights is None else row_weights
    weights, bias = _fitted(vectors, seen, targets, len(names), c, counts)
    return Head(name, tuple(names), weights, bias, 1.0, 0.0, encoder, places, word_weight)


def sparse(texts: Sequence[str], size: int, weight: float) -> csr_array:
    """Return what `wording.hashed` gives, times the weight, without its zeros."""
    found = [wording.places(text, size) for text in texts]
    values = np.array([value for row in found for value in row.values()], dtype=np.float32) * np.float32(weight)
    columns = np.array([place for row in found for place in row], dtype=np.int32)
    starts = np.cumsum([0, *(len(row) for row in found)])
    return csr_array((values, columns, starts), shape=(len(texts), size))


def _fitted(
    vectors: Floats, seen: csr_array | None, targets: NDArray[np.int64], labels: int, c: float, counts: Floats
) -> tuple[Floats, Floats]:
    middle = vectors.mean(axis=0)
    centred = vectors - middle  # what all texts share tells nothing, and would slow the search down
    rows, width = centred.shape
    size = 0 if seen is None else int(seen.shape[1])
    wanted = np.eye(labels, dtype=np.float32)[targets]

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        table = flat.reshape(width + size + 1, labels).astype(np.float32)
        logits = centred @ table[:width] + table[-1]
        if seen is not None:
            logits += seen @ table[width:-1]
        shares = softmax(logits)
        errors = (shares - wanted) * (counts / np.float32(rows))[:, None]
        parts = [centred.T @ errors, *([] if seen is None else [seen.T @ errors]), errors.sum(axis=0, keepdims=True)]
        slopes = np.vstack(parts)
        slopes[:-1] += table[:-1] / np.float32(c * rows)
        surprise = -(counts * np.log(shares[np.arange(rows), targets] + 1e-12)).mean(dtype=np.float64)
        penalty = float((table[:-1] ** 2).sum(dtype=np.float64)) / (2 * c * rows)
        return float(surprise) + penalty, slopes.astype(np.float64).ravel()

    start = np.zeros((width + size + 1) * labels)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": MAX_STEPS, "gtol": FLAT})
    table = found.x.reshape(width + size + 1, labels)
    kept = table[:-1].astype(np.float16)  # as a file keeps them, so that figures are of what is shipped
    return kept.astype(np.float32), (table[-1] - middle @ table[:width]).astype(np.float32)
