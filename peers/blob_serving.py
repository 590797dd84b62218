"""Gives files of installed models to paired devices that were granted it: the row of chunks, and any part of the bytes.

A copy is one entry in the ledger, however many parts it comes in. Nothing the other side sends becomes a path.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from aiohttp import web

from models.types import Digest
from peers import codec, ranges
from peers.audit import Act, Happening
from peers.blob_messages import message_of
from peers.book import Peer
from peers.errors import PeerBusy
from peers.gate import Gate
from peers.node_id import NodeId
from peers.pace import Pace
from peers.release import Released, Releaser, sending
from peers.shelf import Shelf, Shelved
from peers.state import NodeState

PIECE_BYTES = 256 * 1024
"""Read and sent at once: little enough that other answers get their turn in between."""
AT_ONCE = 4
"""Parts that one device may fetch at the same time; it uses one or two."""
BUSY_RETRY_S = 1.0
STALLED_S = 30.0
"""A device that takes no byte for so long is gone, or holds the place on purpose."""
COPY_IDLE_S = 600.0
"""After a pause of ten minutes a copy that goes on is a new one in the ledger."""
CAPABILITY = "models"

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Copy:
    """One device's copy of one file, under way."""

    released: Released[Digest]
    used_at: float


class BlobServing:
    """The part of the peers' port that hands out models."""

    def __init__(
        self,
        state: NodeState,
        gate: Gate,
        shelf: Shelf,
        *,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state = state
        self._gate = gate
        self._shelf = shelf
        self._pace = pace or Pace(None)
        self._clock = clock
        self._releaser = Releaser(state.ledger)
        self._copies: dict[tuple[NodeId, str], _Copy] = {}
        self._opening = asyncio.Lock()
        self._at_once: Counter[NodeId] = Counter()

    async def chunks(self, request: web.Request, peer: Peer) -> web.StreamResponse:
        """Answer with the row of a file's chunks. Raises GrantRefused, PeerBusy, RecordError, ReleaseRefused."""
        await self._gate.pace(peer)
        shelved = await self._granted(request, peer)
        if shelved is None:
            return web.Response(status=404)
        with self._place(peer):
            released = await self._released(peer, shelved)
            row = await asyncio.to_thread(self._shelf.chunks, shelved)
        with sending(released):
            return await _sent(web.Response(body=codec.frames(message_of(row).pack())), request)

    async def part(self, request: web.Request, peer: Peer) -> web.StreamResponse:
        """Answer with the bytes of a file, or the part that `Range` names. Raises as `chunks`."""
        shelved = await self._granted(request, peer)
        if shelved is None:
            return web.Response(status=404)
        asked_for = request.headers.get("Range")
        span = (0, shelved.size_bytes) if asked_for is None else ranges.span_asked(asked_for, shelved.size_bytes)
        if span is None:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{shelved.size_bytes}"})
        with self._place(peer):
            released = await self._released(peer, shelved)
            response = web.StreamResponse(status=200 if asked_for is None else 206)
            response.content_length = span[1]
            if asked_for is not None:
                response.headers["Content-Range"] = ranges.given(*span, shelved.size_bytes)
            with sending(released):
                await response.prepare(request)
                whole = await self._send(response, shelved, span, released)
            if not whole and request.transport is not None:
                request.transport.abort()  # fewer bytes than were promised must not look like an end
        return response

    async def _granted(self, request: web.Request, peer: Peer) -> Shelved | None:
        """Return the file that is asked for; None when it is not here. The grant comes before the look."""
        self._gate.check_copy(peer, peer.grant.label)
        shelved = await asyncio.to_thread(self._shelf.find, request.match_info["sha256"])
        if shelved is not None:
            self._gate.check_copy(peer, shelved.label)
        return shelved

    @contextmanager
    def _place(self, peer: Peer) -> Iterator[None]:
        """Hold one of the places that a device has. Raises PeerBusy."""
        if self._at_once[peer.node_id] >= AT_ONCE:
            raise PeerBusy(f"It fetches {AT_ONCE} parts of models already. Ask again in a moment.", BUSY_RETRY_S)
        self._at_once[peer.node_id] += 1
        try:
            yield
        finally:
            self._at_once[peer.node_id] -= 1
            if not self._at_once[peer.node_id]:
                del self._at_once[peer.node_id]

    async def _released(self, peer: Peer, shelved: Shelved) -> Released[Digest]:
        """Return the release of this copy, made and written down when it begins."""
        async with self._opening:
            now = self._clock()
            self._copies = {key: copy for key, copy in self._copies.items() if now - copy.used_at < COPY_IDLE_S}
            key = (peer.node_id, shelved.sha256)
            if key not in self._copies:
                self._copies[key] = _Copy(await asyncio.to_thread(self._write_down, peer, shelved), now)
            self._copies[key].used_at = now
            return self._copies[key].released

    def _write_down(self, peer: Peer, shelved: Shelved) -> Released[Digest]:
        released = self._releaser.release_artifact(
            Digest(shelved.sha256),
            shelved.size_bytes,
            shelved.label,
            capability=CAPABILITY,
            recipient=peer.as_copier(),
            reason="it copies a model from here",
        )
        size, label = shelved.size_bytes, shelved.label
        self._state.audit.record(Happening(Act.BLOB, peer.node_id, CAPABILITY, size, label, note="to it"))
        return released

    async def _send(
        self, response: web.StreamResponse, shelved: Shelved, span: tuple[int, int], released: Released[Digest]
    ) -> bool:
        """Send a part of a file and return whether all of it went. A revoked device is cut between two pieces."""
        node = NodeId(released.recipient.id)
        assert released.value_for(node) == shelved.sha256
        start, left = span
        try:
            with await asyncio.to_thread(_opened, shelved, start) as file:
                while left and self._gate.paired(node) is not None:
                    piece = await asyncio.to_thread(file.read, min(PIECE_BYTES, left))
                    if not piece:
                        break
                    await self._pace.take(len(piece))
                    async with asyncio.timeout(STALLED_S):
                        await response.write(piece)
                    left -= len(piece)
        except (OSError, TimeoutError) as error:
            logger.debug("a part of a model did not arrive: %s", error)
        return not left


def _opened(shelved: Shelved, start: int) -> BinaryIO:
    file = shelved.path.open("rb")
    file.seek(start)
    return file


async def _sent(response: web.Response, request: web.Request) -> web.StreamResponse:
    """Send a short answer now, while its release is live."""
    await response.prepare(request)
    await response.write_eof()
    return response
