"""Words of a text as numbers for a tagger: what an encoder makes of each and its neighbours, and clues of its shape."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.backend import TokenStates

Floats = NDArray[np.float32]

PIECE_CHARS = 400
"""Texts are read in pieces of about this length, cut between lines and sentences, so that no name lies on a seam."""
SHAPE_WEIGHT = 0.5
"""Of a clue about a word's shape against the numbers of its unit vector."""
MOST_TOKENS, MOST_CHARS = 6, 15
"""Of a word; more says nothing new."""

_WORD = re.compile(r"[^\W_]+(?:['’.&-][^\W_]+)*")
_POSSESSIVE = ("'s", "’s")
_PIECE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_TITLE = frozenset("mr mrs ms miss dr prof professor sir madam lady lord herr frau uncle aunt dear hi hello".split())
_WHERE = frozenset("in at from to near via toward towards around outside inside leaving visiting".split())
_STREET = frozenset(
    "street st road rd avenue ave lane ln drive dr boulevard blvd square way court ct place pl highway hwy apt suite "
    "unit box strasse straße platz rue via calle".split()
)
_FIRM = frozenset("inc ltd llc corp co company group bank university gmbh ag plc association institute".split())
_SAYS_NAME = frozenset("name named called is am by with for and from contact regards sincerely signed".split())


@dataclass(frozen=True, slots=True)
class Word:
    """text[start:end], without a possessive at its end."""

    text: str
    start: int
    end: int


def pieces(text: str) -> Iterator[tuple[int, str]]:
    """Yield (place, piece): whole lines and sentences, as many together as PIECE_CHARS allows."""
    start = 0
    last = 0
    for end in [*(found.end() for found in _PIECE_END.finditer(text)), len(text)]:
        if end - start > PIECE_CHARS and last > start:
            yield start, text[start:last]
            start = last
        last = end
    if start < len(text):
        yield start, text[start:]


def words_in(text: str) -> list[Word]:
    """Return the words of a text in order.

    >>> [word.text for word in words_in("Ada's tea-pot, Inc.")]
    ['Ada', 'tea-pot', 'Inc']
    """
    return [_word(found[0], found.start()) for found in _WORD.finditer(text)]


def _word(text: str, start: int) -> Word:
    bare = text[:-2] if text.endswith(_POSSESSIVE) and len(text) > 2 else text
    return Word(bare, start, start + len(bare))


def inputs(text: str, words: Sequence[Word], tokens: TokenStates) -> Floats:
    """Return one row for each word: the unit states of it and of both neighbours, then clues about its shape."""
    places = np.array(tokens.offsets).reshape(-1, 2)
    own = np.zeros((len(words), tokens.states.shape[1]), dtype=np.float32)
    counts = np.zeros((len(words), 1), dtype=np.float32)
    for row, word in enumerate(words):
        of_word = (places[:, 0] < word.end) & (places[:, 1] > word.start)
        if of_word.any():
            own[row] = tokens.states[of_word].mean(axis=0)
            counts[row] = min(int(of_word.sum()), MOST_TOKENS) / MOST_TOKENS
    own /= np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-6)
    none = np.zeros_like(own[:1])
    before, after = np.vstack([none, own[:-1]]), np.vstack([own[1:], none])
    clues = np.array(shapes(text, words), dtype=np.float32) * np.float32(SHAPE_WEIGHT)
    return np.hstack([own, before, after, clues, counts])


def shapes(text: str, words: Sequence[Word]) -> list[list[float]]:
    """Return clues about each word: its casing and digits, what stands around it, and what its neighbours are."""
    cased = any(word.text[:1].islower() for word in words)
    return [
        [
            float(cased and word.text[:1].isupper()),
            float(cased and word.text[:1].isupper() and at > 0),
            float(cased and len(word.text) > 1 and word.text.isupper()),
            float(any(character.isdigit() for character in word.text)),
            float(word.text.isdigit()),
            float(len(word.text) == 1),
            *_clues(_at(words, at - 1), cased),
            *_clues(_at(words, at + 1), cased),
            float(_at(words, at - 2).lower() in _TITLE),
            float(not cased),
            *_around(text, word),
        ]
        for at, word in enumerate(words)
    ]


def _around(text: str, word: Word) -> list[float]:
    """Return clues about the signs beside a word and inside it."""
    before, after = text[max(0, word.start - 2) : word.start], text[word.end : word.end + 2]
    return [
        float(word.start == 0 or "\n" in before),
        float(":" in before),
        float('"' in before),
        float(before[:1] == ","),
        float(after[:1] == ","),
        float(after[:1] == "."),
        float(after in _POSSESSIVE),
        float("-" in word.text),
        float(not word.text.isascii()),
        min(len(word.text), MOST_CHARS) / MOST_CHARS,
    ]


def _clues(word: str, cased: bool) -> list[float]:
    """Return clues about a neighbouring word."""
    small = word.lower().rstrip(".")
    return [
        float(not word),
        float(cased and word[:1].isupper()),
        float(any(character.isdigit() for character in word)),
        float(small in _TITLE),
        float(small in _WHERE),
        float(small in _STREET),
        float(small in _FIRM),
        float(small in _SAYS_NAME),
    ]


def _at(words: Sequence[Word], place: int) -> str:
    return words[place].text if 0 <= place < len(words) else ""
