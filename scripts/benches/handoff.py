"""What handing work to a warm paired device costs until the first word is back; the model takes no time here."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from models.types import Request, Result
from peers.client import PeerClient
from peers.remote import RemoteSpecialist
from scripts.benches.figures import Report, Row, alone, percentile
from scripts.benches.peer_pair import REQUEST, acquaint, far_node, linked, near_node
from scripts.benches.setup import Setup, say

ABOUT = "handing work to another process over TLS on loopback: until the first chunk, the model's time is zero"
WARM = 5
MEDIAN_MS, TAIL_MS = 15.0, 30.0
"""What it may cost to hand work to a device that is linked or was just asked."""


async def run(setup: Setup) -> Report:
    rounds = setup.count(30, 500)
    with tempfile.TemporaryDirectory(dir=setup.home, ignore_cleanup_errors=True) as folder:
        async with far_node(Path(folder) / "far") as far, near_node(Path(folder) / "near", dials=True) as near:
            acquaint(near.state, far.state, far.address)
            await linked(near, far)
            over_link = await _series(near.specialist(far), rounds)
            say(f"over the link: {percentile(over_link, 0.5):.1f} ms")
            async with PeerClient(near.state.identity, near.state.peers) as client:
                direct = RemoteSpecialist(far.id, "generate", state=near.state, client=client)
                kept = await _series(direct, rounds)
            say(f"over a connection that was kept: {percentile(kept, 0.5):.1f} ms")
            fresh = []
            for _ in range(rounds):
                async with PeerClient(near.state.identity, near.state.peers) as client:
                    once = RemoteSpecialist(far.id, "generate", state=near.state, client=client)
                    fresh.append(await _first_ms(once, REQUEST))
    rows = (
        *_rows("over the link", over_link, (MEDIAN_MS, TAIL_MS)),
        *_rows("over a connection that was kept", kept, (MEDIAN_MS, TAIL_MS)),
        *_rows("over a new connection", fresh),
    )
    return Report("handoff", ABOUT, rows, settings={"rounds": rounds})


async def _series(specialist: RemoteSpecialist, rounds: int) -> list[float]:
    found = [await _first_ms(specialist, REQUEST) for _ in range(WARM + rounds)]
    return found[WARM:]


async def _first_ms(specialist: RemoteSpecialist, request: Request) -> float:
    """Return the milliseconds until the first chunk; the answer is read to its end."""
    began, first = time.perf_counter(), 0.0
    async for piece in specialist.run(request):
        if not first and not isinstance(piece, Result):
            first = time.perf_counter() - began
    return first * 1000


def _rows(what: str, values: list[float], bars: tuple[float | None, float | None] = (None, None)) -> tuple[Row, Row]:
    tail = [percentile(values, 0.95)]
    return (
        alone(f"first chunk {what}", "ms", values, "lower", bar=bars[0]),
        alone(f"… 95 in 100 below, {what}", "ms", tail, "lower", bar=bars[1]),
    )
