"""A hub behind a paired device, for a device without one: its redaction, its owner's yes and its ledger come first.

The bytes go to that device and on to its hub. What they hide is put in again here and nowhere else; that device
holds them against its own rules, budget and ledger as well (`hub/lending.py`).
"""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from hub.book import PLACES, PlaceName, Price
from hub.briefs import Brief, Repair, brief_of, input_of
from hub.chat import Counted
from hub.consent import Asker, Question, Reply
from hub.door import Door, Letter
from hub.errors import HubError, HubUnusable, KeptHere
from hub.remote import note, put_back, settle, taken
from models.types import Chunk, Label, Request, Result
from peers.book import Peer
from peers.courier import Courier
from peers.errors import LinkError, PeersError
from peers.link_messages import HubCard
from peers.policy import Recipient


@dataclass(frozen=True, slots=True)
class LentHub:
    """A hub of a paired device as it is seen here. See `hub.book.Destination`."""

    peer: Peer
    card: HubCard
    """What that device says of it."""

    @property
    def name(self) -> str:
        return f"{self.card.name}@{self.peer.name}"

    @property
    def via(self) -> str:
        return self.peer.node_id

    @property
    def model(self) -> str:
        return self.card.model

    @property
    def place(self) -> PlaceName:
        """A guest's home is away from this one."""
        return "home" if self.card.place == "home" and self.peer.grant.whose == "own" else "away"

    @property
    def ceiling(self) -> Label:
        """Neither the hub nor the device on the way may see more than it may by itself."""
        return min(Label[self.card.label.upper()], self.peer.grant.label, Label.SENSITIVE)

    @property
    def price(self) -> Price:
        return Price(self.card.price_in, self.card.price_out)

    def recipient(self) -> Recipient:
        """Return the device as it is given something that it passes on: as far away as the hub is."""
        device = self.peer.recipient()
        return replace(device, name=self.name, place=PLACES[self.place], ceiling=self.ceiling)


class RelayedHub:
    """One capability of one such hub, for one task."""

    def __init__(
        self,
        name: str,
        capability: str,
        *,
        find: Callable[[], LentHub],
        courier: Courier,
        door: Door,
        ask: Asker,
        task: str,
        reason: str,
        repair: Repair | None = None,
    ) -> None:
        """`find` returns the hub as it is lent now and raises KeptHere when it is not. The rest as in `RemoteHub`."""
        self.name = f"{capability}@{name}"
        self.capability = capability
        self._find = find
        self._courier = courier
        self._door = door
        self._ask = ask
        self._task = task
        self._reason = reason
        self._repair = repair
        self.money = 0.0
        """What it cost by what that device says, in its owner's money."""

    @property
    def bytes_out(self) -> int:
        """Bytes that left this device for it."""
        return self._courier.bytes_out

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        """See `models.types.Specialist.run`. One sending: what failed is tried elsewhere. Raises ModelsError."""
        try:
            async with aclosing(self._run(request)) as items:
                async for item in items:
                    yield item
        except (LinkError, HubUnusable):
            raise
        except (HubError, PeersError) as error:
            raise KeptHere(str(error)) from error

    async def _run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        lent = await to_thread(self._find)
        brief = brief_of(request.capability, request.input, budget_tokens=request.budget_tokens, repair=self._repair)

        def form(after: Brief, label: Label) -> bytes:
            return self._courier.packed(_passed_on(request, after, label), relay=lent.card.name)

        letter = await self._door.prepared(
            lent, brief, label=request.label, capability=request.capability, seed=request.seed, form=form
        )

        async def ask(question: Question) -> Reply:
            reply = await self._ask(question)
            now = await to_thread(self._find)  # the owner took a while, and may have said something else meanwhile
            if now.ceiling < letter.label or now.place != lent.place:
                raise KeptHere(f"{lent.name} is lent under other terms now, so nothing was sent. Ask again.")
            return reply

        why = f"on to {lent.card.name}, a hub that {lent.peer.name} lends: {self._reason}"
        sealed = await self._door.let_go(letter, task=self._task, reason=why, ask=ask)
        asked = _passed_on(request, letter.brief, letter.label)
        async with aclosing(self._courier.carried(asked, sealed.released, lent.peer)) as items:
            async for item in items:
                if isinstance(item, Result):
                    usage = item.usage
                    counted = Counted(usage.prompt_tokens, usage.completion_tokens)
                    self.money = await to_thread(settle, sealed, counted)
                    yield await to_thread(self._result, request, letter, item)
                elif not letter.hidden and brief.capability == "generate":
                    yield item

    def _result(self, request: Request, letter: Letter, said: Result) -> Result:
        """Return what came back, with what was hidden put in again: only its text is taken, and read anew."""
        if said.refusal is not None:
            refusal = replace(said.refusal, found=put_back(letter, said.refusal.found))
            return Result(
                refusal=refusal,
                usage=said.usage,
                specialist=self.name,
                model=letter.hub.model,
                notes=(note(letter),),
            )
        return taken(request, letter, put_back(letter, said.text), specialist=self.name, usage=said.usage)


def _passed_on(request: Request, brief: Brief, label: Label) -> Request:
    """Return the request as it goes: the brief alone, under the label that it has now."""
    return Request(
        request.capability,
        input_of(brief, request.input),
        label=label,
        budget_tokens=brief.max_tokens,
        deadline_s=request.deadline_s,
        seed=request.seed,
        idempotency_key=request.idempotency_key,
        traceparent=request.traceparent,
    )
