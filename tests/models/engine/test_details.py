"""What is told of each token goes with the piece of text that the token is in, however the pieces fall."""

from __future__ import annotations

import math
from itertools import takewhile
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.backend import Sampling, TokenDetail
from models.engine.answering import Answer
from models.engine.text import TextStream
from tests.models.engine.scripted_library import END, VOCABULARY, Words


class Bytes(Words):
    """Tokens of any text: what is told of a token must not depend on where its characters end."""

    def __init__(self, *pieces: bytes) -> None:
        super().__init__()
        self._pieces = pieces

    def piece(self, token: int) -> bytes:
        return self._pieces[token]


class Spells:
    """A matcher that wants these tokens, and has the model asked at these places only."""

    def __init__(self, tokens: list[int], asked: set[int]) -> None:
        self._tokens = tokens
        self._asked = asked
        self._place = 0

    @property
    def finished(self) -> bool:
        return self._place == len(self._tokens)

    def allowed(self) -> NDArray[np.bool_]:
        allowed = np.zeros(VOCABULARY, dtype=np.bool_)
        allowed[self._tokens[self._place]] = True
        return allowed

    def consume(self, token: int) -> None:
        assert token == self._tokens[self._place]
        self._place += 1

    def forced(self) -> list[int]:
        run = takewhile(lambda place: place not in self._asked, range(self._place, len(self._tokens)))
        return [self._tokens[place] for place in run]


def row(token: int, share: float = 0.75) -> NDArray[np.float32]:
    """Logits that give one token this share, and what is left to all others alike."""
    rest = (1 - share) / (VOCABULARY - 1)
    logits = np.full(VOCABULARY, math.log(rest), dtype=np.float32)
    logits[token] = math.log(share)
    return logits


def answer(vocabulary: Words, *, stop: tuple[str, ...] = (), resumed: tuple[int, ...] = (), **more: Any) -> Answer:
    begun = Answer(1, [1], 20, Sampling(), vocabulary, TextStream(stop), details=[], **more)
    begun.begin(resumed)
    return begun


def told(of: Answer) -> tuple[str, list[TokenDetail]]:
    piece = of.take_owed()
    if piece is None:
        return "", []
    details = of.details_of(piece)
    assert len(details) == len(piece.token_ids)
    return piece.text, details


def probabilities(details: list[TokenDetail]) -> list[float | None]:
    return [None if each.signal is None else round(math.exp(each.signal.logprob), 3) for each in details]


def test_each_token_has_what_its_own_row_said() -> None:
    running = answer(Words())
    for token, share in ((7, 0.9), (3, 0.5), (9, 0.25)):
        running.feed(row(token, share))
    text, details = told(running)
    assert text == "HDJ"
    assert [each.data for each in details] == [b"H", b"D", b"J"]
    assert probabilities(details) == [0.9, 0.5, 0.25]
    assert sum(each.signal.logprob for each in details if each.signal) == pytest.approx(
        running.signals.signals().mean_logprob * 3
    )


def test_pieces_that_are_shown_one_by_one_share_the_details_out() -> None:
    running = answer(Words())
    shares = []
    for token, share in ((7, 0.9), (3, 0.5), (9, 0.25)):
        running.feed(row(token, share))
        shares += probabilities(told(running)[1])
    assert shares == [0.9, 0.5, 0.25]


def test_tokens_of_one_character_are_told_with_the_character() -> None:
    euro = "€".encode()
    running = answer(Bytes(b"a", euro[:1], euro[1:]))
    for token in (0, 1):
        running.feed(row(token))
    assert told(running)[0] == "a"
    running.feed(row(2))
    text, details = told(running)
    assert (text, b"".join(each.data for each in details)) == ("€", euro)


def test_tokens_that_a_stop_string_swallows_are_not_told() -> None:
    running = answer(Bytes(b"one E", b"N", b"D two"), stop=("END",))
    for token in (0, 1, 2):
        running.feed(row(token))
    running.finish()
    text, details = told(running)
    assert running.ending == "stop"
    assert (text, [each.data for each in details]) == ("one ", [b"one E"])


def test_what_only_began_like_a_stop_string_is_told_in_the_end() -> None:
    running = answer(Bytes(b"one E", b"N"), stop=("END",))
    running.feed(row(0))
    first = told(running)
    running.feed(row(1))
    running.feed(row(END))
    running.finish()
    last = told(running)
    assert first[0] + last[0] == "one EN"
    assert [each.data for each in first[1] + last[1]] == [b"one E", b"N"]


def test_the_end_token_is_not_part_of_the_text_and_is_not_told() -> None:
    running = answer(Words())
    running.feed(row(7))
    running.feed(row(END))
    assert running.ending == "stop"
    assert [each.data for each in told(running)[1]] == [b"H"]


def test_resumed_tokens_are_not_told_again_and_the_next_ones_keep_their_own() -> None:
    running = answer(Words(), resumed=(7, 3))
    running.feed(row(9, 0.25))
    text, details = told(running)
    assert (text, probabilities(details)) == ("J", [0.25])


@pytest.mark.parametrize("resumed", [(), (2,), (2, 3)])
def test_a_token_that_the_constraint_forced_says_that_nobody_asked_the_model(resumed: tuple[int, ...]) -> None:
    running = answer(Words(), resumed=resumed, matcher=Spells([2, 3, 4, 5, 6, 8], {2, 5}))
    while running.ending is None:
        running.feed(row(4, 0.5))
    text, details = told(running)
    missing = "CDEFGI"[len(resumed) :]
    assert text == missing
    asked = [(each.data.decode(), each.signal is not None) for each in details]
    assert asked == [(letter, letter in "EI") for letter in missing]
    signals = {each.data: each.signal for each in details if each.signal}
    assert signals[b"E"].feasible_mass == pytest.approx(0.5)
    assert signals[b"E"].margin == math.inf
    assert signals[b"I"].feasible_mass < 0.01


def test_the_likeliest_tokens_are_told_best_first_allowed_or_not() -> None:
    running = answer(Words(), matcher=Spells([3, 4], {0, 1}), alternatives=3)
    logits = row(7, 0.5)
    logits[3] = math.log(0.2)
    running.feed(logits)
    (detail,) = told(running)[1]
    assert detail.data == b"D"
    assert [text for text, _ in detail.likeliest][:2] == [b"H", b"D"]
    assert len(detail.likeliest) == 3
    assert detail.signal is not None and detail.likeliest[1][1] == detail.signal.logprob


def test_who_does_not_ask_gets_text_alone() -> None:
    running = Answer(1, [1], 20, Sampling(), Words(), TextStream())
    running.begin(())
    running.feed(row(7))
    assert running.details is None
