"""Where a hub's answer stands in the documents: only words that say more than the question count."""

from __future__ import annotations

import pytest

from hub.quotes import quotes
from models.types import Json

TEXT = "The treaty was signed in 1648 in Münster. It ended a war of thirty years."
QUESTION = "When was the treaty signed?"


def quoted(answer: str, *texts: str) -> list[str]:
    documents: list[Json] = [{"name": f"{n}", "text": text} for n, text in enumerate(texts or (TEXT,))]
    found = quotes(answer, {"question": QUESTION, "documents": documents})
    for one in found:
        assert (texts or (TEXT,))[int(one.source)][one.start : one.end] == one.quote
    return [one.quote for one in found]


@pytest.mark.parametrize(
    ("answer", "quote"),
    [
        ("1648", ["1648"]),
        ("The treaty was signed in 1648.", ["The treaty was signed in 1648"]),
        ("THE TREATY ended a war of Thirty Years, that much is known.", ["ended a war of thirty years"]),
        ("In münster!", ["in Münster"]),
        ("The treaty was signed.", []),
        ("It was in 1789.", []),
        ("The text does not say.", []),
        ("", []),
    ],
)
def test_a_quote_is_in_the_text_and_says_more_than_the_question(answer: str, quote: list[str]) -> None:
    assert quoted(answer) == quote


def test_each_document_that_holds_it_is_quoted() -> None:
    assert quoted("in 1648", TEXT, "Nothing here.", "Peace came in 1648.") == ["in 1648", "in 1648"]


def test_the_most_repetitive_answer_and_text_take_seconds_at_most() -> None:
    """A hub is not trusted; what it says must not hold this device up."""
    assert quoted("a b " * 100_000, "a b " * 100_000)
