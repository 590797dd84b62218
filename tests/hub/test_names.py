"""Names that were found beforehand: only for the very texts that were read."""

from __future__ import annotations

import pytest

from hub.errors import NamesNotSought
from hub.names import told
from hub.redact import redact
from hub.spans import Kind, Span

TEXT = "Tell Marta Lindqvist in Ashbourne."
OUTPUT = [
    {"type": "person", "start": 5, "end": 20, "text": "Marta Lindqvist", "score": 0.9},
    {"type": "place", "start": 24, "end": 33, "text": "Ashbourne", "score": 0.8},
]


def test_what_the_specialist_told_is_hidden() -> None:
    finder = told(TEXT, [dict(one) for one in OUTPUT])
    assert list(finder.find(TEXT)) == [Span(Kind.PERSON, 5, 20, sure=False), Span(Kind.PLACE, 24, 33, sure=False)]
    assert redact(TEXT, names=finder).text == "Tell [PERSON_1] in [PLACE_1]."


def test_text_that_nobody_read_is_not_let_through() -> None:
    with pytest.raises(NamesNotSought, match="stays here"):
        redact("Another text about Marta Lindqvist.", names=told(TEXT, []))


def test_empty_text_has_no_names() -> None:
    assert told(TEXT, []).find(" ") == ()
