"""Two independent subtasks of one plan, on one device and on two: devices simulated at a fixed speed."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from models.backends.scripted import ScriptedPool, ScriptedText
from models.types import Authority, Chunk, Label, Tier
from peers import membership
from peers.codes import Address
from peers.grants import own_device
from peers.pairing import Paired
from runtime import paths
from runtime.asking import Restarted
from runtime.bounds import Bounds
from runtime.executor import Board, Executor
from runtime.node import Node, open_node
from runtime.own_state import own_state
from runtime.peering import peering
from runtime.plan import Given, Par, Plan, Run, Step, StepId
from runtime.recorder import Recorder
from runtime.task import TaskId
from runtime.trace.spans import random_id
from scripts.benches.figures import Report, alone
from scripts.benches.setup import Setup, say

ABOUT = "two independent subtasks of one plan, on one device of a fixed speed and on two of them"
MODEL = "smollm2-135m"
TOKEN_S = 0.02
"""50 tokens a second, one answer at a time."""
TEXT = "A small bird told all the others what it had seen behind the hill. " * 6
SETTLE_S = 0.2
"""How often it is looked whether the other device is free again."""
MOST_SHARE = 0.6
"""Of one device's time: half of it, and what handing over and coming together may cost."""
STEPS = (StepId("a"), StepId("b"))


@asynccontextmanager
async def device(home: Path) -> AsyncIterator[tuple[Node, Address]]:
    """A whole node whose model writes at a fixed speed, that serves and keeps links on loopback."""
    model = ScriptedText(lambda call: TEXT, name=MODEL, seconds_per_token=TOKEN_S, at_once=1)
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(open_node(paths.ensure_home(home), pool=ScriptedPool({MODEL: model})))
        place = await stack.enter_async_context(peering(node, 0, "lo"))
        assert place is not None
        yield node, place


async def link(one: Node, other: Node, place: Address) -> None:
    """Pair two nodes, and wait until they know what the other can do."""
    ours, theirs = (own_state(node.home, node.settings) for node in (one, other))
    membership.admit(ours, Paired(theirs.identity.public, "kitchen", (str(place),), 1), own_device())
    membership.admit(theirs, Paired(ours.identity.public, "laptop", (), 1), own_device())
    assert one.links is not None
    async with asyncio.timeout(20):
        await one.links.around.until_known([theirs.identity.node_id])


async def both(node: Node) -> tuple[float, Board]:
    """Run two independent subtasks, and return the seconds they took together."""
    steps = tuple(Step(one, "generate", {"prompt": Given(f"Story {one}")}, ceiling=Tier.HOME) for one in STEPS)
    plan = Plan(steps, Par(tuple(Run(one) for one in STEPS)), STEPS[0])
    recorder = Recorder(node.journal, node.thread, TaskId(random_id(16)), Label.PERSONAL)
    began = time.perf_counter()
    placed = await node.surroundings.place(plan)
    executor = Executor(
        plan,
        {placement.step: placement for placement in placed},
        surroundings=node.surroundings,
        bounds=Bounds(Authority()),
        recorder=recorder,
        emit=_unheard,
    )
    board = await executor.run()
    return time.perf_counter() - began, board


async def measure(folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds on one device, and on two."""
    one: list[float] = []
    two: list[float] = []
    async with device(folder / "laptop") as (laptop, _), device(folder / "kitchen") as (kitchen, place):
        for _ in range(rounds):
            seconds, board = await both(laptop)
            assert {outcome.node for outcome in board.values()} == {"this device"}
            one.append(seconds)
        await link(laptop, kitchen, place)
        for _ in range(rounds):
            await _free(laptop)
            seconds, board = await both(laptop)
            assert {outcome.node for outcome in board.values()} == {"this device", "kitchen"}
            two.append(seconds)
    return one, two


async def _free(node: Node) -> None:
    """Wait until the other device has said that it has nothing to do."""
    assert node.links is not None
    await asyncio.sleep(SETTLE_S)
    async with asyncio.timeout(20):
        while any(one.beat is None or one.beat.running for one in node.links.around.neighbours.values()):  # noqa: ASYNC110
            await asyncio.sleep(SETTLE_S)


async def run(setup: Setup) -> Report:
    with tempfile.TemporaryDirectory(prefix="covey-two-") as folder:
        one, two = await measure(Path(folder), setup.count(3, 20))
    ratios = [after / before for before, after in zip(one, two, strict=True)]
    say(f"{max(ratios):.2f} of the time at worst")
    rows = (
        alone("on one device", "s", one, "lower"),
        alone("on two", "s", two, "lower"),
        alone("two over one", "ratio", ratios, "lower", bar=MOST_SHARE),
    )
    return Report("two_devices", ABOUT, rows, settings={"rounds": len(one), "token_s": TOKEN_S})


async def _unheard(item: Chunk | Restarted) -> None:
    """Nobody reads along."""
