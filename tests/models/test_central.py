"""The sentences that stand for a text are sentences of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.specialists.central import central

LETTER = (
    "Thank you for your stay at Pension Seeblick. We found a grey scarf in room 12 after your stay. "
    "We keep what was found for 30 days. Regards."
)


def test_the_sentence_with_most_in_common_stands_for_the_text() -> None:
    assert central(LETTER, 1) == "We found a grey scarf in room 12 after your stay."


def test_sentences_keep_their_order() -> None:
    first, second = central(LETTER, 2).split(". ")
    assert LETTER.index(first) < LETTER.index(second)


@given(st.text(max_size=300), st.integers(1, 5))
def test_no_word_is_new(text: str, count: int) -> None:
    assert set(central(text, count).split()) <= set(text.split())


def test_a_text_without_words_has_none() -> None:
    assert central("... !!", 2) == ""
