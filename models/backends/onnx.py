"""Encoders and rerankers run by onnxruntime on the CPU, and the table of all kinds that it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Encoding

from models.backend import TokenStates
from models.backends.onnx_labels import OnnxClassifier, OnnxTagger
from models.backends.onnx_model import OnnxModel, Vectors
from models.errors import BadArtifact
from models.manifest import Manifest
from models.store import Store

MAX_QUERY_TOKENS = 192
"""A longer query is cut, so that most of a reranker's context is left for the passage."""


class OnnxEncoder(OnnxModel):
    """A sentence embedder. A text longer than the model's context is the mean of its windows."""

    def _check(self, model_path: Path) -> None:
        promised = self._manifest.dimensions
        if promised not in (None, self._width):
            raise BadArtifact(
                f"{model_path.name} gives vectors of {self._width} numbers where the manifest of {self.id} "
                f"promises {promised}; correct the manifest or pull the model again."
            )

    @property
    def dimensions(self) -> int:
        return self._width

    async def encode(self, texts: Sequence[str]) -> Vectors:
        """Return unit vectors, shape (len(texts), dimensions). Raises InputError, BackendError."""
        windows, owners = await asyncio.to_thread(self._tokenize, texts)
        vectors = np.zeros((len(texts), self._width), dtype=np.float32)
        for owner, vector in zip(owners, await self._map(self._pool, windows), strict=True):
            vectors[owner] += vector
        unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return unit

    async def states(self, text: str) -> TokenStates:
        """Return the state of each token of a text; windows do not see each other. Raises InputError, BackendError."""
        windows, _ = await asyncio.to_thread(self._tokenize, [text])
        outputs = await self._map(self._run, windows)
        kept = [[i for i, special in enumerate(w.special_tokens_mask) if not special] for w in windows]
        offsets = [w.offsets[i] for w, places in zip(windows, kept, strict=True) for i in places]
        rows = [output[places] for output, places in zip(outputs, kept, strict=True)]
        return TokenStates(tuple(offsets), np.concatenate(rows))

    def _pool(self, encoding: Encoding) -> Vectors:
        output = self._run(encoding)
        vector: Vectors = output if output.ndim == 1 else output[0] if self._is_cls else output.mean(axis=0)
        return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), dtype=np.float32)

    @property
    def _is_cls(self) -> bool:
        return self._manifest.pooling != "mean"


class OnnxReranker(OnnxModel):
    """A cross-encoder. A passage longer than the model's context scores as its best window."""

    async def scores(self, query: str, passages: Sequence[str]) -> Vectors:
        """Return a score 0..1 for each passage, higher is better. Raises InputError, BackendError."""
        windows, owners = await asyncio.to_thread(self._pairs, query, passages)
        scores = np.zeros(len(passages), dtype=np.float32)
        for owner, logit in zip(owners, await self._map(self._run, windows), strict=True):
            scores[owner] = max(scores[owner], 1.0 / (1.0 + np.exp(-logit.item(-1))))
        return scores

    def _pairs(self, query: str, passages: Sequence[str]) -> tuple[list[Encoding], list[int]]:
        windows: list[Encoding] = []
        owners: list[int] = []
        asked = self._plain(query[: MAX_QUERY_TOKENS * 16])
        free = self._limit - self._tokenizer.num_special_tokens_to_add(True)
        asked.truncate(min(MAX_QUERY_TOKENS, free // 2))
        room = free - len(asked.ids)
        for owner, passage in enumerate(passages):
            for part in self._windows(self._plain(passage), room):
                windows.append(self._tokenizer.post_process(asked, part))
                owners.append(owner)
        return windows, owners


KINDS: Mapping[str, type[OnnxModel]] = {
    "encoder": OnnxEncoder,
    "reranker": OnnxReranker,
    "classifier": OnnxClassifier,
    "tagger": OnnxTagger,
}
"""By the kind that a manifest names."""


async def load(manifest: Manifest, model_path: Path, tokenizer_path: Path, threads: int) -> OnnxModel:
    """Load a model of any kind in a thread. Raises BadArtifact, OutOfMemory."""
    return await asyncio.to_thread(KINDS[manifest.kind], manifest, model_path, tokenizer_path, threads)


async def open_model(manifest: Manifest, store: Store, threads: int) -> OnnxModel:
    """Load an installed model for the pool. Raises BadArtifact, OutOfMemory."""
    return await load(manifest, store.path(manifest, "model"), store.path(manifest, "tokenizer"), threads)
