"""The peers' port: pairing while a window is open, and work for paired devices. It is given a handler, never calls up.

Order at the gate: size, who it is (paired, not revoked), how often, whether the message is one, the
grant. A revocation ends what runs within half a second, also when another process wrote it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler as AioHandler
from aiohttp.typedefs import Middleware

from models.errors import ModelsError
from peers import codec, tls
from peers.arrivals import MAX_BODY_BYTES
from peers.blob_serving import BlobServing
from peers.book import Book, Peer
from peers.client import addresses_of
from peers.desk import Desk, Handler, Job, Relay, Send, no_relay
from peers.door import Door, host_of, listen, peer_certificate
from peers.errors import PeersError
from peers.hints import Hints
from peers.inside import Inside
from peers.link import CLOSE_S, MAX_PAYLOAD_BYTES, Link
from peers.links import Links
from peers.neighbourhood import Neighbourhood
from peers.node_id import NodeId
from peers.pace import Pace
from peers.pairing_messages import MAX_PAIRING_BYTES, PairRefused
from peers.quiet_log import log_no_nonsense
from peers.release import Released, sending
from peers.shelf import Shelf
from peers.state import NodeState
from peers.station import Facts, NoFacts, Station
from peers.upkeep import kept_up
from peers.wire import SLOWEST_BYTES_PER_S

MAX_CHECK_BYTES = 4096
"""A hello and a check have less than two hundred."""
WATCH_S = 0.25
"""How often the book is looked at for revocations while work runs."""
BODY_S = 30.0
"""For a whole body, besides what the longest one takes over a poor radio. Whoever is slower dribbles on purpose."""

logger = logging.getLogger(__name__)

PairingAnswer = Callable[[bytes], Awaitable[Released[bytes] | None]]
"""Takes a pairing message and returns the answer; None for the one refusal."""
CheckAnswer = Callable[[Peer, bytes, str], Awaitable[Released[bytes]]]
"""Takes a check of a paired device and the host that it came from, and returns the answer. Raises PeersError."""
REFUSED = PairRefused().pack()
"""Goes to anybody who asks; it says nothing, so no release stands behind it."""


class PeerServer:
    """Serves one node's peers."""

    def __init__(
        self,
        state: NodeState,
        handler: Handler,
        *,
        relay: Relay = no_relay,
        pairing: PairingAnswer | None = None,
        facts: Facts | None = None,
        shelf: Shelf | None = None,
        pace: Pace | None = None,
        checks: CheckAnswer | None = None,
        clock: Callable[[], float] = time.monotonic,
        boot: str = "",
    ) -> None:
        self._state = state
        self._pairing = pairing
        self._checks = checks
        self.facts = facts or NoFacts()
        self._desk = Desk(state, handler, relay=relay, clock=clock, boot=boot, queue=lambda: self.facts.beat().queued)
        self._gate = self._desk.gate
        self.links = Links(Station(state, self._desk, Neighbourhood(), self.facts, Hints()), clock=clock)
        self._blobs = None if shelf is None else BlobServing(state, self._gate, shelf, pace=pace)
        self._tls: tuple[tuple[bytes, ...], ssl.SSLContext] | None = None
        self._found: tuple[Book, Collection[str]] = (Book(), ())
        self.port = 0
        """The port it listens on; set when it serves."""

    def serving(self, host: str, port: int) -> AbstractAsyncContextManager[PeerServer]:
        """Serve inside an `async with`. Port 0 takes a free one. Raises OSError."""
        return self._serving(host, port)

    @asynccontextmanager
    async def _serving(self, host: str, port: int) -> AsyncIterator[PeerServer]:
        listening = listen(host, port)
        self.port = listening.getsockname()[1]
        inside = Inside()
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_holding(inside)])
        app.router.add_post("/pair/1", self._pair)
        app.router.add_post("/peer/1/subtasks", self._subtask)
        app.router.add_get("/peer/1/link", self._link, allow_head=False)
        app.router.add_delete("/peer/1/subtasks/{id}", self._cancel)
        app.router.add_get("/peer/1/blobs/{sha256}", self._blob, allow_head=False)
        app.router.add_get("/peer/1/blobs/{sha256}/chunks", self._blob, allow_head=False)
        app.router.add_post("/peer/1/check", self._check)
        log_no_nonsense()
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0, auto_decompress=False
        )  # nothing of the wire is packed, and what a stranger packs would have to be unpacked first
        await runner.setup()
        assert runner.server is not None
        door = Door(runner.server, self._context, inside, known=self._hosts)
        serving = [
            asyncio.create_task(kept_up("the port for other devices", partial(door.serve, listening))),
            asyncio.create_task(kept_up("the watch for revocations", partial(self._watch, inside))),
        ]
        try:
            yield self
        finally:
            self._desk.cut_all()
            self.links.close()
            for task in serving:
                task.cancel()
            await asyncio.wait(serving)
            listening.close()
            await runner.cleanup()
            await asyncio.shield(asyncio.to_thread(self._settle))

    def _settle(self) -> None:
        """Write down what is not written yet; blocks for the disk."""
        self._desk.seldom.write(self._desk.seldom.rest())
        self._state.settle()

    def cut(self, node: NodeId) -> None:
        """End all that runs for a device, at once."""
        self._desk.cut(node)
        self.links.cut(node)

    def _context(self) -> ssl.SSLContext:
        """Return the context for the next connection; it is made anew when somebody was paired or revoked."""
        trusted = tuple(peer.certificate for peer in self._state.peers.book().peers.values())
        if self._tls is None or self._tls[0] != trusted:
            self._tls = trusted, tls.server_context(self._state.identity, trusted)
        return self._tls[1]

    def _hosts(self) -> Collection[str]:
        """Return the addresses at which paired devices were found, without the names of interfaces."""
        with contextlib.suppress(PeersError):  # the list can't be read now: what it said last holds
            book = self._state.peers.book()
            if book is not self._found[0]:
                hosts = {at.host.partition("%")[0] for peer in book.peers.values() for at in addresses_of(peer)}
                self._found = book, hosts
        return self._found[1]

    async def _watch(self, inside: Inside) -> None:
        """Cut those who were revoked, or whose time is over, by whatever process; hang up on the revoked.

        And write down the numbers of what is counted.
        """
        seen = Book()
        while True:
            await asyncio.sleep(WATCH_S)
            if overdue := self._desk.seldom.overdue():
                await asyncio.to_thread(self._desk.seldom.write, overdue)
            try:
                book = self._state.peers.book()
                if book is not seen:
                    seen = book
                    inside.keep_only([peer.certificate for peer in book.peers.values()])
                for node in self._desk.askers():
                    peer = self._gate.paired(node)
                    if peer is None:
                        logger.info("a device was revoked or its time is over: its work here was ended")
                        self.cut(node)
                    elif not peer.grant.relay:
                        self._desk.cut_relayed(node)
            except PeersError as error:  # the list can't be read now; who is revoked once it can be must still be cut
                logger.warning("%s", error)

    async def _pair(self, request: web.Request) -> web.StreamResponse:
        if (request.content_length or 0) > MAX_PAIRING_BYTES:
            return web.Response(status=413)
        data = bytearray()
        came = await _came(request, MAX_PAIRING_BYTES, data.extend)
        answered = await self._pairing(bytes(data)) if came and self._pairing is not None else None
        if answered is None:
            return web.Response(body=REFUSED)
        with sending(answered):
            return web.Response(body=answered.value_for(answered.recipient.id))

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        peer = self._gate.peer(peer_certificate(request.transport))
        if peer is None:
            return web.Response(status=403)
        self._desk.cancel(peer.node_id, request.match_info["id"])
        return web.Response(status=204)

    async def _link(self, request: web.Request) -> web.StreamResponse:
        peer = self._gate.peer(peer_certificate(request.transport))
        if peer is None:
            return web.Response(status=403)
        try:
            await self.links.pace(peer.node_id)
        except PeersError as error:
            return await self._refuse(peer, error)
        socket = web.WebSocketResponse(timeout=CLOSE_S, autoping=False, compress=False, max_msg_size=MAX_PAYLOAD_BYTES)
        await socket.prepare(request)
        link = Link(self.links.station, peer, socket, dialled=False)
        try:
            await link.greet()
        except PeersError as error:
            logger.debug("no link with %s: %s", peer.name, error)
            return socket
        await self.links.keep(link)
        return socket

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        peer = self._gate.peer(peer_certificate(request.transport))
        if peer is None:
            return web.Response(status=403)
        if self._blobs is None:
            return web.Response(status=404)
        try:
            return await (self._blobs.chunks if request.path.endswith("/chunks") else self._blobs.part)(request, peer)
        except PeersError as error:
            return await self._refuse(peer, error)

    async def _check(self, request: web.Request) -> web.StreamResponse:
        peer = self._gate.peer(peer_certificate(request.transport))
        if peer is None:
            return web.Response(status=403)
        if self._checks is None:
            return web.Response(status=404)
        try:
            await self._gate.pace(peer)
            data = bytearray()
            if not await _came(request, MAX_CHECK_BYTES, data.extend):
                return web.Response(status=413)
            answered = await self._checks(peer, bytes(data), host_of(request.transport))
        except (PeersError, ModelsError) as error:
            return await self._refuse(peer, error)
        with sending(answered):
            return web.Response(body=answered.value_for(peer.node_id))

    async def _subtask(self, request: web.Request) -> web.StreamResponse:
        if (request.content_length or 0) > MAX_BODY_BYTES:
            return web.Response(status=413)
        peer = self._gate.peer(peer_certificate(request.transport))
        if peer is None:
            return web.Response(status=403)
        try:
            await self._gate.pace(peer)
            with self._desk.arrivals.begin(peer.node_id) as arrival:
                if not await _came(request, MAX_BODY_BYTES, arrival.add):
                    return web.Response(status=413)
                async with self._desk.taken(peer, arrival) as job:
                    return await self._answer(request, job)
        except (PeersError, ModelsError) as error:
            return await self._refuse(peer, error)

    async def _answer(self, request: web.Request, job: Job) -> web.StreamResponse:
        response = web.StreamResponse()

        async def send(piece: Released[bytes]) -> None:
            await response.write(piece.value_for(job.peer.node_id))

        async def begin() -> Send:
            await response.prepare(request)
            return send

        try:
            await self._desk.answer(job, begin)
            await response.write_eof()
        except (PeersError, ConnectionError):
            if not response.prepared:
                raise
            logger.warning("an answer to %s could not be sent to its end", job.peer.name)
            response.force_close()  # a half-sent answer must not look like a whole one
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _refuse(self, peer: Peer, error: PeersError | ModelsError) -> web.StreamResponse:
        status, failed = await self._desk.refused(peer, error)
        headers = {"Retry-After": f"{math.ceil(failed.retry_after_s)}"} if failed.retry_after_s else {}
        return web.Response(status=status, body=codec.frames(failed.pack()), headers=headers)


def _holding(inside: Inside) -> Middleware:
    """Return what keeps a connection from giving way to others while a request on it is answered."""

    @web.middleware
    async def hold(request: web.Request, handler: AioHandler) -> web.StreamResponse:
        with inside.in_use(request.transport):
            return await handler(request)

    return hold


async def _came(request: web.Request, limit: int, take: Callable[[bytes], None]) -> bool:
    """Give the body to `take` part by part; return whether it came whole and in time, and is not above the limit.

    Raises as `take` does.
    """
    size_bytes = 0
    try:
        async with asyncio.timeout(BODY_S + limit / SLOWEST_BYTES_PER_S):
            async for part in request.content.iter_any():
                size_bytes += len(part)
                if size_bytes > limit:
                    return False
                take(part)
    except (TimeoutError, web.RequestPayloadError):
        return False
    return True
