"""What the fit over vectors and words promises: scikit-learn's own answer, and that words can decide."""

from __future__ import annotations

import numpy as np
import pytest

from models.heads import wording
from models.types import Digest

pytest.importorskip("scipy")

from runtime.evals import fitting

ENCODER = Digest("e" * 64)


def made_up(rows: int, *, seed: int = 0) -> tuple[fitting.Floats, list[str], list[str]]:
    """Vectors that tell a from b, and texts in which one word tells c from b."""
    draw = np.random.default_rng(seed)
    labels = [draw.choice(["a", "b", "c"]) for _ in range(rows)]
    middles = {"a": [1, 0, 0], "b": [0, 1, 0], "c": [0, 1, 0]}
    vectors = np.array([middles[label] for label in labels]) + draw.normal(0, 0.2, (rows, 3))
    texts = [f"please {'stop' if label == 'c' else 'go'} now {draw.integers(9)}" for label in labels]
    return vectors.astype(np.float32), texts, labels


def test_without_words_it_is_logistic_regression() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    vectors, texts, labels = made_up(300)
    counts = np.linspace(0.5, 2.0, 300).astype(np.float32)
    found = fitting.fit("toy", vectors, texts, labels, ENCODER, c=5.0, row_weights=counts)
    model = linear_model.LogisticRegression(C=5.0, max_iter=1000, tol=1e-8).fit(vectors, labels, sample_weight=counts)
    assert found.labels == tuple(model.classes_)
    assert np.abs(found.probabilities(vectors) - model.predict_proba(vectors)).max() < 0.005


def test_words_decide_where_vectors_are_alike() -> None:
    fitted = fitting.fit("toy", *made_up(300), ENCODER, c=10.0, places=256, word_weight=0.7)
    vectors, texts, labels = made_up(200, seed=1)
    right = np.array(fitted.labels)[fitted.probabilities(fitted.inputs(vectors, texts)).argmax(axis=1)] == labels
    assert right.mean() > 0.97
    assert (fitted.words, fitted.word_weight) == (256, 0.7)


def test_weights_are_those_that_a_file_keeps() -> None:
    weights = fitting.fit("toy", *made_up(60), ENCODER, c=1.0, places=32, word_weight=0.5).weights
    assert np.array_equal(weights, weights.astype(np.float16).astype(np.float32))


def test_sparse_words_are_the_dense_ones() -> None:
    texts = ["turn it on", "", "turn it off"]
    assert np.allclose(fitting.sparse(texts, 64, 0.5).toarray(), wording.hashed(texts, 64) * 0.5)
