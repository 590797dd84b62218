"""Figures of a quantized model against the one it was made from."""

from __future__ import annotations

import numpy as np
import pytest

from models.fidelity import Fidelity, compare

LOGITS = np.array([[2, 1], [0, 3], [1, 0], [0, 1]], dtype=np.float32)
OTHER = np.array([[2, 1], [0, 3], [1, 2], [0, 1]], dtype=np.float32)
VECTORS = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]], dtype=np.float32)


def test_labels_are_compared_and_counted_against_the_right_ones() -> None:
    assert compare("classifier", LOGITS, OTHER) == Fidelity(4, 0.75)
    assert compare("classifier", LOGITS, OTHER, [0, 1, 0, 0]) == Fidelity(4, 0.75, 0.75, 0.5)
    assert compare("tagger", LOGITS, LOGITS, [0, 1, 0, 0]) == Fidelity(4, 1.0)


def test_vectors_are_compared_by_their_nearest_neighbours() -> None:
    assert compare("encoder", VECTORS, VECTORS, [5, 5, 7, 7]) == Fidelity(4, 1.0, 1.0, 1.0)
    assert compare("encoder", VECTORS, VECTORS[[0, 2, 1, 3]]).agreement < 1


def test_passages_are_compared_by_their_order() -> None:
    scores = np.array([[0.1], [0.5], [0.3]], dtype=np.float32)
    assert compare("reranker", scores, scores + 0.1).agreement == 1.0
    assert compare("reranker", scores, -scores).agreement == 0.0


@pytest.mark.parametrize(("agreement", "faithful"), [(1.0, True), (0.95, True), (0.94, False)])
def test_large_difference_is_named(agreement: float, faithful: bool) -> None:
    assert Fidelity(100, agreement).faithful is faithful
