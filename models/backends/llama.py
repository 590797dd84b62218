"""A language model in a worker process, as a `TextModel`.

The worker may die: llama.cpp aborts on some damaged files, and the system may kill it for its memory.
Its requests then fail with `WorkerDied`, the node stays up, and the next request starts a new worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from models import errors, gguf
from models.backend import Constraint, Delta, Finish, GenerateCall, Message
from models.engine import framing
from models.engine.environment import environment
from models.errors import (
    BackendError,
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

logger = logging.getLogger(__name__)

LOAD_S = 120.0
"""Seconds a model may take to load; a 4 GB file from a slow card takes about 100."""
CLOSE_S = 2.0
"""Seconds a worker has to end by itself before it is killed."""
STDERR_BYTES_KEPT = 4096
"""Bytes of the worker's last words kept for the error message."""

_END: dict[str, Any] = {"op": "worker-died"}


@dataclass(frozen=True, slots=True)
class LlamaSettings:
    """How a model is loaded."""

    context_tokens: int = 2048
    """Most tokens of one request, prompt and answer together."""
    kv_tokens: int | None = None
    """Tokens of state, all requests together; None means one request's context."""
    slots: int = 8
    """Requests that run at once; more wait."""
    scratch: int = 8
    """Sequences for weighing labels."""
    threads: int = max(1, (os.cpu_count() or 2))
    rows: int = 512
    """Most tokens computed in one step."""
    reproducible: bool = False
    """Make answers independent of what else runs in the batch, at some cost in memory and speed."""

    signals: bool = True
    """Gather what each token's logits say about it; off only to measure what that costs."""
    lookup: bool = True
    """Propose tokens of the prompt where a call says that its answer repeats them."""
    prefix_folder: Path | None = None
    """Where the state of specialists' own prompts is kept; None keeps none."""

    @property
    def state_tokens(self) -> int:
        """Tokens of state to allocate."""
        if self.reproducible:
            return self.context_tokens * (self.slots + self.scratch)
        return self.kv_tokens or self.context_tokens


REPRODUCIBLE_SLOTS = 4
"""Requests at once, and as many labels, in reproducible mode: each has a whole context's state of its own."""
REPRODUCIBLE_ROWS = 32
"""Rows of a step in reproducible mode; with 64 or more llama.cpp rounds otherwise (models/engine/README.md)."""


class LlamaModel:
    """A loaded language model. Made by `load`; `close` ends its process."""

    def __init__(self, model_id: ModelId, path: Path, artifacts: tuple[Digest, ...], settings: LlamaSettings) -> None:
        self.id = model_id
        self.artifacts = artifacts
        self._path = path
        self._settings = settings
        self._numbers = count(1)
        self._inboxes: dict[int, asyncio.Queue[dict[str, Any]]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._last_words: asyncio.Task[bytes] | None = None
        self._starting = asyncio.Lock()

    @property
    def places(self) -> int:
        """See `models.backend.Seated`."""
        return self._settings.slots

    @classmethod
    async def load(
        cls, model_id: ModelId, path: Path, artifacts: tuple[Digest, ...], settings: LlamaSettings | None = None
    ) -> LlamaModel:
        """Start a worker and load the model. Raises BadArtifact, OutOfMemory, TemplateError, WorkerDied."""
        model = cls(model_id, path, artifacts, settings or LlamaSettings())
        try:
            await model._start()
        except BaseException:  # cancelled too: a worker that nobody has would keep its memory
            await model.close()
            raise
        return model

    @property
    def context_tokens(self) -> int:
        return self._settings.context_tokens

    @property
    def memory_bytes(self) -> int:
        """Resident size of the worker process, 0 when it is gone."""
        if self._process is None or self._process.returncode is not None:
            return 0
        try:
            statm = Path(f"/proc/{self._process.pid}/statm").read_text()
            return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:  # no /proc on this system
            return self._path.stat().st_size

    @property
    def process_id(self) -> int | None:
        return self._process.pid if self._process else None

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
            "asker": call.asker,
            "conversation": str(call.conversation or ""),
            "copies": call.copies and self._settings.lookup,
            "resume_tokens": call.resume_tokens,
            "deadline_s": call.deadline_s,
        }
        async with self._request(message) as inbox:
            while True:
                reply = await inbox.get()
                match reply["op"]:
                    case "delta":
                        yield Delta(reply["index"], reply["text"], tuple(reply["tokens"]))
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
                        raise await self._failure(reply)

    async def score(
        self, messages: Sequence[Message], labels: Sequence[str], prefill: str = "", *, asker: str = ""
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
        }
        async with self._request(message) as inbox:
            reply = await inbox.get()
            if reply["op"] != "scores":
                raise await self._failure(reply)
            return [float(p) for p in reply["probabilities"]]

    async def count_tokens(self, text: str) -> int:
        """See `models.backend.TextModel.count_tokens`."""
        async with self._request({"op": "count", "text": text}) as inbox:
            reply = await inbox.get()
            if reply["op"] != "count":
                raise await self._failure(reply)
            return int(reply["tokens"])

    async def forget(self, conversation: Path | None = None) -> None:
        """See `models.backend.Remembers`."""
        if self._process is not None and self._process.returncode is None:
            async with self._request({"op": "forget", "conversation": str(conversation or "")}) as inbox:
                await inbox.get()  # or it died, and remembers nothing

    async def close(self) -> None:
        """End the worker: by the end of its input, else by force."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), CLOSE_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        for task in (self._reader, self._last_words):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def _request(self, message: dict[str, Any]) -> AsyncIterator[asyncio.Queue[dict[str, Any]]]:
        """Send a message and hand out its replies; leaving early cancels it in the worker."""
        await self._start()
        number = next(self._numbers)
        inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()  # bounded by the request's token budget
        self._inboxes[number] = inbox
        try:
            await self._send({**message, "id": number})
            yield inbox
        finally:
            if self._inboxes.pop(number, None) is not None and self._process is not None:
                with contextlib.suppress(WorkerDied, asyncio.CancelledError):
                    await self._send({"op": "cancel", "id": number})

    async def _send(self, message: dict[str, Any]) -> None:
        process = self._process
        if process is None or process.stdin is None:
            raise self._died()
        try:
            process.stdin.write(framing.encode(message))
            await process.stdin.drain()
        except (ConnectionError, RuntimeError) as error:
            raise self._died() from error

    async def _start(self) -> None:
        """Start the worker if it is not running. Raises as `load`."""
        async with self._starting:
            if self._process is not None and self._process.returncode is None:
                return
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "models.engine.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                env=environment(self._settings.threads),
            )
            self._process = process
            assert process.stdout is not None and process.stderr is not None
            self._last_words = asyncio.create_task(_tail(process.stderr))
            settings = self._settings
            await self._send(
                {
                    "path": str(self._path),
                    "kv_tokens": settings.state_tokens,
                    "context_tokens": settings.context_tokens,
                    "slots": settings.slots,
                    "scratch": settings.scratch,
                    "threads": settings.threads,
                    "rows": min(settings.rows, REPRODUCIBLE_ROWS) if settings.reproducible else settings.rows,
                    "reproducible": settings.reproducible,
                    "prefix_folder": str(settings.prefix_folder or ""),
                    "digest": "".join(self.artifacts),
                }
            )
            try:
                first = await asyncio.wait_for(framing.receive(process.stdout), LOAD_S)
            except (TimeoutError, framing.BrokenFrame):
                first = None
            if first is None or first["op"] != "loaded":
                raise self._lost_at_load(await self._failure(first or _END), process.returncode)
            self._reader = asyncio.create_task(self._read(process.stdout))

    async def _read(self, pipe: asyncio.StreamReader) -> None:
        """Hand each reply to the request that waits for it; at the end tell all that are left."""
        try:
            while (reply := await framing.receive(pipe)) is not None:
                inbox = self._inboxes.get(reply["id"])
                if inbox is None:
                    continue
                if reply["op"] != "delta":
                    del self._inboxes[reply["id"]]
                inbox.put_nowait(reply)
        except framing.BrokenFrame as error:
            logger.warning("the worker of %s sent something unreadable: %s", self.id, error)
        for inbox in self._inboxes.values():
            inbox.put_nowait(_END)
        self._inboxes.clear()

    async def _failure(self, reply: dict[str, Any]) -> ModelsError:
        if reply["op"] in ("error", "failed"):
            kind = _BY_CODE.get(reply["code"], BackendError)
            return kind(reply["message"])
        return self._died(await self._words())

    def _lost_at_load(self, failure: ModelsError, status: int | None) -> ModelsError:
        """Return what a failure at load means: a kill by the system is its way to say that memory ran out."""
        if not isinstance(failure, WorkerDied) or status != -signal.SIGKILL:
            return failure
        size = self._path.stat().st_size / 1e6
        return OutOfMemory(
            f"The system ended the process of model {self.id} while it was loading, as it does when memory runs out. "
            f"It needs at least {size:,.0f} MB; close other programs, or use a smaller model or context."
        )

    async def _words(self) -> str:
        """Return the last line that a dead worker wrote."""
        if self._process is None or self._last_words is None:
            return ""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), CLOSE_S)
            words = await asyncio.wait_for(asyncio.shield(self._last_words), CLOSE_S)
            lines = words.decode("utf-8", "replace").strip().splitlines()
            return lines[-1][:200] if lines else ""
        return ""

    def _died(self, words: str = "") -> WorkerDied:
        status = self._process.returncode if self._process is not None else None
        detail = f" (status {status}{': ' + words if words else ''})" if status is not None else ""
        return WorkerDied(f"The process of model {self.id} ended unexpectedly{detail}. Ask again: it starts afresh.")


def _sendable(constraint: Constraint) -> tuple[str, Any]:
    """Return a constraint as it is sent. Raises ConstraintError where no frame can carry it."""
    try:
        framing.encode({"value": constraint.value})
    except InputError as error:
        raise ConstraintError(str(error)) from error
    return constraint.kind, constraint.value


async def _tail(pipe: asyncio.StreamReader) -> bytes:
    """Read a pipe to its end, keeping only its last bytes."""
    kept = b""
    while data := await pipe.read(STDERR_BYTES_KEPT):
        kept = (kept + data)[-STDERR_BYTES_KEPT:]
    return kept


def _codes(kind: type[ModelsError]) -> dict[str, type[ModelsError]]:
    table = {kind.code: kind}
    for child in kind.__subclasses__():
        table |= _codes(child)
    return table


_BY_CODE = _codes(errors.ModelsError)
"""Error code, as a worker sends it, to the class of models/errors.py."""


async def open_model(manifest: Manifest, store: Store, threads: int, *, reproducible: bool = False) -> LlamaModel:
    """Load an installed model for the pool, as it was tuned if it was. Raises as `LlamaModel.load`."""
    tuned = store.tuned(manifest)
    running = as_run(manifest, tuned)
    path = store.path(running, "model")
    await asyncio.to_thread(gguf.read, path)  # a damaged file is refused before llama.cpp sees it
    settings = LlamaSettings(
        context_tokens=manifest.context_tokens, threads=threads, prefix_folder=store.root / "prefixes"
    )
    if tuned is not None:  # never more threads than the owner lets the node have
        settings = replace(settings, threads=min(threads, tuned.threads), rows=tuned.rows)
    if reproducible:
        settings = replace(settings, reproducible=True, slots=REPRODUCIBLE_SLOTS, scratch=REPRODUCIBLE_SLOTS)
    return await LlamaModel.load(manifest.model_id, path, running.digests, settings)


async def open_reproducible(manifest: Manifest, store: Store, threads: int) -> LlamaModel:
    """Load an installed model so that its answers are the same whatever else runs. Raises as `LlamaModel.load`."""
    return await open_model(manifest, store, threads, reproducible=True)
