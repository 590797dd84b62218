"""Models in memory: loaded on demand, leased while in use, put away when the budget needs the room.

The first model of a list that is installed and fits is taken. A model whose file is damaged is
passed over for the next one, with a warning. While a model loads, only those wait who need this
model or the room it takes.

Everything here runs on one event loop, and what is decided between two `await`s needs no lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from models.backend import Classifier, Encoder, Loaded, Loseable, Remembers, Reranker, Seated, Tagger, TextModel
from models.backends.llama_settings import DEFAULT_CHOICE, OwnersChoice, chosen, footprint, layout_for
from models.errors import BadArtifact, ManifestError, NotInstalled, OutOfMemory, StoreError, TemplateError
from models.manifest import Manifest
from models.specialist import AtHand
from models.store import Store, missing
from models.tuned import as_run
from models.types import ModelId

logger = logging.getLogger(__name__)

LOADED_SHARE = 1.15
"""Memory of a loaded model over the size of its files, where nothing was measured."""
WAIT_S = 30.0
"""Seconds to wait for a model in use to be put away."""
TURN_SHARE = 0.1
"""Of these, after which new requests for the models in use wait as well, so that one of them can be put away."""
HOLD_SHARE = 0.3
"""Of these, for which each of them does: an answer that takes longer is not to keep the others waiting too."""

Opener = Callable[[Manifest, Store, int], Awaitable[Loaded]]
"""Loads a model: manifest, store, threads."""

OPENERS = {
    "llama": "models.backends.llama:open_model",
    "onnx": "models.backends.onnx:open_model",
}
"""Backend name to the function that loads for it; imported on first use."""


@dataclass(slots=True)
class _Entry:
    """A loaded model and who holds it."""

    model: Loaded
    bytes: int
    leases: int = 0
    used_at: int = 0


@dataclass(slots=True, eq=False)
class _Wait:
    """One request that waits for room."""

    model: ModelId
    left_s: float
    """Until it is its turn, then until it is told that there is none. Loads do not count."""
    held_s: float
    """For which it may still be held back for another one's turn."""


@dataclass(slots=True)
class _State:
    entries: dict[ModelId, _Entry] = field(default_factory=dict)
    moving: dict[ModelId, int] = field(default_factory=dict)
    """Bytes of the models that are just being loaded or put away."""
    leaving: dict[ModelId, asyncio.Task[None]] = field(default_factory=dict)
    """What ends those of them that are put away."""
    clock: int = 0
    taking: int = 0
    """Requests that wait for a model."""
    overdue: list[_Wait] = field(default_factory=list)
    """Of these, those that have waited for room so long that it is their turn."""

    @property
    def bytes(self) -> int:
        return sum(entry.bytes for entry in self.entries.values()) + sum(self.moving.values())

    @property
    def gives_way(self) -> bool:
        """True while those that are here take no more requests: it is another model's turn."""
        return any(wait.model not in self.entries for wait in self.overdue)

    def idle(self) -> ModelId | None:
        """Return the model without a lease that was used longest ago."""
        unused = [(entry.used_at, name) for name, entry in self.entries.items() if not entry.leases]
        return min(unused)[1] if unused else None


class ModelPool:
    """See the module. `close` puts every model away."""

    def __init__(
        self,
        store: Store,
        *,
        budget_bytes: int,
        threads: int,
        choice: OwnersChoice = DEFAULT_CHOICE,
        openers: dict[str, Opener] | None = None,
    ) -> None:
        """`choice`: how language models are loaded, as far as the owner decides it."""
        self._store = store
        self._budget_bytes = budget_bytes
        self._threads = threads
        self._openers = openers
        self._choice = choice
        self._state = _State()
        self._changed = asyncio.Event()

    def installed(self, models: Sequence[str], kind: str = "") -> list[str]:
        """See `models.specialist.Pool.installed`."""
        here = self._store.installed()
        return [name for name in models if name in here and kind in ("", here[name].kind)]

    def at_hand(self, models: Sequence[str]) -> AtHand | None:
        """See `models.specialist.Pool.at_hand`."""
        here = self._store.installed()
        manifest = next((here[name] for name in models if name in here), None)
        if manifest is None:
            return None
        entry = self._state.entries.get(manifest.model_id)
        running = self._as_run(manifest)
        artifacts = running.digests if entry is None else entry.model.artifacts
        return AtHand(manifest.id, artifacts, self._context(manifest), self._need(running), entry is not None)

    def loaded(self) -> dict[str, int]:
        """Return the loaded models and the bytes that each is counted with."""
        return {name: entry.bytes for name, entry in self._state.entries.items()}

    def waiting(self) -> int:
        """See `models.specialist.Queues`."""
        entries = self._state.entries.values()
        seated = [(entry.leases, entry.model.places) for entry in entries if isinstance(entry.model, Seated)]
        return self._state.taking + sum(max(0, leases - places) for leases, places in seated)

    def text(self, models: Sequence[str]) -> AbstractAsyncContextManager[TextModel]:
        """See `models.specialist.Pool.text`."""
        return self._lease(models, "text")

    def encoder(self, models: Sequence[str]) -> AbstractAsyncContextManager[Encoder]:
        """See `models.specialist.Pool.encoder`."""
        return self._lease(models, "encoder")

    def reranker(self, models: Sequence[str]) -> AbstractAsyncContextManager[Reranker]:
        """See `models.specialist.Pool.reranker`."""
        return self._lease(models, "reranker")

    def classifier(self, models: Sequence[str]) -> AbstractAsyncContextManager[Classifier]:
        """See `models.specialist.Pool.classifier`."""
        return self._lease(models, "classifier")

    def tagger(self, models: Sequence[str]) -> AbstractAsyncContextManager[Tagger]:
        """See `models.specialist.Pool.tagger`."""
        return self._lease(models, "tagger")

    async def forget(self, conversation: Path | None = None) -> None:
        """See `models.backend.Remembers`."""
        for model in [entry.model for entry in self._state.entries.values()]:
            if isinstance(model, Remembers):
                await model.forget(conversation)
        if leaving := tuple(self._state.leaving.values()):  # each may still write what was said
            await asyncio.wait(leaving)

    async def close(self) -> None:
        while self._state.moving:
            await self._changed.wait()
        entries = list(self._state.entries.values())
        self._state.entries.clear()
        for entry in entries:
            await entry.model.close()

    @contextlib.asynccontextmanager
    async def _lease(self, models: Sequence[str], kind: str) -> AsyncIterator[Any]:
        """Give a model of the kind; that it has what its kind promises is for the opener of the kind to see to."""
        self._state.taking += 1
        try:
            entry = await self._take(models, kind)
        finally:
            self._state.taking -= 1
        try:
            yield entry.model
        finally:
            entry.leases -= 1
            self._tell()

    async def _take(self, models: Sequence[str], kind: str) -> _Entry:
        """Return the entry of the first model that can be had, one lease added."""
        here = self._store.installed()
        manifests = [here[name] for name in models if name in here and here[name].kind == kind]
        if not manifests:
            if not models:
                raise NotInstalled("This specialist names no model; add one to its `models`.")
            if other := next((here[name] for name in models if name in here), None):
                raise ManifestError(
                    f"{other.id} is a model of kind {other.kind!r}, and kind {kind!r} is needed; name one of that kind "
                    "in the specialist's `models` (`covey models list` shows the kinds)."
                )
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
        """Return the entry of a model, one lease added."""
        if (old := self._state.entries.get(manifest.model_id)) is not None and not old.leases and _lost(old.model):
            await self._put_away(manifest.model_id)
        wait = _Wait(manifest.model_id, WAIT_S * TURN_SHARE, WAIT_S * HOLD_SHARE)
        try:
            entry = await self._awaited(manifest, wait)
        finally:
            if wait in self._state.overdue:
                self._state.overdue.remove(wait)
                self._tell()
        self._state.clock += 1
        entry.leases += 1
        entry.used_at = self._state.clock
        return entry

    async def _awaited(self, manifest: Manifest, wait: _Wait) -> _Entry:
        """Return the entry of a model, loaded if it is not here."""
        state, name = self._state, manifest.model_id
        while (entry := state.entries.get(name)) is None or (state.gives_way and wait.held_s > 0):
            if entry is not None:
                await self._held(wait)
                continue
            if name in state.moving:
                await self._changed.wait()
                continue
            need = self._need(self._as_run(manifest))
            if self._has_room(manifest, need):
                return await self._load(manifest, need)
            if (idle := state.idle()) is not None:
                await self._put_away(idle)
            else:
                await self._released(manifest, wait)
        return entry

    async def _held(self, wait: _Wait) -> None:
        """Wait for a change while it is another model's turn."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait.held_s):
                await self._changed.wait()
        wait.held_s -= loop.time() - began

    async def _load(self, manifest: Manifest, need: int) -> _Entry:
        """Open a model; its room is taken from the start."""
        self._state.moving[manifest.model_id] = need
        try:
            entry = _Entry(await self._open(manifest), need)
            self._state.entries[manifest.model_id] = entry
            return entry
        finally:
            self._moved(manifest.model_id)

    async def _put_away(self, name: ModelId) -> None:
        """End a model; it goes on when the one who waits for it leaves, and `close` and `forget` wait for it too."""
        entry = self._state.entries.pop(name)
        self._state.moving[name] = entry.bytes
        ending = self._state.leaving[name] = asyncio.create_task(entry.model.close())
        try:
            await asyncio.shield(ending)
        finally:
            if ending.done():  # the room is first theirs who made it
                self._moved(name)
            else:
                ending.add_done_callback(lambda _: self._moved(name))

    def _moved(self, name: ModelId) -> None:
        """Count a model's memory no longer as that of one which is loaded or put away."""
        del self._state.moving[name]
        self._state.leaving.pop(name, None)
        self._tell()

    def _has_room(self, manifest: Manifest, need: int) -> bool:
        """Return whether a model fits beside those that are here. Raises OutOfMemory where it never will."""
        if need > self._budget_bytes:
            raise OutOfMemory(
                f"Model {manifest.id} needs about {need // 2**20} MB of memory and the budget is "
                f"{self._budget_bytes // 2**20} MB. Raise memory_budget_mb in the settings, lower "
                "context_tokens or state_tokens, or use a smaller model."
            )
        return self._state.bytes + need <= self._budget_bytes

    async def _released(self, manifest: Manifest, wait: _Wait) -> None:
        """Wait until a lease or a load ends.

        Not for ever: the one who waits may hold the others, or these be asked again and again.
        """
        if self._state.moving:
            await self._changed.wait()
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await asyncio.wait_for(self._changed.wait(), wait.left_s)
            wait.left_s -= loop.time() - began
        except TimeoutError as error:
            if wait not in self._state.overdue:
                self._state.overdue.append(wait)
                wait.left_s = WAIT_S * (1 - TURN_SHARE)
                return
            raise OutOfMemory(
                f"Model {manifest.id} does not fit beside those in use ({', '.join(self._state.entries)}). "
                "Raise memory_budget_mb in the settings, or ask again later."
            ) from error

    def _tell(self) -> None:
        """Wake those who wait for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _open(self, manifest: Manifest) -> Loaded:
        if self._openers is not None:
            return await self._openers[manifest.backend](manifest, self._store, self._threads)
        module, _, function = OPENERS[manifest.backend].partition(":")
        opener: Callable[..., Awaitable[Loaded]] = getattr(import_module(module), function)
        more = {"choice": self._choice} if manifest.backend == "llama" else {}
        return await opener(manifest, self._store, self._threads, **more)

    def _context(self, manifest: Manifest) -> int:
        return chosen(manifest, self._choice).context_tokens if manifest.backend == "llama" else manifest.context_tokens

    def _as_run(self, manifest: Manifest) -> Manifest:
        return as_run(manifest, layout_for(self._choice, self._store.tuned(manifest)))

    def _need(self, manifest: Manifest) -> int:
        """Return the bytes of memory that a model is counted with, loaded as the owner wants it."""
        if manifest.backend != "llama":
            return manifest.memory_bytes or int(manifest.size_bytes * LOADED_SHARE)
        with contextlib.suppress(BadArtifact, StoreError):  # that its file is damaged is said when it is loaded
            weights = self._store.path(manifest, "model")
            return footprint(manifest, weights, chosen(manifest, self._choice))
        return int(manifest.size_bytes * LOADED_SHARE)


def _lost(model: Loaded) -> bool:
    return isinstance(model, Loseable) and model.lost
