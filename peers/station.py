"""What all links of one node have in common: its state, its desk, what it says of itself, who hears of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from peers.desk import Desk
from peers.hints import Hints
from peers.link_messages import Beat, HubCard, SkillCard
from peers.neighbourhood import Neighbourhood
from peers.state import NodeState


class Facts(Protocol):
    """What this device says of itself. Asked every second, so answers come at once and from memory."""

    def beat(self) -> Beat:
        """Return how it is; ledger head and draining are filled in by the link."""
        ...

    def cards(self) -> Sequence[SkillCard]:
        """Return what it can do, as measured here."""
        ...

    def hubs(self) -> Sequence[HubCard]:
        """Return its hubs as others may use them; each device is told those that its grant covers."""
        ...

    def addresses(self) -> Sequence[str]:
        """Return where it can be found, `host:port`."""
        ...


class NoFacts:
    """Of a device that does no work for others."""

    def beat(self) -> Beat:
        return Beat()

    def cards(self) -> Sequence[SkillCard]:
        return ()

    def hubs(self) -> Sequence[HubCard]:
        return ()

    def addresses(self) -> Sequence[str]:
        return ()


@dataclass(frozen=True, slots=True)
class Station:
    """See above."""

    state: NodeState
    desk: Desk
    around: Neighbourhood
    facts: Facts
    hints: Hints
    """Where they may be found."""
