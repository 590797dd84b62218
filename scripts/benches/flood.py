"""A node under attack: a paired device that asks without end, strangers who send garbage, and broken messages.

It serves another device meanwhile and afterwards. Its event loop is watched inside (scripts/benches/whole_node.py).
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from models.types import last
from peers.state import open_state
from scripts.benches import attacks
from scripts.benches.attacks import PER_S, Hostile
from scripts.benches.figures import Report, Row, alone
from scripts.benches.peer_pair import REQUEST, Far, Near, acquaint, far_node, linked, near_node
from scripts.benches.servers import NotStarted
from scripts.benches.setup import Setup, say

ABOUT = "a node as `covey up` starts it (a process of its own, TLS on loopback) under attack"
BLOCKED_MS = 50.0
"""Longer than this, and other devices' beats and answers would stumble."""
GROWN_MB = 8.0
"""What may stay between an attack's first part and its end: 2 MB that SQLite keeps of its file after many answers,
and holes in the heap. A leak of 200 bytes a message is more."""
GROWN_FILES = 8
"""Connections that end just now."""
PAUSE_S = 0.5
SETTLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Attack:
    """One kind of attack."""

    name: str
    act: Callable[[Hostile, int], Awaitable[None]]
    counts: tuple[int, int]
    """Small, full."""
    blocked_ms: float | None = BLOCKED_MS
    grown_mb: float = GROWN_MB
    first_share: int = 5
    """One in so many comes before memory is looked at: what is kept once for all is no growth."""


ATTACKS = (
    Attack(f"requests, {PER_S} a second", attacks.requests, (2_000, 30_000)),
    Attack("garbage connections", attacks.garbage, (500, 10_000)),
    Attack("broken requests", attacks.broken_bodies, (1_000, 50_000)),
    Attack("broken frames on links", attacks.broken_frames, (1_000, 50_000)),
    Attack("requests of 15 MiB", attacks.large_bodies, (12, 100), blocked_ms=None, grown_mb=64.0, first_share=2),
)
"""The large ones are read in a thread, which yields to the loop less often than every 50 ms; what reading takes is
kept by the allocator up to some hundred megabytes."""


async def run(setup: Setup) -> Report:
    rows: list[Row] = []
    counts = {attack.name: setup.count(*attack.counts) for attack in ATTACKS}
    with tempfile.TemporaryDirectory(dir=setup.home, ignore_cleanup_errors=True) as folder:
        homes = Path(folder)
        async with far_node(homes / "far", "whole_node") as far, near_node(homes / "near", dials=True) as near:
            acquaint(near.state, far.state, far.address)
            await linked(near, far)
            await _served_s(near, far)
            hostile = Hostile(open_state(homes / "hostile", machine=""), far)
            for attack in ATTACKS:
                say(f"{attack.name}: {counts[attack.name]}")
                rows += await _under(attack, counts[attack.name], hostile, near)
    how = "; ".join(f"{count:,} {name}" for name, count in counts.items())
    notes = (
        f"Sent were {how}. All but the garbage come from a paired device. Memory and files are compared with those "
        "after the first part of an attack; another device asks for an answer twice a second meanwhile, and gets it.",
    )
    return Report("flood", ABOUT, tuple(rows), settings={"messages": sum(counts.values())}, notes=notes)


async def _under(attack: Attack, count: int, hostile: Hostile, near: Near) -> list[Row]:
    """Let the attack run, and return what the node says of itself. It must serve meanwhile and after it."""
    far, first, what = hostile.far, count // attack.first_share, attack.name
    await far.told()
    began = time.monotonic()
    await attack.act(hostile, first)
    await asyncio.sleep(SETTLE_S)
    warm = await far.told()
    answers: list[float] = []
    async with asked_meanwhile(near, far, answers):
        await attack.act(hostile, count - first)
    took = time.monotonic() - began
    await asyncio.sleep(SETTLE_S)
    after = await far.told()
    answers.append(await _served_s(near, far))
    lag, busy = (max(warm[name], after[name]) * 1000 for name in ("lag_s", "busy_s"))
    grown = (after["bytes"] - warm["bytes"]) / 1e6
    return [
        alone(f"{what}: the event loop was blocked for", "ms", [lag], "lower", bar=attack.blocked_ms),
        alone(f"{what}: of that, it computed", "ms", [busy], "lower"),
        alone(f"{what}: memory grown", "MB", [grown], "lower", bar=attack.grown_mb),
        alone(f"{what}: files open more", "", [after["files"] - warm["files"]], "lower", bar=GROWN_FILES),
        alone(f"{what}: an answer to another device meanwhile", "s", answers, "lower"),
        alone(f"{what}: it took", "s", [took]),
    ]


@asynccontextmanager
async def asked_meanwhile(near: Near, far: Far, answers: list[float]) -> AsyncIterator[None]:
    """Let another device ask now and then as long as the block lasts; what it is not given fails the block."""
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(_keepasked_meanwhile(near, far, answers))
        yield
        asking.cancel()


async def _keepasked_meanwhile(near: Near, far: Far, answers: list[float]) -> None:
    while True:
        answers.append(await _served_s(near, far))
        await asyncio.sleep(PAUSE_S)


async def _served_s(near: Near, far: Far) -> float:
    """Return the seconds that an answer took. Raises NotStarted when the node does not do its work."""
    began = time.monotonic()
    if (await last(near.specialist(far).run(REQUEST))).output != "done":
        raise NotStarted("The node under test does not serve any more")
    return time.monotonic() - began
