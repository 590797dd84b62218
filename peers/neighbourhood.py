"""What the links have told about the paired devices: skills, load, how far away. In memory, gone with the process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from peers.link_messages import Beat, HubCard, SkillCard
from peers.liveness import Health
from peers.node_id import NodeId


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One paired device that has a link to this one, as it is now."""

    node: NodeId
    health: Health = Health.UP
    rtt_s: float = 0.0
    """Of the last ping and its answer; 0 before the first."""
    boot: str = ""
    """Differs after each start of the other node."""
    beat: Beat | None = None
    """None until it has said how it is."""
    cards: Sequence[SkillCard] | None = None
    """None until it has said what it can do."""
    hubs: Sequence[HubCard] = ()
    """Its hubs that this node may use through it."""

    @property
    def is_known(self) -> bool:
        """Whether it has said all that placing work needs."""
        return self.cards is not None and self.beat is not None


class Neighbourhood:
    """The devices that have a link to this one. A device without one is not in it."""

    def __init__(self) -> None:
        self._known: dict[NodeId, Neighbour] = {}
        self._changed = asyncio.Event()

    @property
    def neighbours(self) -> Mapping[NodeId, Neighbour]:
        """A snapshot."""
        return dict(self._known)

    def note(self, neighbour: Neighbour) -> None:
        """Replace what is known of a device."""
        self._known[neighbour.node] = neighbour
        self._tell()

    def forget(self, node: NodeId) -> None:
        """Its link is gone, and with it all that it said."""
        if self._known.pop(node, None) is not None:
            self._tell()

    async def changed(self) -> None:
        """Wait until anything is noted or forgotten."""
        await self._changed.wait()

    async def until_known(self, nodes: Iterable[NodeId]) -> None:
        """Wait until these devices have said all that placing work needs. Set a timeout: one may never come."""
        wanted = tuple(nodes)
        while not all(node in self._known and self._known[node].is_known for node in wanted):
            await self._changed.wait()

    def _tell(self) -> None:
        before, self._changed = self._changed, asyncio.Event()
        before.set()
