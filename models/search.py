"""Search for a phrase in texts: exactly first, whatever its case and accents, then nearly.

Offsets are exact: the quote of every hit is the text from its start to its end.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from models.errors import InputError

MAX_PATTERN_CHARACTERS = 1000
MAX_HITS = 50
"""More places than this are no answer; the pattern is too common."""
_LEAST_SCORE = 80.0
"""Similarity out of 100 from which a place counts as nearly the phrase: about one wrong letter in five."""
_LEAST_FUZZY_CHARACTERS = 4
"""Shorter phrases resemble too much."""
_MOST_FUZZY_CHARACTERS = 120
"""Longer phrases are searched exactly only: aligning them nearly takes seconds per megabyte."""
_RUNS = re.compile(r"(?P<plain>[!-~]+(?: [!-~]+)*)|(?P<space>\s+)|(?P<other>.)", re.DOTALL)
"""Plain ASCII with single spaces passes in one piece, which keeps megabytes fast."""
_SPECIAL = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "’": "'", "‘": "'", "“": '"', "”": '"'}
)


@dataclass(frozen=True, slots=True)
class Hit:
    source: str
    start: int
    end: int
    quote: str
    score: float
    """1.0 for the phrase itself (case and accents aside)."""


@dataclass(frozen=True, slots=True)
class _Folded:
    """A text without case and accents, and where each of its characters came from."""

    text: str
    origins: array[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return offsets in the original text; a character with an accent behind it is kept whole."""
        return self.origins[start], self.origins[end - 1] + 1


def search(pattern: str, documents: list[tuple[str, str]], *, fuzzy: bool | None = None) -> list[Hit]:
    """Return at most MAX_HITS places in document order.

    `fuzzy` None: near matches only when there is no exact one; True: both; False: exact only.
    Raises InputError for a pattern without letters or digits, or longer than MAX_PATTERN_CHARACTERS.
    """
    needle = _needle(pattern)
    folded = [(name, text, _fold(text)) for name, text in documents]
    hits = [hit for name, text, fold in folded for hit in _limited(_exact(needle, name, text, fold))]
    if fuzzy or (fuzzy is None and not hits):
        taken = {(hit.source, hit.start) for hit in hits}
        near = (hit for name, text, fold in folded for hit in _near(needle, name, text, fold))
        hits += [hit for hit in near if not any(hit.source == s and hit.start <= at < hit.end for s, at in taken)]
        hits.sort(key=lambda hit: (-hit.score, hit.start))
    return hits[:MAX_HITS]


def _needle(pattern: str) -> str:
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise InputError(f"The phrase to find is longer than {MAX_PATTERN_CHARACTERS} characters; shorten it.")
    needle = _fold(pattern.strip()).text
    if not needle:
        raise InputError("There is nothing to find in the phrase; give at least one letter, digit or sign.")
    return needle


def _fold(text: str) -> _Folded:
    """Fold case and accents; runs of white space become one space, so that a phrase is found across line ends."""
    out: list[str] = []
    origins = array("L")
    for run in _RUNS.finditer(text):
        start, end = run.span()
        if run.lastgroup == "plain":
            out.append(run.group().lower())
            origins.extend(range(start, end))
        elif run.lastgroup == "space":
            out.append(" ")
            origins.append(end - 1)
        else:
            folded = _folded_character(run.group())
            out.append(folded)
            origins.extend([start] * len(folded))
    return _Folded("".join(out), origins)


_CACHE: dict[str, str] = {}


def _folded_character(character: str) -> str:
    known = _CACHE.get(character)
    if known is None:
        parts = unicodedata.normalize("NFKD", character.casefold().translate(_SPECIAL))
        known = "".join(part for part in parts if not unicodedata.combining(part))
        if len(_CACHE) < 10_000:
            _CACHE[character] = known
    return known


def _exact(needle: str, name: str, text: str, folded: _Folded) -> Iterator[Hit]:
    at = folded.text.find(needle)
    while at >= 0:
        start, end = folded.span(at, at + len(needle))
        end = _with_accents(text, end)
        yield Hit(name, start, end, text[start:end], 1.0)
        at = folded.text.find(needle, at + len(needle))


def _with_accents(text: str, end: int) -> int:
    while end < len(text) and unicodedata.combining(text[end]):
        end += 1
    return end


def _limited(hits: Iterator[Hit]) -> Iterator[Hit]:
    for _, hit in zip(range(MAX_HITS), hits, strict=False):
        yield hit


def _near(needle: str, name: str, text: str, folded: _Folded) -> Iterator[Hit]:
    """Align the phrase in overlapping windows, best place of each, so that the work grows with the text only."""
    from rapidfuzz import fuzz  # heavy, first use only

    if not _LEAST_FUZZY_CHARACTERS <= len(needle) <= _MOST_FUZZY_CHARACTERS:
        return
    width = max(400, 4 * len(needle))
    last_end = -1
    count = 0
    for begin in range(0, len(folded.text), width):
        window = folded.text[begin : begin + width + 2 * len(needle)]
        if len(window) < len(needle) // 2:
            continue
        alignment = fuzz.partial_ratio_alignment(needle, window, score_cutoff=_LEAST_SCORE)
        if alignment is None or alignment.dest_end <= alignment.dest_start:
            continue
        low, high = _whole_words(folded.text, begin + alignment.dest_start, begin + alignment.dest_end)
        score = fuzz.ratio(needle, folded.text[low:high])
        if low < last_end or score < _LEAST_SCORE:
            continue
        last_end = high
        start, end = folded.span(low, high)
        end = _with_accents(text, end)
        yield Hit(name, start, end, text[start:end], round(score / 100, 4))
        count += 1
        if count == MAX_HITS:
            return


def _whole_words(text: str, low: int, high: int) -> tuple[int, int]:
    """Widen a place to whole words, and leave out spaces at its ends."""
    while low < high and text[low] == " ":
        low += 1
    while high > low and text[high - 1] == " ":
        high -= 1
    while low > 0 and text[low - 1].isalnum() and text[low].isalnum():
        low -= 1
    while high < len(text) and text[high].isalnum() and text[high - 1].isalnum():
        high += 1
    return low, high
