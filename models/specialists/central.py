"""The sentences of a text that have most in common with the rest of it: a summary that can't say anything new."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict

from models.passages import sentences

_WORD = re.compile(r"\w+")


def central(text: str, count: int) -> str:
    """Return at most `count` sentences as they stand in the text, in its order; empty for a text without words.

    A sentence counts by the likeness (cosine over words, rare ones weighing more) to all others: degree centrality, as
    in LexRank (Erkan and Radev, 2004).
    """
    found = [text[span.start : span.end].strip() for span in sentences(text)]
    words = [Counter(_WORD.findall(sentence.casefold())) for sentence in found]
    spread = Counter(word for one in words for word in one)
    vectors = [{word: n * math.log(1 + len(found) / spread[word]) for word, n in one.items()} for one in words]
    total: dict[str, float] = defaultdict(float)
    for vector in vectors:
        for word, weight in vector.items():
            total[word] += weight / _length(vector)
    scores = [sum(weight * total[word] for word, weight in one.items()) / _length(one) if one else 0 for one in vectors]
    best = sorted(sorted(range(len(found)), key=lambda place: -scores[place])[:count])
    return " ".join(" ".join(found[place].split()) for place in best if words[place])


def _length(vector: dict[str, float]) -> float:
    return math.sqrt(sum(weight * weight for weight in vector.values())) or 1.0
