"""When a question can't be answered from a text with hidden pieces, the owner is told before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hub.meaning import meaning_lost
from hub.redact import redact
from hub.spans import Kind, Span


class Names:
    def find(self, text: str) -> Sequence[Span]:
        known = {"Marta": Kind.PERSON, "Lisbon": Kind.PLACE, "Porto": Kind.PLACE}
        return [Span(k, text.index(n), text.index(n) + len(n), sure=False) for n, k in known.items() if n in text]


LOST = [
    ("How old is she? She was born on 12/3/1990.", "date"),
    ("How far is it from Lisbon to Porto?", "place"),
    ("What is the weather like in Lisbon?", "place"),
    ("Who is Marta?", "name"),
    ("Is 4111 1111 1111 1111 a valid card number?", "card number"),
    ("How many letters has Marta?", "name"),
    ("Is Marta older than 85 years? She is an 84 year old.", "age"),
    ("Which dishes are typical for a Danish dinner tradition?", "nationality"),
]
KEPT = [
    "Write a friendly letter to Marta that says thank you.",
    "Make this shorter: I met Marta in Lisbon and she gave me a book.",
    "Translate into German: please ring 780-999-2181.",
    "What is the weather usually like in spring?",
]


@pytest.mark.parametrize(("question", "word"), LOST)
def test_question_about_a_hidden_piece_is_noticed(question: str, word: str) -> None:
    reason = meaning_lost(question, redact(question, names=Names()))
    assert reason is not None
    assert f"the {word} " in reason
    assert "on this device" in reason


@pytest.mark.parametrize("question", KEPT)
def test_question_that_only_carries_the_piece_is_fine(question: str) -> None:
    assert meaning_lost(question, redact(question, names=Names())) is None
