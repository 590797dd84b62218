"""Whether a text answers a question: a fitted head over a reranker's scores and a few clues about the words.

A reranker alone tells how near a text is to a question. That is nearly, not quite, whether the answer
is in it: `when` wants a date, and a price list is near every question about prices.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.heads.head import Head
from models.passages import terms

HEAD = "answerable"
YES, NO = "yes", "no"
"""The head's labels."""
SURE = 1e-6
"""Scores are kept this far from 0 and 1, so that their logits are finite."""

_NUMBER = re.compile(r"\d")
_TIME = re.compile(
    r"\b(?:1\d|20)\d\d\b|\d+[/.:-]\d+|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*\b"
    r"|\b(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b|\b(?:morning|noon|evening|night|century|today|tomorrow)\b",
    re.I,
)
_LENGTH = re.compile(
    r"\b(?:\d+|an?|one|two|three|four|five|six|ten|twelve|ninety)\W{0,2}(?:s|sec|min|h|hours?|minutes?|seconds?|days?|weeks?|months?|years?|decades?)\b",
    re.I,
)
_NAME = re.compile(r"\b[A-Z][\w'-]+")
_WANTED = (
    (re.compile(r"\bhow (?:long|old)\b|\bduration\b", re.I), _LENGTH),
    (re.compile(r"\b(?:when|until when|since when)\b|\b(?:what|which) (?:year|date|day|month|time)\b", re.I), _TIME),
    (
        re.compile(
            r"\bhow (?:many|much|far|high|tall|big|large|heavy|often)\b|\b(?:number|price|cost|total|amount)\b", re.I
        ),
        _NUMBER,
    ),
    (
        re.compile(
            r"\b(?:who|whose|whom|where)\b|\bname\b|\b(?:which|what) (?:city|country|person|team|company)\b", re.I
        ),
        _NAME,
    ),
)
"""What a question asks for, and what an answer to it looks like; the first that fits counts."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A passage as a reranker sees it."""

    pieces: Sequence[str]
    """Its sentences or lines."""
    scores: Sequence[float]
    """Of each piece, 0..1."""
    whole: float
    """Of the passage, 0..1."""


def inputs(question: str, pieces: Sequence[str], scores: Sequence[float], whole: float) -> NDArray[np.float32]:
    """Return one row for the head.

    pieces: the sentences or lines of the text; scores: the reranker's score of each, 0..1, none of both empty;
    whole: its score of the passage that the best of them is from.
    """
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    best = pieces[order[0]]
    asked, there = set(terms(question)), {word for piece in pieces for word in terms(piece)}
    first, second = _logit(scores[order[0]]), _logit(scores[order[1]] if len(order) > 1 else 0.0)
    wanted = next((looks for asks, looks in _WANTED if asks.search(question)), None)
    row = [
        first,
        second,
        _logit(whole),
        max(first, _logit(whole)),
        min(first, _logit(whole)),
        _share(asked, there),
        _share(asked, set(terms(best))),
        _share(_names(question), there),
        float(wanted is not None),
        float(wanted is not None and wanted.search(best) is not None),
        float(wanted is not None and not any(wanted.search(piece) for piece in pieces)),
        np.log1p(len(pieces)),
        np.log1p(len(question.split())),
        np.log1p(len(best.split())),
    ]
    return np.array([row], dtype=np.float32)


def _logit(score: float) -> float:
    kept = min(max(float(score), SURE), 1 - SURE)
    return float(np.log(kept / (1 - kept)))


def _share(wanted: set[str], there: set[str]) -> float:
    return len(wanted & there) / len(wanted) if wanted else 1.0


def _names(question: str) -> set[str]:
    """Return the names and numbers in a question, but for its first word, as terms."""
    return set(terms(" ".join(re.findall(r"(?<=\s)[A-Z][\w'-]+|\d[\d.,]*", question))))


def chance(head: Head, question: str, passages: Sequence[Scored]) -> float:
    """Return the largest probability, over the passages, that one answers the question."""
    rows = [inputs(question, passage.pieces, passage.scores, passage.whole) for passage in passages if passage.pieces]
    if not rows:
        return 0.0
    return float(head.probabilities(np.vstack(rows))[:, head.labels.index(YES)].max())
