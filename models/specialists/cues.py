"""Words that speak for a field with closed values, learned from worked examples: without one, a value is a guess.

A small model likes to fill every field. Where a request brings enough examples, they show which words go
with a field (`kids`, `family` with familyFriendly) and are missing where the field is absent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from models.passages import terms
from models.specialists.examples import Worked
from models.types import Json

LEAST_WITH = 8
"""Examples that must have the field, and"""
LEAST_WITHOUT = 8
"""examples that must lack it, before anything is concluded."""
LEAST_SEEN = 2
LIFT = 8.0
"""How much likelier a word must be where the field is present than where it is absent."""
DOUBT = 0.25
"""Added to what was seen elsewhere, so that a rare word must be seen several times before it tells anything."""
SAME_CHARS = 5
"""Letters that two words must begin with to count as one: `river`, `riverside`."""

Cues = Mapping[str, frozenset[str]]
"""Field to the words that speak for it; fields with too few examples are missing."""


def cues_of(examples: Sequence[Worked], closed: Sequence[str]) -> Cues:
    """Return what the examples teach about the fields with a closed list of values."""
    found: dict[str, frozenset[str]] = {}
    for field in closed:
        bags = [(example.output.get(field) is None, _own_words(example, field)) for example in examples]
        without = [words for absent, words in bags if absent]
        having = [words for absent, words in bags if not absent]
        if len(having) >= LEAST_WITH and len(without) >= LEAST_WITHOUT:
            found[field] = _telling(having, without)
    return found


def _telling(having: Sequence[frozenset[str]], without: Sequence[frozenset[str]]) -> frozenset[str]:
    seen = Counter(word for words in having for word in words)
    elsewhere = Counter(word for words in without for word in words)

    def lift(word: str) -> float:
        return (seen[word] + 0.5) / (len(having) + 1) * (len(without) + 1) / (elsewhere[word] + DOUBT)

    return frozenset(word for word, count in seen.items() if count >= LEAST_SEEN and lift(word) >= LIFT)


def _own_words(example: Worked, field: str) -> frozenset[str]:
    """The words of an example without those of its other fields: a name is no cue for a price."""
    others = [str(value) for name, value in example.output.items() if name != field and isinstance(value, str)]
    return frozenset(terms(example.text)) - {word for value in others if value in example.text for word in terms(value)}


def unspoken(record: Mapping[str, Json], text: str, cues: Cues) -> list[str]:
    """Return the fields whose value nothing in the text speaks for."""
    words = terms(text)
    return [
        field
        for field, value in record.items()
        if field in cues and isinstance(value, str) and not _said(words, cues[field] | set(terms(value)))
    ]


def _said(words: Sequence[str], cues: frozenset[str]) -> bool:
    return any(_same(word, cue) for word in words for cue in cues)


def _same(word: str, other: str) -> bool:
    return word == other or (min(len(word), len(other)) >= SAME_CHARS and word[:SAME_CHARS] == other[:SAME_CHARS])
