"""What an answer says to one who has its beginning already."""

from __future__ import annotations

from typing import cast

import numpy as np

from models.backend import Sampling
from models.engine.answering import Answer
from models.engine.constrain import Matcher
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


class Forces:
    """A matcher that leaves no choice: one token after the other, up to `last`."""

    finished = False

    def __init__(self, last: int) -> None:
        self._last = last
        self._next = 0

    def consume(self, token: int) -> None:
        assert token == self._next
        self._next += 1

    def forced(self) -> list[int]:
        return list(range(self._next, self._last))


def test_nothing_is_forced_behind_the_stop_string_of_a_resumed_answer() -> None:
    """It was interrupted between its last piece and the word that this was the last."""
    answer = Answer(1, [1], 20, Sampling(), Words(), TextStream(["CD"]), cast(Matcher, Forces(8)))
    answer.begin((0, 1, 2, 3))
    answer.finish()
    assert (answer.ending, answer.text.text, answer.tokens, answer.owed) == ("stop", "AB", [0, 1, 2, 3], [])
