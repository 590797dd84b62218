"""`POST /v1/chat/completions`: whole or streamed."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import aclosing

from aiohttp import web

from models.types import Json
from runtime.api import sse
from runtime.api.answering import Ended, Reply, Said, from_model, from_node
from runtime.api.errors import fault_of
from runtime.api.guard import body_of
from runtime.api.listing import Offered
from runtime.api.openai import ORCHESTRATOR, ChatBody, read_body, usage_object
from runtime.node import Node

WRITE_S = 30.0
"""Seconds for a client to take one event. One that has stopped reading would hold its place for ever."""


class Chat:
    """The endpoint of one node."""

    def __init__(self, node: Node, offered: Offered) -> None:
        self._node = node
        self._offered = offered

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request. Leaving early (the client has gone) cancels the generation."""
        body = read_body(await body_of(request))
        form = _Form(body)
        async with aclosing(self._reply(body)) as reply:
            if body.stream:
                return await _streamed(request, form, reply)
            ended = await _last(reply)
            return web.json_response(form.whole(ended))

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

    def whole(self, ended: Ended) -> dict[str, Json]:
        content = None if ended.refusal and not ended.text else ended.text
        message: Json = {"role": "assistant", "content": content, "refusal": ended.refusal}
        choice: Json = {"index": 0, "message": message, "logprobs": None, "finish_reason": ended.reason}
        shape = self._shape("chat.completion", [choice], ended)
        return {**shape, "usage": usage_object(ended.usage), **ended.more}

    def delta(self, delta: dict[str, Json], ended: Ended | None = None) -> dict[str, Json]:
        """Return a chunk; the last one says how the answer ended."""
        reason = ended.reason if ended else None
        choice: Json = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
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


async def _last(reply: Reply) -> Ended:
    async for item in reply:
        if isinstance(item, Ended):
            return item
    raise AssertionError("an answer ended without its end")


async def _streamed(request: web.Request, form: _Form, reply: Reply) -> web.StreamResponse:
    item = await anext(reply)  # an error before the first word still has a status of its own
    response = web.StreamResponse(headers=sse.HEADERS)
    await response.prepare(request)
    try:
        await _send(response, form.delta({"role": "assistant", "content": ""}))
        while isinstance(item, Said):
            if item.text:
                await _send(response, form.delta({"content": item.text}))
            item = await anext(reply)
    except ConnectionError:
        raise
    except Exception as error:  # the status is out already: the error is an event, and no [DONE] follows
        await _send(response, fault_of(error).body())
        return response
    if item.refusal is not None:
        await _send(response, form.delta({"refusal": item.refusal}))
    await _send(response, form.delta({}, item))
    if form.body.counts_usage:
        await _send(response, form.usage(item))
    await response.write(sse.DONE)
    await response.write_eof()
    return response


async def _send(response: web.StreamResponse, value: Json) -> None:
    try:
        async with asyncio.timeout(WRITE_S):
            await response.write(sse.event(value))
    except TimeoutError as error:
        raise ConnectionAbortedError("the client has stopped reading") from error
