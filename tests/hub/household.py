"""A home with hubs, for tests: ledger, budget, rules and a scripted owner."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hub.book import Hub
from hub.briefs import Repair
from hub.budget import Budget
from hub.client import HubClient
from hub.consent import Question, Reply, Rules
from hub.door import Door
from hub.hubs import Hubs
from hub.remote import RemoteHub
from models.types import Label, Request, Result, Tier, last
from peers.secret import Secret
from peers.state import NodeState, open_state

MAIL = "Write to ada.lovelace@example.org and thank her."


@dataclass
class Household:
    """One node and its owner, who answers every question in the same way."""

    home: Path
    state: NodeState
    hubs: Hubs
    rules: Rules
    budget: Budget
    door: Door
    client: HubClient
    reply: Reply = Reply.ONCE
    questions: list[Question] = field(default_factory=list)

    async def owner(self, question: Question) -> Reply:
        self.questions.append(question)
        return self.reply

    def add(self, hub: Hub, key: str = "") -> Hub:
        return self.hubs.add(hub, Secret(key) if key else None)

    def specialist(
        self, name: str = "far", capability: str = "generate", *, task: str = "t1", repair: Repair | None = None
    ) -> RemoteHub:
        return RemoteHub(
            name,
            capability,
            hubs=self.hubs,
            door=self.door,
            client=self.client,
            ask=self.owner,
            task=task,
            reason="it is hard",
            repair=repair,
            chance=lambda: 0.0,
            sleep=no_pause,
        )

    async def ask(self, text: str, *, label: Label = Label.PERSONAL, hub: str = "far", task: str = "t1") -> Result:
        return await last(self.specialist(hub, task=task).run(request(text, label=label)))


async def no_pause(seconds: float) -> None:
    """Do not wait between two tries."""


def request(text: str, *, label: Label = Label.PERSONAL) -> Request:
    return Request("generate", {"prompt": text}, label=label, ceiling=Tier.HUB, budget_tokens=64)


@asynccontextmanager
async def household(folder: Path, *, words: tuple[str, ...] = (), silence_s: float = 0.5) -> AsyncIterator[Household]:
    """A home with nothing in it, as long as the block lasts."""
    state = open_state(folder / "home", machine="")
    home = folder / "home"
    rules, budget = Rules(home), Budget(home)
    async with HubClient(first_s=silence_s, silence_s=silence_s, whole_s=10) as client:
        door = Door(state.ledger, rules, budget, words=words)
        hubs = Hubs(home)
        yield Household(home, state, hubs, rules, budget, door, client)
