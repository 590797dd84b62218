"""For benches: this process as one node, and another one with a scripted specialist as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from models.types import Request, Tier
from peers import membership
from peers.client import PeerClient
from peers.codes import Address
from peers.dialer import Dialer
from peers.grants import Limits, own_device
from peers.identity import Identity
from peers.links import Links
from peers.node_id import NodeId
from peers.pairing import Paired
from peers.remote import RemoteSpecialist
from peers.server import PeerServer
from peers.state import NodeState, open_state
from scripts.benches.peer_node import answer
from scripts.benches.servers import NotStarted

START_S = 20.0
GENEROUS = replace(own_device(), limits=Limits(tasks_per_minute=1_000_000, at_once=1000))
REQUEST = Request("generate", {"prompt": "Count to five. " * 20}, ceiling=Tier.HOME)


@dataclass
class Far:
    """The other node."""

    process: asyncio.subprocess.Process
    state: NodeState
    address: Address

    @property
    def id(self) -> NodeId:
        return self.state.identity.node_id

    async def told(self) -> dict[str, float]:
        """Return `lag_s` (the longest its loop was blocked since it was asked last), `bytes` and `files`."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(b"\n")
        return dict(json.loads(await self.process.stdout.readline()))


@dataclass
class Near:
    """This process."""

    state: NodeState
    links: Links
    client: PeerClient
    dialer: Dialer
    address: Address

    def specialist(self, far: Far) -> RemoteSpecialist:
        return RemoteSpecialist(far.id, "generate", state=self.state, client=self.client)


@asynccontextmanager
async def far_node(home: Path, program: Literal["peer_node", "whole_node"] = "peer_node") -> AsyncIterator[Far]:
    """The other node, as long as the block lasts: the peers' port alone, or all that `covey up` starts."""
    state = open_state(home, machine="")
    command = [sys.executable, "-m", f"scripts.benches.{program}", str(home)]
    environ = {**os.environ, "COVEY_HOME": str(home), "COVEY_DISCOVERY": "lo", "COVEY_OFFLINE": "1"}
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environ
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            line = await process.stdout.readline()
        if not line:
            raise NotStarted("The other node did not start; see the lines above")
        yield Far(process, state, Address("127.0.0.1", int(json.loads(line)["port"])))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def near_node(home: Path, *, dials: bool) -> AsyncIterator[Near]:
    """This process as a node; it keeps links if it dials."""
    state = open_state(home, machine="")
    server = PeerServer(state, answer, boot=os.urandom(4).hex())
    async with (
        server.serving("127.0.0.1", 0),
        PeerClient(state.identity, state.peers, linked=server.links.get) as client,
    ):
        dialer = Dialer(server.links, client)
        running = asyncio.create_task(dialer.run() if dials else asyncio.sleep(0))
        try:
            yield Near(state, server.links, client, dialer, Address("127.0.0.1", server.port))
        finally:
            running.cancel()
            await asyncio.wait([running])


def acquaint(near: NodeState, far: NodeState, at: Address) -> None:
    """Write both down as paired; only the near one knows where the other is."""
    membership.admit(far, paired(near.identity, "near"), GENEROUS)
    membership.admit(near, paired(far.identity, "far", str(at)), GENEROUS)


async def linked(near: Near, far: Far, limit_s: float = 20.0) -> None:
    """Wait for the link."""
    async with asyncio.timeout(limit_s):
        await near.links.around.until_known([far.id])


def paired(identity: Identity, name: str, *addresses: str) -> Paired:
    return Paired(identity.public, name, addresses, 1)
