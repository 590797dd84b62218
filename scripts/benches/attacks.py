"""What hostile devices do to a node: a paired one asks without end or sends what is broken, strangers send noise."""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aiohttp

from peers import codec, membership, tls
from peers.channels import HEADER, Flag, piece, pieces
from peers.conversions import subtask_of
from peers.grants import own_device
from peers.link_messages import Beat
from peers.membership import set_grant
from peers.messages import Hello
from peers.state import NodeState
from scripts.benches.peer_pair import GENEROUS, REQUEST, Far, paired
from scripts.benches.servers import NotStarted
from scripts.benches.setup import say

NAME = "hostile"
PER_S = 500
SIDE_BY_SIDE = 8
AT_ONCE = 8
"""Requests under way on one link; a node takes twice as many."""
GARBAGE_BYTES = 512
WORD_EVERY = 300
"""Frames of a link until one is the link's own: a broken one of these ends it, and a device may begin 60 a minute."""
REFUSED_S = 1.0
HUNG_UP = "hung up"
ANSWER_S = 10.0


@dataclass
class Hostile:
    """A device that is paired with the node under attack, and means no good."""

    state: NodeState
    far: Far

    def __post_init__(self) -> None:
        membership.admit(self.far.state, paired(self.state.identity, NAME), GENEROUS)

    @property
    def request(self) -> bytes:
        subtask = subtask_of(REQUEST, "f" * 32, self.state.identity.node_id)
        return codec.frames(Hello().pack()) + codec.frames(subtask.pack())

    @property
    def url(self) -> str:
        return f"https://{self.far.address}/peer/1/subtasks"

    def session(self) -> aiohttp.ClientSession:
        context = tls.client_context(self.state.identity, self.far.state.identity.certificate_der)
        connector = aiohttp.TCPConnector(ssl=context, limit=SIDE_BY_SIDE, family=socket.AF_INET)
        return aiohttp.ClientSession(connector=connector)


async def requests(hostile: Hostile, count: int) -> None:
    """Ask 500 times a second, with an ordinary grant: all but the first are refused at once."""
    set_grant(hostile.far.state, NAME, own_device())
    statuses: Counter[int | str] = Counter()
    body = hostile.request
    async with hostile.session() as http:
        due = time.monotonic()

        async def one() -> None:
            try:
                async with http.post(hostile.url, data=body) as response:
                    await response.read()
                    statuses[response.status] += 1
            except (aiohttp.ClientError, OSError):  # it opens no more connections than it should
                statuses[HUNG_UP] += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                due += 1 / PER_S
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                group.create_task(one())
    set_grant(hostile.far.state, NAME, GENEROUS)
    say(f"answered: {dict(statuses)}")
    if set(statuses) - {200, 429, HUNG_UP} or statuses[HUNG_UP] > count // 10:
        raise NotStarted(f"The node under test answered {dict(statuses)} instead of 200 and 429")


async def garbage(hostile: Hostile, count: int) -> None:
    """Connect as a stranger, send random bytes, and go; some stay silent, some hang up at once."""
    chance = random.Random(1)
    places = asyncio.Semaphore(SIDE_BY_SIDE)
    at = hostile.far.address

    async def one(data: bytes) -> None:
        async with places:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(at.host, at.port)
                writer.write(data)
                await asyncio.sleep(chance.random() * 0.01)
                writer.transport.abort()

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one(chance.randbytes(chance.randrange(GARBAGE_BYTES))))


async def broken_bodies(hostile: Hostile, count: int) -> None:
    """Send requests over HTTP with bytes changed, cut, put in or repeated."""
    chance, whole = random.Random(2), hostile.request
    await _post(hostile, [lambda: broken(whole, chance)] * count, SIDE_BY_SIDE)


async def large_bodies(hostile: Hostile, count: int) -> None:
    """Send requests as long as they may be, of what takes long to read: many small values, deep ones, one long text."""
    chance = random.Random(4)
    await _post(hostile, [lambda: _large(chance)] * count, 2)


async def broken_frames(hostile: Hostile, count: int) -> None:
    """Send frames over links: requests with bytes changed, each on a channel, and now and then a word of the link."""
    chance, whole, left = random.Random(3), hostile.request, count
    async with hostile.session() as http:
        while left > 0:
            try:
                async with http.ws_connect(hostile.url.replace("subtasks", "link"), autoping=False) as link:
                    left = await _over(link, whole, chance, left)
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(REFUSED_S)  # it may not link so often


async def _over(link: aiohttp.ClientWebSocketResponse, whole: bytes, chance: random.Random, left: int) -> int:
    """Send what is broken until the link ends, and return what is left to be sent."""
    places, channel = asyncio.Semaphore(AT_ONCE), 1

    async def listen() -> None:
        async for message in link:
            if message.type is aiohttp.WSMsgType.PING:
                await link.pong(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                number, flags = HEADER.unpack_from(message.data)
                if number and flags & (Flag.END | Flag.RESET):
                    places.release()
        places.release()  # nobody answers any more

    listening = asyncio.create_task(listen())
    try:
        await link.send_bytes(piece(0, codec.frames(Hello().pack())))
        while left > 0 and not link.closed:
            left -= 1
            if chance.randrange(WORD_EVERY) == 0:
                await link.send_bytes(_broken_word(chance))
                continue
            async with asyncio.timeout(ANSWER_S):
                await places.acquire()
            for part in pieces(channel, broken(whole, chance), ended=True):
                await link.send_bytes(part)
            channel += 2
    except TimeoutError:
        if not link.closed and not listening.done():
            raise NotStarted(f"The node under test did not answer on a link within {ANSWER_S:g} s") from None
    except (aiohttp.ClientError, OSError):
        pass  # a broken word ended the link
    finally:
        listening.cancel()
        await asyncio.wait([listening])
    return left


def broken(whole: bytes, chance: random.Random) -> bytes:
    """Return bytes with some of them changed, cut, put in or repeated."""
    data = bytearray(whole)
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(data) or 1)
        match chance.randrange(4):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[at : at + chance.randrange(64)]
            case 2:
                data[at:at] = chance.randbytes(chance.randrange(64))
            case 3:
                data += data[at : at + 256]
    return bytes(data)


def _broken_word(chance: random.Random) -> bytes:
    """Return a broken word of the link, or a piece with a broken header."""
    word = piece(0, codec.frames(Beat().pack()))
    return broken(word, chance)[: codec.MAX_FRAME_BYTES]


def _large(chance: random.Random) -> bytes:
    """Return a request of about 15 MiB. Its input is valid msgpack, so that all of it is read."""
    size = 15 * 2**20
    match chance.randrange(4):
        case 0:
            value: object = [[1] * 2**20 for _ in range(size // 2**20)]
        case 1:
            value = [{"k": [0.5, "x", None]} for _ in range(49_000)]
        case 2:
            value = "word " * (size // 5)
        case _:
            value = [["a" * 8] * 10 for _ in range(99_000)]
    message = codec.encode({"kind": "subtask", "id": "f" * 32, "capability": "generate", "input": {"prompt": value}})
    return codec.frames(Hello().pack()) + codec.frames(message)


async def _post(hostile: Hostile, bodies: Sequence[Callable[[], bytes]], side_by_side: int) -> None:
    left = iter(bodies)
    async with hostile.session() as http:

        async def some() -> None:
            for make in left:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.post(hostile.url, data=io.BytesIO(make())) as response:
                        await response.read()

        async with asyncio.TaskGroup() as group:
            for _ in range(side_by_side):
                group.create_task(some())
