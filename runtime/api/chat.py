"""`POST /v1/chat/completions`: whole or streamed."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Protocol

from aiohttp import web

from models.types import Json
from runtime.api import sse
from runtime.api.answering import Ended, Reply, Said, from_model, from_node
from runtime.api.errors import fault_of
from runtime.api.guard import body_of
from runtime.api.listing import Offered
from runtime.api.logprobs import logprobs_object
from runtime.api.openai import ORCHESTRATOR, ChatBody, read_body, usage_object
from runtime.history import estimate_tokens
from runtime.node import Node

WRITE_S = 30.0
"""Seconds for a client to take one piece. One that has stopped reading would hold its place for ever."""
PIECE_BYTES = 64 * 1024
"""Of a whole answer, written at once: a client that reads at all takes that in time, one of 4 MB it might not."""


class Way(Protocol):
    """How one answer goes out."""

    async def write(self, response: web.StreamResponse, data: bytes, *, last: bool = False) -> None:
        """Send the next bytes, or the last ones. Raises ConnectionError."""
        ...

    def used(self, tokens: int) -> None:
        """Take note of the tokens that were read and written so far. The last figure holds."""
        ...


class Plain:
    """To a program on this very device: nothing leaves."""

    async def write(self, response: web.StreamResponse, data: bytes, *, last: bool = False) -> None:
        await response.write(data)

    def used(self, tokens: int) -> None:
        return


@asynccontextmanager
async def plain(request: web.Request, body: ChatBody) -> AsyncIterator[Way]:
    """Give the way to a program on this device."""
    yield Plain()


Ways = Callable[[web.Request, ChatBody], AbstractAsyncContextManager[Way]]


class Chat:
    """The endpoint of one node."""

    def __init__(self, node: Node, offered: Offered, ways: Ways = plain) -> None:
        """`ways` gives the way on which an answer goes out."""
        self._node = node
        self._offered = offered
        self._ways = ways

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request. Leaving early (the client has gone) cancels the generation."""
        body = read_body(await body_of(request))
        form = _Form(body)
        async with self._ways(request, body) as way:
            async with aclosing(self._reply(body)) as reply:
                if body.stream:
                    return await _streamed(request, form, reply, way)
                ended = await _last(form, reply, way)
            return await _whole(request, await _encoded(form, ended), way)  # the model is free while the client reads

    def _reply(self, body: ChatBody) -> Reply:
        if body.model == ORCHESTRATOR:
            return from_node(self._node, body)
        self._offered.check(body.model)
        return from_model(self._node.pool, body)


class _Form:
    """The parts that all objects of one answer share."""

    def __init__(self, body: ChatBody) -> None:
        self.body = body
        self._id = f"chatcmpl-{secrets.token_hex(12)}"
        self._created = int(time.time())

    def prompt_tokens(self) -> int:
        """Return about how many tokens were read; the end of an answer says it, and not every client stays for it."""
        return sum(estimate_tokens(message.text()) for message in self.body.messages)

    def whole(self, ended: Ended) -> dict[str, Json]:
        content = None if ended.refusal and not ended.text else ended.text
        message: Json = {"role": "assistant", "content": content, "refusal": ended.refusal}
        logprobs = logprobs_object(ended.details)
        choice: Json = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": ended.reason}
        shape = self._shape("chat.completion", [choice], ended)
        return {**shape, "usage": usage_object(ended.usage), **ended.more}

    def said(self, said: Said) -> dict[str, Json]:
        """Return a chunk with a piece of the answer."""
        return self.delta({"content": said.text}, logprobs=logprobs_object(said.details))

    def delta(self, delta: dict[str, Json], ended: Ended | None = None, *, logprobs: Json = None) -> dict[str, Json]:
        """Return a chunk; the last one says how the answer ended."""
        reason = ended.reason if ended else None
        choice: Json = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        shape = self._shape("chat.completion.chunk", [choice], ended)
        if self.body.counts_usage:
            shape["usage"] = None
        return {**shape, **(ended.more if ended else {})}

    def usage(self, ended: Ended) -> dict[str, Json]:
        """Return the chunk behind the last one, if the client asked for it."""
        return {**self._shape("chat.completion.chunk", [], ended), "usage": usage_object(ended.usage)}

    def _shape(self, kind: str, choices: list[Json], ended: Ended | None) -> dict[str, Json]:
        shape: dict[str, Json] = {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self.body.model,
            "choices": choices,
        }
        if ended and ended.fingerprint:
            shape["system_fingerprint"] = ended.fingerprint
        return shape


async def _last(form: _Form, reply: Reply, way: Way) -> Ended:
    used = form.prompt_tokens()
    async for item in reply:
        if isinstance(item, Ended):
            way.used(_tokens(item))
            return item
        used += item.tokens
        way.used(used)
    raise AssertionError("an answer ended without its end")


async def _encoded(form: _Form, ended: Ended) -> bytes:
    """Return the body of a whole answer.

    With all alternatives to 2,000 tokens it has 4 MB and takes a quarter of a second: others need not wait for that.
    """
    if ended.details:
        return await asyncio.to_thread(lambda: json.dumps(form.whole(ended)).encode())
    return json.dumps(form.whole(ended)).encode()


async def _whole(request: web.Request, data: bytes, way: Way) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
    response.content_length = len(data)
    await response.prepare(request)
    for start in range(0, len(data), PIECE_BYTES):
        piece = data[start : start + PIECE_BYTES]
        await _write(response, piece, way, last=start + PIECE_BYTES >= len(data))
    return response


async def _streamed(request: web.Request, form: _Form, reply: Reply, way: Way) -> web.StreamResponse:
    item = await anext(reply)  # an error before the first word still has a status of its own
    response = web.StreamResponse(headers=sse.HEADERS)
    await response.prepare(request)
    used = form.prompt_tokens()
    try:
        await _send(response, form.delta({"role": "assistant", "content": ""}), way)
        while isinstance(item, Said):
            used += item.tokens
            way.used(used)
            if item.text:
                await _send(response, form.said(item), way)
            item = await anext(reply)
    except ConnectionError:
        raise
    except Exception as error:  # the status is out already: the error is an event, and no [DONE] follows
        await _send(response, fault_of(error).body(), way)
        return response
    way.used(_tokens(item))
    if item.refusal is not None:
        await _send(response, form.delta({"refusal": item.refusal}), way)
    await _send(response, form.delta({}, item), way)
    if form.body.counts_usage:
        await _send(response, form.usage(item), way)
    await _write(response, sse.DONE, way, last=True)
    return response


async def _send(response: web.StreamResponse, value: Json, way: Way) -> None:
    await _write(response, sse.event(value), way)


async def _write(response: web.StreamResponse, data: bytes, way: Way, *, last: bool = False) -> None:
    """Send the next bytes; with the last ones the response ends. Raises ConnectionError."""
    try:
        async with asyncio.timeout(WRITE_S):
            await way.write(response, data, last=last)
            if last:
                await response.write_eof()  # waits for the client, too
    except TimeoutError as error:
        raise ConnectionAbortedError("the client has stopped reading") from error


def _tokens(ended: Ended) -> int:
    return ended.usage.prompt_tokens + ended.usage.completion_tokens
