"""A hub on loopback that records every byte it is given, and faults by name."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum

from aiohttp import web

from hub.book import Hub, PlaceName, Price
from models.types import Label


class Fault(Enum):
    """What is wrong with a hub."""

    NONE = "none"
    SLOW = "slow"
    """It takes the request and says nothing."""
    SLOW_MIDDLE = "slow middle"
    BUSY = "429"
    BUSY_ONCE = "429 once"
    FAILS = "500"
    FAILS_ONCE = "500 once"
    KEY = "401"
    MOVED = "redirect to another host"
    GARBAGE = "garbage"
    HALF = "half a stream"
    CUT = "the connection breaks"
    ENDLESS = "streams for ever"
    LONG_LINE = "a line without end"
    WRONG_MODEL = "wrong model"
    INVENTS = "invents a placeholder"
    ERROR_INSIDE = "an error in the stream"
    FILTERED = "content filter"
    NO_USAGE = "no usage"
    WHOLE = "one piece instead of a stream"


@dataclass
class FakeHub:
    """One hub that runs."""

    fault: Fault = Fault.NONE
    answer: str = ""
    """What it says; empty repeats the last message, so that a test sees what came."""
    model: str = "big"
    port: int = 0
    scheme: str = "http"
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    left: int = 0
    """Clients that hung up before the end."""
    elsewhere: list[bytes] = field(default_factory=list)
    """What reached the place that it redirects to."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/v1"

    def as_hub(
        self, name: str = "far", *, place: PlaceName = "away", ceiling: Label = Label.PUBLIC, price: Price | None = None
    ) -> Hub:
        return Hub(name, self.url, "big", place, "none", ceiling, {"big": price or Price(1.0, 4.0)})

    @property
    def said(self) -> str:
        """All that it was ever given, as text."""
        return b"\n".join(self.bodies).decode()

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        asked = json.loads(body)
        match self.fault:
            case Fault.SLOW:
                await asyncio.sleep(30)
            case Fault.BUSY:
                return web.Response(status=429, headers={"Retry-After": "60"})
            case Fault.BUSY_ONCE if len(self.bodies) == 1:
                return web.Response(status=429, headers={"Retry-After": "0"})
            case Fault.FAILS:
                return web.Response(status=500, text="secret stack trace")
            case Fault.FAILS_ONCE if len(self.bodies) == 1:
                return web.Response(status=503)
            case Fault.KEY:
                return web.Response(status=401)
            case Fault.MOVED:
                return web.Response(status=307, headers={"Location": f"http://localhost:{self.port}/other"})
            case Fault.GARBAGE:
                return web.Response(text="<html>It works!</html>", content_type="text/html")
            case Fault.WHOLE:
                return web.json_response(self._whole(asked))
        return await self._stream(request, asked)

    async def _stream(self, request: web.Request, asked: dict[str, object]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            await self._say(response, asked)
        except (ConnectionError, asyncio.CancelledError):
            self.left += 1
            raise
        return response

    async def _say(self, response: web.StreamResponse, asked: dict[str, object]) -> None:
        text = self._text(asked)
        model = "other" if self.fault is Fault.WRONG_MODEL else self.model
        if self.fault is Fault.LONG_LINE:
            for _ in range(40):
                await response.write(b"data: " + b"x" * 10_000)
        if self.fault is Fault.ENDLESS:
            while True:
                await response.write(_event(model, "and so on " * 500))
        for number, word in enumerate(_words(text)):
            await response.write(_event(model, word))
            if self.fault is Fault.SLOW_MIDDLE and number == 1:
                await asyncio.sleep(30)
            if self.fault is Fault.CUT and number == 1:
                assert response._req is not None and response._req.transport is not None
                response._req.transport.abort()
                return
        if self.fault is Fault.HALF:
            return
        if self.fault is Fault.ERROR_INSIDE:
            await response.write(b'data: {"error": {"message": "overloaded"}}\n\n')
            return
        reason = "content_filter" if self.fault is Fault.FILTERED else "stop"
        await response.write(_event(model, "", reason))
        if self.fault is not Fault.NO_USAGE:
            usage = {"prompt_tokens": 20, "completion_tokens": 10}
            await response.write(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")

    def _text(self, asked: dict[str, object]) -> str:
        if self.fault is Fault.INVENTS:
            return "Ask [PERSON_99] about it."
        messages = asked["messages"]
        assert isinstance(messages, list)
        return self.answer or str(messages[-1]["content"])

    def _whole(self, asked: dict[str, object]) -> dict[str, object]:
        choice = {"message": {"role": "assistant", "content": self._text(asked)}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 20, "completion_tokens": 10}
        return {"model": self.model, "choices": [choice], "usage": usage}

    async def moved(self, request: web.Request) -> web.StreamResponse:
        self.elsewhere.append(await request.read())
        return web.Response(text="thank you")

    async def models(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        return web.json_response({"data": [{"id": self.model}, {"id": "small"}]})


@asynccontextmanager
async def running(
    fault: Fault = Fault.NONE, *, answer: str = "", context: ssl.SSLContext | None = None
) -> AsyncIterator[FakeHub]:
    """A hub on a free port of loopback, as long as the block lasts."""
    hub = FakeHub(fault, answer, scheme="https" if context else "http")
    app = web.Application()
    app.router.add_post("/v1/chat/completions", hub.chat)
    app.router.add_post("/other", hub.moved)
    app.router.add_get("/v1/models", hub.models)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    hub.port = runner.addresses[0][1]
    try:
        yield hub
    finally:
        await runner.cleanup()


def _event(model: str, text: str, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return b"data: " + json.dumps({"model": model, "choices": [choice]}).encode() + b"\n\n"


def _words(text: str) -> list[str]:
    words = text.split(" ")
    return [word if number == 0 else f" {word}" for number, word in enumerate(words)]
