"""Gives work to a paired device and reads what comes back. Nothing of it is said to anybody else."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Literal, Self

import aiohttp

from models.errors import SourceError
from peers import codec, tls
from peers.aside import Aside
from peers.book import Peer, is_expired
from peers.codes import Address, parse_address
from peers.errors import BadCode, LinkError, PeerLost, PeersError, PeerUnreachable, RemoteProtocolError, WrongPeer
from peers.identity import Identity
from peers.link import CLOSE_S, MAX_PAYLOAD_BYTES, Link
from peers.messages import STREAMED, Done, Failed, Hello, Streamed
from peers.node_id import NodeId
from peers.peerstore import PeerStore
from peers.release import Released, sending
from peers.station import Station
from peers.version import agree
from peers.wire import SLOWEST_BYTES_PER_S, check, read
from peers.wire_errors import error_of

CONNECT_S = 3.0
"""In a home, a device that is there answers within a few milliseconds."""
SILENCE_S = 3.0
"""A running task speaks every second; three silent ones make its device suspect, and the work goes on elsewhere."""
MAX_REFUSAL_BYTES = 64 * 1024
KEPT_S = 30.0
"""A connection is kept for the next piece of work; the other side keeps it longer, so that it seldom ends just then."""
END_S = 0.2
WATCH_S = 0.25
"""How often it is looked whether a device that answers is still paired."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One HTTP request to a device."""

    method: Literal["GET", "POST"]
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    patience_s: float = SILENCE_S
    """How long the answer's first byte may take, besides what the body takes."""


Worked = Callable[[Peer, Address], None]
"""Told which address worked, so that it is tried first the next time."""


Linked = Callable[[NodeId], Link | None]


class PeerClient:
    """Keeps one session per device. Use as `async with`."""

    def __init__(
        self,
        own: Identity,
        peers: PeerStore,
        *,
        worked: Worked = lambda peer, address: None,
        linked: Linked = lambda node: None,
        boot: str = "",
    ) -> None:
        """`peers`: who is paired now; what a device says after its pairing has ended is not taken.

        `linked`: the link over which work goes to a device now, where there is one; else it is dialled.
        """
        self._own = own
        self._peers = peers
        self._linked = linked
        self._worked = worked
        self._boot = boot
        self._sessions: dict[tuple[NodeId, bytes], aiohttp.ClientSession] = {}
        self._aside = Aside()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def hello(self) -> Hello:
        """Return what this side says first."""
        return Hello(boot=self._boot)

    async def work(self, peer: Peer, released: Released[bytes]) -> AsyncGenerator[Streamed, None]:
        """Send a hello and a subtask (as frames) and yield what comes back, up to the last message.

        Closing the iterator cancels the work over there. Raises WrongPeer, PeerUnreachable, PeerBusy,
        PeerLost, RemoteProtocolError, and what the device says went wrong before it began; LinkError when
        its pairing ends in the middle.
        """
        try:
            async with aclosing(self._exchange(peer, released)) as messages:
                async for message in messages:
                    yield message
        except PeerLost as error:
            if self._is_paired(peer):
                raise
            raise LinkError(f"{peer.name} is no longer paired, so its answer was ended here.") from error

    async def _exchange(self, peer: Peer, released: Released[bytes]) -> AsyncGenerator[Streamed, None]:
        """Send, and yield what comes back, over the link where there is one."""
        link = self._linked(peer.node_id)
        if link is not None:
            async with aclosing(link.call(released)) as parts:
                sent_s = len(released.value_for(peer.node_id)) / SLOWEST_BYTES_PER_S
                async with aclosing(self._messages(parts, peer, first_s=SILENCE_S + sent_s)) as messages:
                    async for message in messages:
                        yield message
                        if isinstance(message, Done | Failed):
                            return
        else:
            call = _Call("POST", "/peer/1/subtasks", released.value_for(peer.node_id))
            async with self._connected(peer, released, call) as response:
                if response.status != 200:
                    raise await _refusal(response, peer)
                async with aclosing(self._messages(response.content.iter_any(), peer)) as messages:
                    async for message in messages:
                        if isinstance(message, Done | Failed):
                            await _read_end(response)
                            yield message
                            return
                        yield message
        raise PeerLost(f"{peer.name} stopped in the middle of its answer. Check that it is still up.")

    async def link(self, station: Station, peer: Peer, address: Address) -> Link:
        """Return a link to a device at one address; it is to be greeted. Raises WrongPeer, PeerUnreachable."""
        try:
            async with asyncio.timeout(CONNECT_S):
                socket = await self._session(peer).ws_connect(
                    f"https://{address}/peer/1/link",
                    autoping=False,
                    max_msg_size=MAX_PAYLOAD_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                )
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError, ssl.SSLError) as error:
            raise WrongPeer(f"Another device answers at {address} in place of {peer.name}.") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise PeerUnreachable(f"{peer.name} made no link at {address} ({error or 'no answer'}).") from error
        return Link(station, peer, socket, dialled=True)

    @asynccontextmanager
    async def fetch(
        self, peer: Peer, released: Released[bytes], *, span: str = "", patience_s: float = SILENCE_S
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask for what lies at the released path, or a part of it (a `Range` header), and give the answer's head.

        Raises as `work`; a status other than 200 and 206 is one of its errors, 404 a SourceError.
        """
        path = released.value_for(peer.node_id).decode("ascii")
        call = _Call("GET", path, headers={"Range": span} if span else {}, patience_s=patience_s)
        async with self._connected(peer, released, call) as response:
            if response.status == 404:
                raise SourceError(f"{peer.name} does not have it")
            if response.status not in (200, 206):
                raise await _refusal(response, peer)
            yield response

    @asynccontextmanager
    async def _connected(
        self, peer: Peer, released: Released[bytes], call: _Call
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Try the addresses one after the other; another device at one of them is told nothing."""
        impostors: list[Address] = []
        for address in addresses_of(peer):
            try:
                with sending(released):
                    response = await self._sent(peer, address, call)
            except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError, ssl.SSLError):
                impostors.append(address)
                continue
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
                continue
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise PeerLost(f"{peer.name} did not answer. Check that it is on and not asleep.") from error
            self._worked(peer, address)
            watching = asyncio.create_task(self._hang_up(peer, response))
            try:
                yield response
            finally:
                watching.cancel()
                response.close()  # unless it was read to its end: then the connection is kept
                await asyncio.wait({watching})
            return
        if impostors:
            raise WrongPeer(
                f"Another device answers at {impostors[0]} in place of {peer.name}, so nothing was sent. If you set it "
                f"up afresh, pair it again with `covey pair`."
            )
        known = ", ".join(peer.places) or "none is known"
        raise PeerUnreachable(f"{peer.name} can't be reached ({known}). Check that it is on and runs `covey up`.")

    async def _hang_up(self, peer: Peer, response: aiohttp.ClientResponse) -> None:
        """End an answer when its device is not paired any more, whichever process revoked it, or its time is over."""
        while True:
            await asyncio.sleep(WATCH_S)
            if not self._is_paired(peer):
                return response.close()

    def _is_paired(self, peer: Peer) -> bool:
        try:
            found = self._peers.book().peers.get(peer.node_id)
            return found is not None and not is_expired(found, self._peers.now_ns())
        except PeersError:  # the list can't be read now; who is revoked once it can be is still hung up on
            return True

    async def _sent(self, peer: Peer, address: Address, call: _Call) -> aiohttp.ClientResponse:
        """Send a request; once more, when the connection that was kept for it had ended in the meantime."""
        session, url, body = self._session(peer), f"https://{address}{call.path}", call.body or None
        async with asyncio.timeout(CONNECT_S + call.patience_s + len(call.body) / SLOWEST_BYTES_PER_S):
            try:
                return await session.request(call.method, url, data=body, headers=call.headers)
            except aiohttp.ServerDisconnectedError:
                return await session.request(call.method, url, data=body, headers=call.headers)

    async def _messages(
        self, parts: AsyncIterator[bytes], peer: Peer, *, first_s: float = SILENCE_S
    ) -> AsyncGenerator[Streamed, None]:
        """Yield the messages of an answer; silence, nonsense and a broken connection are errors.

        `first_s`: how long the first bytes may take; over a link the request goes out in that time, too.
        """
        reader, hello, limit_s = codec.FrameReader(), False, first_s
        while True:
            try:
                async with asyncio.timeout(limit_s):
                    data = await anext(parts, b"")
            except TimeoutError as error:
                raise PeerLost(f"{peer.name} has said nothing for {limit_s:.3g} s. It may be asleep.") from error
            except (aiohttp.ClientError, OSError) as error:
                raise PeerLost(f"The connection to {peer.name} broke. Check that it is on and in reach.") from error
            if not data:
                return
            limit_s = SILENCE_S
            for packed in reader.feed(data):
                message = await self._aside(len(packed), partial(codec.decode, packed))
                if not hello and message.get("kind") != "error":  # a refusal on a link comes without
                    agree(self.hello(), check(message, Hello), before=peer.version)
                    hello = True
                elif (known := STREAMED.get(message.get("kind", ""))) is not None:
                    yield check(message, known)  # other kinds are of newer versions

    def _session(self, peer: Peer) -> aiohttp.ClientSession:
        """Return the session that speaks to the holder of this peer's key alone."""
        key = (peer.node_id, peer.certificate)
        if key not in self._sessions:
            context = tls.client_context(self._own, peer.certificate)
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context, limit=0, keepalive_timeout=KEPT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=None, connect=CONNECT_S),
                auto_decompress=False,
                skip_auto_headers=("User-Agent",),
            )
            self._stack.push_async_callback(session.close)
            self._sessions[key] = session
        return self._sessions[key]


def addresses_of(peer: Peer) -> Sequence[Address]:
    """Return the addresses of a device that can be read, the last that worked first."""
    found = []
    for text in peer.places:
        try:
            found.append(parse_address(text))
        except BadCode:
            continue
    return found


async def whole(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the body of a short answer. Raises RemoteProtocolError when it is longer than the limit."""
    data = bytearray()
    async for part in response.content.iter_any():
        data += part
        if len(data) > limit:
            raise codec.refused(f"its answer has more than {limit} bytes")
    return bytes(data)


async def _read_end(response: aiohttp.ClientResponse) -> None:
    """Read the few bytes behind the last message, so that the connection can serve again; nothing depends on it."""
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with asyncio.timeout(END_S):
            await response.content.read(1)


async def _refusal(response: aiohttp.ClientResponse, peer: Peer) -> Exception:
    """Return why the work was not begun."""
    try:
        async with asyncio.timeout(SILENCE_S):
            data = await whole(response, MAX_REFUSAL_BYTES)
        (packed,) = codec.FrameReader().feed(data)
        return error_of(read(packed, Failed), peer.name)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, PeersError):
        pass
    match response.status:
        case 403:
            return RemoteProtocolError(
                f"{peer.name} does not know this device any more. Pair them again: `covey pair`."
            )
        case 508:
            return RemoteProtocolError(
                f"{peer.name} gave this work to us and can't take it back. Ask with `--tier device`."
            )
        case 413:
            return RemoteProtocolError(f"This is too large for {peer.name}. Ask with less text.")
        case status:
            return RemoteProtocolError(f"{peer.name} refused with the status {status}. Update Covey on both devices.")
