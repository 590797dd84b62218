"""A device that is killed while it gives a model: the rest comes from another, and the whole is the promised file."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from models.errors import SourceError
from models.store import Store
from peers import membership
from peers.blobs import copy
from peers.chunks import CHUNK_BYTES
from peers.grants import own_device
from peers.node_id import NodeId
from peers.pairing import Paired
from peers.state import open_state
from tests.peers.stocked import blobs, install
from tests.peers.swarm import Node, running

DATA = Random(7).randbytes(4 * CHUNK_BYTES + 12345)
SHA = hashlib.sha256(DATA).hexdigest()


@dataclass
class Giver:
    """A process that lets its model be copied."""

    node: NodeId
    pid: int
    killed: bool = False

    def kill_at_four_fifths(self, done: int, total: int | None) -> None:
        if done >= 4 * CHUNK_BYTES and not self.killed:
            self.killed = True
            os.kill(self.pid, signal.SIGKILL)


@asynccontextmanager
async def giver(home: Path, laptop: Node) -> AsyncIterator[Giver]:
    """A kitchen in a process of its own, paired with the laptop."""
    state, models = open_state(home / "kitchen", machine=""), home / "kitchen" / "models"
    install(Store(models), home, DATA)
    membership.admit(state, Paired(laptop.state.identity.public, "laptop", (), 1), own_device())
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scripts.benches.blob_node", str(home / "kitchen"), str(models),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        port = json.loads(await process.stdout.readline())["port"]
        told = Paired(state.identity.public, "kitchen", (f"127.0.0.1:{port}",), 1)
        membership.admit(laptop.state, told, own_device())
        yield Giver(state.identity.node_id, process.pid)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def three(home: Path) -> AsyncIterator[tuple[Node, Giver, Node]]:
    """A laptop that asks, a kitchen that can be killed, and an attic that has the model, too."""
    async with running(home, "laptop") as laptop, running(home, "attic") as attic, giver(home, laptop) as kitchen:
        laptop.knows(attic)
        attic.knows(laptop)
        install(attic.store, home, DATA)
        yield laptop, kitchen, attic


async def test_a_source_that_is_killed_at_four_fifths_leaves_the_rest_to_another(tmp_path: Path) -> None:
    async with three(tmp_path) as (laptop, kitchen, attic):
        target, roomy = tmp_path / "copy", 10**12
        kill = kitchen.kill_at_four_fifths
        with pytest.raises(SourceError, match="kitchen"):
            await copy(SHA, [blobs(laptop, kitchen.node)], target, kill, free_bytes=lambda: roomy)
        assert not target.exists()
        start: list[int] = []
        gave = await copy(
            SHA, [blobs(laptop, attic.id)], target, lambda done, total: start.append(done), free_bytes=lambda: roomy
        )
        assert (gave, start[0]) == (["attic"], 4 * CHUNK_BYTES), "what was verified is not fetched again"
        assert target.read_bytes() == DATA


async def test_a_source_that_is_killed_beside_another_is_not_missed(tmp_path: Path) -> None:
    async with three(tmp_path) as (laptop, kitchen, attic):
        sources = [blobs(laptop, kitchen.node), blobs(laptop, attic.id)]
        kill = kitchen.kill_at_four_fifths
        gave = await copy(SHA, sources, tmp_path / "copy", kill, free_bytes=lambda: 10**12)
        assert "attic" in gave
        assert (tmp_path / "copy").read_bytes() == DATA
