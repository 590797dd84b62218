"""The peers' port: pairing while a window is open, and work for paired devices. It is given a handler, never calls up.

Order at the gate: size, who it is (paired, not revoked), how often, whether the message is one, the
grant. A revocation ends what runs within half a second, also when another process wrote it.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from aiohttp import web

from models.errors import ModelsError
from models.types import Chunk, Label, Request, Result
from peers import codec, tls
from peers.answering import Say, Works
from peers.audit import Act, Happening
from peers.book import Peer, with_peer
from peers.door import Door, listen, peer_certificate
from peers.errors import PeersError, RemoteProtocolError
from peers.gate import Gate
from peers.messages import Accepted, Done, Failed, Hello, Streamed, Subtask
from peers.node_id import NodeId
from peers.pairing_messages import MAX_PAIRING_BYTES, PairRefused
from peers.release import Released, Releaser, sending
from peers.replays import Replays, key_of
from peers.state import NodeState
from peers.version import agree
from peers.wire import read
from peers.wire_errors import failed_of

MAX_BODY_BYTES = codec.MAX_MESSAGE_BYTES + 64 * 1024
"""One message of the greatest size, its frame headers, and a hello before it."""
WATCH_S = 0.25
"""How often the book is looked at for revocations while work runs."""
BODY_S = 30.0
"""For the whole body: 16 MiB over a poor radio. Whoever is slower than that dribbles on purpose."""

logger = logging.getLogger(__name__)


class Handler(Protocol):
    """Runs a request of a paired device. Raises ModelsError."""

    def __call__(self, request: Request, peer: Peer) -> AsyncIterator[Chunk | Result]: ...


PairingAnswer = Callable[[bytes], Awaitable[Released[bytes] | None]]
"""Takes a pairing message and returns the answer; None for the one refusal."""
REFUSED = PairRefused().pack()
"""Goes to anybody who asks; it says nothing, so no release stands behind it."""


@dataclass(eq=False, slots=True)
class _Running:
    """One piece of work under way."""

    peer: NodeId
    subtask_id: str
    task: asyncio.Task[object]


class PeerServer:
    """Serves one node's peers."""

    def __init__(
        self,
        state: NodeState,
        handler: Handler,
        *,
        pairing: PairingAnswer | None = None,
        clock: Callable[[], float] = time.monotonic,
        boot: str = "",
    ) -> None:
        self._state = state
        self._handler = handler
        self._pairing = pairing
        self._boot = boot
        self._gate = Gate(state.peers)
        self._replays = Replays(clock)
        self._works = Works()
        self._releaser = Releaser(state.ledger)
        self._running: set[_Running] = set()
        self._tls: tuple[tuple[bytes, ...], ssl.SSLContext] | None = None
        self.port = 0
        """The port it listens on; set when it serves."""

    def serving(self, host: str, port: int) -> AbstractAsyncContextManager[PeerServer]:
        """Serve inside an `async with`. Port 0 takes a free one. Raises OSError."""
        return self._serving(host, port)

    @asynccontextmanager
    async def _serving(self, host: str, port: int) -> AsyncIterator[PeerServer]:
        listening = listen(host, port)
        self.port = listening.getsockname()[1]
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/pair/1", self._pair)
        app.router.add_post("/peer/1/subtasks", self._subtask)
        app.router.add_delete("/peer/1/subtasks/{id}", self._cancel)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await runner.setup()
        assert runner.server is not None
        door = Door(runner.server, self._context)
        serving = [asyncio.create_task(door.serve(listening)), asyncio.create_task(self._watch())]
        try:
            yield self
        finally:
            for task in [*serving, *(running.task for running in self._running)]:
                task.cancel()
            await asyncio.wait(serving)
            listening.close()
            await runner.cleanup()

    def cut(self, node: NodeId) -> None:
        """End all that runs for a device, at once."""
        self._replays.forget(node)
        for running in [one for one in self._running if one.peer == node]:
            running.task.cancel()

    def _context(self) -> ssl.SSLContext:
        """Return the context for the next connection; it is made anew when somebody was paired or revoked."""
        trusted = tuple(peer.certificate for peer in self._state.peers.book().peers.values())
        if self._tls is None or self._tls[0] != trusted:
            self._tls = trusted, tls.server_context(self._state.identity, trusted)
        return self._tls[1]

    async def _watch(self) -> None:
        """Cut those who were revoked, or whose time is over, by whatever process."""
        while True:
            await asyncio.sleep(WATCH_S)
            for node in {one.peer for one in self._running}:
                if self._gate.paired(node) is None:
                    logger.info("a device was revoked or its time is over: its work here was ended")
                    self.cut(node)

    async def _pair(self, request: web.Request) -> web.StreamResponse:
        if (request.content_length or 0) > MAX_PAIRING_BYTES:
            return web.Response(status=413)
        data = await _body(request, MAX_PAIRING_BYTES)
        answered = None if data is None or self._pairing is None else await self._pairing(data)
        if answered is None:
            return web.Response(body=REFUSED)
        with sending(answered):
            return web.Response(body=answered.value_for(answered.recipient.id))

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        peer = self._gate.peer(peer_certificate(request.transport))
        if peer is None:
            return web.Response(status=403)
        for running in [one for one in self._running if one.peer == peer.node_id]:
            if running.subtask_id == request.match_info["id"]:
                running.task.cancel()
        return web.Response(status=204)

    async def _subtask(self, request: web.Request) -> web.StreamResponse:
        if (request.content_length or 0) > MAX_BODY_BYTES:
            return web.Response(status=413)
        peer = self._gate.peer(peer_certificate(request.transport))
        if peer is None:
            return web.Response(status=403)
        try:
            await self._gate.pace(peer)
            data = await _body(request, MAX_BODY_BYTES)
            if data is None:
                return web.Response(status=413)
            hello, subtask = _read(data)
            version = agree(self._hello(), hello, before=peer.version)
            self._gate.check(peer, subtask)
        except (PeersError, ModelsError) as error:
            return await self._refuse(peer, error)
        if self._state.identity.node_id in subtask.hops:
            return web.Response(status=508)
        with self._gate.running(peer):  # nothing awaited since the check: two at once can't both take the last place
            return await self._work(request, peer, subtask, version, len(data))

    async def _work(
        self, request: web.Request, peer: Peer, subtask: Subtask, version: int, size_bytes: int
    ) -> web.StreamResponse:
        label = Label[subtask.label.upper()]
        try:
            stream = await asyncio.to_thread(
                self._releaser.open_stream,
                label,
                capability=subtask.capability,
                recipient=peer.recipient(),
                reason="the answer to what it asked",
            )
            await asyncio.to_thread(self._note, peer, subtask, version, size_bytes)
        except PeersError as error:
            return await self._refuse(peer, error)
        response = web.StreamResponse()
        response.force_close()  # a cancelled answer must not leave a half-read stream behind
        await response.prepare(request)

        async def say(message: Streamed | Hello) -> None:
            piece = stream.piece(codec.frames(message.pack()))
            if isinstance(message, Done | Failed):  # the last: all is written down before it goes
                await asyncio.to_thread(stream.close)
            with sending(piece):
                await response.write(piece.value_for(peer.node_id))

        current = asyncio.current_task()
        assert current is not None
        running = _Running(peer.node_id, subtask.id, current)
        self._running.add(running)
        try:
            await say(self._hello())
            await self._answer(peer, subtask, say)
            await response.write_eof()
        except ConnectionError:
            logger.debug("the asker left before its answer ended")
        finally:
            self._running.discard(running)
            await _shielded(stream.close)
        return response

    async def _answer(self, peer: Peer, subtask: Subtask, say: Say) -> None:
        known = self._replays.find(peer.node_id, subtask)
        if known is not None:
            await say(Accepted())
            await say(known)
            return
        limited = subtask.model_copy(
            update={"budget_tokens": subtask.budget_tokens or peer.grant.limits.tokens_per_task}
        )
        key = key_of(peer.node_id, subtask)
        async with self._works.joined(key, limited, lambda asked: self._handler(asked, peer)) as work:
            done = await work.tell(say)
        if done is not None:
            self._replays.keep(peer.node_id, subtask, done)

    def _note(self, peer: Peer, subtask: Subtask, version: int, size_bytes: int) -> None:
        """Write down that work came in; blocks for the disk."""
        happened = Happening(Act.TASK_IN, peer.node_id, subtask.capability, size_bytes, Label[subtask.label.upper()])
        self._state.audit.record(happened)
        now = self._state.peers.now_ns()

        def count(known: Peer) -> Peer:
            figures = known.figures
            counted = replace(figures, tasks_in=figures.tasks_in + 1, bytes_in=figures.bytes_in + size_bytes)
            return replace(known, figures=counted, seen_ns=now, version=max(version, known.version))

        self._state.peers.change(lambda book: with_peer(book, count(book.peers.get(peer.node_id, peer))), synced=False)

    async def _refuse(self, peer: Peer, error: PeersError | ModelsError) -> web.StreamResponse:
        status, failed = failed_of(error)
        happened = Happening(Act.REFUSED, peer.node_id, failed.code, note=failed.message)
        await asyncio.to_thread(self._state.audit.record, happened)
        headers = {"Retry-After": f"{failed.retry_after_s:.0f}"} if failed.retry_after_s else {}
        return web.Response(status=status, body=codec.frames(failed.pack()), headers=headers)

    def _hello(self) -> Hello:
        return Hello(boot=self._boot)


def _read(data: bytes) -> tuple[Hello, Subtask]:
    reader = codec.FrameReader()
    messages = reader.feed(data)
    reader.end()
    if len(messages) != 2:
        raise RemoteProtocolError(
            "A request of the other device was refused: it is no hello and subtask. Update Covey."
        )
    return read(messages[0], Hello), read(messages[1], Subtask)


async def _body(request: web.Request, limit: int) -> bytes | None:
    """Return the body; None when it is longer than the limit or does not come in time."""
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.content.iter_any():
                data += part
                if len(data) > limit:
                    return None
    except TimeoutError:
        return None
    return bytes(data)


async def _shielded(call: Callable[[], None]) -> None:
    """Run a blocking call to its end, also when this task is being cancelled."""
    await asyncio.shield(asyncio.to_thread(call))
