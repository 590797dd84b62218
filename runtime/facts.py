"""What this node tells its paired devices of itself: how it is, what it can do and how fast, where it is found."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import psutil

from models.specialist import Queues
from peers.link_messages import Beat, HubCard, SkillCard
from runtime import outcomes
from runtime.errors import JournalError
from runtime.node import NAME, Node
from runtime.peer_seats import cards_of
from runtime.seats import Skill
from runtime.skills import own_skills
from runtime.speeds import Speed

LOOK_S = 5.0
"""How often the machine is asked about its memory, battery and heat, and the store about its models."""
PROCESSOR = ("coretemp", "k10temp", "cpu_thermal", "soc_thermal", "acpitz", "zenpower")
"""Sensors of the processor by the names that Linux gives them; a hot disk is no reason to refuse work."""
KEPT_FREE = 0.1
"""Part of the memory that no model is to take."""

logger = logging.getLogger(__name__)


class OwnFacts:
    """Answers from memory; `watch` keeps it up to date."""

    def __init__(self, node: Node, *, addresses: Callable[[], Sequence[str]], running: Callable[[], int]) -> None:
        """`running`: tasks that run or wait here, one's own and those of others."""
        self._node = node
        self._addresses = addresses
        self._running = running
        self._cards: Sequence[SkillCard] = ()
        self._hubs: Sequence[HubCard] = ()
        self._machine = Beat()
        self._success: Mapping[str, float] = {}
        self._counted = -1
        """Number of the newest event of the journal that is counted in it."""

    def beat(self) -> Beat:
        """Return how this device is."""
        known, pool = self._running(), self._node.pool
        queued = min(known, pool.waiting()) if isinstance(pool, Queues) else 0
        return self._machine.model_copy(update={"running": known - queued, "queued": queued})

    def cards(self) -> Sequence[SkillCard]:
        """Return what this device can do."""
        return self._cards

    def hubs(self) -> Sequence[HubCard]:
        """Return the owner's hubs as others may use them."""
        return self._hubs

    def addresses(self) -> Sequence[str]:
        """Return where it can be found, `host:port`."""
        return self._addresses()

    async def watch(self) -> None:
        """Look at the machine and the models again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Look once."""
        known, far = await self._node.workload.known(), self._node.far
        await self._count()
        self._cards, self._hubs, self._machine = await asyncio.to_thread(
            lambda: (self._seen_cards(known), far.offers(), machine())
        )

    async def _count(self) -> None:
        """Learn how this device's own work went lately; where the journal can't be read, nothing is said of it."""
        thread, database = self._node.thread, self._node.journal.database
        try:
            newest = await thread.run(outcomes.newest, database)
            if newest != self._counted:
                self._success = await thread.run(outcomes.shares, database, NAME)
                self._counted = newest
        except JournalError as error:
            logger.warning("how work went lately can't be read: %s", error)
            self._success = {}

    def _seen_cards(self, known: dict[tuple[str, str], Speed]) -> Sequence[SkillCard]:
        registry = self._node.registry
        skills = own_skills(registry, self._node.pool, known, registry.capabilities, self._node.workload.warm)
        return cards_of(replace(skill, success=self._success.get(skill.capability)) for skill in _rounded(skills))


def machine() -> Beat:
    """Return how the machine is; what it does not tell stays unknown."""
    memory = psutil.virtual_memory()
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return Beat(
        battery=None if battery is None else min(1.0, max(0.0, battery.percent / 100)),
        plugged=None if battery is None else battery.power_plugged,
        temperature_c=_hottest(),
        free_bytes=max(0, int(memory.available - memory.total * KEPT_FREE)),
    )


def _hottest() -> float | None:
    """Return the hottest sensor of the processor in whole degrees; None where there is none that makes sense."""
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    found = [one.current for name in PROCESSOR for one in sensors.get(name, ()) if 0 < one.current < 150]
    return float(round(max(found))) if found else None


def _rounded(skills: Iterable[Skill]) -> Iterator[Skill]:
    """Yield the skills with speeds of two digits: a link tells what changed, and noise is no change."""
    for skill in skills:
        yield replace(skill, prefill_tps=_two(skill.prefill_tps), decode_tps=_two(skill.decode_tps))


def _two(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.2g}")
