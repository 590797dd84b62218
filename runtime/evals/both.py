"""This device and its hub as subjects: what a request comes to here on Covey's own way, and what the hub says to it."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hub.errors import HubBusy, HubNonsense
from hub.hubs import Hubs
from models.types import Label, Refusal, RefusalCode, Request, Result, Tier, last
from runtime.asking import Ask, Source
from runtime.evals.errors import SuiteSkipped
from runtime.evals.fingerprint import code_digest
from runtime.evals.live import LiveSubject, question_of
from runtime.evals.subject import Subject
from runtime.hardness import Hardness
from runtime.marking import Rung
from runtime.node import Node, open_node
from runtime.stronger import Far
from runtime.task import TaskId
from runtime.trace.spans import random_id

REASON = "measuring what the hub adds"
"""For the ledger."""
BUSY_S = 2.0
MOST_WAITS = 60
"""Two minutes: a client sends a hub so many requests a minute and no more, and a measurement has time."""


class TriedHere:
    """Answers as `covey ask` would without a hub: plan, specialist, checks, a retry, the least confidence."""

    def __init__(self, node: Node, specialists: Subject) -> None:
        """`specialists` names what its answers depend on."""
        self._node = node
        self._specialists = specialists

    async def run(self, request: Request) -> Result:
        return (await self._node.ask(ask_of(request))).result

    def fingerprint(self, capability: str) -> str:
        code = code_digest(["runtime.checks", "runtime.escalation", "runtime.planner"])
        return hashlib.sha256(f"{self._specialists.fingerprint(capability)}/{code}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class AskedThere:
    """Answers with what a hub says, over the same client, door and ledger as any request."""

    far: Far
    rung: Rung
    model: str
    """What is asked for there. Which weights those are, only the hub knows."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(self, request: Request) -> Result:
        """Return its answer; one of another form than was asked for is a refusal. Raises HubUnusable."""
        task = TaskId(random_id(16))
        for _ in range(MOST_WAITS):
            try:
                there = self.far.specialist(self.rung, request.capability, task=task, reason=REASON, rejected=None)
                return await last(there.run(request))
            except HubBusy as busy:
                await self.sleep(busy.retry_after_s or BUSY_S)
            except HubNonsense as error:
                return Result(refusal=Refusal(RefusalCode.NOT_SURE, str(error)), model=self.model)
        raise HubBusy(f"{self.rung.name} had no room for {MOST_WAITS * BUSY_S:.0f} s. Run the suite again later.")

    def fingerprint(self, capability: str) -> str:
        code = code_digest(["hub.briefs", "hub.chat"])
        return hashlib.sha256(f"{self.rung.name}/{self.model}/{code}".encode()).hexdigest()


def ask_of(request: Request) -> Ask:
    """Return what a caller would have asked who wants just this capability, on this device."""
    documents, schema = request.input.get("documents"), request.input.get("schema")
    return Ask(
        question_of(request),
        sources=tuple(
            Source(str(one["name"]), str(one["text"]))
            for one in (documents if isinstance(documents, list) else [])
            if isinstance(one, dict)
        ),
        label=request.label,
        ceiling=Tier.DEVICE,
        capability=request.capability,
        given=request.input,
        schema=schema if isinstance(schema, dict) else None,
        seed=request.seed,
    )


@asynccontextmanager
async def both(node: Node, specialists: Subject, capability: str) -> AsyncIterator[Subject]:
    """Give this device and its hub for one capability. Raises SuiteSkipped where no hub may be asked."""
    hub = await asked_there(node, capability)
    with tempfile.TemporaryDirectory(prefix="covey-eval-") as folder:
        # A node of its own over the same models: the owner's journal, traces and past runs see nothing of it.
        async with open_node(Path(folder), node.settings, pool=node.pool) as aside:
            aside.registry = node.registry
            yield LiveSubject(TriedHere(aside, specialists), hub, Hardness(node.pool).of)


async def asked_there(node: Node, capability: str) -> AskedThere:
    """Return the hub that is asked without a question to the owner. Raises SuiteSkipped."""
    rungs = await node.far.rungs(capability, Label.PERSONAL)
    for rung in rungs:
        if rung.permission == "allowed" and not rung.why_not:
            hub = await asyncio.to_thread(Hubs(node.home).get, rung.name)
            return AskedThere(node.far, rung, hub.model)
    raise SuiteSkipped(
        "No hub may be asked from here without your yes to each request. Add one of your own with "
        "`covey hub add NAME URL --model MODEL --home`, or let scripts/hub_curve make one on this machine."
    )
