"""After a try: whether the step is marked as needing deeper reasoning, and who stronger is there to be tried next."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from models.errors import NotInstalled
from models.types import Label, Request, Result, Specialist, Tier
from runtime.db import DatabaseThread
from runtime.eligibility import refusal
from runtime.errors import JournalError
from runtime.journal import Journal
from runtime.marking import HEIGHTS, REASONING, Height, Ladder, Look, Mark, Past, Rung, ladder, mark
from runtime.needs import need_of
from runtime.others import Others
from runtime.outcomes import past
from runtime.plan import Given, Step
from runtime.recovery import MOST_PEERS
from runtime.registry import Registry
from runtime.scheduler import Placement
from runtime.seats import Need, Seat, skill_for
from runtime.speeds import HERE
from runtime.task import TaskId

if TYPE_CHECKING:  # a node without other devices imports nothing of theirs
    from peers.book import Peer
    from peers.link_messages import HubCard

QUESTIONS = ("question", "prompt", "instruction", "text")
"""Inputs that say what is asked, the most telling first."""
NOBODY = None, Ladder((), ())

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rejected:
    """An answer that a check turned down; a hub may put it right instead of making a new one."""

    draft: str
    fault: str


@dataclass(frozen=True, slots=True)
class Tried:
    """What one try at a step came to."""

    step: Step
    result: Result
    accepted: bool
    reason: str
    nodes: frozenset[str]
    """Ids of those who had the step; empty is this device."""


class Far(Protocol):
    """The owner's hubs, as escalation sees them."""

    async def rungs(self, capability: str, label: Label) -> Sequence[Rung]:
        """Return the hubs, each with what the owner said about this kind of thing."""
        ...

    def specialist(
        self, rung: Rung, capability: str, *, task: TaskId, reason: str, rejected: Rejected | None
    ) -> Specialist:
        """Return the hub as a specialist. `reason` is for the ledger and for the owner who is asked."""
        ...

    def offers(self) -> Sequence[HubCard]:
        """Return what paired devices may be told of the owner's own hubs. Blocks for the disk."""
        ...

    def lent(self, hub: str, request: Request, peer: Peer, *, task: TaskId) -> Specialist:
        """Return one of the owner's own hubs as it works for a paired device. Raises NotInstalled."""
        ...

    async def close(self) -> None: ...


class Nowhere:
    """No hub."""

    async def rungs(self, capability: str, label: Label) -> Sequence[Rung]:
        return ()

    def specialist(
        self, rung: Rung, capability: str, *, task: TaskId, reason: str, rejected: Rejected | None
    ) -> Specialist:
        raise AssertionError("nothing is sent nowhere")

    def offers(self) -> Sequence[HubCard]:
        return ()

    def lent(self, hub: str, request: Request, peer: Peer, *, task: TaskId) -> Specialist:
        raise NotInstalled("This device has no hub. Ask without it.")

    async def close(self) -> None:
        return


class Stronger:
    """Marks steps and finds who is stronger. One per node."""

    def __init__(
        self,
        name: str,
        registry: Registry,
        *,
        others: Callable[[], Others],
        far: Callable[[], Far],
        hardness: Callable[[str], Awaitable[float | None]],
        journal: Journal,
        thread: DatabaseThread,
    ) -> None:
        """`name`: what this device is called in the journal. `hardness` says how likely a request is hard."""
        self._name = name
        self._registry = registry
        self._others = others
        self._far = far
        self._hardness = hardness
        self._journal = journal
        self._thread = thread

    async def look(self, tried: Tried, *, ceiling: Tier, task: TaskId) -> tuple[Mark | None, Ladder]:
        """Return whether the step is marked, and who is tried then. Without anybody stronger there is no mark."""
        step = tried.step
        if step.capability.partition(".")[0] not in REASONING:
            return NOBODY
        rungs = [*await self._peers(tried), *await self._far().rungs(step.capability, step.label)]
        if not rungs:
            return NOBODY
        marked = mark(await self._seen(tried, task))
        if not marked.hard:
            return marked, Ladder((), ())
        return marked, ladder(rungs, ceiling=ceiling, label=step.label, tried=tried.nodes)

    def placement(self, step: Step, rung: Rung, why: str) -> Placement:
        """Return the next try as a placement."""
        words, tier = HEIGHTS[rung.height]
        return Placement(step.id, rung.name, tier, f"{why}; {words} is next", id=rung.id)

    def specialist(self, rung: Rung, step: Step, *, task: TaskId, why: str, rejected: Rejected | None) -> Specialist:
        """Return who does the step there."""
        if rung.height is Height.PEER:
            return self._others().specialist(rung.id, step.capability, why)
        return self._far().specialist(rung, step.capability, task=task, reason=why, rejected=rejected)

    async def _seen(self, tried: Tried, task: TaskId) -> Look:
        result, refused = tried.result, tried.result.refusal
        hard = await self._hardness(_question(tried.step)) if tried.accepted else None
        return Look(
            tried.step.capability,
            tried.accepted,
            tried.reason,
            model=result.model,
            refusal=refused.code if refused else None,
            confidence=result.confidence,
            calibrated=result.calibrated,
            hardness=hard,
            past=await self._past(tried.step.capability, task) if tried.accepted else Past(),
        )

    async def _past(self, capability: str, task: TaskId) -> Past:
        try:
            return await self._thread.run(past, self._journal.database, capability, self._name, task)
        except JournalError as error:
            logger.warning("how this kind of work went lately can't be read: %s", error)
            return Past()

    async def _peers(self, tried: Tried) -> list[Rung]:
        """Return the paired devices that may do it and have a better model for it than the one that tried."""
        entry = self._registry.serving(tried.step.capability)
        if entry is None or entry.deterministic or len(tried.nodes - {HERE}) >= MOST_PEERS:
            return []
        need = need_of(tried.step, entry.spec)
        seats = await self._others().seats({}, call=False)
        return [
            Rung(Height.PEER, seat.node, seat.id)
            for seat in seats
            if seat.id not in tried.nodes and _is_better(seat, need, tried.result.model)
        ]


def _is_better(seat: Seat, need: Need, model: str) -> bool:
    skill = skill_for(seat, need.capability)
    if skill is None or refusal(seat, skill, need) or skill.model not in need.models:
        return False
    return model not in need.models or need.models.index(skill.model) < need.models.index(model)


def _question(step: Step) -> str:
    for name in QUESTIONS:
        source = step.inputs.get(name)
        if isinstance(source, Given) and isinstance(source.value, str):
            return source.value
    return ""
