"""Finds names of people, places, addresses and organisations in a text, word by word, with a fitted head.

It finds what it was fitted to find: most names, not all. A redaction built on it needs the exact rules
for numbers beside it, and an owner who is shown what will leave.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from models.backend import Encoder
from models.heads.head import Head

if TYPE_CHECKING:  # the backend needs onnxruntime, which this module does not
    from models.backends.onnx import TokenStates

Floats = NDArray[np.float32]

HEAD = "names"
NOTHING = "none"
"""The head's label for words that are no name."""
PIECE_CHARS = 400
"""Texts are read in pieces of about this length, cut between lines and sentences, so that no name lies on a seam."""
SHAPE_WEIGHT = 0.5
"""Of a clue about a word's shape against the numbers of its unit vector."""

_WORD = re.compile(r"[^\W_]+(?:['’.&-][^\W_]+)*")
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
class Span:
    """One name in a text."""

    kind: str
    """`person`, `place`, `address` or `organization`."""
    start: int
    end: int
    """Characters: the name is text[start:end]."""
    probability: float
    """Smallest probability of its words that they belong to some name."""


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    start: int
    end: int


class TokenEncoder(Encoder, Protocol):
    """An encoder that also tells what it makes of each token."""

    async def states(self, text: str) -> TokenStates: ...


async def find(text: str, encoder: TokenEncoder, head: Head) -> list[Span]:
    """Return the names in a text, in order; `head.reject` is the least probability. Raises BadArtifact, InputError."""
    head.require(encoder)
    found: list[Span] = []
    for start, piece in pieces(text):
        words = words_in(piece)
        if words:
            chances = head.probabilities(inputs(words, await encoder.states(piece)))
            found += [
                Span(span.kind, span.start + start, span.end + start, span.probability)
                for span in join(piece, words, chances, head)
            ]
    return found


def join(text: str, words: Sequence[Word], chances: Floats, head: Head) -> Iterator[Span]:
    """Yield one span for each run of neighbouring words that are names of one kind."""
    none = head.labels.index(NOTHING)
    kinds = np.where(np.arange(len(head.labels)) == none, -1.0, chances).argmax(axis=1)
    named = 1.0 - chances[:, none]
    open_span: Span | None = None
    for word, kind_at, probability in zip(words, kinds, named.tolist(), strict=True):
        kind = head.labels[int(kind_at)]
        if probability < head.reject:
            if open_span is not None:
                yield open_span
            open_span = None
            continue
        if open_span is not None and open_span.kind == kind and not text[open_span.end : word.start].strip(" ,\t"):
            open_span = Span(kind, open_span.start, word.end, min(open_span.probability, probability))
            continue
        if open_span is not None:
            yield open_span
        open_span = Span(kind, word.start, word.end, probability)
    if open_span is not None:
        yield open_span


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
    return [Word(found[0], found.start(), found.end()) for found in _WORD.finditer(text)]


def inputs(words: Sequence[Word], tokens: TokenStates) -> Floats:
    """Return one row for each word: the mean state of its tokens at unit length, then clues about its shape."""
    places = np.array(tokens.offsets).reshape(-1, 2)
    rows = np.zeros((len(words), tokens.states.shape[1]), dtype=np.float32)
    for row, word in enumerate(words):
        own = (places[:, 0] < word.end) & (places[:, 1] > word.start)
        if own.any():
            rows[row] = tokens.states[own].mean(axis=0)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return np.hstack([rows, np.array(shapes(words), dtype=np.float32) * np.float32(SHAPE_WEIGHT)])


def shapes(words: Sequence[Word]) -> list[list[float]]:
    """Return clues about each word: its casing and digits, and what its neighbours are."""
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
            float(_at(words, at - 2) in _TITLE),
            float(not cased),
        ]
        for at, word in enumerate(words)
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
