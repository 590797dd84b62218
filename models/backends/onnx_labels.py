"""Models that label a text, or each word of it, run by onnxruntime on the CPU."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from tokenizers import Encoding

from models.backend import Tag
from models.backends.onnx_model import OnnxModel, Vectors
from models.errors import BadArtifact

OUTSIDE = "O"
"""The label of words that belong to nothing, in every public scheme."""


class _Labelling(OnnxModel):
    """What both kinds share: an output of one number a label."""

    def _check(self, model_path: Path) -> None:
        if len(self.labels) != self._width:
            raise BadArtifact(
                f"{model_path.name} gives {self._width} numbers where the manifest of {self.id} "
                f"names {len(self.labels)} labels; correct the manifest or add the model again."
            )

    @property
    def labels(self) -> tuple[str, ...]:
        return self._manifest.labels

    def _shares(self, encoding: Encoding) -> Vectors:
        """Return the probability of each label, on the last axis."""
        logits = self._run(encoding)
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=-1, keepdims=True), dtype=np.float32)


class OnnxClassifier(_Labelling):
    """Labels whole texts. A text longer than the model's context is the mean of its windows."""

    async def probabilities(self, texts: Sequence[str]) -> Vectors:
        """See `models.backend.Classifier.probabilities`. Raises InputError, BackendError."""
        windows, owners = await asyncio.to_thread(self._tokenize, texts)
        total = np.zeros((len(texts), self._width), dtype=np.float32)
        for owner, shares in zip(owners, await self._map(self._shares, windows), strict=True):
            total[owner] += shares
        mean: Vectors = total / total.sum(axis=1, keepdims=True)
        return mean


class OnnxTagger(_Labelling):
    """Labels the words of a text; windows of a long text do not see each other."""

    async def tags(self, text: str) -> list[Tag]:
        """See `models.backend.Tagger.tags`. Raises InputError, BackendError."""
        windows, _ = await asyncio.to_thread(self._tokenize, [text])
        outputs = await self._map(self._shares, windows)
        words = [
            word for window, shares in zip(windows, outputs, strict=True) for word in self._words(window, shares, text)
        ]
        return joined(words, text)

    def _words(self, window: Encoding, shares: Vectors, text: str) -> list[Tag]:
        """Return the label of each word: that of its first token, as such models are trained."""
        numbers = window.word_ids
        firsts = [i for i, n in enumerate(numbers) if n is not None and (i == 0 or numbers[i - 1] != n)]
        found: list[Tag] = []
        for first, after in pairwise([*firsts, len(numbers)]):
            best = int(shares[first].argmax())
            end = max(window.offsets[i][1] for i in range(first, after) if numbers[i] == numbers[first])
            start = window.offsets[first][0]
            start += len(text[start:end]) - len(text[start:end].lstrip())  # some tokens begin with their blank
            found.append(Tag(self.labels[best], start, end, float(shares[first, best])))
        return found


def joined(words: Sequence[Tag], text: str) -> list[Tag]:
    """Return the labelled parts of a text: words of one label that follow each other are one part.

    `B-` begins a part and `I-` goes on with it; labels without them go on where the same comes again.
    """
    parts: list[list[Tag]] = []
    for word in words:
        if word.label == OUTSIDE:
            parts.append([])
        elif parts and parts[-1] and _goes_on(parts[-1][-1], word, text):
            parts[-1].append(word)
        else:
            parts.append([word])
    return [
        Tag(_name(part[0].label), part[0].start, part[-1].end, sum(word.score for word in part) / len(part))
        for part in parts
        if part
    ]


def _goes_on(before: Tag, word: Tag, text: str) -> bool:
    near = not text[before.end : word.start].strip()
    return near and not word.label.startswith("B-") and _name(before.label) == _name(word.label)


def _name(label: str) -> str:
    return label[2:] if label[:2] in ("B-", "I-") else label
