"""A laptop without a hub, and a kitchen that lends it one: whole nodes over real TLS, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from hub.book import PlaceName
from hub.consent import Question, Reply, Rule, Rules
from hub.door import NameSeeker
from hub.hubs import Hubs
from hub.names import FoundNames
from models.types import Label, Request, Tier, last
from peers import codec
from peers.book import Peer
from peers.grants import Grant, own_device
from peers.ledger import Leaving
from peers.link_messages import HubCard
from peers.messages import Subtask
from peers.release import Releaser
from peers.wire import read
from runtime import paths
from runtime.asker import asked_by, asker_here
from runtime.asking import Answer, Ask
from runtime.config import Settings
from runtime.own_hubs import OwnHubs
from tests.hub.fake_hub import FakeHub, Fault, running
from tests.runtime.devices import Device, device, writer

LENDS = replace(own_device(), relay=True)
UNSURE = "and so on and so on " * 60
"""A model that begins to repeat itself is not sure, and its step is marked."""
QUESTION = "Why is the sky over the lighthouse blue?"


async def no_names(texts: Sequence[str]) -> FoundNames:
    return FoundNames({text: () for text in texts})


@dataclass
class Lending:
    """The two devices, the hub, and the laptop's owner, who always says the same."""

    laptop: Device
    kitchen: Device
    hub: FakeHub
    reply: Reply = Reply.ONCE
    questions: list[Question] = field(default_factory=list)

    async def owner(self, question: Question) -> Reply:
        self.questions.append(question)
        return self.reply

    async def ask(self, text: str = QUESTION, *, ceiling: Tier = Tier.HUB, label: Label = Label.PERSONAL) -> Answer:
        with asked_by(self.owner):
            return await self.laptop.ask(Ask(text, capability="generate", ceiling=ceiling, label=label))

    @property
    def hubs(self) -> OwnHubs:
        """The hubs that the laptop may use."""
        far = self.laptop.node.far
        assert isinstance(far, OwnHubs)
        return far

    @property
    def lent(self) -> OwnHubs:
        """The kitchen's own."""
        far = self.kitchen.node.far
        assert isinstance(far, OwnHubs)
        return far

    @property
    def asker(self) -> Peer:
        """The laptop, as the kitchen knows it."""
        return self.kitchen.state.peers.book().peers[self.laptop.id]

    def released(self, device: Device) -> list[Leaving]:
        """Return what a device's ledger says that it gave away, oldest first; not what links tell."""
        return [entry for entry in reversed(device.sent()) if entry.act == "release"]


@asynccontextmanager
async def lending(
    home: Path,
    fault: Fault = Fault.NONE,
    *,
    answer: str = "Rayleigh.",
    place: PlaceName = "away",
    ceiling: Label = Label.PUBLIC,
    grant: Grant = LENDS,
    seek: NameSeeker = no_names,
    told: Sequence[HubCard] | None = None,
) -> AsyncIterator[Lending]:
    """Both devices as long as the block lasts, on each a model. The kitchen's owner allowed public things.

    `grant`: what the laptop may do on the kitchen. `told`: what the laptop was told of hubs, if not the truth.
    """
    async with running(fault, answer=answer) as hub:
        own = paths.ensure_home(home / "kitchen")
        Hubs(own).add(hub.as_hub(place=place, ceiling=ceiling), None)
        Rules(own).add(Rule("allow", Label.PUBLIC, "", "far"))
        async with (
            device(home, "laptop", writer(UNSURE)) as laptop,
            device(home, "kitchen", writer("From the kitchen itself.")) as kitchen,
        ):
            await laptop.knows(kitchen, theirs=grant, hubs=told)
            laptop.node._far = OwnHubs(
                laptop.node.home, Settings(), asker_here, seek=seek, others=lambda: laptop.node.others
            )
            yield Lending(laptop, kitchen, hub)


def subtask_in(sent: bytes) -> Subtask:
    """Return the subtask in what was sent to a device."""
    _, packed = codec.FrameReader().feed(sent)
    return read(packed, Subtask)


async def asked_directly(house: Lending, given: Request, *, relay: str = "far") -> str:
    """Ask the kitchen's hub as a device does that heeds no rule of its own; return the answer's text."""
    courier = house.laptop.node.others.courier(house.kitchen.id)
    peer = courier.peer()
    released = Releaser(house.laptop.state.ledger).release(
        courier.packed(given, relay=relay),
        given.label,
        capability=given.capability,
        recipient=replace(peer.recipient(), ceiling=Label.SENSITIVE),
        reason="a test",
    )
    return (await last(courier.carried(given, released, peer))).text
