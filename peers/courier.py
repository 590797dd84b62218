"""Brings a request to one paired device and comes back with what it says. It carries only what was released."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from models.types import Chunk, Request, Result, Tier
from peers import codec
from peers.audit import Act, Happening
from peers.book import Peer, is_expired, with_peer
from peers.client import PeerClient
from peers.conversions import chunk_of, result_of, subtask_of
from peers.errors import LinkError, PeerLost, PeerUnreachable, WrongPeer
from peers.messages import Accepted, Delta, Done, Failed, Progress, Streamed
from peers.node_id import NodeId, short
from peers.release import Released
from peers.state import NodeState
from peers.wire_errors import error_of


class Courier:
    """The way to one paired device, for one piece of work."""

    def __init__(self, node: NodeId, *, state: NodeState, client: PeerClient) -> None:
        self._node = node
        self._state = state
        self._client = client
        self.bytes_out = 0
        """Bytes of requests that left this device so far."""

    @property
    def name(self) -> str:
        """What the owner calls the device."""
        peer = self._state.peers.book().peers.get(self._node)
        return peer.name if peer else short(self._node)

    def peer(self) -> Peer:
        """Return the device as it is paired now. Raises LinkError when it is not any more, or its time is over."""
        peer = self._state.peers.book().peers.get(self._node)
        if peer is None:
            raise LinkError("That device is no longer paired. Run `covey peers list` to see those that are.")
        if is_expired(peer, self._state.peers.now_ns()):
            raise LinkError(f"The time for which {peer.name} was paired is over. Pair it again, if it should go on.")
        return peer

    def packed(self, request: Request, *, relay: str = "") -> bytes:
        """Return a request as the bytes that would be sent; nothing goes yet. Raises LocalProtocolError.

        `relay`: which of that device's hubs is to do it; empty: the device itself.
        """
        bounded = replace(request, ceiling=Tier.DEVICE)
        subtask = subtask_of(bounded, secrets.token_hex(16), self._state.identity.node_id, relay=relay)
        return codec.frames(self._client.hello().pack()) + codec.frames(subtask.pack())

    async def carried(
        self, request: Request, released: Released[bytes], peer: Peer
    ) -> AsyncGenerator[Chunk | Result, None]:
        """Send what was packed and released, and yield what comes back. Raises ModelsError, PeersError.

        Closing the iterator cancels the work over there.
        """
        size = len(released.value_for(peer.node_id))
        noting = asyncio.ensure_future(asyncio.to_thread(self._note, size, request, peer))  # while it is on its way
        try:
            order = _Order(len(request.resume_tokens), peer.name)
            async with aclosing(self._sent(peer, released, size)) as messages:
                async for message in messages:
                    match message:
                        case Accepted() | Progress():
                            continue
                        case Delta():
                            yield order.next(chunk_of(message))
                        case Done():
                            yield result_of(message)
                            return
                        case Failed():
                            raise error_of(message, peer.name)
        finally:
            await asyncio.shield(noting)

    async def _sent(self, peer: Peer, released: Released[bytes], size_bytes: int) -> AsyncGenerator[Streamed, None]:
        """Yield what comes back; what did not go out is not counted as sent."""
        self.bytes_out += size_bytes
        try:
            async with aclosing(self._client.work(peer, released)) as messages:
                async for message in messages:
                    yield message
        except (PeerUnreachable, WrongPeer):
            self.bytes_out -= size_bytes
            raise

    def _note(self, size_bytes: int, request: Request, peer: Peer) -> None:
        """Write down that work went out, in audit log and book; blocks for the disk."""
        self._state.audit.record(Happening(Act.TASK_OUT, peer.node_id, request.capability, size_bytes, request.label))

        def counted(known: Peer) -> Peer:
            figures = known.figures
            more = replace(figures, tasks_out=figures.tasks_out + 1, bytes_out=figures.bytes_out + size_bytes)
            return replace(known, figures=more)

        self._state.peers.change(
            lambda book: with_peer(book, counted(book.peers.get(peer.node_id, peer))), synced=False
        )


class _Order:
    """Sees to it that no token of an answer comes twice or is lost."""

    def __init__(self, first: int, name: str) -> None:
        self._tokens = first
        """Tokens so far, those that were resumed included."""
        self._place = first
        """Where the last chunk ended. An answer without tokens may count its places in its own way, but not back."""
        self._name = name

    def next(self, chunk: Chunk) -> Chunk:
        free = not self._tokens and not chunk.token_ids
        if chunk.index < self._place or (not free and chunk.index != self._tokens):
            raise PeerLost(f"{self._name} left out or repeated a part of its answer. Update Covey on it.")
        self._tokens += len(chunk.token_ids)
        self._place = chunk.index + len(chunk.token_ids)
        return chunk
