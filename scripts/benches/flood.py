"""A node under attack: a paired device that asks without end, strangers who send garbage, and broken messages.

After each it must still serve. Its event loop is watched from inside (scripts/benches/peer_node.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import tempfile
import time
from pathlib import Path

import aiohttp

from models.types import last
from peers import codec, tls
from peers.conversions import subtask_of
from peers.grants import own_device
from peers.membership import set_grant
from peers.messages import Hello
from scripts.benches.figures import Report, Row, alone
from scripts.benches.peer_pair import GENEROUS, REQUEST, Far, Near, acquaint, far_node, linked, near_node
from scripts.benches.servers import NotStarted
from scripts.benches.setup import Setup, say

ABOUT = "a node (a process of its own, TLS on loopback) under attack; afterwards it serves as before"
PER_S = 500
SIDE_BY_SIDE = 16
GARBAGE_BYTES = 512


async def run(setup: Setup) -> Report:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=setup.home, ignore_cleanup_errors=True) as folder:
        async with far_node(Path(folder) / "far") as far, near_node(Path(folder) / "near", dials=True) as near:
            acquaint(near.state, far.state, far.address)
            await linked(near, far)
            await _serves(near, far)
            for what, attack, count in (
                (f"{PER_S} requests a second of a paired device", _requests, setup.count(2_000, 30_000)),
                ("garbage connections", _garbage, setup.count(300, 10_000)),
                ("broken messages of a paired device", _fuzz, setup.count(1_000, 100_000)),
            ):
                say(f"{what}: {count}")
                rows += await _under(what, attack(near, far, count), near, far)
    return Report("flood", ABOUT, tuple(rows), settings={"requests per second": PER_S})


async def _under(what: str, attack: object, near: Near, far: Far) -> list[Row]:
    """Let the attack run, and return what the node says of itself afterwards. It must still serve."""
    before = await far.told()
    began = time.monotonic()
    assert asyncio.iscoroutine(attack)
    await attack
    seconds, after = time.monotonic() - began, await far.told()
    await _serves(near, far)
    return [
        alone(f"{what}: longest the event loop was blocked", "ms", [after["lag_s"] * 1000], "lower"),
        alone(f"{what}: of that, it computed", "ms", [after["busy_s"] * 1000], "lower"),
        alone(f"{what}: memory more than before", "MB", [(after["bytes"] - before["bytes"]) / 1e6], "lower"),
        alone(f"{what}: files open more than before", "", [after["files"] - before["files"]], "lower"),
        alone(f"{what}: it took", "s", [seconds]),
    ]


async def _requests(near: Near, far: Far, count: int) -> None:
    """Ask 500 times a second, with an ordinary grant: all but the first are refused at once."""
    set_grant(far.state, "near", own_device())
    statuses: dict[int, int] = {}
    body = _body(near)
    async with _session(near, far) as http:
        url, due = f"https://{far.address}/peer/1/subtasks", time.monotonic()

        async def one() -> None:
            async with http.post(url, data=body) as response:
                await response.read()
                statuses[response.status] = statuses.get(response.status, 0) + 1

        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                due += 1 / PER_S
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                group.create_task(one())
    set_grant(far.state, "near", GENEROUS)
    say(f"answered: {statuses}")
    if set(statuses) - {200, 429}:
        raise NotStarted(f"The node under test answered {statuses} instead of 200 and 429")


async def _garbage(near: Near, far: Far, count: int) -> None:
    """Connect as a stranger, send random bytes, and go; some stay silent, some hang up at once."""
    chance = random.Random(1)
    places = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(data: bytes) -> None:
        async with places:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(far.address.host, far.address.port)
                writer.write(data)
                await asyncio.sleep(chance.random() * 0.01)
                writer.transport.abort()

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one(chance.randbytes(chance.randrange(GARBAGE_BYTES))))


async def _fuzz(near: Near, far: Far, count: int) -> None:
    """Send requests with bytes changed, cut, put in or repeated."""
    chance, whole, left = random.Random(2), _body(near), count
    async with _session(near, far) as http:
        url = f"https://{far.address}/peer/1/subtasks"

        async def some() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.post(url, data=_broken(whole, chance)) as response:
                        await response.read()

        async with asyncio.TaskGroup() as group:
            for _ in range(SIDE_BY_SIDE):
                group.create_task(some())


def _broken(whole: bytes, chance: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(data) or 1)
        match chance.randrange(4):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[at : at + chance.randrange(64)]
            case 2:
                data[at:at] = chance.randbytes(chance.randrange(64))
            case 3:
                data += data[at : at + 256]
    return bytes(data)


def _body(near: Near) -> bytes:
    subtask = subtask_of(REQUEST, "f" * 32, near.state.identity.node_id)
    return codec.frames(Hello().pack()) + codec.frames(subtask.pack())


def _session(near: Near, far: Far) -> aiohttp.ClientSession:
    context = tls.client_context(near.state.identity, far.state.identity.certificate_der)
    connector = aiohttp.TCPConnector(ssl=context, limit=SIDE_BY_SIDE, family=socket.AF_INET)
    return aiohttp.ClientSession(connector=connector)


async def _serves(near: Near, far: Far) -> None:
    """Raise when the node does not do its work."""
    if (await last(near.specialist(far).run(REQUEST))).output != "done":
        raise NotStarted("The node under test does not serve any more")
