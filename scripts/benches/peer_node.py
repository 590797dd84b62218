"""A node with a scripted specialist, for benches: python -m scripts.benches.peer_node HOME.

It says its port in one line of JSON, keeps links with those it is paired with, and answers each line on its standard
input with one line: the longest that its event loop was blocked since the line before, and its memory.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import psutil

from models.types import Chunk, Request, Result, Usage
from peers import membership
from peers.book import Peer
from peers.client import PeerClient
from peers.dialer import Dialer
from peers.pairing_host import PairingHost
from peers.server import PeerServer
from peers.state import open_state

LOOK_S = 0.005


async def answer(request: Request, peer: Peer) -> AsyncGenerator[Chunk | Result, None]:
    """Write five words; with `wait_s` in the input it goes on only then."""
    for index in range(len(request.resume_tokens), 5):
        yield Chunk(index, f"word{index} ", (index,))
        await asyncio.sleep(float(str(request.input.get("wait_s", 0))))
    yield Result(output="done", text="done", confidence=0.9, usage=Usage(completion_tokens=5))


class Lag:
    """Watches how late the loop comes back to what is due."""

    def __init__(self) -> None:
        self._longest_s = 0.0
        self._busiest_s = 0.0

    async def watch(self) -> None:
        while True:
            before, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(LOOK_S)
            self._longest_s = max(self._longest_s, time.perf_counter() - before - LOOK_S)
            self._busiest_s = max(self._busiest_s, time.thread_time() - used)

    def take(self) -> dict[str, float]:
        """Return the longest that the loop did not come back, and the most that it computed meanwhile."""
        longest, busiest = self._longest_s, self._busiest_s
        self._longest_s = self._busiest_s = 0.0
        return {"lag_s": longest, "busy_s": busiest}


async def serve(home: Path) -> None:
    """Serve until standard input ends."""
    state = open_state(home, machine="")
    host = PairingHost(state, membership.me(state, "bench"))
    server = PeerServer(state, answer, pairing=host.answer, boot=os.urandom(4).hex())
    async with (
        server.serving("127.0.0.1", 0),
        PeerClient(state.identity, state.peers, linked=server.links.get) as client,
    ):
        dialing = asyncio.create_task(Dialer(server.links, client).run())
        try:
            await watched(server.port)
        finally:
            dialing.cancel()
            await asyncio.wait([dialing])


async def watched(port: int) -> None:
    """Say the port, and then how it was on each line of standard input, until that ends."""
    lag, own = Lag(), psutil.Process()
    watching = asyncio.create_task(lag.watch())
    print(json.dumps({"port": port}), flush=True)
    try:
        while await asyncio.to_thread(sys.stdin.readline):
            told = {**lag.take(), "bytes": own.memory_info().rss, "files": own.num_fds()}
            print(json.dumps(told), flush=True)
    finally:
        watching.cancel()
        await asyncio.wait([watching])


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
