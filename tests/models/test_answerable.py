"""What the head for `is the answer in this text` promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.heads import answerable, head
from models.heads.answerable import Scored, chance, inputs
from models.passages import statements
from models.pool import ModelPool
from models.store import Store
from models.types import Digest

WIDTH = inputs("Who?", ["Ada."], [0.5], 0.5).shape[1]


def toy() -> head.Head:
    """Looks at the best score only."""
    weights = np.zeros((WIDTH, 2), dtype=np.float32)
    weights[0] = [-1, 1]
    return head.Head("answerable", ("no", "yes"), weights, np.zeros(2, np.float32), 1.0, 0.5, Digest("0" * 64))


@pytest.mark.parametrize("scores", [[0.0], [1.0], [0.0, 1.0, 0.5], [float(np.float32(1e-9))]])
def test_every_score_gives_finite_numbers(scores: list[float]) -> None:
    row = inputs("How long did it take?", ["2 hours"] * len(scores), scores, scores[0])
    assert row.shape == (1, WIDTH)
    assert np.isfinite(row).all()


def test_kind_of_answer_that_is_asked_for_is_looked_for() -> None:
    asked = "How long did the work take?"
    with_time, without = inputs(asked, ["Labour, 2 hours"], [0.5], 0.5), inputs(asked, ["Labour, cheap"], [0.5], 0.5)
    assert not np.array_equal(with_time, without)
    assert np.array_equal(inputs("Name it", ["a"], [0.5], 0.5), inputs("Name it", ["a"], [0.5], 0.5))


def test_best_passage_counts() -> None:
    poor, good = Scored(["x"], [0.01], 0.01), Scored(["y"], [0.9], 0.9)
    assert chance(toy(), "q", [poor, good]) == chance(toy(), "q", [good]) > 0.5 > chance(toy(), "q", [poor])


def test_nothing_to_read_answers_nothing() -> None:
    assert chance(toy(), "q", []) == 0.0


def test_shipped_head_fits_the_numbers_it_is_given() -> None:
    known = head.load(answerable.HEAD)
    assert known.weights.shape == (WIDTH, 2)
    assert set(known.labels) == {"yes", "no"}
    assert 0 < known.reject < 1


BILL = "Meyer Plumbing\n\nReplace kitchen tap   95.00\nLabour, 2 hours   120.00\nVAT 20%   43.00\nTotal due   258.00"
ASKED = [
    ("How long did the work take?", True),
    ("How much is the VAT?", True),
    ("How many hours did they work?", True),
    ("When is the flight?", False),
    ("Who is the president of France?", False),
    ("What is the phone number?", False),
    ("Who baked the bread?", False),
]


@pytest.mark.real
async def test_real_reranker_and_head_tell_what_a_bill_answers(models_home: Path) -> None:
    known = head.load(answerable.HEAD)
    pieces = [span.text for span in statements(BILL)]
    pool = ModelPool(Store(models_home / "models"), budget_bytes=1 << 30, threads=2)
    try:
        async with pool.reranker(["reranker-en"]) as reranker:
            head.require_encoder(known.name, known.encoder, reranker)
            for question, answered in ASKED:
                *scores, whole = [float(score) for score in await reranker.scores(question, [*pieces, BILL])]
                found = chance(known, question, [Scored(pieces, scores, whole)])
                assert (found >= known.reject) == answered, (question, found)
    finally:
        await pool.close()
