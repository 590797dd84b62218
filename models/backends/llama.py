"""A language model in a worker process, as a `TextModel`.

The worker may die: llama.cpp aborts on some damaged files, and the system may kill it for its memory.
Its requests then fail with `WorkerDied`, the node stays up, and the next request starts a new worker.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

from models import errors, gguf
from models.backend import (
    MOST_ALTERNATIVES,
    Constraint,
    Delta,
    Finish,
    GenerateCall,
    Message,
    TokenDetail,
    TokenSignal,
)
from models.backends.llama_process import COMMAND, Frame, WorkerProcess
from models.backends.llama_settings import DEFAULT_CHOICE, SHOW_S, LlamaSettings, OwnersChoice, chosen, layout_for
from models.engine import framing
from models.errors import (
    BackendError,
    BadArtifact,
    ConstraintError,
    ContextOverflow,
    InputError,
    ModelsError,
    OutOfMemory,
    WorkerDied,
)
from models.manifest import Manifest
from models.store import Store
from models.tuned import as_run
from models.types import Digest, ModelId, Signals, Usage

LOAD_S = 120.0
"""Seconds a model may take to load; a 4 GB file from a slow card takes about 100."""


class LlamaModel:
    """A loaded language model. Made by `load`; `close` ends its process."""

    def __init__(
        self,
        model_id: ModelId,
        path: Path,
        artifacts: tuple[Digest, ...],
        settings: LlamaSettings,
        *,
        command: Sequence[str] = COMMAND,
    ) -> None:
        """`command` starts the worker; tests put another one in its place."""
        self.id = model_id
        self.artifacts = artifacts
        self._path = path
        self._settings = settings
        self._command = command
        self._worker: WorkerProcess | None = None
        self._starting = asyncio.Lock()

    @property
    def places(self) -> int:
        """See `models.backend.Seated`."""
        return self._settings.slots

    @property
    def unended(self) -> int:
        """Requests that its process has not ended yet; a cancelled one counts until its place is free."""
        return self._worker.unended if self._worker is not None else 0

    @property
    def lost(self) -> bool:
        """See `models.backend.Loseable`: its weights were removed, as by an undone tuning, and then its worker died."""
        return (self._worker is None or not self._worker.serves) and not self._path.exists()

    @classmethod
    async def load(
        cls, model_id: ModelId, path: Path, artifacts: tuple[Digest, ...], settings: LlamaSettings | None = None
    ) -> LlamaModel:
        """Start a worker and load the model. Raises BackendError, most often a more special one."""
        model = cls(model_id, path, artifacts, settings or LlamaSettings())
        await model._serving()
        return model

    @property
    def context_tokens(self) -> int:
        return self._settings.context_tokens

    @property
    def memory_bytes(self) -> int:
        """Resident size of the worker process, 0 when it is gone."""
        if self._worker is None or self._worker.status is not None:
            return 0
        try:
            statm = Path(f"/proc/{self._worker.pid}/statm").read_text()
            return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:  # no /proc on this system
            return self._path.stat().st_size

    @property
    def process_id(self) -> int | None:
        return self._worker.pid if self._worker else None

    async def generate(self, call: GenerateCall) -> AsyncGenerator[Delta | Finish, None]:
        """See `models.backend.TextModel.generate`."""
        if call.max_tokens < 1:
            raise ContextOverflow("An answer needs room for at least one token. Ask for a longer answer.")
        if not call.messages:
            raise InputError("There is nothing to answer: a conversation needs at least one message.")
        constraint = call.constraint
        message = {
            "op": "generate",
            "messages": [(m.role, m.content) for m in call.messages],
            "own_messages": call.own_messages,
            "prefill": call.prefill,
            "max_tokens": call.max_tokens,
            "sampling": astuple(call.sampling),
            "constraint": None if constraint is None else _sendable(constraint),
            "stop": call.stop,
            "signals": self._settings.signals,
            "details": call.details,
            "alternatives": min(call.alternatives, MOST_ALTERNATIVES) if call.details else 0,
            "asker": call.asker,
            "conversation": str(call.conversation or ""),
            "copies": call.copies and self._settings.lookup,
            "resume_tokens": call.resume_tokens,
            "deadline_s": call.deadline_s,
        }
        worker = await self._serving()
        async with worker.request(message) as inbox:
            while True:
                reply = await worker.reply(inbox)
                match reply["op"]:
                    case "delta":
                        yield _delta(reply)
                    case "finish":
                        yield Finish(
                            reply["text"],
                            reply["reason"],
                            tuple(reply["tokens"]),
                            Signals(*reply["signals"]),
                            Usage(*reply["usage"]),
                        )
                        return
                    case _:
                        raise await _failure(worker, reply)

    async def score(
        self,
        messages: Sequence[Message],
        labels: Sequence[str],
        prefill: str = "",
        *,
        asker: str = "",
        own_messages: int = 0,
        deadline_s: float | None = None,
    ) -> list[float]:
        """See `models.backend.TextModel.score`."""
        if not labels:
            return []
        message = {
            "op": "score",
            "messages": [(m.role, m.content) for m in messages],
            "labels": list(labels),
            "prefill": prefill,
            "asker": asker,
            "own_messages": own_messages,
            "deadline_s": deadline_s,
        }
        worker = await self._serving()
        async with worker.request(message) as inbox:
            reply = await worker.reply(inbox)
            if reply["op"] != "scores":
                raise await _failure(worker, reply)
            return [float(p) for p in reply["probabilities"]]

    async def count_tokens(self, text: str) -> int:
        """See `models.backend.TextModel.count_tokens`."""
        worker = await self._serving()
        async with worker.request({"op": "count", "text": text}) as inbox:
            reply = await worker.reply(inbox)
            if reply["op"] != "count":
                raise await _failure(worker, reply)
            return int(reply["tokens"])

    async def forget(self, conversation: Path | None = None) -> None:
        """See `models.backend.Remembers`."""
        if (worker := self._worker) is not None and worker.serves:
            async with worker.request({"op": "forget", "conversation": str(conversation or "")}) as inbox:
                await worker.reply(inbox)  # or it died, and remembers nothing

    async def close(self) -> None:
        """End the worker."""
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.close()

    async def _serving(self) -> WorkerProcess:
        """Return the worker, started anew if it has died. Raises as `load`."""
        async with self._starting:
            if self._worker is not None and self._worker.serves:
                return self._worker
            if self._worker is not None:
                await self._worker.kill()  # it is as good as dead, and its place is needed
                if self.lost:
                    raise WorkerDied(f"The weights that {self.id} ran with were removed meanwhile. Ask again.")
            worker = await WorkerProcess.start(self.id, threads=self._settings.threads, command=self._command)
            self._worker = worker
            try:
                await self._load(worker)
            except BaseException:  # cancelled too: nobody would listen to it, and all that ask would wait for ever
                self._worker = None
                await worker.kill()
                raise
            return worker

    async def _load(self, worker: WorkerProcess) -> None:
        settings = self._settings
        load: Frame = {
            "path": str(self._path),
            "kv_tokens": settings.state_tokens,
            "shelf_tokens": settings.shelf_tokens,
            "show_s": settings.show_s,
            "context_tokens": settings.context_tokens,
            "slots": settings.slots,
            "scratch": settings.scratch,
            "threads": settings.threads,
            "rows": settings.rows,
            "reproducible": settings.reproducible,
            "prefix_folder": str(settings.prefix_folder or ""),
            "digest": "".join(self.artifacts),
        }
        first = await worker.load(load, LOAD_S)
        if not worker.serves:
            failure = await _failure(worker, first or {"op": "silent"})
            raise self._lost_at_load(failure, worker.status)

    def _lost_at_load(self, failure: ModelsError, status: int | None) -> ModelsError:
        """Return what a failure at load means: a kill by the system is its way to say that memory ran out."""
        if not isinstance(failure, WorkerDied) or status != -signal.SIGKILL:
            return failure
        size = self._path.stat().st_size / 1e6
        return OutOfMemory(
            f"The system ended the process of model {self.id} while it was loading, as it does when memory runs out. "
            f"It needs at least {size:,.0f} MB; close other programs, or use a smaller model or context."
        )


def _delta(reply: Frame) -> Delta:
    details = tuple(map(_detail, reply.get("details", ())))
    return Delta(reply["index"], reply["text"], tuple(reply["tokens"]), reply.get("before", ""), details)


def _detail(sent: tuple[bytes, list[float] | None, list[tuple[bytes, float]]]) -> TokenDetail:
    data, signal, likeliest = sent
    return TokenDetail(data, TokenSignal(*signal) if signal else None, tuple((text, p) for text, p in likeliest))


async def _failure(worker: WorkerProcess, reply: Frame) -> ModelsError:
    if reply["op"] in ("error", "failed"):
        kind = _BY_CODE.get(reply["code"], BackendError)
        return kind(reply["message"])
    return await worker.died()


def _sendable(constraint: Constraint) -> tuple[str, Any]:
    """Return a constraint as it is sent. Raises ConstraintError where no frame can carry it."""
    try:
        framing.encode({"value": constraint.value})
    except InputError as error:
        raise ConstraintError(str(error)) from error
    return constraint.kind, constraint.value


def _codes(kind: type[ModelsError]) -> dict[str, type[ModelsError]]:
    table = {kind.code: kind}
    for child in kind.__subclasses__():
        table |= _codes(child)
    return table


_BY_CODE = _codes(errors.ModelsError)
"""Error code, as a worker sends it, to the class of models/errors.py."""


async def open_model(
    manifest: Manifest, store: Store, threads: int, *, choice: OwnersChoice = DEFAULT_CHOICE, show_s: float = SHOW_S
) -> LlamaModel:
    """Load an installed model for the pool, as it was tuned if it was. `show_s`: see `LlamaSettings`.

    Raises as `LlamaModel.load`.
    """
    tuned = store.tuned(manifest)
    running = as_run(manifest, layout_for(choice, tuned))
    path = store.path(running, "model")
    try:
        await asyncio.to_thread(gguf.read, path)  # a damaged file is refused before llama.cpp sees it
    except BadArtifact as error:  # it speaks of a file that the owner knows by the model's name only
        reason = str(error).partition("; ")[0].replace(path.name, running.artifact("model").file)
        raise BadArtifact(f"{reason}; run `covey models pull {manifest.id}` to replace it.") from error
    settings = chosen(manifest, choice, threads=threads, tuned=tuned)
    settings = replace(settings, show_s=show_s, prefix_folder=store.root / "prefixes")
    return await LlamaModel.load(manifest.model_id, path, running.digests, settings)
