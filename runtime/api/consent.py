"""Asks the owner at the other end of the socket, in the middle of an answer; `POST /covey/consent` brings the reply.

Only on the owner's socket. Silence, a reply that is none, and a caller who left are all no.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web

from hub.consent import PATIENCE_S, Asker, Question, Reply
from hub.errors import NoConsent
from runtime.api.guard import body_of
from runtime.consent_wire import question_to_json, reply_from_json
from runtime.wire import Asked, to_line

GRACE_S = 5.0
"""Seconds that an answer given at the last moment may be on its way."""

Send = Callable[[bytes], Awaitable[None]]
"""Writes one line into the answer's stream."""


class Questions:
    """The questions of one node that wait for an answer."""

    def __init__(self, within_s: float = PATIENCE_S) -> None:
        self._within_s = within_s
        self._open: dict[str, asyncio.Future[Reply | None]] = {}
        """By an id that nobody can guess. As many as there are requests inside, which the gate bounds."""

    @property
    def waiting(self) -> int:
        return len(self._open)

    def asker(self, send: Send) -> Asker:
        """Return what asks the owner who reads this stream, one question after the other."""
        turn = asyncio.Lock()

        async def ask(question: Question) -> Reply:
            async with turn:
                return await self._asked(question, send)

        return ask

    async def _asked(self, question: Question, send: Send) -> Reply:
        known, hub = secrets.token_hex(16), question.wish.hub
        answered: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._open[known] = answered
        try:
            async with asyncio.timeout(self._within_s + GRACE_S):
                await send(to_line(Asked(known, self._within_s, question_to_json(question))))
                reply = await answered
        except (TimeoutError, ConnectionError) as error:
            raise NoConsent(f"Nobody answered in time, so nothing was sent to {hub}.") from error
        finally:
            del self._open[known]
        if reply is None:
            raise NoConsent(f"Nobody answered, so nothing was sent to {hub}.")
        return reply

    async def handle(self, request: web.Request) -> web.Response:
        """Take a reply, and say whether its question was still open. Each question is answered once."""
        known, reply = reply_from_json(await body_of(request))
        answered = self._open.get(known)
        if answered is None or answered.done():
            return web.json_response({"open": False})
        answered.set_result(reply)
        return web.json_response({"open": True})
