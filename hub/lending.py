"""This node's hubs for a paired device that was granted `relay`: what it is told of them, and the work done there.

Its text goes only as it came, only where this owner's rules, budget and ledger let it, and to no further device.
Nobody is asked here on behalf of another: what has no standing yes is refused.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace

from hub.book import PLACES, Hub
from hub.briefs import CAPABILITIES
from hub.consent import Rule, Wish, permission
from hub.errors import Blocked, HubUnusable, KeptHere, NoConsent, OverBudget
from hub.remote import RemoteHub
from models.errors import BackendError
from models.types import Chunk, Label, Request, Result
from peers.book import Peer, is_expired
from peers.errors import GrantRefused
from peers.link_messages import MAX_HUB_CARDS, HubCard
from peers.peerstore import PeerStore
from peers.wire import MAX_NAME

WHY: tuple[tuple[type[KeptHere], str], ...] = (
    (NoConsent, "its owner did not say that this kind of work may go there (on it: `covey hub allow {hub}`)"),
    (OverBudget, "its budget does not allow it (on it: `covey budget`)"),
    (Blocked, "the text holds a key, a password or program code"),
)
"""What the asking device is told of why nothing was sent: no figure, address or name of this owner's."""
NOT_LENT = "it is not lent for this (on it: `covey hub rules`, `covey peers show`)"


def cards(hubs: Iterable[Hub], rules: tuple[Rule, ...]) -> list[HubCard]:
    """Return what others may be told of the hubs: those with a price, for what needs no question."""
    return [card for hub in hubs if hub.price is not None for card in _cards(hub, rules)][:MAX_HUB_CARDS]


def _cards(hub: Hub, rules: tuple[Rule, ...]) -> Iterator[HubCard]:
    """Yield a card for each highest label, with the work that goes up to it."""
    work: dict[Label, list[str]] = {}
    for capability in sorted(CAPABILITIES):
        highest = _highest(hub, capability, rules)
        if highest is not None:
            work.setdefault(highest, []).append(capability)
    price = hub.price
    assert price is not None
    for label, capabilities in sorted(work.items()):
        yield HubCard(
            name=hub.name,
            place=hub.place,
            label=label.name.lower(),  # type: ignore[arg-type]  # a hub's ceiling is below secret
            capabilities=capabilities,
            model=hub.model[:MAX_NAME],
            price_in=price.per_million_in,
            price_out=price.per_million_out,
        )


def _highest(hub: Hub, capability: str, rules: tuple[Rule, ...]) -> Label | None:
    """Return the highest label of this work that goes to a hub as it is and without a question; None: none does."""
    fits = (
        label
        for label in sorted(Label, reverse=True)
        if label <= hub.ceiling and permission(rules, _wish(hub, capability, label), hub.ceiling) == "allow"
    )
    return next(fits, None)


def _wish(hub: Hub, capability: str, label: Label) -> Wish:
    return Wish(label, capability, hub.name, PLACES[hub.place])


def may_still(peers: PeerStore, peer: Peer, label: Label) -> Callable[[Hub], None]:
    """Return the question that is put before each sending for a device: raises KeptHere when it may not go now."""

    def still(hub: Hub) -> None:
        known = peers.book().peers.get(peer.node_id)
        if known is None or is_expired(known, peers.now_ns()) or not known.grant.relay:
            raise KeptHere(f"{peer.name} may not use a hub through this device any more. `covey peers show` says more.")
        if label > min(hub.ceiling, known.grant.label):
            raise KeptHere(f"It is {label.name.lower()}, which {hub.name} may not see as it is.")

    return still


class LentOut:
    """One of this node's hubs while it works for a paired device: what goes wrong is said in words for its owner."""

    def __init__(self, hub: str, remote: RemoteHub) -> None:
        self._hub = hub
        self._remote = remote

    @property
    def name(self) -> str:
        return self._remote.name

    @property
    def capability(self) -> str:
        return self._remote.capability

    @property
    def bytes_out(self) -> int:
        return self._remote.bytes_out

    @property
    def money(self) -> float:
        return self._remote.money

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        """See `models.types.Specialist.run`. Raises GrantRefused, BackendError."""
        try:
            async with aclosing(self._remote.run(request)) as items:
                async for item in items:
                    yield replace(item, model=item.model[:MAX_NAME], notes=()) if isinstance(item, Result) else item
        except KeptHere as error:
            why = next((words for kind, words in WHY if isinstance(error, kind)), NOT_LENT).format(hub=self._hub)
            raise GrantRefused(f"Nothing was sent to its hub {self._hub}: {why}.") from error
        except HubUnusable as error:
            raise BackendError(f"Its hub {self._hub} gave no answer ({error.code}). Ask again later.") from error
