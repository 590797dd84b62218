"""A Classifier and a Tagger for tests: they go by the words of a text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.backend import Tag
from models.backends.scripted import ScriptedModel


class _ByWords(ScriptedModel):
    """Goes by a table of words, in lower case, and the labels that they stand for."""

    def __init__(self, words: Mapping[str, str], *, name: str) -> None:
        super().__init__(name)
        self._words = dict(words)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._words.values()))


class ScriptedClassifier(_ByWords):
    """Gives a label more weight for each of its words in the text."""

    def __init__(self, words: Mapping[str, str], *, name: str = "scripted-classifier") -> None:
        super().__init__(words, name=name)

    async def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        weights = np.ones((len(texts), len(self.labels)), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                if word in self._words:
                    weights[row, self.labels.index(self._words[word])] += 9
        shares: NDArray[np.float32] = weights / weights.sum(axis=1, keepdims=True)
        return shares


class ScriptedTagger(_ByWords):
    """Labels the words that it knows."""

    def __init__(self, words: Mapping[str, str], *, name: str = "scripted-tagger") -> None:
        super().__init__(words, name=name)

    async def tags(self, text: str) -> list[Tag]:
        found = re.finditer(r"\w+", text)
        return [Tag(self._words[m[0].lower()], m.start(), m.end(), 0.9) for m in found if m[0].lower() in self._words]
