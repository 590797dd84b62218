"""A node that does nothing but let others copy its models: python -m scripts.benches.blob_node HOME MODELS."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

from models.errors import NotInstalled
from models.store import Store
from models.types import Chunk, Request, Result
from peers.book import Peer
from peers.server import PeerServer
from peers.shelf import Shelf
from peers.state import open_state


async def serve(home: Path, models: Path) -> None:
    """Say the port in one line of JSON, then serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = PeerServer(open_state(home, machine=""), _no_work, shelf=Shelf(Store(models)))
    async with server.serving("127.0.0.1", 0):
        print(json.dumps({"port": server.port}), flush=True)
        await stop.wait()


async def _no_work(request: Request, peer: Peer) -> AsyncGenerator[Chunk | Result, None]:
    raise NotInstalled("This node only lets models be copied. Ask another device for work.")
    yield


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
