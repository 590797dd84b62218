"""Whole nodes on loopback, with real keys, real TLS and a scripted specialist, for tests."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from models.store import Store
from models.types import Chunk, Request, Result, Usage
from peers import membership, offer, tls
from peers.book import Peer
from peers.client import PeerClient
from peers.codes import Address, Invitation, Pin
from peers.dialer import Dialer
from peers.grants import Grant, own_device
from peers.joining import join
from peers.links import Links
from peers.neighbourhood import Neighbourhood
from peers.node_id import NodeId
from peers.offer import Offer
from peers.pace import Pace
from peers.pairing import Paired
from peers.pairing_host import PairingHost
from peers.remote import RemoteSpecialist
from peers.server import PeerServer
from peers.shelf import Shelf
from peers.state import NodeState, open_state
from peers.station import Facts
from tests.conftest import GUARD
from tests.socket_guard import playing

MESSAGES = (b"\xa4kind\xa7subtask", b"\xa4kind\xa5delta", b"\xa4kind\xa4done")
CONTENT = (*MESSAGES, b"do not tell anybody", b" three")
"""What says something of a task, on whichever connection it is written: as long as a node runs here, the socket guard
lets it pass only while a release is live."""

Script = Callable[[Request], AsyncGenerator[Chunk | Result, None]]


async def count_to_five(request: Request) -> AsyncGenerator[Chunk | Result, None]:
    """Answer with five words; a resumed answer goes on behind those that are there."""
    words = ["one", " two", " three", " four", " five"]
    for index in range(len(request.resume_tokens), len(words)):
        await asyncio.sleep(0)
        yield Chunk(index, words[index], (100 + index,))
    yield Result(output="".join(words), text="".join(words), confidence=0.9, usage=Usage(completion_tokens=5))


@dataclass
class Node:
    """One node that serves on loopback."""

    name: str
    state: NodeState
    server: PeerServer
    client: PeerClient
    dialer: Dialer
    asked: list[Request] = field(default_factory=list)
    """What its specialist was asked."""
    ended: list[str] = field(default_factory=list)
    """`done` or `closed`, one for each request."""
    script: Script = count_to_five
    host: str = "127.0.0.1"
    store: Store = field(default_factory=lambda: Store(Path()))
    """Whose models it lets others copy."""

    @property
    def id(self) -> NodeId:
        return self.state.identity.node_id

    @property
    def links(self) -> Links:
        return self.server.links

    @property
    def around(self) -> Neighbourhood:
        return self.server.links.around

    async def until_linked(self, *others: Node, limit_s: float = 5.0) -> None:
        """Wait until these others have said all of themselves."""
        async with asyncio.timeout(limit_s):
            await self.around.until_known([other.id for other in others])

    @property
    def address(self) -> Address:
        return Address(self.host, self.server.port)

    async def handle(self, request: Request, peer: Peer) -> AsyncGenerator[Chunk | Result, None]:
        self.asked.append(request)
        stream = self.script(request)
        try:
            async for piece in stream:
                yield piece
            self.ended.append("done")
        except (GeneratorExit, asyncio.CancelledError):
            self.ended.append("closed")
            raise

    def knows(self, other: Node, grant: Grant | None = None, *, addresses: Sequence[str] | None = None) -> Peer:
        """Write the other node down as paired, without the ceremony."""
        places = tuple(addresses) if addresses is not None else (str(other.address),)
        return membership.admit(
            self.state, Paired(other.state.identity.public, other.name, places, 1), grant or own_device()
        )

    def specialist(self, other: Node, capability: str = "generate") -> RemoteSpecialist:
        """Return the other node's specialist as this node sees it."""
        return RemoteSpecialist(other.state.identity.node_id, capability, state=self.state, client=self.client)

    def open_window(self, *codes: Pin | Invitation, grant: Grant | None = None) -> None:
        offer.write(self.state.folder, Offer(codes, grant or own_device(), self.state.peers.now_ns()))

    async def join(self, code: Pin | Invitation, *addresses: Address, grant: Grant | None = None) -> Peer:
        me = membership.me(self.state, self.name, (str(self.address),))
        return await join(self.state, me, code, addresses, grant or own_device())


@asynccontextmanager
async def running(
    home: Path,
    name: str,
    *,
    dials: bool = False,
    facts: Facts | None = None,
    bytes_per_s: float | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[Node]:
    """A node that serves on a free port of loopback, as long as the block lasts, and keeps links if it dials."""
    with GUARD.content(*CONTENT):
        async with _running(home, name, dials=dials, facts=facts, bytes_per_s=bytes_per_s, host=host) as node:
            yield node


@asynccontextmanager
async def _running(
    home: Path, name: str, *, dials: bool, facts: Facts | None, bytes_per_s: float | None, host: str
) -> AsyncIterator[Node]:
    state = open_state(home / name, machine="")
    pairing = PairingHost(state, membership.me(state, name))
    nodes: list[Node] = []
    store = Store(home / name / "models")
    server = PeerServer(
        state,
        lambda request, peer: nodes[0].handle(request, peer),
        pairing=pairing.answer,
        facts=facts,
        shelf=Shelf(store),
        pace=Pace(bytes_per_s),
        boot=secrets.token_hex(4),
    )
    async with server.serving(host, 0), PeerClient(state.identity, state.peers, linked=server.links.get) as client:
        dialer = Dialer(server.links, client)
        nodes.append(Node(name, state, server, client, dialer, store=store, host=host))
        if not dials:
            yield nodes[0]
            return
        dialling = asyncio.create_task(dialer.run())
        try:
            yield nodes[0]
        finally:
            dialling.cancel()
            await asyncio.wait({dialling})


@asynccontextmanager
async def pair(home: Path) -> AsyncIterator[tuple[Node, Node]]:
    """A laptop and a kitchen that are paired with each other."""
    async with running(home, "laptop") as laptop, running(home, "kitchen") as kitchen:
        laptop.knows(kitchen)
        kitchen.knows(laptop)
        yield laptop, kitchen


@asynccontextmanager
async def linked_pair(home: Path, *, facts: Facts | None = None) -> AsyncIterator[tuple[Node, Node]]:
    """A laptop and a kitchen that have a link. Only the laptop knows where the other is; `facts` are the kitchen's."""
    async with (
        running(home, "laptop", dials=True) as laptop,
        running(home, "kitchen", dials=True, facts=facts) as kitchen,
    ):
        kitchen.knows(laptop, addresses=[])
        laptop.knows(kitchen)
        await laptop.until_linked(kitchen)
        await kitchen.until_linked(laptop)
        yield laptop, kitchen


def http_between(here: Node, there: Node) -> aiohttp.ClientSession:
    """HTTP from one device to another, as bare as a defect in Covey could open it."""
    context = tls.client_context(here.state.identity, there.state.identity.certificate_der)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, limit=8))


@asynccontextmanager
async def session(here: Node, there: Node) -> AsyncIterator[aiohttp.ClientSession]:
    """The same for a test that plays the device itself, and says what it likes."""
    with playing():
        async with http_between(here, there) as http:
            yield http
