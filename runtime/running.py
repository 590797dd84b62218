"""The node that runs on this device, if one does: found by its socket, asked as if it were here.

The socket lies in Covey's folder and belongs to its owner alone. HTTP/1.0 is spoken over it by hand:
one request, then lines until the end; a client library would cost more time than a short answer takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

from models.types import Json
from runtime import documents, paths
from runtime.asker import asker_here
from runtime.asking import Answer, Ask, Source, StreamItem
from runtime.node import Node, open_node
from runtime.seats import Seat, seats_from_json
from runtime.wire import Asked, NodeError, ask_to_json, from_line

SOCKET = paths.NODE_SOCKET
MAX_ADDRESS_BYTES = 100
"""A socket's address has 108 bytes on Linux and 104 on macOS; a longer path needs the way round below."""
CONNECT_S = 2.0
"""A node that does not accept in this time is hung; the request is then answered in-process."""
ANSWER_S = 30.0
"""A node that has not begun to answer in this time is hung: the system takes connections for a stopped process too."""
MAX_LINE_BYTES = 32 * 1024 * 1024
"""Of one line of an answer: the largest document that can be quoted is 20 MB."""
ATTENDED = "Covey-Attended"
"""Header of an asker behind whom somebody sits who can be asked whether something may leave."""
GONE = "The running node ended before the answer was ready. Ask again: it is then answered without it."


@contextmanager
def socket_address(home: Path) -> Iterator[str]:
    """Give the address of the node's socket, also where the folder's path is too long for one."""
    path = home / SOCKET
    if len(os.fsencode(path)) <= MAX_ADDRESS_BYTES or not os.path.isdir("/proc/self/fd"):
        yield str(path)
        return
    folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET}"
    finally:
        os.close(folder)


@asynccontextmanager
async def nearest_node(home: Path) -> AsyncIterator[Node | RunningNode]:
    """Give the node that runs in this folder, with its models warm; if none does, one in this process."""
    running = RunningNode(home)
    if await running.answers():
        yield running
        return
    async with open_node(home) as node:
        yield node


class RunningNode:
    """A node in another process of the same owner. Offers what `covey ask` needs of a `Node`."""

    def __init__(self, home: Path, *, answer_s: float = ANSWER_S) -> None:
        self._home = home
        self._answer_s = answer_s

    async def answers(self) -> bool:
        """Return whether a node listens here. A socket that nobody listens on is a crash's remains."""
        if not (self._home / SOCKET).exists():
            return False
        with contextlib.suppress(OSError, TimeoutError):
            async with self._connection():
                return True
        return False

    async def computed(self, ask: Ask) -> bool:
        """See `Node.computed`."""
        async with aclosing(self._lines("/covey/computed", _portable(ask))) as lines:
            async for line in lines:
                return bool(json.loads(line)["computed"])
        raise NodeError(GONE)

    async def elsewhere(self, ask: Ask) -> bool:
        """See `Node.elsewhere`."""
        async with aclosing(self._lines("/covey/elsewhere", _portable(ask))) as lines:
            async for line in lines:
                return bool(json.loads(line)["elsewhere"])
        raise NodeError(GONE)

    async def forget(self, conversation_id: str = "") -> None:
        """See `Node.forget`."""
        ask = Ask("", conversation_id=conversation_id)
        async with aclosing(self._lines("/covey/forget", ask)) as lines:
            async for _ in lines:
                return

    async def stream(self, ask: Ask) -> AsyncGenerator[StreamItem, None]:
        """See `Node.stream`. Closing it early hangs up, and the node cancels the work."""
        attended = f"{ATTENDED}: yes\r\n" if asker_here() else ""
        async with aclosing(self._lines("/covey/ask", _portable(ask), attended)) as lines:
            async for line in lines:
                if not line.endswith(b"\n"):
                    break  # half a line, and nothing comes after it
                item = from_line(line)
                if isinstance(item, Exception):
                    raise item
                if isinstance(item, Asked):
                    await self._reply(item)
                    continue
                yield item
                if isinstance(item, Answer):
                    return
        raise NodeError(GONE)

    async def ask(self, ask: Ask) -> Answer:
        """See `Node.ask`."""
        async with aclosing(self.stream(ask)) as items:
            async for item in items:
                if isinstance(item, Answer):
                    return item
        raise AssertionError("a task's stream ended without an answer")

    async def _reply(self, asked: Asked) -> None:
        """Put the node's question to the owner who is here, and tell it the answer."""
        from runtime.consent_wire import replied  # only where there are hubs

        reply = await replied(asker_here(), asked.question, asked.within_s)
        body = json.dumps({"id": asked.id, "reply": reply}).encode()
        async with aclosing(self._said("/covey/consent", body)) as lines:
            async for _ in lines:
                return

    async def seats(self) -> Sequence[Seat]:
        """Return the paired devices that the node here would give work to."""
        async with aclosing(self._said("/covey/seats", b"")) as lines:
            async for line in lines:
                return seats_from_json(json.loads(line)["seats"])
        raise NodeError(GONE)

    async def linked(self) -> dict[str, dict[str, Json]]:
        """Return how the devices are that have a link to the node here, by node id."""
        async with aclosing(self._said("/covey/peers", b"")) as lines:
            async for line in lines:
                return dict(json.loads(line)["linked"])
        raise NodeError(GONE)

    async def _lines(self, path: str, ask: Ask, headers: str = "") -> AsyncGenerator[bytes, None]:
        body = await asyncio.to_thread(ask_to_json, ask)
        async with aclosing(self._said(path, body, headers)) as lines:
            async for line in lines:
                yield line

    async def _said(self, path: str, body: bytes, headers: str = "") -> AsyncGenerator[bytes, None]:
        """Yield the lines of the answer. Raises NodeError, also where the node ends meanwhile."""
        try:
            async with self._connection() as (reader, writer):
                head = f"POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}"
                writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
                status = await self._begun(reader)
                if status and b" 200 " not in status:
                    raise NodeError(_reason(await reader.read()))
                while line := await reader.readline():
                    if line.strip():
                        yield line
        except OSError as error:  # it was killed, or ended between two questions
            raise NodeError(GONE) from error

    async def _begun(self, reader: asyncio.StreamReader) -> bytes:
        """Return the status line once the node has begun to answer. Raises NodeError."""
        try:
            async with asyncio.timeout(self._answer_s):
                status = await reader.readline()
                while (await reader.readline()).strip():
                    pass
        except TimeoutError as error:
            raise NodeError(
                f"The running node has not answered for {self._answer_s:g} s. End it and start it again: covey up"
            ) from error
        return status

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        with socket_address(self._home) as address:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_unix_connection(address, limit=MAX_LINE_BYTES)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _portable(ask: Ask) -> Ask:
    """Return the request so that another process reads the same files: standard input is read here."""
    sources = list(ask.sources)
    files: list[Path] = []
    for file in ask.files:
        if str(file) == documents.STDIN:
            document = documents.read(file, label=ask.label)
            sources.append(Source(document.name, document.text, document.label, document.trust, document.notes))
        else:
            files.append(file.expanduser().absolute())
    return replace(ask, files=tuple(files), sources=tuple(sources))


def _reason(body: bytes) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(body)["error"]["message"])
    return "The running node turned the request down without a reason. Stop it and start it again: covey up"
