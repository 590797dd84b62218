"""The hubs of this node as places for marked steps: opened when the first step needs one, closed with the node."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hub.book import PLACES, Hub
from hub.briefs import CAPABILITIES, Repair, brief_of
from hub.budget import Budget
from hub.client import HubClient
from hub.consent import Asker, Rules, Wish, nobody, standing
from hub.door import Door, Letter, NameSeeker
from hub.errors import HubBookError, HubError
from hub.hubs import Hubs
from hub.remote import RemoteHub
from models.errors import ModelsError
from models.specialist import Pool
from models.types import Label, Request, Specialist
from peers.policy import Place
from runtime.config import Settings
from runtime.marking import Height, Permission, Rung
from runtime.name_seeking import NameSeeking
from runtime.own_state import own_state
from runtime.stronger import Rejected
from runtime.task import TaskId

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

    def __init__(self, home: Path, settings: Settings, asker: Callable[[], Asker | None], *, seek: NameSeeker) -> None:
        """`asker` returns what puts questions to the owner just now. `seek` looks for names in what may go."""
        self._home = home
        self._settings = settings
        self._asker = asker
        self._seek = seek
        self._hubs = Hubs(home)
        self._rules = Rules(home)
        self._client = HubClient()

    @cached_property
    def door(self) -> Door:
        """The only way out to a hub."""
        state = own_state(self._home, self._settings)
        return Door(state.ledger, self._rules, Budget(self._home), words=self._settings.hide, seek=self._seek)

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
        return [
            Rung(
                Height.HOME_HUB if hub.place == "home" else Height.AWAY_HUB,
                hub.name,
                hub.recipient().id,
                _permission(standing(rules, Wish(label, capability, hub.name, PLACES[hub.place])), hub, label),
                ""
                if hub.price is not None
                else f"what {hub.model!r} costs is not known (`covey hub add` with a price)",
            )
            for hub in self._hubs.all()
        ]

    def specialist(
        self, rung: Rung, capability: str, *, task: TaskId, reason: str, rejected: Rejected | None
    ) -> Specialist:
        """See `Far.specialist`."""
        return RemoteHub(
            rung.name,
            capability,
            hubs=self._hubs,
            door=self.door,
            client=self._client,
            ask=self._asker() or nobody,
            task=task,
            reason=reason,
            repair=Repair(rejected.draft, rejected.fault) if rejected else None,
        )

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


def open_hubs(home: Path, settings: Settings, asker: Callable[[], Asker | None], pool: Pool) -> OwnHubs:
    """Return the hubs of a node; names are looked for with its own models."""
    return OwnHubs(home, settings, asker, seek=NameSeeking(pool))


def _permission(word: str | None, hub: Hub, label: Label) -> Permission:
    if word == "never":
        return "never"
    free = PLACES[hub.place] is Place.HOME and label <= hub.ceiling
    return "allowed" if word == "allow" or free else "ask"
