"""Finds names of people, places, addresses, organisations and peoples in a text, word by word, with a fitted tagger.

It finds what it was fitted to find: most names, not all. A redaction built on it needs the exact rules
for numbers beside it, and an owner who is shown what will leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.backend import TokenEncoder
from models.heads.tagger import NOTHING, Floats, Tagger
from models.heads.words import Word, inputs, pieces, words_in

HEAD = "names"


@dataclass(frozen=True, slots=True)
class Span:
    """One name in a text."""

    kind: str
    """`person`, `place`, `address`, `organization` or `nationality`."""
    start: int
    end: int
    """Characters: the name is text[start:end]."""
    probability: float
    """Smallest probability of its words that they belong to some name."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a text, scored."""

    start: int
    """Where the part begins in the text; its words count from there."""
    words: Sequence[Word]
    chances: Floats
    """One row of probabilities of the tags for each word."""


async def find(text: str, encoder: TokenEncoder, tagger: Tagger) -> list[Span]:
    """Return the names in a text, in order. Raises BadArtifact, InputError."""
    return chosen(await scored(text, encoder, tagger), tagger)


async def scored(text: str, encoder: TokenEncoder, tagger: Tagger) -> list[Piece]:
    """Return the words of a text with their probabilities. Raises BadArtifact, InputError."""
    tagger.require(encoder)
    found: list[Piece] = []
    for start, piece in pieces(text):
        words = words_in(piece)
        if words:
            numbers = inputs(piece, words, await encoder.states(piece))
            found.append(Piece(start, words, tagger.probabilities(numbers)))
    return found


def chosen(scored_pieces: Sequence[Piece], tagger: Tagger) -> list[Span]:
    """Return the names in words that were scored, in order."""
    return [
        replace(span, start=span.start + piece.start, end=span.end + piece.start)
        for piece in scored_pieces
        for span in join(piece.words, tagger.path(piece.chances), piece.chances)
    ]


def join(words: Sequence[Word], tags: Sequence[str], chances: Floats) -> list[Span]:
    """Return one span for each tag that begins a name and those that go on with it."""
    found: list[Span] = []
    for word, tag, none in zip(words, tags, chances[:, 0].tolist(), strict=True):
        if tag == NOTHING:
            continue
        begins, _, kind = tag.partition("-")
        if begins == "B" or not found:
            found.append(Span(kind, word.start, word.end, 1.0 - none))
        else:
            last = found[-1]
            found[-1] = replace(last, end=word.end, probability=min(last.probability, 1.0 - none))
    return found
