"""Whether a request needs deep reasoning: a fitted head over its vector and a few clues about its words.

`hard` means: of the recorded outcomes it was fitted on, a small model failed where a larger one did not.
It is a weak sign, better than chance and not much more; who decides on it looks at the answer, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

HEAD = "hard"
HARD, EASY = "1", "0"
"""The head's labels."""
MOST_CHARS = 4000
"""Of a request that the clues are taken from."""

_NUMBER = re.compile(r"\d[\d,.]*")
_RELATION = re.compile(
    r"\b(?:if|each|per|every|twice|half|times|more than|less than|fewer|total|remaining|left|altogether|average)\b",
    re.I,
)


def inputs(texts: Sequence[str], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return one row for each text: its unit vector, then the clues."""
    return np.hstack([vectors, np.array([clues(text) for text in texts], dtype=np.float32)])


def clues(text: str) -> list[float]:
    """Return clues about length, numbers, sentences, formulas and relations between quantities."""
    seen = text[:MOST_CHARS]
    words, numbers = seen.split(), _NUMBER.findall(seen)
    return [
        float(np.log1p(len(words))),
        float(np.log1p(len(numbers))),
        float(np.log1p(len(set(numbers)))),
        float(np.log1p(seen.count(".") + seen.count("?"))),
        len(seen) / max(1, len(words)) / 8,
        float("?" in seen),
        float("%" in seen),
        float("$" in seen or "\\" in seen),
        float(np.log1p(len(_RELATION.findall(seen)))),
        float(np.log1p(seen.count("\n"))),
    ]
