"""Models in memory: loaded on demand, leased while in use, put away when the budget needs the room.

The first model of a list that is installed and fits is taken. A model whose file is damaged is
passed over for the next one, with a warning.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import cast

from models.backend import Encoder, Loaded, Remembers, Reranker, TextModel
from models.errors import BadArtifact, NotInstalled, OutOfMemory, TemplateError
from models.manifest import Manifest
from models.specialist import AtHand
from models.store import Store, missing
from models.tuned import as_run
from models.types import ModelId

logger = logging.getLogger(__name__)

LOADED_SHARE = 1.15
"""Memory of a loaded model over the size of its files, where nothing was measured."""
WORKER_BYTES = 60 * 1024 * 1024
"""Memory of a worker process before it loads anything: Python, numpy, llama.cpp."""
WAIT_S = 30.0
"""Seconds to wait for a model in use to be put away."""

Opener = Callable[[Manifest, Store, int], Awaitable[Loaded]]
"""Loads a model: manifest, store, threads."""

OPENERS = {
    "llama": "models.backends.llama:open_model",
    "onnx": "models.backends.onnx:open_model",
}
"""Backend name to the function that loads for it; imported on first use."""
REPRODUCIBLE = {**OPENERS, "llama": "models.backends.llama:open_reproducible"}
"""The same, where answers must not depend on what else runs."""


@dataclass(slots=True)
class _Entry:
    """A loaded model and who holds it."""

    model: Loaded
    bytes: int
    leases: int = 0
    used_at: int = 0


@dataclass(slots=True)
class _State:
    entries: dict[ModelId, _Entry] = field(default_factory=dict)
    clock: int = 0


class ModelPool:
    """See the module. `close` puts every model away."""

    def __init__(
        self,
        store: Store,
        *,
        budget_bytes: int,
        threads: int,
        reproducible: bool = False,
        openers: dict[str, Opener] | None = None,
    ) -> None:
        """`reproducible`: answers independent of what else runs, at some cost in memory and prompt speed."""
        self._store = store
        self._budget_bytes = budget_bytes
        self._threads = threads
        self._openers = openers
        self._table = REPRODUCIBLE if reproducible else OPENERS
        self._state = _State()
        self._changed = asyncio.Condition()

    def installed(self, models: Sequence[str]) -> list[str]:
        """See `models.specialist.Pool.installed`."""
        here = self._store.installed()
        return [name for name in models if name in here]

    def at_hand(self, models: Sequence[str]) -> AtHand | None:
        """See `models.specialist.Pool.at_hand`."""
        here = self._store.installed()
        manifest = next((here[name] for name in models if name in here), None)
        if manifest is None:
            return None
        entry = self._state.entries.get(manifest.model_id)
        artifacts = manifest.digests if entry is None else entry.model.artifacts
        return AtHand(manifest.id, artifacts, manifest.context_tokens, footprint(manifest), entry is not None)

    def loaded(self) -> dict[str, int]:
        """Return the loaded models and the bytes that each is counted with."""
        return {name: entry.bytes for name, entry in self._state.entries.items()}

    @contextlib.asynccontextmanager
    async def text(self, models: Sequence[str]) -> AsyncIterator[TextModel]:
        """See `models.specialist.Pool.text`."""
        async with self._lease(models, "text") as model:
            yield cast(TextModel, model)

    @contextlib.asynccontextmanager
    async def encoder(self, models: Sequence[str]) -> AsyncIterator[Encoder]:
        """See `models.specialist.Pool.encoder`."""
        async with self._lease(models, "encoder") as model:
            yield cast(Encoder, model)

    @contextlib.asynccontextmanager
    async def reranker(self, models: Sequence[str]) -> AsyncIterator[Reranker]:
        """See `models.specialist.Pool.reranker`."""
        async with self._lease(models, "reranker") as model:
            yield cast(Reranker, model)

    async def forget(self, conversation: Path | None = None) -> None:
        """See `models.backend.Remembers`."""
        for model in [entry.model for entry in self._state.entries.values()]:
            if isinstance(model, Remembers):
                await model.forget(conversation)

    async def close(self) -> None:
        async with self._changed:
            entries = list(self._state.entries.values())
            self._state.entries.clear()
        for entry in entries:
            await entry.model.close()

    @contextlib.asynccontextmanager
    async def _lease(self, models: Sequence[str], kind: str) -> AsyncIterator[Loaded]:
        entry = await self._take(models, kind)
        try:
            yield entry.model
        finally:
            entry.leases -= 1
            async with self._changed:
                self._changed.notify_all()

    async def _take(self, models: Sequence[str], kind: str) -> _Entry:
        """Return the entry of the first model that can be had, one lease added."""
        here = self._store.installed()
        manifests = [here[name] for name in models if name in here and here[name].kind == kind]
        if not manifests:
            if not models:
                raise NotInstalled("This specialist names no model; add one to its `models`.")
            raise missing(models[-1])
        refusal: Exception | None = None
        for manifest in manifests:
            try:
                return await self._entry(manifest)
            except (BadArtifact, OutOfMemory, TemplateError) as error:
                logger.warning("%s can't be used: %s", manifest.id, error)
                refusal = refusal or error
        assert refusal is not None
        raise refusal

    async def _entry(self, manifest: Manifest) -> _Entry:
        async with self._changed:
            self._state.clock += 1
            entry = self._state.entries.get(manifest.model_id)
            if entry is None:
                need = footprint(as_run(manifest, self._store.tuned(manifest)))
                await self._make_room(manifest, need)
                entry = _Entry(await self._open(manifest), need)
                self._state.entries[manifest.model_id] = entry
            entry.leases += 1
            entry.used_at = self._state.clock
            return entry

    async def _make_room(self, manifest: Manifest, need: int) -> None:
        """Put models away, the one used longest ago first; wait for one in use if that is what it takes."""
        if need > self._budget_bytes:
            raise OutOfMemory(
                f"Model {manifest.id} needs about {need // 2**20} MB of memory and the budget is "
                f"{self._budget_bytes // 2**20} MB. Raise memory_budget_mb in the settings, or use a smaller model."
            )
        while sum(entry.bytes for entry in self._state.entries.values()) + need > self._budget_bytes:
            idle = [(entry.used_at, name) for name, entry in self._state.entries.items() if not entry.leases]
            if not idle:
                await self._released(manifest)
                continue
            await self._state.entries.pop(min(idle)[1]).model.close()

    async def _released(self, manifest: Manifest) -> None:
        """Wait until a lease ends; not for ever, because the one who waits may hold the others."""
        try:
            await asyncio.wait_for(self._changed.wait(), WAIT_S)
        except TimeoutError as error:
            raise OutOfMemory(
                f"Model {manifest.id} does not fit beside those in use ({', '.join(self._state.entries)}). "
                "Raise memory_budget_mb in the settings, or ask again later."
            ) from error

    async def _open(self, manifest: Manifest) -> Loaded:
        if self._openers is not None:
            return await self._openers[manifest.backend](manifest, self._store, self._threads)
        module, _, function = self._table[manifest.backend].partition(":")
        opener: Opener = getattr(import_module(module), function)
        return await opener(manifest, self._store, self._threads)


def footprint(manifest: Manifest) -> int:
    """Return the bytes of memory that a model is counted with."""
    if manifest.memory_bytes is not None:
        return manifest.memory_bytes
    worker = WORKER_BYTES if manifest.backend == "llama" else 0
    return int(manifest.size_bytes * LOADED_SHARE) + worker
