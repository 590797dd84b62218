"""What an answer says to one who has its beginning already."""

from __future__ import annotations

import numpy as np

from models.backend import Sampling
from models.engine.answering import Answer
from models.engine.text import TextStream
from tests.models.engine.scripted_library import VOCABULARY, Words


def test_what_was_held_back_of_a_resumed_answer_is_said_once() -> None:
    """`AE` may have begun the stop string, and was not shown; the next token tells that it did not."""
    answer = Answer(1, [1], 20, Sampling(), Words(), TextStream(["END"]))
    answer.begin((0, 4))
    assert answer.before == "A"
    logits = np.zeros(VOCABULARY, dtype=np.float32)
    logits[23] = 9.0
    answer.feed(logits)
    piece = answer.take_owed()
    assert piece is not None and (piece.text, piece.index) == ("EX", 2)
    assert answer.before + piece.text == answer.text.text == "AEX"
