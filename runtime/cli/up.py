"""`covey up`: a node that stays, with its models warm, and answers programs and `covey ask`.

Ctrl-C, SIGTERM or a closed terminal lets the requests at hand end, within a bound; see `runtime/cli/stopping.py`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runtime import paths
from runtime.cli.stopping import STOP_S, say, told_to_stop
from runtime.errors import UsageError
from runtime.node import open_node
from runtime.reach import PEER_PORT, Reach, reach
from runtime.running import SOCKET

if TYPE_CHECKING:
    from peers.codes import Address
    from runtime.api.server import Server

PORT = 4488
LOCK = "node.lock"

app = typer.Typer()


@app.command()
def up(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port on this device; 0 takes any.")] = PORT,
    peer_port: Annotated[
        int, typer.Option("--peer-port", min=0, max=65535, help="Port for paired devices; 0 takes any.")
    ] = PEER_PORT,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object once it listens.")] = False,
) -> None:
    """Start a node that stays: programs reach it at http://127.0.0.1:4488/v1, paired devices on port 4489.

    COVEY_DISCOVERY=lo keeps the port for devices on this machine, COVEY_DISCOVERY=off opens none.
    """
    far = reach()
    home = paths.ensure_home(paths.home())
    with only_node(home):
        _ask_about_networks(home, far, as_json=as_json)
        asyncio.run(_serve(home, port, peer_port, far, as_json=as_json))


@contextmanager
def only_node(home: Path) -> Iterator[None]:
    """Be the only node of a folder. Raises UsageError. The system frees the lock of a node that crashed."""
    from filelock import FileLock, Timeout  # heavy, first use only

    lock = FileLock(home / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"A node is already running for {home}. Use it, stop it, or set COVEY_HOME to another folder."
        ) from error
    try:
        (home / SOCKET).unlink(missing_ok=True)  # a crash left it: whoever holds the lock is alone
        yield
    finally:
        lock.release()


def _ask_about_networks(home: Path, far: Reach, *, as_json: bool) -> None:
    if far != "auto":
        return
    from runtime import config  # heavy, first use only
    from runtime.cli.networks import ask_once
    from runtime.own_state import own_state

    folder = own_state(home, config.load(paths.settings_file(home))).folder
    ask_once(folder, far, may_ask=not as_json)


async def _serve(home: Path, port: int, peer_port: int, far: Reach, *, as_json: bool) -> None:
    from runtime.api.server import serving  # heavy, first use only
    from runtime.peering import peering  # heavy, first use only

    with told_to_stop() as stop:
        async with open_node(home) as node, serving(node, port) as server, peering(node, peer_port, far) as place:
            gc.freeze()  # what is loaded stays: to look through it for garbage would hold up every answer for 40 ms
            _announce(server, home, place, as_json=as_json)
            await stop.wait()
            peers = asyncio.create_task(node.links.drain(STOP_S, stop.hurry)) if node.links is not None else None
            whole = await server.drain(STOP_S, stop.hurry)
            if peers is not None:
                whole = await peers and whole
            if not whole:
                say("Some requests were cut off.")


def _announce(server: Server, home: Path, place: Address | None, *, as_json: bool) -> None:
    from runtime.addresses import texts_of  # heavy (psutil), first use only

    if as_json:
        up = {"status": "up", "url": server.url, "pid": os.getpid(), "home": str(home)}
        print(json.dumps({**up, "peers": str(place) if place else None}), flush=True)
    else:
        if place:
            where = " or ".join(texts_of(place.host, place.port)) or "no address yet"
            print(f"Paired devices reach it at {where}. `covey pair` adds one.", flush=True)
        print(f"Covey is up: {server.url} (OpenAI clients: any key, model `covey`). Ctrl-C stops it.", flush=True)
