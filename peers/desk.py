"""Takes in work of paired devices, whichever way it came, and sends back what is said of it: gate, ledger, answer.

The work begins before its ledger entry is on the disk, and says nothing before that: reading the
question and writing the entry take place at the same time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from models.errors import ModelsError, NotInstalled
from models.types import Chunk, Label, Request, Result
from peers import codec
from peers.answering import Works
from peers.arrivals import Arrival, Arrivals
from peers.aside import Aside
from peers.audit import Act, Happening
from peers.book import Peer, with_peer
from peers.errors import PeerBusy, PeerLost, PeersError, RemoteProtocolError, WorkLoops
from peers.gate import Gate
from peers.messages import Accepted, Done, Failed, Hello, Streamed, Subtask
from peers.node_id import NodeId
from peers.release import Released, Releaser, Stream, sending
from peers.replays import Key, Replays, key_of
from peers.seldom import Seldom
from peers.state import NodeState
from peers.version import agree
from peers.wire import SLOWEST_BYTES_PER_S, read
from peers.wire_errors import failed_of

STALLED_S = 30.0
"""An asker that takes no byte of its answer for so long is gone, or holds its place on purpose. A long message has the
time that it takes besides."""
DRAINING_RETRY_S = 30.0
"""A device that is about to stop or sleep is not back sooner."""


class Handler(Protocol):
    """Runs a request of a paired device. Raises ModelsError."""

    def __call__(self, request: Request, peer: Peer) -> AsyncGenerator[Chunk | Result, None]: ...


class Relay(Protocol):
    """Has one of this device's hubs do a request of a paired device. Raises ModelsError, PeersError."""

    def __call__(self, request: Request, peer: Peer, hub: str) -> AsyncGenerator[Chunk | Result, None]: ...


async def no_relay(request: Request, peer: Peer, hub: str) -> AsyncGenerator[Chunk | Result, None]:
    """Refuse, as a device that has no hub."""
    raise NotInstalled(f"This device has no hub {hub!r} that others may use. Ask without it.")
    yield


Send = Callable[[Released[bytes]], Awaitable[None]]
"""Sends the next bytes of an answer. Raises ConnectionError when the asker has left."""
Begin = Callable[[], Awaitable[Send]]
"""Called when the answer may go; what is raised before was not answered at all."""


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work that was let in."""

    peer: Peer
    subtask: Subtask
    key: Key | None
    """Tells this work from other; None for work that may not be repeated unseen."""
    version: int
    """Of the wire, as agreed."""
    size_bytes: int
    """Of the request."""


@dataclass(eq=False, slots=True)
class _Running:
    """One piece of work under way."""

    peer: NodeId
    subtask_id: str
    relayed: bool
    """Whether a hub of this device does it."""
    task: asyncio.Task[object]


class Desk:
    """Where the work of others comes in."""

    def __init__(
        self,
        state: NodeState,
        handler: Handler,
        *,
        relay: Relay = no_relay,
        clock: Callable[[], float] = time.monotonic,
        boot: str = "",
        queue: Callable[[], int] = lambda: 0,
    ) -> None:
        """`relay` does what is for a hub of this device. `queue`: tasks that wait here now."""
        self.gate = Gate(state.peers)
        self.is_stopping = False
        """Whether this node is about to stop, or lends itself to nobody: nothing new is taken in."""
        self.is_sleeping = False
        """Whether this device is about to sleep: nothing new is taken in until it woke."""
        self.arrivals = Arrivals(clock)
        """What comes of requests is counted here, whichever way it comes."""
        self.seldom = Seldom(state.audit, clock)
        """Where what others can cause without end is written down."""
        self._state = state
        self._handler = handler
        self._relay = relay
        self._boot = boot
        self._queue = queue
        self._replays = Replays(clock)
        self._works = Works()
        self._releaser = Releaser(state.ledger)
        self._aside = Aside()
        self._running: set[_Running] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_draining(self) -> bool:
        """Whether nothing new is taken in."""
        return self.is_stopping or self.is_sleeping

    @property
    def tasks(self) -> int:
        """How many pieces of work are under way."""
        return len(self._running)

    async def until_idle(self) -> None:
        """Wait until nothing is under way."""
        await self._idle.wait()

    def hello(self) -> Hello:
        """Return what this side says first."""
        return Hello(boot=self._boot)

    @asynccontextmanager
    async def taken(self, peer: Peer, arrival: Arrival) -> AsyncIterator[Job]:
        """Let a request in and count it while the block lasts. Raises PeersError when it is not let in."""
        size_bytes = len(arrival)
        with arrival:  # as long as the work takes nobody needs its bytes any more
            hello, subtask, key = await self._aside(size_bytes, partial(_read, peer.node_id, arrival))
        job = Job(peer, subtask, key, agree(self.hello(), hello, before=peer.version), size_bytes)
        self.gate.check(peer, subtask)
        if self._state.identity.node_id in subtask.hops:
            raise WorkLoops("This work has been here before and can't be taken back. Ask with `--tier device`.")
        if subtask.relay and subtask.hops != [peer.node_id]:
            raise WorkLoops("A hub is lent to the device that asks, not to others through it. Ask it from there.")
        if self.is_draining:
            raise PeerBusy("This device is about to stop or sleep. Ask again later.", DRAINING_RETRY_S)
        with self.gate.running(peer):  # nothing awaited since the check: two at once can't both take the last place
            yield job

    async def answer(self, job: Job, begin: Begin) -> None:
        """Do the work and send what is said of it, to the end. Raises PeersError when nothing was sent yet."""
        known, queue = self._replays.find(job.key), self._queue()
        async with AsyncExitStack() as stack:
            work = None if known else await stack.enter_async_context(self._works.joined(*self._wanted(job)))
            noting = asyncio.ensure_future(asyncio.to_thread(self._note, job))  # while it is worked on
            stack.push_async_callback(asyncio.shield, noting)
            opened = await self._opened(job)
            try:
                send = await begin()

                async def say(message: Streamed | Hello) -> None:
                    piece = opened.piece(codec.frames(message.pack()))
                    if isinstance(message, Done | Failed):  # the last: all is written down before it goes
                        await asyncio.to_thread(opened.close)
                    await _taken_by(job.peer, send, piece)

                with self._counted(job):
                    await say(self.hello())
                    if known is not None:
                        await say(Accepted())
                        await say(known)
                    elif work is not None and (done := await work.tell(say, queue)) is not None:
                        if not job.subtask.relay:  # what a hub said for another device is kept nowhere here
                            self._replays.keep(job.key, done)
            finally:
                await asyncio.shield(asyncio.to_thread(opened.close))

    async def refused(self, peer: Peer, error: PeersError | ModelsError) -> tuple[int, Failed]:
        """Write down that a device was turned away, if that can be; return the status and the message for it."""
        status, failed = failed_of(error)
        happened = Happening(Act.REFUSED, peer.node_id, failed.code, note=failed.message)
        if due := self.seldom.due(happened, by=peer.node_id):
            await asyncio.to_thread(self.seldom.write, due)
        return status, failed

    def cut(self, node: NodeId) -> None:
        """End all that runs for a device, at once."""
        self._replays.forget(node)
        for running in [one for one in self._running if one.peer == node]:
            running.task.cancel()

    def cut_all(self) -> None:
        """End all that runs."""
        for running in list(self._running):
            running.task.cancel()

    def cancel(self, node: NodeId, subtask_id: str) -> None:
        """End one piece of work, for the device that asked for it."""
        for running in [one for one in self._running if (one.peer, one.subtask_id) == (node, subtask_id)]:
            running.task.cancel()

    def askers(self) -> frozenset[NodeId]:
        """Return the devices for which something runs."""
        return frozenset(one.peer for one in self._running)

    def cut_relayed(self, node: NodeId) -> None:
        """End what this device's hubs do for a device, at once."""
        for running in [one for one in self._running if one.peer == node and one.relayed]:
            running.task.cancel()

    def _wanted(
        self, job: Job
    ) -> tuple[Key | None, Subtask, Callable[[Request], AsyncGenerator[Chunk | Result, None]]]:
        peer, subtask = job.peer, job.subtask
        tokens = subtask.budget_tokens or peer.grant.limits.tokens_per_task
        limited = subtask.model_copy(update={"budget_tokens": tokens})

        def run(asked: Request) -> AsyncGenerator[Chunk | Result, None]:
            return self._relay(asked, peer, subtask.relay) if subtask.relay else self._handler(asked, peer)

        return job.key, limited, run

    async def _opened(self, job: Job) -> Stream:
        """Write down that an answer begins."""
        opening = asyncio.ensure_future(
            asyncio.to_thread(
                self._releaser.open_stream,
                Label[job.subtask.label.upper()],
                capability=job.subtask.capability,
                recipient=job.peer.recipient(),
                reason="the answer to what it asked",
                bytes_kept=False,  # the words are the asker's; here digest and size stay
            )
        )
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:  # what was begun in the ledger is ended there, too
            stream = await opening
            await asyncio.to_thread(stream.close)
            raise

    def _note(self, job: Job) -> None:
        """Write down that work came in; blocks for the disk."""
        peer, subtask = job.peer, job.subtask
        label, now = Label[subtask.label.upper()], self._state.peers.now_ns()
        self._state.audit.record(Happening(Act.TASK_IN, peer.node_id, subtask.capability, job.size_bytes, label))

        def counted(known: Peer) -> Peer:
            figures = known.figures
            more = replace(figures, tasks_in=figures.tasks_in + 1, bytes_in=figures.bytes_in + job.size_bytes)
            return replace(known, figures=more, seen_ns=now, version=max(job.version, known.version))

        self._state.peers.change(
            lambda book: with_peer(book, counted(book.peers.get(peer.node_id, peer))), synced=False
        )

    @contextmanager
    def _counted(self, job: Job) -> Iterator[None]:
        current = asyncio.current_task()
        assert current is not None
        running = _Running(job.peer.node_id, job.subtask.id, bool(job.subtask.relay), current)
        self._running.add(running)
        self._idle.clear()
        try:
            yield
        finally:
            self._running.discard(running)
            if not self._running:
                self._idle.set()


async def _taken_by(peer: Peer, send: Send, piece: Released[bytes]) -> None:
    """Send the next bytes of an answer. Raises PeerLost when the asker does not take them."""
    limit_s = STALLED_S + len(piece.value_for(peer.node_id)) / SLOWEST_BYTES_PER_S
    try:
        async with asyncio.timeout(limit_s):
            with sending(piece):
                await send(piece)
    except TimeoutError as error:
        raise PeerLost(f"{peer.name} did not take its answer within {limit_s:.3g} s. Check its connection.") from error


def _read(node: NodeId, arrival: Arrival) -> tuple[Hello, Subtask, Key | None]:
    """Return what a device asks, and the key of it; takes as long as its bytes are many."""
    reader = codec.FrameReader()
    messages = reader.feed(arrival.whole())
    reader.end()
    if len(messages) != 2:
        raise RemoteProtocolError(
            "A request of the other device was refused: it is no hello and subtask. Update Covey."
        )
    hello, subtask = read(messages[0], Hello), read(messages[1], Subtask)
    return hello, subtask, key_of(node, subtask)
