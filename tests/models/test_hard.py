"""What the head for `needs deep reasoning` promises."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from models.heads import hard, head
from models.heads.hard import HARD, clues, inputs
from models.pool import ModelPool
from models.store import Store


@pytest.mark.parametrize("text", ["", " ", "a", "1", "x" * 100_000, "\n" * 50, "What is 3% of $5?"])
def test_every_text_has_finite_clues(text: str) -> None:
    assert len(clues(text)) == len(clues(""))
    assert np.isfinite(clues(text)).all()


def test_numbers_and_relations_are_noticed() -> None:
    plain, sums = (
        clues("Tell me about cats."),
        clues("If each of 3 cats eats twice as much as 4 mice, how much is left?"),
    )
    assert sums != plain
    assert sums[1] > plain[1]


def test_shipped_head_fits_its_inputs_and_says_where_it_is_weak() -> None:
    known = head.load(hard.HEAD)
    assert known.weights.shape == (384 + len(clues("")), 2)
    assert set(known.labels) == {"0", "1"}
    about = json.loads((head.FOLDER / "hard.json").read_text(encoding="utf-8"))
    figures = about["measured"]
    for name in ("gsm8k", "mmlu", "routing_llms"):
        assert {f"{name}_{way}_auroc" for way in ("head", "knn", "length")} <= set(figures)
        assert f"On {name} the head is " in about["notes"]
        assert figures[f"{name}_head_auroc"]["value"] > 0.5


@pytest.mark.real
async def test_real_encoder_and_head_give_a_probability(models_home: Path) -> None:
    known = head.load(hard.HEAD)
    texts = [
        "Thanks!",
        "A train leaves at 3 with half of its 40 seats taken; each stop doubles the free ones. When is it empty?",
    ]
    pool = ModelPool(Store(models_home / "models"), budget_bytes=1 << 30, threads=2)
    try:
        async with pool.encoder(["bge-small-en"]) as encoder:
            known.require(encoder)
            shares = known.probabilities(inputs(texts, await encoder.encode(texts)))
    finally:
        await pool.close()
    assert np.allclose(shares.sum(axis=1), 1.0, atol=1e-5)
    assert 0 < shares[:, known.labels.index(HARD)].min()
