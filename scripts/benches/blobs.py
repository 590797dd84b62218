"""A model is copied over loopback from one, two and three devices at once: MB/s, each verified and on the disk."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from models.manifest import PeerSource
from models.store import Store
from peers import membership
from peers.codes import Address
from peers.grants import own_device
from peers.identity import PublicIdentity
from peers.pairing import Paired
from peers.state import NodeState, open_state
from runtime.copying import bring
from scripts.benches.figures import Report, alone
from scripts.benches.servers import NotStarted
from scripts.benches.setup import Setup, say

ABOUT = "copying a model from other devices (processes of their own, TLS on loopback), every chunk verified"
MOST = 3
START_S = 20.0


async def run(setup: Setup) -> Report:
    rounds = setup.count(2, 10)
    store = Store(setup.home / "models")
    weights = store.get(setup.model).artifact("model")
    size, sha256 = setup.model_file.stat().st_size, weights.sha256 or ""
    rates: dict[int, list[float]] = {count: [] for count in range(1, MOST + 1)}
    with tempfile.TemporaryDirectory(dir=setup.home) as folder:
        for count in rates:
            asker = open_state(Path(folder) / f"asker-{count}", machine="")
            async with _holders(asker, store.root, Path(folder), count):
                for _ in range(rounds):
                    target = Path(folder) / "copy"
                    began = time.perf_counter()
                    await bring(asker, store, PeerSource(sha256), target, _nothing, size_bytes=size)
                    rates[count].append(size / 1e6 / (time.perf_counter() - began))
                    target.unlink()
            say(f"{count} source{'s' if count > 1 else ''}: {rates[count][-1]:.0f} MB/s")
    rows = tuple(alone(_words(count), "MB/s", found, "higher") for count, found in rates.items())
    notes = (f"All ends share the {os.cpu_count()} cores of this machine, so more sources can't show their worth.",)
    return Report("blobs", ABOUT, rows, settings={"rounds": rounds, "model": setup.model, "bytes": size}, notes=notes)


@asynccontextmanager
async def _holders(asker: NodeState, models: Path, folder: Path, count: int) -> AsyncIterator[None]:
    """Devices that have the models, each a process, paired with the asker."""
    async with AsyncExitStack() as stack:
        for number in range(count):
            home = folder / f"holder-{count}-{number}"
            state = open_state(home, machine="")
            membership.admit(state, _paired(asker.identity.public, "asker", ()), own_device())
            port = await stack.enter_async_context(_serving(home, models))
            place = (str(Address("127.0.0.1", port)),)
            membership.admit(asker, _paired(state.identity.public, f"device {number + 1}", place), own_device())
        yield
    for number in range(count):
        shutil.rmtree(folder / f"holder-{count}-{number}", ignore_errors=True)


@asynccontextmanager
async def _serving(home: Path, models: Path) -> AsyncIterator[int]:
    command = [sys.executable, "-m", "scripts.benches.blob_node", str(home), str(models)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            line = await process.stdout.readline()
        if not line:
            raise NotStarted("A device that has the models did not start; see the lines above")
        yield int(json.loads(line)["port"])
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _paired(identity: PublicIdentity, name: str, addresses: Sequence[str]) -> Paired:
    return Paired(identity, name, tuple(addresses), 1)


def _words(count: int) -> str:
    return "from one device" if count == 1 else f"from {count} devices at once"


def _nothing(done: int, total: int | None) -> None:
    return
