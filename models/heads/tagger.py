"""A fitted tagger: a small network over each word's numbers, and how likely one tag follows another.

Tags are `none`, or `B-` (begins) and `I-` (goes on) with a kind: `B-person`, `I-person`. The best path
through all words is taken together (Viterbi), so that a name is not torn where one word is unclear.
Reading a file runs no code from it, and nothing here fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.backend import Encoder
from models.heads.head import FOLDER, damaged, read_arrays, require_encoder, softmax
from models.types import Digest

Floats = NDArray[np.float32]

NOTHING = "none"
"""The tag of words that are no name; always the first."""
IMPOSSIBLE = -1e4
"""Log-probability of a step that makes no sense, as from `none` to `I-person`."""
_NUMBERS = ("first", "first_bias", "second", "second_bias", "start", "step", "usual")


@dataclass(frozen=True, slots=True)
class Tagger:
    """Weights and what they mean."""

    name: str
    tags: tuple[str, ...]
    first: Floats
    """Shape (inputs, hidden)."""
    first_bias: Floats
    second: Floats
    """Shape (hidden, tags)."""
    second_bias: Floats
    start: Floats
    """Log-probability of each tag at the beginning."""
    step: Floats
    """Log-probability of each tag (column) after each tag (row)."""
    usual: Floats
    """Log-share of each tag among all words, taken off again: a step already counts what is usual."""
    reject: float
    """Taken off the log-probability of `none`: the larger, the more is found, and the more of it is wrong."""
    encoder: Digest
    """Digest of the encoder's model file."""

    def probabilities(self, inputs: Floats) -> Floats:
        """Return one row of probabilities of the tags for each row of inputs."""
        hidden = np.maximum(inputs @ self.first + self.first_bias, 0)
        return softmax(hidden @ self.second + self.second_bias)

    def path(self, chances: Floats) -> list[str]:
        """Return the likeliest tags of all words together; `chances` has a row for each word."""
        scores = np.log(chances + 1e-7) - self.usual
        scores[:, 0] -= self.reject
        return [self.tags[place] for place in viterbi(scores, self.start, self.step)]

    def require(self, encoder: Encoder) -> None:
        """Raises BadArtifact when the tagger belongs to another encoder."""
        require_encoder(self.name, self.encoder, encoder)


def viterbi(scores: Floats, start: Floats, step: Floats) -> list[int]:
    """Return the places of the best path: one of each row of scores, steps between them counted."""
    best = scores[0] + start
    came: list[NDArray[np.int64]] = []
    for row in scores[1:]:
        paths = best[:, None] + step
        came.append(paths.argmax(axis=0))
        best = paths.max(axis=0) + row
    places = [int(best.argmax())]
    for before in reversed(came):
        places.append(int(before[places[-1]]))
    return places[::-1]


def load(name: str, folder: Path = FOLDER) -> Tagger:
    """Return a tagger by name. Raises BadArtifact."""
    path = folder / f"{name}.npz"
    arrays = read_arrays(path)
    try:
        tags = tuple(str(tag) for tag in arrays["tags"])
        numbers = {field: arrays[field].astype(np.float32) for field in _NUMBERS}
        tagger = Tagger(name, tags, **numbers, reject=float(arrays["reject"]), encoder=Digest(str(arrays["encoder"])))
    except (KeyError, ValueError, TypeError) as error:
        raise damaged(path) from error
    if not _fits(tagger) or not all(np.isfinite(array).all() for array in numbers.values()):
        raise damaged(path)
    return tagger


def save(tagger: Tagger, folder: Path) -> Path:
    """Write a tagger; weights are kept in half precision. `load` reads it back."""
    path = folder / f"{tagger.name}.npz"
    arrays = {field: getattr(tagger, field) for field in _NUMBERS}
    np.savez(
        path,
        tags=np.array(tagger.tags),
        reject=np.float32(tagger.reject),
        encoder=np.array(tagger.encoder),
        **{field: array.astype(np.float16) for field, array in arrays.items()},
    )
    return path


def _fits(tagger: Tagger) -> bool:
    width, hidden = len(tagger.tags), len(tagger.first_bias)
    return (
        tagger.tags[:1] == (NOTHING,)
        and tagger.first.ndim == 2
        and tagger.first.shape[1] == hidden
        and tagger.second.shape == (hidden, width)
        and tagger.step.shape == (width, width)
        and all(array.shape == (width,) for array in (tagger.second_bias, tagger.start, tagger.usual))
    )
