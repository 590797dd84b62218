"""A fitted head: logistic regression over an encoder's vectors, and words where it has them; a temperature; a reject.

Reading a head runs no code from the file (no pickle), and a head is only used with the very encoder
that it was fitted on: another one would give numbers that look right and mean nothing.
`scripts/build_heads` writes these files; nothing here fits.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.backend import Loaded
from models.errors import BadArtifact
from models.heads import wording
from models.types import Digest

FOLDER = Path(__file__).parent
MAX_HEAD_BYTES = 4_000_000
"""Unpacked size; the largest shipped file has 1.4 MB. Stops a small file that unpacks to fill the memory."""


@dataclass(frozen=True, slots=True)
class Head:
    """Weights and what they mean."""

    name: str
    labels: tuple[str, ...]
    weights: NDArray[np.float32]
    """Shape (inputs, labels); inputs are the vector's numbers, then any cheap features of the caller."""
    bias: NDArray[np.float32]
    temperature: float
    """Logits are divided by it, so that probabilities match how often the head is right."""
    reject: float
    """A best probability below this means `not sure`."""
    encoder: Digest
    """Digest of the encoder's model file."""
    words: int = 0
    """How many places for hashed words follow the vector's numbers (models/heads/wording.py)."""
    word_weight: float = 0.0
    """Of a text's words against its vector, both of unit length."""
    least: float = -math.inf
    """A best logit below this means that the text is like none of the labels. Probabilities can't say so: they
    compare the labels with each other (CLINC150, at 96 % accuracy within scope: 77 % of the strangers noticed
    by the best logit, 62 % by the best probability)."""

    def inputs(self, vectors: NDArray[np.float32], texts: Sequence[str]) -> NDArray[np.float32]:
        """Return what `probabilities` reads of texts and their vectors."""
        if not self.words:
            return vectors
        return np.hstack([vectors, wording.hashed(texts, self.words) * np.float32(self.word_weight)])

    def probabilities(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return one row of probabilities for each row of inputs."""
        return softmax(self.logits(inputs) / self.temperature)

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return one row of logits for each row of inputs, without the temperature."""
        values: NDArray[np.float32] = inputs @ self.weights + self.bias
        return values

    def knows(self, inputs: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return of each row whether it is like any of the labels."""
        best: NDArray[np.bool_] = self.logits(inputs).max(axis=1) >= self.least
        return best

    def require(self, encoder: Loaded) -> None:
        """Raises BadArtifact when the head belongs to another encoder."""
        require_encoder(self.name, self.encoder, encoder)


def require_encoder(name: str, wanted: Digest, encoder: Loaded) -> None:
    """Raises BadArtifact when what was fitted on one encoder or reranker is given another."""
    if wanted not in encoder.artifacts:
        raise BadArtifact(
            f"The head {name} was fitted on another encoder than the installed {encoder.id}; "
            f"run `covey models verify {encoder.id}`, or fit the head again: a shipped one with "
            "`scripts/build_heads`, your own with `covey specialists add --examples`."
        )


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each row of logits as probabilities."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: NDArray[np.float32] = raised / raised.sum(axis=-1, keepdims=True)
    return shares


def load(name: str, folder: Path = FOLDER) -> Head:
    """Return a head by name. Raises BadArtifact."""
    path = folder / f"{name}.npz"
    arrays = read_arrays(path)
    try:
        head = Head(
            name,
            tuple(str(label) for label in arrays["labels"]),
            arrays["weights"].astype(np.float32),
            arrays["bias"].astype(np.float32),
            float(arrays["temperature"]),
            float(arrays["reject"]),
            Digest(str(arrays["encoder"])),
            int(arrays["words"]) if "words" in arrays else 0,
            float(arrays["word_weight"]) if "words" in arrays else 0.0,
            float(arrays["least"]) if "least" in arrays else -math.inf,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise damaged(path) from error
    width = len(head.labels)
    if head.weights.ndim != 2 or head.weights.shape[1] != width or head.bias.shape != (width,):
        raise damaged(path)
    if not 0 <= head.words < min(len(head.weights), wording.MAX_PLACES + 1) or not math.isfinite(head.word_weight):
        raise damaged(path)
    if not (
        np.isfinite(head.weights).all()
        and np.isfinite(head.bias).all()
        and head.temperature > 0
        and not math.isnan(head.least)
    ):
        raise damaged(path)
    return head


def save(head: Head, folder: Path) -> Path:
    """Write a head; weights are kept in half precision. `load` reads it back."""
    path = folder / f"{head.name}.npz"
    np.savez(
        path,
        labels=np.array(head.labels),
        weights=head.weights.astype(np.float16),
        bias=head.bias.astype(np.float32),
        temperature=np.float32(head.temperature),
        reject=np.float32(head.reject),
        encoder=np.array(head.encoder),
        words=np.int64(head.words),
        word_weight=np.float32(head.word_weight),
        least=np.float32(head.least),
    )
    return path


def read_arrays(path: Path, max_bytes: int = MAX_HEAD_BYTES) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a `.npz` file, without running anything in it. Raises BadArtifact.

    `max_bytes`: unpacked size that is accepted.
    """
    try:
        with zipfile.ZipFile(path) as members:
            if sum(member.file_size for member in members.infolist()) > max_bytes:
                raise damaged(path)
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise damaged(path) from error


def damaged(path: Path) -> BadArtifact:
    """Return the error of a file that is damaged or something else."""
    again = "fit it again from your examples with `covey specialists add --examples`"
    if path.parent == FOLDER:
        again = f"fit it again with `scripts/build_heads {path.stem}`"
    return BadArtifact(f"{path.name} is damaged or not a head; {again}.")
