"""Where the words of a hub's answer stand in the documents that it was about. Pure.

A hub is asked for an answer, not for quotes; without one, nobody can look up what it is from. Only words that the
question does not have already count: to say the question back is no evidence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from models.passages import terms
from models.types import Evidence, Json

MOST_CHARS = 50_000
"""Of a document that is compared: a hub of the usual size reads no more at once."""
ANSWER_CHARS = 2_000
"""Of an answer: 512 tokens. Both bounds hold the work under two seconds for the most repetitive texts there are."""
_WORD = re.compile(r"\w+")

Words = list[tuple[str, int, int]]
"""Each word in small letters, with its place."""


def quotes(answer: str, given: Mapping[str, Json]) -> tuple[Evidence, ...]:
    """Return the longest run of the answer's words in each document that says something the question does not.

    >>> quotes("It was in 1969.", {"question": "When?", "documents": [{"name": "a", "text": "In 1969 they landed."}]})
    (Evidence(source='a', start=0, end=7, quote='In 1969'),)
    """
    asked = set(terms(str(given.get("question", ""))))
    found = []
    for name, text in _documents(given):
        run = _longest(_words(answer[:ANSWER_CHARS]), _words(text[:MOST_CHARS]), asked)
        if run is not None:
            found.append(Evidence(name, *run, text[slice(*run)]))
    return tuple(found)


def _longest(said: Words, text: Words, asked: set[str]) -> tuple[int, int] | None:
    """Return the place in the text of the longest run of words that both have and that is news."""
    places: dict[str, list[int]] = {}
    for at, (word, _, _) in enumerate(text):
        places.setdefault(word, []).append(at)
    best, length = None, 0
    for begin in range(len(said)):
        for at in places.get(said[begin][0], ()):
            if begin and at and said[begin - 1][0] == text[at - 1][0]:
                continue  # part of a longer run that was looked at already
            size = _common(said, begin, text, at)
            if size > length and _is_news([word for word, _, _ in text[at : at + size]], asked):
                best, length = (text[at][1], text[at + size - 1][2]), size
    return best


def _common(said: Words, begin: int, text: Words, at: int) -> int:
    size = 0
    while begin + size < len(said) and at + size < len(text) and said[begin + size][0] == text[at + size][0]:
        size += 1
    return size


def _is_news(words: Sequence[str], asked: set[str]) -> bool:
    return bool(set(terms(" ".join(words))) - asked)


def _words(text: str) -> Words:
    return [(found[0].casefold(), found.start(), found.end()) for found in _WORD.finditer(text)]


def _documents(given: Mapping[str, Json]) -> list[tuple[str, str]]:
    documents = given.get("documents")
    parts = documents if isinstance(documents, list) else []
    return [(str(part["name"]), str(part["text"])) for part in parts if isinstance(part, dict)]
