"""A hub behind the specialists' interface: the orchestrator can't tell it from a local one.

Each try is prepared, agreed to, paid for, written down and released by itself.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from hub.backoff import pause_s
from hub.book import Hub
from hub.briefs import Repair, brief_of, output_of
from hub.budget import Spent
from hub.chat import Counted, Ended, Piece
from hub.client import HubClient
from hub.consent import Asker, Question, Reply
from hub.door import Door, Letter, Sealed
from hub.errors import HubCut, HubError, HubNonsense, HubUnusable, KeptHere, PlaceholderInvented
from hub.hubs import Hubs
from hub.quotes import quotes
from models.types import Chunk, Refusal, RefusalCode, Request, Result, Usage
from peers.errors import PeersError

CONFIDENCE = 0.8
"""Of an answer that ended properly. Nothing was measured: it is never called a probability."""

logger = logging.getLogger(__name__)


class RemoteHub:
    """One capability of one hub, for one task."""

    def __init__(
        self,
        name: str,
        capability: str,
        *,
        hubs: Hubs,
        door: Door,
        client: HubClient,
        ask: Asker,
        task: str,
        reason: str,
        repair: Repair | None = None,
        still: Callable[[Hub], None] = lambda hub: None,
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`task` names whose budget it is; `reason` is why the work goes there, for the ledger and the owner.

        `still` is called before each sending, in a thread, and raises KeptHere when it may not go any more.
        """
        self._hub_name = name
        self.name = f"{capability}@{name}"
        self.capability = capability
        self._hubs = hubs
        self._door = door
        self._client = client
        self._ask = ask
        self._task = task
        self._reason = reason
        self._repair = repair
        self._still = still
        self._chance = chance
        self._sleep = sleep
        self._agreed: set[bytes] = set()
        """Bodies that the owner has agreed to for this run; a second try of the same is no second question."""
        self.bytes_out = 0
        """Bytes that left this device for it."""
        self.money = 0.0
        """What it cost, as far as the hub says; the most that it could where it does not."""

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        """See `models.types.Specialist.run`. Raises HubUnusable, which is a ModelsError."""
        tries, said = 0, False
        while True:
            tries += 1
            try:
                async with aclosing(self._once(request)) as items:
                    async for item in items:
                        said = True
                        yield item
                return
            except HubUnusable as error:
                pause = None if said else pause_s(error, tries, self._chance())
                if pause is None:
                    raise
                logger.info("%s could not answer (%s); another try in %.1f s", self._hub_name, error.code, pause)
                await self._sleep(pause)
            except (HubError, PeersError) as error:
                raise KeptHere(str(error)) from error

    async def _once(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        began = time.monotonic()
        hub = await asyncio.to_thread(self._hubs.get, self._hub_name)  # anew: it may have been removed meanwhile
        await asyncio.to_thread(self._still, hub)
        self._client.check_ready(hub)
        key = await asyncio.to_thread(self._hubs.key, hub)
        letter = await self._prepared(hub, request)
        sealed = await self._door.let_go(letter, task=self._task, reason=self._reason, ask=self._asked)
        self.bytes_out += len(letter.body)
        counted, text, reason = Counted(0, 0), "", ""
        events = self._client.chat(hub, key, sealed.released, deadline_s=request.deadline_s)
        async with aclosing(events) as stream:
            async for event in stream:
                match event:
                    case Piece():
                        if not letter.hidden and letter.brief.capability == "generate":
                            yield Chunk(len(text), event.text)
                        text += event.text
                    case Counted():
                        counted = event
                    case Ended():
                        reason = event.reason
        self.money += await asyncio.to_thread(settle, sealed, counted)
        usage = Usage(counted.tokens_in, 0, counted.tokens_out, time.monotonic() - began)
        yield await asyncio.to_thread(self._result, request, letter, text, reason, usage)

    async def _asked(self, question: Question) -> Reply:
        if question.body in self._agreed:
            return Reply.ONCE
        reply = await self._ask(question)
        if reply is Reply.ONCE:
            self._agreed.add(question.body)
        return reply

    async def _prepared(self, hub: Hub, request: Request) -> Letter:
        brief = brief_of(request.capability, request.input, budget_tokens=request.budget_tokens, repair=self._repair)
        return await self._door.prepared(
            hub, brief, label=request.label, capability=request.capability, seed=request.seed
        )

    def _result(self, request: Request, letter: Letter, text: str, reason: str, usage: Usage) -> Result:
        notes = (note(letter),)
        restored = put_back(letter, text)
        if reason == "length":
            why = f"The answer of {letter.hub.name} did not end within {letter.brief.max_tokens} tokens."
            refusal = Refusal(RefusalCode.TRUNCATED, why, found=restored)
            return Result(refusal=refusal, usage=usage, specialist=self.name, model=letter.hub.model, notes=notes)
        if reason not in ("stop", "tool_calls"):
            raise HubCut(f"The answer of {letter.hub.name} was cut off ({reason[:20]}), so it was not taken.")
        return taken(request, letter, restored, specialist=self.name, usage=usage)


def taken(request: Request, letter: Letter, text: str, *, specialist: str, usage: Usage) -> Result:
    """Return an answer that ended properly, `text` with all in it again. Raises HubNonsense for another form."""
    output, shown = output_of(letter.brief, text)
    return Result(
        output=output,
        text=shown,
        confidence=CONFIDENCE,
        evidence=quotes(text, request.input) if letter.brief.capability == "answer" else (),
        usage=usage,
        specialist=specialist,
        model=letter.hub.model,
        notes=(note(letter),),
    )


def put_back(letter: Letter, text: str) -> str:
    """Return an answer with what was hidden in the letter put in again. Raises HubNonsense.

    Where nothing was to be hidden, what looks like a placeholder is a text like any other.
    """
    if not letter.is_redacted:
        return text
    try:
        return letter.vault.restore(text)
    except PlaceholderInvented as error:
        raise HubNonsense(f"The answer of {letter.hub.name} was not taken. {error}") from error


def settle(sealed: Sealed, counted: Counted) -> float:
    """Put right what was taken off, and return what it cost; a hub that does not say what it took keeps it all."""
    price, most = sealed.letter.hub.price, sealed.letter.most
    if price is None or not (counted.tokens_in or counted.tokens_out):
        return most.money
    tokens, money = counted.tokens_in + counted.tokens_out, price.cost(counted.tokens_in, counted.tokens_out)
    sealed.reservation.settle(Spent(money, tokens, most.bytes, 1))
    return money


def note(letter: Letter) -> str:
    """Return what the owner is told of a letter that went."""
    hidden = f", {letter.hidden} pieces of it hidden" if letter.hidden else ""
    return (
        f"{letter.hub.name} was asked: {len(letter.body)} bytes {letter.wish.place.words}{hidden}. "
        "`covey ledger list` shows it."
    )
