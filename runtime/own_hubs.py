"""The hubs that this node may use, its own and those that paired devices lend, as places for marked steps.

Opened when the first step needs one, closed with the node. Its own also work for paired devices that were granted it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hub import lending
from hub.book import PLACES, Destination, Hub
from hub.briefs import CAPABILITIES, Repair, brief_of, repair_of
from hub.budget import Budget
from hub.client import HubClient
from hub.consent import Asker, Rule, Rules, Wish, nobody, permission, standing
from hub.door import Door, Letter, NameSeeker
from hub.errors import HubBookError, HubError, KeptHere
from hub.hubs import Hubs
from hub.lending import LentOut, may_still
from hub.relay import LentHub, RelayedHub
from hub.remote import RemoteHub
from models.errors import ModelsError
from models.specialist import Pool
from models.types import Label, Request, Specialist
from peers.book import Peer
from peers.link_messages import HubCard
from peers.policy import covers
from peers.state import NodeState
from runtime.config import Settings
from runtime.marking import Height, Permission, Rung
from runtime.name_seeking import NameSeeking
from runtime.others import Nobody, Others
from runtime.own_state import own_state
from runtime.stronger import Rejected
from runtime.task import TaskId
from runtime.trace.step import HUB_ID

HEIGHTS = {
    ("home", False): Height.HOME_HUB,
    ("home", True): Height.LENT_HOME_HUB,
    ("away", False): Height.AWAY_HUB,
    ("away", True): Height.LENT_AWAY_HUB,
}
"""By place, and whether a paired device lends it."""
PERMISSIONS: dict[str | None, Permission] = {"never": "never", "allow": "allowed", None: "ask"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Preview:
    """What one hub would be sent."""

    hub: Hub
    letter: Letter | None
    """None: nothing would."""
    why: str
    """What happens first, or why nothing would be sent."""


class OwnHubs:
    """See `runtime.stronger.Far`."""

    def __init__(
        self,
        home: Path,
        settings: Settings,
        asker: Callable[[], Asker | None],
        *,
        seek: NameSeeker,
        others: Callable[[], Others] = Nobody,
    ) -> None:
        """`asker` returns what puts questions to the owner just now. `seek` looks for names in what may go.

        `others`: the paired devices.
        """
        self._home = home
        self._settings = settings
        self._asker = asker
        self._seek = seek
        self._others = others
        self._hubs = Hubs(home)
        self._rules = Rules(home)
        self._client = HubClient()

    @cached_property
    def _state(self) -> NodeState:
        return own_state(self._home, self._settings)

    @cached_property
    def door(self) -> Door:
        """The only way out to a hub."""
        return self._door(bytes_kept=True)

    @cached_property
    def _others_door(self) -> Door:
        """The same way out for what others ask for: nothing of their words is kept."""
        return self._door(bytes_kept=False)

    def _door(self, *, bytes_kept: bool) -> Door:
        ledger, words = self._state.ledger, self._settings.hide
        return Door(ledger, self._rules, Budget(self._home), words=words, seek=self._seek, bytes_kept=bytes_kept)

    async def rungs(self, capability: str, label: Label) -> Sequence[Rung]:
        """See `Far.rungs`. A damaged list of hubs means that there is none: the answer from here still stands."""
        if capability.partition(".")[0] not in CAPABILITIES:
            return ()
        try:
            return await asyncio.to_thread(self._rungs, capability, label)
        except HubBookError as error:
            logger.warning("no hub can be used: %s", error)
            return ()

    def _rungs(self, capability: str, label: Label) -> list[Rung]:
        rules = self._rules.all()
        found: list[Destination] = [*self._hubs.all(), *self._lent(capability)]
        return [_rung(rules, hub, capability, label) for hub in found]

    def _lent(self, capability: str) -> Iterator[LentHub]:
        """Yield the hubs that paired devices lend for a kind of work, and that may be given it."""
        for one in self._others().lenders():
            offered = covers(frozenset(one.card.capabilities), capability)
            if offered and covers(one.peer.grant.capabilities, capability):
                yield LentHub(one.peer, one.card)

    def specialist(
        self, rung: Rung, capability: str, *, task: TaskId, reason: str, rejected: Rejected | None
    ) -> Specialist:
        """See `Far.specialist`."""
        ask, repair = self._asker() or nobody, Repair(rejected.draft, rejected.fault) if rejected else None
        if rung.via:
            return RelayedHub(
                rung.name,
                capability,
                find=lambda: self._lent_now(rung, capability),
                courier=self._others().courier(rung.via),
                door=self.door,
                ask=ask,
                task=task,
                reason=reason,
                repair=repair,
            )
        return RemoteHub(
            rung.name,
            capability,
            hubs=self._hubs,
            door=self.door,
            client=self._client,
            ask=ask,
            task=task,
            reason=reason,
            repair=repair,
        )

    def _lent_now(self, rung: Rung, capability: str) -> LentHub:
        """Return a hub as it is lent now. Raises KeptHere."""
        found = next((lent for lent in self._lent(capability) if _id(lent) == rung.id), None)
        if found is None:
            raise KeptHere(f"{rung.name} is not lent to this device any more, so nothing was sent.")
        return found

    def offers(self) -> Sequence[HubCard]:
        """See `Far.offers`."""
        try:
            return lending.cards(self._hubs.all(), self._rules.all())
        except HubBookError as error:
            logger.warning("no hub can be lent: %s", error)
            return ()

    def lent(self, hub: str, request: Request, peer: Peer, *, task: TaskId) -> Specialist:
        """See `Far.lent`. It is one of the owner's own, whatever others lend to this device."""
        remote = RemoteHub(
            hub,
            request.capability,
            hubs=self._hubs,
            door=self._others_door,
            client=self._client,
            ask=nobody,
            task=task,
            reason=f"{peer.name} asked for it, and may use this hub",
            repair=repair_of(request.input),
            still=may_still(self._state.peers, peer, request.label),
        )
        return LentOut(hub, remote)

    async def previews(self, request: Request) -> list[Preview]:
        """Return what each hub would be sent for a request, and what would happen first. Sends and writes nothing."""
        found = []
        for hub in await asyncio.to_thread(self._hubs.all):
            try:
                brief = brief_of(request.capability, request.input, budget_tokens=request.budget_tokens)
                letter = await self.door.prepared(
                    hub, brief, label=request.label, capability=request.capability, seed=request.seed
                )
                word = standing(await asyncio.to_thread(self._rules.all), letter.wish)
                first = "you are asked first" if letter.needs_consent and word is None else "you allowed it"
                found.append(Preview(hub, letter, first))
            except (HubError, ModelsError) as error:
                found.append(Preview(hub, None, str(error)))
        return found

    async def close(self) -> None:
        """Hang up on all hubs."""
        await self._client.__aexit__(None, None, None)


def open_hubs(
    home: Path, settings: Settings, asker: Callable[[], Asker | None], pool: Pool, *, others: Callable[[], Others]
) -> OwnHubs:
    """Return the hubs of a node; names are looked for with its own models."""
    return OwnHubs(home, settings, asker, seek=NameSeeking(pool), others=others)


def _rung(rules: tuple[Rule, ...], hub: Destination, capability: str, label: Label) -> Rung:
    wish = Wish(label, capability, hub.name, PLACES[hub.place], hub.via)
    return Rung(
        HEIGHTS[hub.place, bool(hub.via)],
        hub.name,
        _id(hub),
        PERMISSIONS[permission(rules, wish, hub.ceiling)],
        "" if hub.price is not None else f"what {hub.model!r} costs is not known (`covey hub add` with a price)",
        hub.via,
    )


def _id(hub: Destination) -> str:
    return f"{HUB_ID}{hub.name}" + (f"@{hub.via}" if hub.via else "")
