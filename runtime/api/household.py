"""This device as a hub for the household: its models by name, for devices with a token, each with a quota.

No prompt and no answer is kept: the journal sees nothing of it, and the ledger has each answer's digest and size.
On loopback it is plain HTTP; on any other address it is TLS with this node's own certificate.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from aiohttp import web
from aiolimiter import AsyncLimiter

from hub.book import is_loopback
from hub.tokens import Device, Tokens
from models.types import Label
from peers.errors import PeersError
from peers.identity import Identity
from peers.quiet_log import log_no_nonsense
from peers.release import Releaser, Stream, sending
from peers.state import NodeState
from runtime.api.chat import Chat, Way
from runtime.api.errors import TOO_MUCH, WRONG, Fault, Refused
from runtime.api.gate import Gate
from runtime.api.guard import MAX_BODY_BYTES, Handler, errors_as_json
from runtime.api.listing import Offered
from runtime.api.openai import ORCHESTRATOR, ChatBody
from runtime.errors import CoveyError
from runtime.node import Node

MINUTE_S = 60.0
DEVICE = web.RequestKey("device", Device)
"""Who asks; set by the token check, read by everything behind it."""
STOP_S = 1.0


class HubPortInUse(CoveyError):
    """Another program listens on the port; the message says how to choose another."""

    code = "port_in_use"


@dataclass(frozen=True, slots=True)
class Household:
    """A hub that listens."""

    host: str
    port: int
    pin: str
    """SHA-256 of its certificate; empty without TLS."""
    gate: Gate
    """Who is being answered now."""

    def url(self, host: str = "") -> str:
        """Return its address, by another name of this device if one is given."""
        named = host or self.host
        return f"{'https' if self.pin else 'http'}://{f'[{named}]' if ':' in named else named}:{self.port}/v1"


class _Ways:
    """Lets answers out, each with its entries in the ledger and counted for its device."""

    def __init__(self, state: NodeState, tokens: Tokens) -> None:
        self._releaser = Releaser(state.ledger)
        self._tokens = tokens

    @asynccontextmanager
    async def __call__(self, request: web.Request, body: ChatBody) -> AsyncIterator[Way]:
        if body.model == ORCHESTRATOR:
            message = "This hub answers with its models by name; they are at /v1/models."
            raise Refused(Fault(404, WRONG, "model_not_found", message, "model"))
        device = request[DEVICE]
        stream = await self._begun(device)
        way = _Counted(stream, device, self._tokens)
        try:
            with sending(stream.piece(b"")):
                yield way
        finally:
            await asyncio.shield(asyncio.to_thread(way.end))

    async def _begun(self, device: Device) -> Stream:
        """Write down that an answer begins."""
        opening = asyncio.ensure_future(asyncio.to_thread(self._opened, device))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:  # what was begun in the ledger is ended there, too
            await asyncio.shield(_closed(opening))
            raise

    def _opened(self, device: Device) -> Stream:
        return self._releaser.open_stream(
            Label.PERSONAL,
            capability="generate",
            recipient=device.recipient(),
            reason="the answer to what it asked this hub",
            bytes_kept=False,
        )


async def _closed(opening: asyncio.Future[Stream]) -> None:
    with suppress(PeersError):  # then nothing was begun, and nobody is left to be told
        stream = await opening
        await asyncio.to_thread(stream.close)


class _Counted:
    """See `runtime.api.chat.Way`."""

    def __init__(self, stream: Stream, device: Device, tokens: Tokens) -> None:
        self._stream = stream
        self._device = device
        self._tokens = tokens
        self._used = 0
        self._ended = False

    async def write(self, response: web.StreamResponse, data: bytes, *, last: bool = False) -> None:
        piece = self._stream.piece(data)
        if last:
            await asyncio.to_thread(self.end)  # all is written down before the end goes
        await response.write(piece.value_for(piece.recipient.id))

    def used(self, tokens: int) -> None:
        self._used = tokens

    def end(self) -> None:
        """Write down what went and what it took, once; blocks for the disk."""
        if self._ended:
            return
        self._ended = True
        try:
            self._stream.close()
        finally:
            self._tokens.count(self._device.name, self._used)


class _Door:
    """Who may come in: a token, the device's rate, what is left of its day."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._rates: dict[str, tuple[int, AsyncLimiter]] = {}

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request in. Raises Refused."""
        if request.path == "/health":
            return await handler(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        device = await asyncio.to_thread(self._tokens.find, token.strip()) if scheme.lower() == "bearer" else None
        if device is None:
            message = "This hub needs a token. On it, run `covey hub token NAME` and give what it shows."
            raise Refused(Fault(401, WRONG, "invalid_api_key", message))
        request[DEVICE] = device
        if request.method == "POST":
            await self._pace(device)
            if self._tokens.left(device) <= 0:
                message = f"{device.name} has used its {device.tokens_per_day:,} tokens of today. Ask again tomorrow."
                raise Refused(Fault(429, TOO_MUCH, "insufficient_quota", message, retry_after_s=3600))
        return await handler(request)

    async def _pace(self, device: Device) -> None:
        known = self._rates.get(device.name)
        if known is None or known[0] != device.per_minute:
            known = self._rates[device.name] = (device.per_minute, AsyncLimiter(device.per_minute, MINUTE_S))
        if not known[1].has_capacity():
            message = f"{device.name} may ask {device.per_minute} times a minute. Ask again in a moment."
            wait_s = max(1, int(MINUTE_S / device.per_minute))
            raise Refused(Fault(429, TOO_MUCH, "rate_limit_exceeded", message, retry_after_s=wait_s))
        await known[1].acquire()


@asynccontextmanager
async def household(
    node: Node, state: NodeState, host: str, port: int, *, tls: bool | None = None
) -> AsyncIterator[Household]:
    """Serve this node's models as a hub. `tls` None: everywhere but on loopback. Raises HubPortInUse."""
    secured = not is_loopback(host) if tls is None else tls
    tokens = Tokens(node.home)
    offered = _Models(node.home, node.pool)
    chat, gate = Chat(node, offered, _Ways(state, tokens)), Gate()

    async def answer(request: web.Request) -> web.StreamResponse:
        with gate.entered():
            return await chat.handle(request)

    app = web.Application(middlewares=[errors_as_json, _Door(tokens).check], client_max_size=MAX_BODY_BYTES)
    app.add_routes(
        [
            web.get("/health", _health),
            web.get("/v1/models", offered.handle_list),
            web.get("/v1/models/{name}", offered.handle_one),
            web.post("/v1/chat/completions", answer),
        ]
    )
    log_no_nonsense()
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=STOP_S)
    async with AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, host, port, ssl_context=_context(state.identity) if secured else None).start()
        except OSError as error:
            raise HubPortInUse(_why_not(host, port, error)) from error
        pin = hashlib.sha256(state.identity.certificate_der).hexdigest() if secured else ""
        yield Household(host, runner.addresses[0][1], pin, gate)
        gate.close()


def _why_not(host: str, port: int, error: OSError) -> str:
    """Return why nothing can listen there, and what to choose instead."""
    if error.errno in (errno.EADDRINUSE, errno.EACCES):
        why = os.strerror(error.errno)
        return f"Port {port} of {host} can't be used ({why}). Choose another: covey hub serve --port 4600"
    return (
        f"{host} is no address of this device. Choose one of its own, 127.0.0.1, or 0.0.0.0 for all: "
        "covey hub serve --host 0.0.0.0"
    )


class _Models(Offered):
    """The models alone: what the whole node would answer is for its owner."""

    def names(self) -> list[str]:
        return [name for name in super().names() if name != ORCHESTRATOR]


async def _health(request: web.Request) -> web.Response:
    """Say that it is there, and to a stranger nothing else."""
    return web.json_response({"status": "ok"})


def _context(own: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(own.certificate_file, own.key_file)
    return context
