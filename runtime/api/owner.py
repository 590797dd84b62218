"""The owner's own door, on the Unix socket only: `POST /covey/ask`, `consent`, `computed`, `elsewhere`, and more.

The stream is one JSON object a line: `chunk`, `restarted`, `asked` (a question to the owner, where one reads along),
and at the end `answer` or `error`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Awaitable
from contextlib import aclosing
from functools import cached_property
from typing import TYPE_CHECKING

from aiohttp import web

from hub.errors import HubError
from models.errors import ModelsError
from models.types import Json
from peers.errors import PeersError
from peers.link_messages import Beat
from peers.neighbourhood import Neighbour
from runtime.api.errors import WRONG, Fault, Refused
from runtime.api.guard import Handler, body_of
from runtime.asker import asked_by
from runtime.errors import CoveyError
from runtime.node import Node, may_reach_hubs
from runtime.running import ATTENDED
from runtime.seats import seats_to_json
from runtime.wire import NodeError, ask_from_json, to_line

if TYPE_CHECKING:
    from runtime.api.consent import Questions

logger = logging.getLogger(__name__)

READ_S = 600.0
"""Seconds for the asker to take one line. A pager may stand still for some minutes; a `covey ask` that was suspended
and forgotten would keep its place and its model for ever."""

_CREDENTIALS = struct.Struct("3i")
"""Linux: process, user and group of the other end."""


@web.middleware
async def only_the_owner(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse other users of this device. The socket's mode keeps them out already; this holds if it was changed."""
    user = _user_of(request)
    if user is not None and user not in (os.getuid(), 0):
        raise Refused(Fault(403, WRONG, "not_the_owner", "This node belongs to another user. Start one of your own."))
    return await handler(request)


def _user_of(request: web.Request) -> int | None:
    """Return the user at the other end, where the system tells."""
    end = request.transport.get_extra_info("socket") if request.transport else None
    if end is None or not hasattr(socket, "SO_PEERCRED"):
        return None
    data = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(data)
    return int(user)


class Owner:
    """The endpoints of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @cached_property
    def questions(self) -> Questions:
        """What the owner is asked in the middle of an answer."""
        from runtime.api.consent import Questions  # only where there are hubs

        return Questions()

    async def ask(self, request: web.Request) -> web.StreamResponse:
        """Stream an answer as it is made. Hanging up cancels it."""
        ask = ask_from_json(await body_of(request))
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        whole = asyncio.Lock()

        async def send(line: bytes) -> None:
            async with whole:  # a question comes from another task than the answer does
                await _written(response.write(line))

        attended = ATTENDED in request.headers and may_reach_hubs(self._node.home)
        asker = self.questions.asker(send) if attended else None
        try:
            with asked_by(asker):
                async with aclosing(self._node.stream(ask)) as items:
                    async for item in items:
                        await send(to_line(item))
        except (CoveyError, ModelsError) as error:
            await send(to_line(error))
        except (PeersError, HubError) as error:  # what is known of other devices, or of hubs, can't be read
            await send(to_line(NodeError(str(error))))
        except ConnectionError:
            raise
        except Exception:  # the asker reads one sentence, the log has the rest
            logger.exception("an answer failed")
            await send(to_line(NodeError("Covey failed in a way that it should not; the node's log says where.")))
        await _written(response.write_eof())  # waits for the asker, too
        return response

    async def consent(self, request: web.Request) -> web.Response:
        """Take the owner's answer to a question."""
        return await self.questions.handle(request)

    async def forget(self, request: web.Request) -> web.Response:
        """Let models go of what earlier requests left behind, all or those of one conversation."""
        ask = ask_from_json(await body_of(request))
        await self._node.forget(ask.conversation_id)
        return web.json_response({"forgotten": True})

    async def computed(self, request: web.Request) -> web.Response:
        """Say whether rules alone settle the request."""
        ask = ask_from_json(await body_of(request))
        return web.json_response({"computed": await self._node.computed(ask)})

    async def elsewhere(self, request: web.Request) -> web.Response:
        """Say whether paired devices would do all the model work of a request."""
        ask = ask_from_json(await body_of(request))
        return web.json_response({"elsewhere": await self._node.elsewhere(ask)})

    async def seats(self, request: web.Request) -> web.Response:
        """Tell which paired devices work could be given to now, as placing sees them."""
        seats = await self._node.others.seats(await self._node.workload.known(), call=False)
        return web.json_response({"seats": seats_to_json(seats)})

    async def peers(self, request: web.Request) -> web.Response:
        """Tell how the linked devices are: by node id, those without a link left out."""
        links = self._node.links
        around = links.around.neighbours if links is not None else {}
        return web.json_response({"linked": {node: linked_json(one) for node, one in around.items()}})


async def _written(writing: Awaitable[None]) -> None:
    """Wait until the asker has taken it. Raises ConnectionError."""
    try:
        async with asyncio.timeout(READ_S):
            await writing
    except TimeoutError as error:
        raise ConnectionAbortedError("the asker has stopped reading") from error


def linked_json(one: Neighbour) -> dict[str, Json]:
    """Return a linked device for programs."""
    beat = one.beat or Beat()
    return {
        "health": one.health.value,
        "rtt_s": round(one.rtt_s, 5),
        "running": beat.running,
        "queued": beat.queued,
        "draining": beat.draining,
        "battery": beat.battery,
        "plugged": beat.plugged,
        "temperature_c": beat.temperature_c,
        "free_bytes": beat.free_bytes,
        "skills": None if one.cards is None else [*sorted({card.capability for card in one.cards})],
        "success": {card.capability: card.success for card in one.cards or () if card.success is not None},
        "hubs": [
            {"name": hub.name, "place": hub.place, "label": hub.label, "capabilities": [*hub.capabilities]}
            for hub in one.hubs
        ],
    }
