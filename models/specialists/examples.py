"""Worked examples that come with a request, and the choice of those nearest to the text at hand."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.errors import InputError
from models.types import Json, Request

MOST_EXAMPLES = 1000
"""Examples of one request; more belong into a fitted head."""
SHOWN = 4
"""Examples the model sees: each costs about as many tokens as the text itself."""
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Worked:
    """A text and the record that was made of it."""

    text: str
    output: Mapping[str, Json]


def examples_in(request: Request) -> list[Worked]:
    """Raises InputError."""
    given = request.input.get("examples", [])
    if not isinstance(given, list) or len(given) > MOST_EXAMPLES:
        raise InputError(f"`examples` must be a list of at most {MOST_EXAMPLES} objects with `text` and `output`.")
    found: list[Worked] = []
    for entry in given:
        match entry:
            case {"text": str(text), "output": dict(output)}:
                found.append(Worked(text, output))
            case _:
                raise InputError("Each of the `examples` needs a `text` and an `output`, an object.")
    return found


def nearest(text: str, examples: Sequence[Worked], *, shown: int = SHOWN) -> list[Worked]:
    """Return the examples that share most of their rare words with the text, the nearest last."""
    if len(examples) <= shown:
        return list(examples)
    sets = [_words(example.text) for example in examples]
    counts = Counter(word for words in sets for word in words)
    weights = {word: math.log((len(sets) + 1) / (count + 0.5)) for word, count in counts.items()}
    rare = math.log((len(sets) + 1) / 0.5)
    asked = _words(text)

    def alike(words: frozenset[str]) -> float:
        both = sum(weights[word] for word in asked & words)
        return both / (sum(weights.get(word, rare) for word in asked | words) or 1.0)

    order = sorted(range(len(examples)), key=lambda index: (alike(sets[index]), -index))
    return [examples[index] for index in order[-shown:]]


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))
