"""The one client that asks both servers: OpenAI chat completions, streamed, with the time of every piece."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp

TIMEOUT_S = 600.0
"""Of one answer; a bench that hangs is to end all the same."""

T = TypeVar("T")


class Unanswered(Exception):
    """A server refused or broke off an answer."""


class BrokenOff(Unanswered):
    """The connection or the stream ended, and the server gave no reason."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer, as the client saw it. Times are seconds since the request was sent."""

    text: str
    arrivals: tuple[float, ...]
    """When each piece of text came."""
    seconds: float
    tokens: int
    prompt_tokens: int
    cached_tokens: int

    @property
    def first_s(self) -> float:
        return self.arrivals[0] if self.arrivals else self.seconds

    @property
    def decode_rate(self) -> float:
        """Tokens a second after the first one."""
        spent = self.arrivals[-1] - self.arrivals[0] if len(self.arrivals) > 1 else 0.0
        return (self.tokens - 1) / spent if spent else 0.0

    @property
    def prompt_rate(self) -> float:
        """Prompt tokens a second until the first token, all that stands around the model included."""
        return (self.prompt_tokens - self.cached_tokens) / self.first_s

    @property
    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.arrivals, self.arrivals[1:], strict=False)]


def chat(system: str, user: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


class Client:
    """Asks one server for one model."""

    def __init__(self, url: str, model: str) -> None:
        self._model = model
        self._session = aiohttp.ClientSession(
            url,
            timeout=aiohttp.ClientTimeout(TIMEOUT_S),
            connector=aiohttp.TCPConnector(limit=0, force_close=True),  # llama-server closes kept ones at any moment
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._session.close()

    async def ask(
        self, messages: Sequence[dict[str, str]], most: int, *, heard: Callable[[str], None] | None = None, **more: Any
    ) -> Heard:
        """Ask greedily for at most so many tokens. `heard` is called with each piece. Raises Unanswered, BrokenOff."""
        body = {
            "model": self._model,
            "messages": list(messages),
            "max_tokens": most,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            **more,
        }
        try:
            return await self._heard(body, heard)
        except aiohttp.ClientError as error:
            raise BrokenOff(f"the connection broke: {error}") from error

    async def _heard(self, body: dict[str, Any], heard: Callable[[str], None] | None) -> Heard:
        began = time.perf_counter()
        pieces: list[str] = []
        arrivals: list[float] = []
        usage: dict[str, Any] = {}
        async with self._session.post("/v1/chat/completions", json=body) as response:
            if response.status != 200:
                raise Unanswered(f"status {response.status}: {(await response.text())[:300]}")
            async for line in response.content:
                if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
                    continue
                event = json.loads(line[6:])
                if "error" in event:
                    raise Unanswered(str(event["error"])[:300])
                usage = event.get("usage") or usage
                text = event["choices"][0]["delta"].get("content") if event["choices"] else None
                if text:
                    pieces.append(text)
                    arrivals.append(time.perf_counter() - began)
                    if heard is not None:
                        heard(text)
        if not usage:
            raise BrokenOff("the stream ended without its usage")
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        seconds = time.perf_counter() - began
        return Heard(
            "".join(pieces), tuple(arrivals), seconds, usage["completion_tokens"], usage["prompt_tokens"], cached
        )

    async def get(self, path: str) -> Any:
        async with self._session.get(path) as response:
            return await response.json()


async def at_once(jobs: Sequence[Callable[[], Awaitable[T]]], width: int) -> tuple[list[T], float]:
    """Run the jobs, so many at a time, in order; return what they gave and the seconds for all."""
    gate = asyncio.Semaphore(width)

    async def one(job: Callable[[], Awaitable[T]]) -> T:
        async with gate:
            return await job()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(job)) for job in jobs]
    return [task.result() for task in tasks], time.perf_counter() - began
