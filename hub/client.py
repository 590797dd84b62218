"""Sends one released request to a hub and reads its answer as it comes. It can send nothing that was not released.

One call is one sending: a second try needs a release of its own. Closing the iterator hangs up, and the
hub stops working.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Self

import aiohttp
from aiolimiter import AsyncLimiter

from hub.book import Hub
from hub.breaker import Breaker
from hub.chat import Answered, Counted, Ended, Event, EventReader, Piece, is_same_model
from hub.errors import (
    HubBusy,
    HubCut,
    HubEndless,
    HubFailed,
    HubMoved,
    HubNonsense,
    HubResting,
    HubSilent,
    HubUnreachable,
    HubUntrusted,
    HubUnusable,
    KeptHere,
    KeyRefused,
    WrongModel,
)
from peers.release import Released, sending
from peers.secret import Secret

CONNECT_S = 8.0
"""A server on the other side of the world answers in less than one second."""
FIRST_S = 60.0
"""Until the first byte: a large model may be loaded first."""
SILENCE_S = 30.0
"""Between two pieces of an answer."""
WHOLE_S = 600.0
"""For a whole answer, whatever the hub does."""
READ_BYTES = 64 * 1024
PER_MINUTE = 60
"""Requests to one hub; a runaway plan must not become somebody's bill."""
MAX_LIST_BYTES = 4 * 2**20
"""Of a list of models; the largest providers' takes 300 KB."""
MAX_WHOLE_BYTES = 4 * 2**20
"""Of an answer in one piece, from a hub that does not stream."""

logger = logging.getLogger(__name__)


class HubClient:
    """Keeps one session per hub. Use as `async with`."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        first_s: float = FIRST_S,
        silence_s: float = SILENCE_S,
        whole_s: float = WHOLE_S,
        per_minute: int = PER_MINUTE,
    ) -> None:
        self._clock = clock
        self._first_s = first_s
        self._silence_s = silence_s
        self._whole_s = whole_s
        self._per_minute = per_minute
        self._sessions: dict[tuple[str, str], aiohttp.ClientSession] = {}
        self._breakers: dict[str, Breaker] = {}
        self._rates: dict[str, AsyncLimiter] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def check_ready(self, hub: Hub) -> None:
        """Raise HubResting or HubBusy when the hub is not to be asked now; ask before anything is released."""
        rest_s = self._breakers.get(hub.name, Breaker()).rests_at(self._clock())
        if rest_s:
            raise HubResting(f"{hub.name} failed several times and is left alone for {rest_s:.0f} s.")
        if not self._rate(hub).has_capacity():
            raise HubBusy(f"{hub.name} was asked {self._per_minute} times in a minute. Wait a moment.")

    async def chat(
        self, hub: Hub, key: Secret | None, released: Released[bytes], *, deadline_s: float | None = None
    ) -> AsyncGenerator[Piece | Counted | Ended, None]:
        """Send the released body and yield the answer's pieces, what it took, and that it is whole.

        Raises HubUnusable in all its kinds; never anything of aiohttp's.
        """
        await self._rate(hub).acquire()
        try:
            async with asyncio.timeout(min(self._whole_s, deadline_s or self._whole_s)):
                async with self._answering(hub, key, released) as response:
                    async for event in self._events(hub, response):
                        yield event
        except TimeoutError as error:
            self._failed(hub)
            raise HubSilent(f"{hub.name} did not finish in the time that was given. Ask again later.") from error
        except HubUnusable as error:
            if not isinstance(error, KeptHere | HubBusy | KeyRefused):
                self._failed(hub)
            raise
        self._breakers.pop(hub.name, None)

    async def models(self, hub: Hub, key: Secret | None, released: Released[bytes]) -> list[str]:
        """Return the models that the hub offers; to test it. Raises HubUnusable."""
        async with self._mapped(hub), asyncio.timeout(self._first_s):
            with sending(released):
                path = released.value_for(hub.recipient().id).decode("ascii")
                response = await self._session(hub).get(
                    f"{hub.url}{path}", headers=_headers(key), allow_redirects=False
                )
            async with response:
                await self._check_status(hub, response)
                data = bytearray()
                async for part in response.content.iter_any():
                    data += part
                    if len(data) > MAX_LIST_BYTES:
                        raise HubEndless(f"The list of models of {hub.name} does not end. Check its address.")
        return _model_names(hub, bytes(data))

    @asynccontextmanager
    async def _answering(
        self, hub: Hub, key: Secret | None, released: Released[bytes]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        body = released.value_for(hub.recipient().id)
        async with self._mapped(hub):
            with sending(released):
                async with asyncio.timeout(self._first_s):
                    response = await self._session(hub).post(
                        f"{hub.url}/chat/completions", data=body, headers=_headers(key), allow_redirects=False
                    )
            try:
                await self._check_status(hub, response)
                yield response
            finally:
                response.close()

    async def _events(self, hub: Hub, response: aiohttp.ClientResponse) -> AsyncIterator[Piece | Counted | Ended]:
        reader, ended = EventReader(hub.name), False
        whole = response.content_type == "application/json"
        held = bytearray()
        while True:
            data = await self._read(hub, response)
            if whole and data:
                held += data
                if len(held) > MAX_WHOLE_BYTES:
                    raise HubEndless(f"The answer of {hub.name} does not end; it was cut off. Try another hub.")
                continue
            for event in reader.events_of(bytes(held)) if whole else reader.feed(data):
                ended = ended or isinstance(event, Ended)
                if (kept := _kept(hub, event)) is not None:
                    yield kept
            if whole or not data or reader.done:
                break
        if not ended:
            raise HubCut(f"The answer of {hub.name} ended in the middle, so it was not taken. Ask again.")

    async def _read(self, hub: Hub, response: aiohttp.ClientResponse) -> bytes:
        try:
            async with asyncio.timeout(self._silence_s):
                return await response.content.read(READ_BYTES)
        except TimeoutError as error:
            raise HubSilent(f"{hub.name} has said nothing for {self._silence_s:g} s. Ask again later.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise HubCut(f"The connection to {hub.name} broke in the middle of its answer. Ask again.") from error

    async def _check_status(self, hub: Hub, response: aiohttp.ClientResponse) -> None:
        """Raise what a status means. What the hub says beside it is read for the log's sake only."""
        status = response.status
        if status == 200:
            return
        logger.debug("%s answered with the status %s", hub.name, status)
        if 300 <= status < 400:
            raise HubMoved(f"{hub.name} sends the request elsewhere, which is not followed. Add its new address.")
        if status in (401, 403):
            raise KeyRefused(f"{hub.name} does not take the key. Give another: `covey hub add {hub.name} ...`.")
        if status == 429:
            raise HubBusy(f"{hub.name} has no room now. Ask again later.", _retry_after(response))
        if status == 404:
            raise HubNonsense(f"{hub.name} has no model {hub.model!r}, or is no hub. Run `covey hub test {hub.name}`.")
        if status >= 500:
            raise HubFailed(f"{hub.name} failed (status {status}). Ask again later.")
        raise HubNonsense(
            f"{hub.name} did not understand the request (status {status}). Run `covey hub test {hub.name}`."
        )

    @asynccontextmanager
    async def _mapped(self, hub: Hub) -> AsyncIterator[None]:
        """Turn the library's errors into ours."""
        try:
            yield
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch) as error:
            raise HubUntrusted(f"The certificate of {hub.name} is not valid for it, so nothing was sent.") from error
        except (aiohttp.ClientConnectorSSLError, ssl.SSLError) as error:
            raise HubUntrusted(f"No safe connection to {hub.name} could be made, so nothing was sent.") from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise HubUnreachable(f"{hub.name} can't be reached at {hub.url}. Check that it is on.") from error
        except TimeoutError as error:
            raise HubSilent(f"{hub.name} did not answer within {self._first_s:g} s. Ask again later.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise HubFailed(f"{hub.name} closed the connection without an answer. Ask again later.") from error

    def _failed(self, hub: Hub) -> None:
        self._breakers[hub.name] = self._breakers.get(hub.name, Breaker()).failed(self._clock())

    def _rate(self, hub: Hub) -> AsyncLimiter:
        if hub.name not in self._rates:
            self._rates[hub.name] = AsyncLimiter(self._per_minute, 60)
        return self._rates[hub.name]

    def _session(self, hub: Hub) -> aiohttp.ClientSession:
        key = (hub.url, hub.pin)
        if key in self._sessions:
            return self._sessions[key]
        trust = aiohttp.Fingerprint(bytes.fromhex(hub.pin)) if hub.pin else True
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, connect=CONNECT_S),
            trust_env=False,  # a proxy of the environment would be a recipient that nobody released anything to
            skip_auto_headers=("User-Agent",),
        )
        self._stack.push_async_callback(session.close)
        self._sessions[key] = session
        return session


def _headers(key: Secret | None) -> dict[str, str]:
    """Return the headers of a request; the one place where a key is revealed."""
    plain = {"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
    return plain if key is None else {**plain, "Authorization": f"Bearer {key.reveal()}"}


def _kept(hub: Hub, event: Event) -> Piece | Counted | Ended | None:
    """Return what the asker sees of an event. Raises WrongModel."""
    if isinstance(event, Answered):
        if event.model and not is_same_model(hub.model, event.model):
            raise WrongModel(
                f"{hub.name} answered with another model than {hub.model!r}, so its answer was not taken. "
                f"Run `covey hub test {hub.name}` to see what it has."
            )
        return None
    return event


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() and len(text) < 8 else None


def _model_names(hub: Hub, data: bytes) -> list[str]:
    try:
        found = json.loads(data)["data"]
        return [str(one["id"])[:200] for one in found][:1000]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HubNonsense(f"What {hub.name} sent is no list of models. Check its address: {hub.url}") from error
