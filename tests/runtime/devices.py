"""Whole nodes in one process, paired over real TLS on loopback, with scripted models, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from models.backends.scripted import ScriptedPool, ScriptedText
from models.types import Chunk
from peers import mdns, membership
from peers.client import PeerClient
from peers.codes import Address
from peers.grants import Grant, own_device
from peers.ledger import Leaving
from peers.link_messages import Beat, HubCard, SkillCard
from peers.mdns import Opening
from peers.neighbourhood import Neighbour, Neighbourhood
from peers.node_id import NodeId
from peers.pairing import Paired
from peers.state import NodeState
from peers.tidings import lent
from runtime import paths
from runtime.asking import Answer, Ask, Restarted
from runtime.facts import OwnFacts
from runtime.node import Node, open_node
from runtime.own_state import own_state
from runtime.paired import PairedDevices
from runtime.peering import peering
from runtime.task import TaskId
from runtime.trace.spans import Span
from runtime.trace.store import TraceStore
from tests.conftest import GUARD
from tests.peers.scripts import until
from tests.peers.swarm import MESSAGES
from tests.runtime.wire import Wire, wire_to

MODEL = "smollm2-135m"
STORY = "Once upon a time a small bird flew over the hill and told all the others what it had seen there."


@dataclass
class Device:
    """One node that serves."""

    name: str
    node: Node
    state: NodeState
    place: Address
    around: Neighbourhood
    model: ScriptedText | None
    wire: Wire
    """The way to it; what comes over it can be cut."""
    switch: asyncio.Event
    serving: asyncio.Task[None]

    @property
    def id(self) -> NodeId:
        return self.state.identity.node_id

    async def ask(self, ask: Ask) -> Answer:
        return await self.node.ask(ask)

    async def told(self, ask: Ask) -> tuple[list[Chunk | Restarted], Answer]:
        """Return what was streamed, and the answer."""
        items = [item async for item in self.node.stream(ask)]
        answer = items.pop()
        assert isinstance(answer, Answer)
        return [item for item in items if not isinstance(item, Answer)], answer

    async def cards(self) -> tuple[SkillCard, ...]:
        """Return what it says that it can do."""
        facts = OwnFacts(self.node, addresses=lambda: (str(self.place),), running=lambda: 0)
        await facts.look()
        return tuple(facts.cards())

    def sent(self) -> list[Leaving]:
        """Return what stands in its ledger of work and answers; not what its links tell."""
        return [entry for entry in self.state.ledger.entries() if entry.capability != "peer.link"]

    async def gone(self) -> None:
        """Serve no more, and wait until that is so."""
        self.switch.set()
        await asyncio.wait({self.serving})

    async def until_linked(self, other: Device) -> None:
        """Wait until the other device has a link to this one and has said what it can do."""
        links = self.node.links
        assert links is not None
        async with asyncio.timeout(8):
            await links.around.until_known([other.id])

    async def knows(
        self,
        other: Device,
        *,
        grant: Grant | None = None,
        theirs: Grant | None = None,
        cards: tuple[SkillCard, ...] | None = None,
        hubs: Sequence[HubCard] | None = None,
        beat: Beat | None = None,
        rtt_s: float = 0.001,
        boot: str = "",
    ) -> None:
        """Be paired with another device, and know what it can do. `grant`: what it may see; `theirs`: the reverse."""
        mine = Paired(other.state.identity.public, other.name, (str(other.place),), 1)
        membership.admit(self.state, mine, grant or own_device())
        membership.admit(other.state, Paired(self.state.identity.public, self.name, (), 1), theirs or own_device())
        told = cards if cards is not None else await other.cards()
        offered = hubs if hubs is not None else lent(other.node.far.offers(), theirs or own_device())
        self.around.note(
            Neighbour(other.id, rtt_s=rtt_s, boot=boot, beat=beat or Beat(), cards=told, hubs=tuple(offered))
        )


@asynccontextmanager
async def device(
    home: Path,
    name: str,
    model: ScriptedText | None = None,
    *,
    linked: bool = False,
    opening: Opening = mdns.multicast,
) -> AsyncIterator[Device]:
    """A node with this model, or none, that serves on loopback until the block ends or it vanishes.

    What it knows of others is what its test says; with `linked`, what its links tell. `opening`: of multicast.
    """
    pool = ScriptedPool({MODEL: model} if model else {})
    switch = asyncio.Event()
    with GUARD.content(*MESSAGES):
        async with open_node(paths.ensure_home(home / name), pool=pool) as node:
            up: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
            serving = asyncio.create_task(_serve(node, up, switch, opening))
            place = await up
            state = await asyncio.to_thread(own_state, node.home, node.settings)
            async with PeerClient(state.identity, state.peers) as client, wire_to(place.port) as wire:
                around = Neighbourhood()
                if not linked:
                    node.others = PairedDevices(state, client, around)
                try:
                    yield Device(
                        name, node, state, Address("127.0.0.1", wire.port), around, model, wire, switch, serving
                    )
                finally:
                    switch.set()
                    await serving


async def _serve(node: Node, up: asyncio.Future[Address], switch: asyncio.Event, opening: Opening) -> None:
    async with peering(node, 0, "lo", opening=opening) as place:
        assert isinstance(place, Address)
        up.set_result(place)
        await switch.wait()


def writer(text: str = STORY, *, name: str = MODEL, token_s: float = 0.0) -> ScriptedText:
    """A model that always writes the same text."""
    return ScriptedText(lambda call: text, name=name, seconds_per_token=token_s)


def story(**fields: object) -> Ask:
    return Ask("Tell me a story.", capability="generate", **fields)  # type: ignore[arg-type]


async def done_for_others(node: Node) -> tuple[TaskId, list[Span]]:
    """Return the only task that a node did for another device, and its spans: they are written once it has answered."""
    (task,) = node.journal.tasks(1)
    store = TraceStore(node.journal)
    await until(lambda: store.load(task))
    return task, store.load(task)
