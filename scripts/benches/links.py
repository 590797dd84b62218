"""How long it takes to pair, and to notice that a device is gone; and what a node costs that waits.

How soon it is back: `scripts/bench discovery`, on a network that really goes away.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from models.types import Request, Tier
from peers import membership, offer
from peers.codes import new_pin
from peers.errors import LinkError
from peers.grants import own_device
from peers.joining import join
from peers.liveness import Health
from peers.offer import Offer
from scripts.benches.figures import Report, alone
from scripts.benches.peer_pair import GENEROUS, Far, Near, acquaint, far_node, linked, near_node
from scripts.benches.servers import NotStarted
from scripts.benches.setup import Setup, say
from scripts.swarms.lan import missing
from scripts.swarms.nodes import pair, swarm

ABOUT = "links between processes, TLS: on loopback, the idle node on a network of its own"
SUSPECT_S = 15.0
IDLE_PERCENT, IDLE_MB = 1.0, 120.0
"""The bars."""
LOOK_S = 0.02
LINKED_S, SETTLED_S = 30.0, 5.0
SLOW = Request("generate", {"prompt": "Count.", "wait_s": 1.0}, ceiling=Tier.HOME)


async def run(setup: Setup) -> Report:
    rounds = setup.count(1, 5)
    suspect, cut = [], []
    with tempfile.TemporaryDirectory(dir=setup.home, ignore_cleanup_errors=True) as folder:
        pairing = [await _pairing_s(Path(folder) / f"pair-{number}") for number in range(setup.count(3, 20))]
        say(f"pairing: {pairing[-1]:.2f} s")
        for number in range(rounds):
            suspect.append(await _suspect_s(Path(folder) / f"suspect-{number}"))
            cut.append(await _cut_s(Path(folder) / f"cut-{number}"))
        say(f"suspect after {suspect[-1]:.1f} s, a revoked device cut after {cut[-1]:.2f} s")
        cores, megabytes = await asyncio.to_thread(_idle, Path(folder) / "idle", setup.count(20, 120))
    rows = (
        alone("pairing by PIN, from the typed code to written down", "s", pairing, "lower"),
        alone("a device that hangs (SIGSTOP) is suspect after", "s", suspect, "lower", bar=SUSPECT_S),
        alone("a revoked device's running answer ends after", "s", cut, "lower"),
        alone("an idle node with two linked devices, of one core", "%", [cores], "lower", bar=IDLE_PERCENT),
        alone("an idle node with two linked devices, memory", "MB", [megabytes], "lower", bar=IDLE_MB),
    )
    return Report("links", ABOUT, rows, settings={"rounds": rounds})


async def _pairing_s(folder: Path) -> float:
    async with far_node(folder / "far") as far, near_node(folder / "near", dials=False) as near:
        pin = new_pin()
        offer.write(far.state.folder, Offer((pin,), GENEROUS, far.state.peers.now_ns()))
        began = time.perf_counter()
        await join(near.state, membership.me(near.state, "near"), pin, (far.address,), own_device())
        return time.perf_counter() - began


async def _suspect_s(folder: Path) -> float:
    async with _two(folder) as (near, far):
        await asyncio.sleep(1.0)
        far.process.send_signal(signal.SIGSTOP)
        try:
            return await _until(lambda: near.links.around.neighbours[far.id].health is Health.SUSPECT)
        finally:
            far.process.send_signal(signal.SIGCONT)


async def _cut_s(folder: Path) -> float:
    """Return how long a running answer goes on after its asker was revoked by another process of that device."""
    async with _two(folder) as (near, far):
        stream = near.specialist(far).run(SLOW)
        await anext(stream)
        began = time.perf_counter()
        membership.revoke(far.state, "near")
        try:
            async for _ in stream:
                continue
        except LinkError:
            return time.perf_counter() - began
        raise NotStarted("The answer of a revoked device went on to its end")


@asynccontextmanager
async def _two(folder: Path) -> AsyncIterator[tuple[Near, Far]]:
    async with far_node(folder / "far") as far, near_node(folder / "near", dials=True) as near:
        acquaint(near.state, far.state, far.address)
        await linked(near, far)
        yield near, far


def _idle(folder: Path, seconds: float) -> tuple[float, float]:
    """Return the share of one core in percent, and the memory in MB, of `covey up` with two linked devices.

    At home on a network of its own where this machine lets one be made, else on loopback.
    """
    with swarm(["kitchen", "laptop", "desk"], folder, on_lan=not missing()) as (nodes, _):
        kitchen = nodes["kitchen"]
        for other in (nodes["laptop"], nodes["desk"]):
            pair(kitchen, other)
        began = time.monotonic()
        while [(peer["link"] or {}).get("health") for peer in kitchen.run("peers", "list")["peers"]] != ["up", "up"]:
            if time.monotonic() - began > LINKED_S:
                raise NotStarted("No link came about between devices that were just paired")
        assert kitchen.process is not None
        process = psutil.Process(kitchen.process.pid)
        time.sleep(SETTLED_S)
        before = process.cpu_times()
        time.sleep(seconds)
        after = process.cpu_times()
        used = after.user + after.system - before.user - before.system
        return used / seconds * 100, process.memory_info().rss / 1e6


async def _until(holds: Callable[[], bool], limit_s: float = 60.0) -> float:
    began = time.perf_counter()
    while not holds():
        if time.perf_counter() - began > limit_s:
            raise NotStarted(f"What was measured did not happen within {limit_s:g} s")
        await asyncio.sleep(LOOK_S)
    return time.perf_counter() - began
