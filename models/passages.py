"""Cuts documents into passages that end where sentences end, and ranks passages by the words of a question.

Every passage knows its place: `document[start:end] == passage.text`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

PASSAGE_CHARS = 900
"""Characters; about 200 tokens: several fit into a small context, and a reranker reads each whole."""
LIST_LINE_CHARS = 60
"""Of a line in a list or table; running text is broken at 70 characters and more."""
NARROW_LINE_CHARS = 30
"""Running text in narrow columns: a line so long that goes on with a small letter."""
K1, B = 1.2, 0.75
"""BM25's usual saturation and length weights."""

_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]]*\s+|\n\s*\n|[。！？]")
_ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|No|vs|etc|e\.g|i\.e|approx|Inc|Ltd|Jr|Sr)|\b[A-Z])\.\s+\Z")
_WORD = re.compile(r"\w+")
_COMMON = frozenset(
    "a an and are as at be by did do does for from had has have how in is it its many much of on or that the their "
    "there they this to was were what when where which who whom whose why will with".split()
)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a text."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a named document."""

    source: str
    start: int
    end: int
    text: str


def sentences(text: str) -> list[Span]:
    """Return the sentences and paragraphs of a text in order, without the white space around them."""
    found: list[Span] = []
    start = 0
    for end in _SENTENCE_END.finditer(text):
        if _ABBREVIATION.search(text, start, end.end()):
            continue
        found += _trimmed(text, start, end.end())
        start = end.end()
    return found + _trimmed(text, start, len(text))


def statements(text: str) -> list[Span]:
    """Return the sentences of a text; where one runs over short lines (a table, an invoice, a list), those lines.

    >>> [span.text for span in statements("Labour, 2 hours   120.00\\nTotal  215.00\\n\\nThank you. Come again.")]
    ['Labour, 2 hours   120.00', 'Total  215.00', 'Thank you.', 'Come again.']
    """
    return [piece for span in sentences(text) for piece in (_lines(text, span) if _is_list(text, span) else [span])]


def _is_list(text: str, span: Span) -> bool:
    """Whether most lines end because something is over, and not because the page is.

    Whole lines are looked at: a sentence that begins near the end of a long one has only a word in it.
    """
    breaks = [at for at in range(span.start, span.end) if text[at] == "\n"]
    over = [at for at in breaks if not _goes_on(text[text.rfind("\n", 0, at) + 1 : at].strip(), text[at:].lstrip()[:1])]
    return len(over) * 2 > len(breaks)


def _goes_on(line: str, next_letter: str) -> bool:
    return len(line) > LIST_LINE_CHARS or (len(line) > NARROW_LINE_CHARS and next_letter.islower())


def _lines(text: str, span: Span) -> list[Span]:
    found: list[Span] = []
    start = span.start
    for line in span.text.splitlines(keepends=True):
        found += _trimmed(text, start, start + len(line))
        start += len(line)
    return found


def _trimmed(text: str, start: int, end: int) -> list[Span]:
    piece = text[start:end]
    bare = piece.strip()
    if not bare:
        return []
    first = start + piece.index(bare)
    return [Span(first, first + len(bare), bare)]


def passages(source: str, text: str, *, chars: int = PASSAGE_CHARS) -> list[Passage]:
    """Return passages of at most `chars` characters; a longer sentence is cut between words."""
    found: list[Passage] = []
    start = end = -1
    for span in (piece for sentence in sentences(text) for piece in _cut(text, sentence, chars)):
        if start >= 0 and span.end - start > chars:
            found.append(Passage(source, start, end, text[start:end]))
            start = -1
        start = span.start if start < 0 else start
        end = span.end
    if start >= 0:
        found.append(Passage(source, start, end, text[start:end]))
    return found


def _cut(text: str, span: Span, chars: int) -> list[Span]:
    found: list[Span] = []
    start = span.start
    while span.end - start > chars:
        at = text.rfind(" ", start + chars // 2, start + chars)
        at = at if at > 0 else start + chars
        found += _trimmed(text, start, at)
        start = at
    return found + _trimmed(text, start, span.end)


def terms(text: str) -> list[str]:
    """Return the words of a text that carry meaning, lower case, with common endings cut."""
    return [_stem(word) for word in _WORD.findall(text.lower()) if word not in _COMMON]


def _stem(word: str) -> str:
    for ending in ("ing", "ies", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def lexical_scores(query: str, texts: Sequence[str]) -> list[float]:
    """Return BM25 of each text, scaled to 0..1 by the best score that any text could reach."""
    wanted = list(dict.fromkeys(terms(query)))
    counts = [Counter(terms(text)) for text in texts]
    if not wanted or not counts:
        return [0.0] * len(texts)
    mean = sum(count.total() for count in counts) / len(counts) or 1.0
    weights = {term: _rarity(term, counts) for term in wanted}
    best = sum(weights.values()) * (K1 + 1)
    return [sum(weights[t] * _saturated(count[t], count.total() / mean) for t in wanted) / best for count in counts]


def _rarity(term: str, counts: Sequence[Counter[str]]) -> float:
    holding = sum(1 for count in counts if term in count)
    return math.log(1 + (len(counts) - holding + 0.5) / (holding + 0.5))


def _saturated(count: int, length: float) -> float:
    return count * (K1 + 1) / (count + K1 * (1 - B + B * length))
