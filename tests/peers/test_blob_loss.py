"""A device is killed while a model is copied from it: what came stays, and the rest comes from whoever has it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from models.errors import SourceError
from models.manifest import PeerSource
from models.store import Store
from peers import membership
from peers.blobs import Progress
from peers.chunks import CHUNK_BYTES
from peers.grants import own_device
from peers.pairing import Paired
from peers.state import NodeState, open_state
from runtime.copying import bring
from tests.peers.stocked import install

CHUNKS = 5
DATA = Random(8).randbytes(CHUNKS * CHUNK_BYTES - 777)
SHA = hashlib.sha256(DATA).hexdigest()
MOST = 4 * CHUNK_BYTES
"""Four fifths of it."""


@asynccontextmanager
async def holder(asker: NodeState, home: Path, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A paired device that has the model: a process of its own."""
    state, store = open_state(home / "state", machine=""), Store(home / "models")
    if not store.installed():
        install(store, home, DATA)
        membership.admit(state, Paired(asker.identity.public, "asker", (), 1), own_device())
    line = [sys.executable, "-m", "scripts.benches.blob_node", str(home / "state"), str(store.root)]
    process = await asyncio.create_subprocess_exec(*line, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        port = json.loads(await process.stdout.readline())["port"]
        membership.admit(asker, Paired(state.identity.public, name, (f"127.0.0.1:{port}",), 1), own_device())
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def killed_at(process: asyncio.subprocess.Process, size_bytes: int, seen: list[int]) -> Progress:
    def progress(done: int, total: int | None) -> None:
        seen.append(done)
        if done >= size_bytes and process.returncode is None:
            process.kill()

    return progress


@pytest.mark.timeout(90)
async def test_after_a_kill_at_four_fifths_only_the_rest_is_copied(tmp_path: Path) -> None:
    asker, store, target = open_state(tmp_path / "asker", machine=""), Store(tmp_path / "models"), tmp_path / "copy"
    first: list[int] = []
    async with holder(asker, tmp_path / "kitchen", "kitchen") as kitchen:
        with pytest.raises(SourceError):
            await bring(asker, store, PeerSource(SHA), target, killed_at(kitchen, MOST, first), size_bytes=len(DATA))
    assert not target.exists(), "no half of a model has its name"
    again: list[int] = []
    async with holder(asker, tmp_path / "kitchen", "kitchen"):
        progress = lambda done, total: again.append(done)  # noqa: E731
        await bring(asker, store, PeerSource(SHA), target, progress, size_bytes=len(DATA))
    assert again[0] == first[-1] >= MOST, "it goes on where it was"
    assert target.read_bytes() == DATA


@pytest.mark.timeout(90)
async def test_when_one_of_two_is_killed_the_other_brings_the_rest(tmp_path: Path) -> None:
    asker, store, target = open_state(tmp_path / "asker", machine=""), Store(tmp_path / "models"), tmp_path / "copy"
    seen: list[int] = []
    async with holder(asker, tmp_path / "kitchen", "kitchen") as kitchen, holder(asker, tmp_path / "attic", "attic"):
        await bring(asker, store, PeerSource(SHA), target, killed_at(kitchen, 1, seen), size_bytes=len(DATA))
        assert await kitchen.wait() != 0
    assert target.read_bytes() == DATA
