"""The server of a running node: two doors (loopback and Unix socket), one gate, and a stop with a deadline."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import metadata

from aiohttp import web

from models.types import Json
from peers.quiet_log import log_no_nonsense
from runtime.api.chat import Chat
from runtime.api.gate import Gate
from runtime.api.guard import MAX_BODY_BYTES, Handler, errors_as_json, only_from_here
from runtime.api.listing import Offered
from runtime.api.owner import Owner, only_the_owner
from runtime.errors import CoveyError
from runtime.node import Node
from runtime.running import MAX_LINE_BYTES, SOCKET, socket_address

HOST = "127.0.0.1"
"""Loopback only: nothing here asks for a password."""
SOCKET_MASK = 0o177
"""The socket belongs to its owner alone from its first moment on."""
CANCEL_S = 1.0
"""Seconds that are left to requests which are still inside when the node has stopped waiting for them."""


class PortInUse(CoveyError):
    """Another program listens on the port; the message says how to choose another."""

    code = "port_in_use"


class Server:
    """A node that listens. Made by `serving`."""

    def __init__(self, node: Node, gate: Gate) -> None:
        self.port = 0
        self._node = node
        self._gate = gate
        self._started = time.monotonic()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/v1"

    async def drain(self, timeout_s: float, hurry: asyncio.Event) -> bool:
        """As `Gate.drain`."""
        return await self._gate.drain(timeout_s, hurry)

    async def health(self, request: web.Request) -> web.Response:
        body: dict[str, Json] = {
            "status": "ok",
            "version": metadata.version("covey"),
            "uptime_s": round(time.monotonic() - self._started, 1),
            "requests": self._gate.inside,
        }
        return web.json_response(body)


@asynccontextmanager
async def serving(node: Node, port: int, gate: Gate | None = None) -> AsyncIterator[Server]:
    """Listen on a port of loopback (0: any) and on the home's socket. At the end requests are cut off.

    Raises PortInUse.
    """
    own_gate = gate or Gate()
    server = Server(node, own_gate)
    async with _listening(_public(node, server, own_gate)) as public:
        site = web.TCPSite(public, HOST, port)
        try:
            await site.start()
        except OSError as error:
            raise PortInUse(
                f"Port {port} can't be used ({os.strerror(error.errno or 0)}). Stop the program that holds it, "
                "or choose another: covey up --port 4500"
            ) from error
        server.port = public.addresses[0][1]
        async with _listening(_private(node, own_gate)) as private:
            with socket_address(node.home) as address:
                with _owner_only():
                    await web.UnixSite(private, address).start()
                try:
                    yield server
                finally:
                    (node.home / SOCKET).unlink(missing_ok=True)


def _public(node: Node, server: Server, gate: Gate) -> web.Application:
    offered = Offered(node.home, node.pool)
    chat = Chat(node, offered)
    app = web.Application(middlewares=[errors_as_json, only_from_here], client_max_size=MAX_BODY_BYTES)
    app.add_routes(
        [
            web.get("/health", server.health),
            web.get("/v1/models", offered.handle_list),
            web.get("/v1/models/{name}", offered.handle_one),
            web.post("/v1/chat/completions", _gated(gate, chat.handle)),
        ]
    )
    return app


def _private(node: Node, gate: Gate) -> web.Application:
    owner = Owner(node)
    app = web.Application(middlewares=[errors_as_json, only_the_owner], client_max_size=MAX_LINE_BYTES)
    app.add_routes(
        [
            web.post("/covey/ask", _gated(gate, owner.ask)),
            web.post("/covey/consent", owner.consent),
            web.post("/covey/computed", owner.computed),
            web.post("/covey/elsewhere", owner.elsewhere),
            web.post("/covey/forget", owner.forget),
            web.post("/covey/peers", owner.peers),
            web.post("/covey/seats", owner.seats),
        ]
    )
    return app


def _gated(gate: Gate, handler: Handler) -> Handler:
    async def inside(request: web.Request) -> web.StreamResponse:
        with gate.entered():
            return await handler(request)

    return inside


@asynccontextmanager
async def _listening(app: web.Application) -> AsyncIterator[web.AppRunner]:
    """Give a runner whose handlers are cancelled when their client goes."""
    log_no_nonsense()
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=CANCEL_S)
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


@contextmanager
def _owner_only() -> Iterator[None]:
    """Create files for the owner alone: the socket must never have been open to others."""
    before = os.umask(SOCKET_MASK)
    try:
        yield
    finally:
        os.umask(before)
