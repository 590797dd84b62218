"""What a sentence vector drops: which words and pairs of neighbours a text has, hashed to a fixed number of places.

Similar wordings have similar vectors, and that is the trouble where one word decides ("what does", "who does").
Beside the vector these features take a third of the mistakes from a head on kinds of question.
Places are hashes, so a head holds no text of the rows that it was fitted on.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

MAX_WORDS = 256
"""Words read of one text; more is a document, and its vector says more than its words."""
MAX_PLACES = 1 << 16
"""Two bytes a place and label: a head with more would not be a small file."""

_WORD = re.compile(r"[^\W\d_]+|\d|[$%€£]")


def features(text: str) -> list[str]:
    """Return the words, the pairs of neighbours, and the openings of two to four words.

    >>> features("What's on?")
    ['whats', 'on', '^ whats', 'whats on', 'on $', 'p whats on']
    """
    plain = text.lower().replace("'", "").replace("’", "")
    words = [found[0] for found in islice(_WORD.finditer(plain), MAX_WORDS)]
    if not words:
        return []
    pairs = [f"{a} {b}" for a, b in zip(["^", *words], [*words, "$"], strict=True)]
    openings = [f"p {' '.join(words[:count])}" for count in (2, 3, 4) if count <= len(words)]
    return [*words, *pairs, *openings]


def places(text: str, size: int) -> dict[int, float]:
    """Return the places of a text's features among `size`, with values whose squares sum to 1.

    The hash gives a sign too, so that two features in one place rather cancel than pretend to be one.
    """
    counts: Counter[int] = Counter()
    for feature in features(text):
        number = zlib.crc32(feature.encode())
        counts[number % size] += 1 if number >> 31 else -1
    length = sum(count * count for count in counts.values()) ** 0.5
    return {place: count / length for place, count in counts.items() if count}


def hashed(texts: Sequence[str], size: int) -> NDArray[np.float32]:
    """Return one row of features a text, shape (len(texts), size)."""
    rows = np.zeros((len(texts), size), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        found = places(text, size)
        row[list(found)] = list(found.values())
    return rows
