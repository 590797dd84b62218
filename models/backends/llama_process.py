"""The node's side of one worker process: it is started, spoken to, listened to, and ended.

It serves until it dies or speaks nonsense; then all that wait for it are told, and it is not used again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import count
from typing import Any

from models.engine import framing
from models.engine.environment import environment, program
from models.errors import BackendError, WorkerDied
from models.types import ModelId

logger = logging.getLogger(__name__)

COMMAND = program("models.engine.worker")
CLOSE_S = 2.0
"""Seconds a worker has to end by itself before it is killed."""
SILENT_S = 600.0
"""Seconds without a word from a worker that owes one, after which it is taken to hang. The longest step known, of
512 rows of a large model on a small board, takes 100 to 250."""
STDERR_BYTES_KEPT = 4096
"""Bytes of the worker's last words kept for the error message."""

Frame = dict[str, Any]
_END: Frame = {"op": "worker-died"}
_FIELDS: Mapping[str, frozenset[str]] = {
    "delta": frozenset({"index", "text", "tokens"}),
    "finish": frozenset({"text", "reason", "tokens", "signals", "usage"}),
    "scores": frozenset({"probabilities"}),
    "count": frozenset({"tokens"}),
    "forgotten": frozenset(),
    "cancelled": frozenset(),
    "error": frozenset({"code", "message"}),
}
"""Kinds of replies, and what each must have beside the request's number."""


class Inbox:
    """Replies to one request that nobody has taken yet: at most one piece of the answer, and how it ended.

    A reader who stands still holds up nobody else; what it has not taken yet is joined.
    """

    def __init__(self) -> None:
        self._waiting: deque[Frame] = deque()
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, reply: Frame) -> None:
        last = self._waiting[-1] if self._waiting else None
        if last is not None and last["op"] == reply["op"] == "delta":
            last["text"] += reply["text"]
            last["tokens"] += reply["tokens"]
            if "details" in reply:
                last["details"] += reply["details"]
        else:
            self._waiting.append(reply)
        self._arrived.set()

    async def get(self) -> Frame:
        await self._arrived.wait()
        reply = self._waiting.popleft()
        if not self._waiting:
            self._arrived.clear()
        return reply


class WorkerProcess:
    """A process that serves one model. Made by `start`, ready after `load`; `close` or `kill` ends it."""

    def __init__(self, model: ModelId, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        self._model = model
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._inboxes: dict[int, Inbox] = {}
        self._numbers = count(1)
        self._owed: dict[int, float] = {}
        """Requests whose end has not come, not even that of a cancelled one, and when each was sent."""
        self._heard = 0.0
        self._last_words = asyncio.create_task(_tail(process.stderr))
        self._reader: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, model: ModelId, *, threads: int, command: Sequence[str] = COMMAND) -> WorkerProcess:
        """Start a process; nothing is loaded yet."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=environment(threads),
        )
        return cls(model, process)

    @property
    def serves(self) -> bool:
        """True from the end of loading until it has died, hangs, or nobody listens to it any more."""
        alive = self._reader is not None and not self._reader.done() and self._process.returncode is None
        return alive and not self._hangs

    @property
    def _hangs(self) -> bool:
        now = asyncio.get_running_loop().time()
        return bool(self._owed) and now - max(self._heard, min(self._owed.values())) >= SILENT_S

    @property
    def unended(self) -> int:
        """How many requests the process has not said the end of, cancelled ones among them."""
        return len(self._owed)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """How it ended, None while it runs."""
        return self._process.returncode

    async def load(self, settings: Frame, timeout_s: float) -> Frame | None:
        """Have a model loaded; return the worker's word on it, None when there was none.

        Raises WorkerDied, BackendError where it takes too long.
        """
        await self._send(settings)
        try:
            first = await asyncio.wait_for(framing.receive(self._stdout), timeout_s)
        except TimeoutError as error:
            raise BackendError(
                f"Model {self._model} took more than {timeout_s:.0f} s to load, as from a slow disk or with little "
                "free memory. Ask again, as what was read already is read faster; else close other programs, or use a "
                "smaller model."
            ) from error
        except framing.BrokenFrame:
            return None
        match first:
            case {"op": "loaded"}:
                self._reader = asyncio.create_task(self._read())
            case {"op": "failed", "code": str(), "message": str()}:
                pass
            case _:
                return None
        return first

    @contextlib.asynccontextmanager
    async def request(self, message: Frame) -> AsyncIterator[Inbox]:
        """Send a message and hand out its replies; leaving early cancels it in the worker. Raises WorkerDied."""
        number = next(self._numbers)
        inbox = self._inboxes[number] = Inbox()
        self._owed[number] = asyncio.get_running_loop().time()
        try:
            await self._send({**message, "id": number})
            yield inbox
        finally:
            if self._inboxes.pop(number, None) is not None:
                with contextlib.suppress(WorkerDied, asyncio.CancelledError):
                    await self._send({"op": "cancel", "id": number})

    async def reply(self, inbox: Inbox) -> Frame:
        """Return the next reply to a request; a worker that hangs is ended, and that is the reply."""
        while True:
            try:
                async with asyncio.timeout(SILENT_S):
                    return await inbox.get()
            except TimeoutError:
                if self._hangs:
                    logger.warning(
                        "the worker of %s has not said a word for %.0f s and is ended", self._model, SILENT_S
                    )
                    self._stop()

    async def close(self) -> None:
        """End it: by the end of its input, else by force."""
        self._stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), CLOSE_S)
        await self.kill()

    async def kill(self) -> None:
        """End it by force, and tell all that wait for it."""
        self._stop()
        await self._process.wait()
        await asyncio.wait([self._last_words], timeout=CLOSE_S)
        tasks = [task for task in (self._reader, self._last_words) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def died(self) -> WorkerDied:
        """Return the error of those who waited for it, with its last words."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), CLOSE_S)
        await asyncio.wait([self._last_words], timeout=CLOSE_S)
        said = b"" if not self._last_words.done() or self._last_words.cancelled() else self._last_words.result()
        lines = said.decode("utf-8", "replace").strip().splitlines()
        return self._death(f": {lines[-1][:200]}" if lines else "")

    def _death(self, words: str = "") -> WorkerDied:
        detail = f" (status {self.status}{words})" if self.status is not None else ""
        return WorkerDied(
            f"The process of model {self._model} ended unexpectedly{detail}. Ask again: it starts afresh."
        )

    async def _send(self, message: Frame) -> None:
        try:
            self._stdin.write(framing.encode(message))
            await self._stdin.drain()
        except (ConnectionError, RuntimeError) as error:
            raise self._death() from error

    async def _read(self) -> None:
        """Hand each reply to the request that waits for it; at the end tell all that are left."""
        try:
            while (reply := await framing.receive(self._stdout)) is not None:
                _check(reply)
                self._heard = asyncio.get_running_loop().time()
                if reply["op"] != "delta":
                    self._owed.pop(reply["id"], None)
                inbox = self._inboxes.get(reply["id"])
                if inbox is None:
                    continue
                if reply["op"] != "delta":
                    del self._inboxes[reply["id"]]
                inbox.put(reply)
        except framing.BrokenFrame as error:
            logger.warning("the worker of %s sent something unreadable: %s", self._model, error)
        finally:
            self._stop()

    def _stop(self) -> None:
        """End the process and all that wait for it: nobody listens to it any more."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                # Not `Process.kill`: it asks for the status first, and takes it from the watcher when it has just died.
                os.kill(self._process.pid, signal.SIGKILL)
        for inbox in self._inboxes.values():
            inbox.put(_END)
        self._inboxes.clear()


def _check(reply: Frame) -> None:
    """Raises BrokenFrame for what is no reply to anything."""
    needed = _FIELDS.get(str(reply.get("op")))
    if not isinstance(reply.get("id"), int) or needed is None or not reply.keys() >= needed:
        raise framing.BrokenFrame("a message was no reply to a request")


async def _tail(pipe: asyncio.StreamReader) -> bytes:
    """Read a pipe to its end, keeping only its last bytes."""
    kept = b""
    while data := await pipe.read(STDERR_BYTES_KEPT):
        kept = (kept + data)[-STDERR_BYTES_KEPT:]
    return kept
