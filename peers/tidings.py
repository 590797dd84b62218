"""What two linked devices tell each other of themselves: what is new since the last time, and hearing it.

A guest's device is told less: nothing of other devices, and only the skills that its grant covers.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

from models.types import Label
from peers import codec, membership
from peers.audit import Act, Happening
from peers.book import Book, Peer, with_peer
from peers.chain_entry import Head, is_signed
from peers.channels import MAX_OWN_BYTES, MAX_OWN_VALUES
from peers.codes import Address, parse_address
from peers.conversions import head_of, ledger_head_of, revocation_of, tombstone_of
from peers.errors import BadCode, RecordError
from peers.grants import Grant
from peers.identity import PublicIdentity
from peers.link_messages import (
    MAX_CARDS,
    MAX_HINTS,
    MAX_HUB_CARDS,
    MAX_PLACES,
    MAX_STONES,
    Addresses,
    Beat,
    HubCard,
    HubCards,
    LedgerHead,
    Remembered,
    Revocations,
    SkillCard,
    Skills,
    Whereabouts,
)
from peers.neighbourhood import Neighbour
from peers.node_id import NodeId
from peers.policy import covers
from peers.station import Station
from peers.wire import WireMessage, check

BEAT_S = 5.0
"""A change of heat, memory or ledger is told with this delay; one of load or draining at once."""
LONGEST_S = 60.0
"""Something is said at least this often, so that a figure is never older."""
REMEMBER_S = 60.0
"""How often the other side's ledger head is written down while it changes all the time."""
FREE_STEP_BYTES = 64 * 2**20
TOLD_PLACES = 2
"""Addresses of another device that are passed on: the two that worked last."""

logger = logging.getLogger(__name__)


class Tidings:
    """One side of one link."""

    def __init__(self, station: Station, peer: Peer) -> None:
        self._station = station
        self._node = peer.node_id
        self._remembered = peer.head
        """Of the other side's ledger, before this link; it is told once."""
        self._beat: Beat | None = None
        self._beat_s = -LONGEST_S
        self._full_s = -BEAT_S
        self._cards: Sequence[SkillCard] | None = None
        self._hubs: Sequence[HubCard] = []
        self._stones: set[tuple[str, str, int]] = set()
        self._hints: Sequence[Whereabouts] | None = None
        self._head: Head | None = None
        """Heard and not written down yet."""
        self._is_late = False
        self._remembered_s = -REMEMBER_S

    async def news(self, now_s: float) -> list[WireMessage]:
        """Return what the other side does not know yet. Asked every second; most times there is nothing."""
        if self._is_late:
            return []
        facts, draining = self._station.facts, self._station.desk.is_draining
        beat = _coarse(facts.beat()).model_copy(update={"draining": draining})
        if now_s - self._full_s < BEAT_S:
            if self._beat is not None and _load(beat) != _load(self._beat):
                return [self._told(beat.model_copy(update={"head": self._beat.head}), now_s)]
            return []
        self._full_s = now_s
        book = self._station.state.peers.book()
        peer = book.peers.get(self._node)
        if peer is None:
            return []
        head = await asyncio.to_thread(self._own_head)
        beat = beat.model_copy(update={"head": head})
        found: list[WireMessage] = []
        if self._remembered is not None:
            found.append(Remembered(head=ledger_head_of(self._remembered)))
            self._remembered = None
        if beat != self._beat or now_s - self._beat_s >= LONGEST_S:
            found.append(self._told(beat, now_s))
        cards = [_told_of(card, peer) for card in facts.cards() if covers(peer.grant.capabilities, card.capability)]
        cards = cards[:MAX_CARDS]
        if cards != self._cards:
            self._cards = cards
            found.append(Skills(cards=cards))
        hubs = lent(facts.hubs(), peer.grant)
        if hubs != self._hubs:
            self._hubs = hubs
            found.append(HubCards(cards=hubs))
        hints = self._whereabouts(book, peer)
        if hints != self._hints:
            self._hints = hints
            found.append(Addresses(hints=list(hints)))
        if is_insider(peer):
            found += self._revocations(book)
        return found

    async def hear(self, packed: bytes, neighbour: Neighbour, now_s: float) -> Neighbour:
        """Take note of what the other side says; return what is known of it now. Raises RemoteProtocolError."""
        message = codec.decode(packed, limit=MAX_OWN_BYTES, values=MAX_OWN_VALUES)
        match message.get("kind"):
            case "beat":
                beat = check(message, Beat)
                if beat.head is not None:
                    await asyncio.to_thread(self._hear_head, beat.head, now_s)
                return replace(neighbour, beat=beat)
            case "skills":
                return replace(neighbour, cards=tuple(check(message, Skills).cards))
            case "hubs":
                return replace(neighbour, hubs=tuple(check(message, HubCards).cards))
            case "revocations":
                stones = check(message, Revocations).stones
                for stone in map(tombstone_of, stones):
                    await asyncio.to_thread(membership.hear, self._station.state, stone, self._station.desk.seldom)
            case "remembered":
                await asyncio.to_thread(self._hear_remembered, head_of(check(message, Remembered).head))
            case "addresses":
                self._hear_addresses(check(message, Addresses))
        return neighbour  # a kind that only newer versions know says nothing

    def retire(self) -> None:
        """A newer link tells from now on: what still comes here of the other's ledger may be older than what is known.

        After an outage the last words of the old link are delivered behind the first ones of the new.
        """
        self._is_late, self._head = True, None

    def close(self) -> None:
        """Write down what is not written yet; blocks for the disk."""
        if self._head is not None:
            self._remember(self._head)

    def _told(self, beat: Beat, now_s: float) -> Beat:
        self._beat, self._beat_s = beat, now_s
        return beat

    def _own_head(self) -> LedgerHead | None:
        try:
            return ledger_head_of(self._station.state.ledger.chain.head())
        except RecordError:
            logger.warning("the ledger is not as it was written: run `covey ledger verify`")
            return None

    def _revocations(self, book: Book) -> Iterator[Revocations]:
        stones = [notice.tombstone for notice in book.notices]
        new = [
            stone
            for stone in stones
            if (stone.issuer, stone.subject, stone.counter) not in self._stones and stone.subject != self._node
        ]
        self._stones |= {(stone.issuer, stone.subject, stone.counter) for stone in new}
        for start in range(0, len(new), MAX_STONES):
            yield Revocations(stones=[revocation_of(stone) for stone in new[start : start + MAX_STONES]])

    def _whereabouts(self, book: Book, peer: Peer) -> Sequence[Whereabouts]:
        own = Whereabouts(
            node=self._station.state.identity.node_id, addresses=list(self._station.facts.addresses())[:MAX_PLACES]
        )
        if not is_insider(peer):
            return [own]
        others = (
            Whereabouts(node=other.node_id, addresses=list(other.places[:TOLD_PLACES]))
            for other in book.peers.values()
            if is_insider(other) and other.node_id != peer.node_id and other.places
        )
        return [own, *others][:MAX_HINTS]

    def _hear_addresses(self, said: Addresses) -> None:
        for hint in said.hints:
            node = NodeId(hint.node)
            if node not in self._station.state.peers.book().peers:
                continue
            for text in hint.addresses:
                with contextlib.suppress(BadCode):
                    address = parse_address(text)
                    if is_at_home(address):
                        self._station.hints.told(node, address, by=self._node)

    def _hear_head(self, said: LedgerHead, now_s: float) -> None:
        """Remember how far the other's ledger reaches; a shorter or another one is a warning for the owner."""
        peer, head = self._station.state.peers.book().peers.get(self._node), head_of(said)
        if peer is None or self._is_late:
            return
        if not is_signed("ledger", head, PublicIdentity(peer.certificate)):
            raise codec.refused("the head of its ledger is not signed by it")
        known = self._head or peer.head
        if known is not None and (head.number, head.hash) != (known.number, known.hash) and head.number <= known.number:
            note = (
                f"its ledger reached entry {known.number} and is now another one with {head.number}; ask its owner why"
            )
            self._warn(peer, note)
        if head == known:
            return
        self._head = head
        if now_s - self._remembered_s >= REMEMBER_S:
            self._remembered_s = now_s
            self._remember(head)

    def _remember(self, head: Head) -> None:
        now_ns = self._station.state.peers.now_ns()

        def noted(book: Book) -> Book:
            peer = book.peers.get(self._node)
            return book if peer is None else with_peer(book, replace(peer, head=head, seen_ns=now_ns))

        self._station.state.peers.change(noted, synced=False)
        self._head = None

    def _hear_remembered(self, head: Head) -> None:
        """Hold the other side's memory of our own ledger against it: files put back here are found by that."""
        state = self._station.state
        if not is_signed("ledger", head, state.identity):
            raise codec.refused("it remembers a head that this device never signed")
        peer, chain = state.peers.book().peers.get(self._node), state.ledger.chain
        if peer is None or chain.was_put_aside(head) or (peer.witness and peer.witness.number >= head.number):
            return

        def noted(book: Book) -> Book:
            known = book.peers.get(self._node)
            return book if known is None else with_peer(book, replace(known, witness=head))

        state.peers.change(noted, synced=False)
        if chain.denies(head):
            self._warn(peer, f"it remembers entry {head.number} of this device's ledger, which is not there any more")

    def _warn(self, peer: Peer, note: str) -> None:
        happened = Happening(Act.WARNED, peer.node_id, "ledger", note=note)
        if self._station.desk.seldom.record(happened, by=peer.node_id):
            logger.warning("%s: %s (`covey ledger verify`)", peer.name, note)


def lent(cards: Sequence[HubCard], grant: Grant) -> list[HubCard]:
    """Return the hubs that a device with this grant may use, no card above what it was granted."""
    if not grant.relay:
        return []
    found = []
    for card in cards:
        label = min(Label[card.label.upper()], grant.label, Label.SENSITIVE)
        work = [capability for capability in card.capabilities if covers(grant.capabilities, capability)]
        if work:
            found.append(card.model_copy(update={"label": label.name.lower(), "capabilities": work}))
    return found[:MAX_HUB_CARDS]


def is_insider(peer: Peer) -> bool:
    """Return whether a device is told about the others: the owner's own, with at least personal things granted."""
    return peer.grant.whose == "own" and peer.grant.label >= Label.PERSONAL


def is_at_home(address: Address) -> bool:
    """Return whether a hint may be followed: nobody makes this device dial out of the house by a hint."""
    try:
        place = ipaddress.ip_address(address.host.partition("%")[0])
    except ValueError:
        return False
    return not (place.is_global or place.is_multicast or place.is_unspecified)


def _coarse(beat: Beat) -> Beat:
    """Return the beat with its free memory in steps, so that it does not change all the time."""
    free = None if beat.free_bytes is None else beat.free_bytes // FREE_STEP_BYTES * FREE_STEP_BYTES
    return beat.model_copy(update={"free_bytes": free})


def _told_of(card: SkillCard, peer: Peer) -> SkillCard:
    """Return the card for a device; how the owner's own work goes is no guest's concern."""
    return card if is_insider(peer) else card.model_copy(update={"success": None})


def _load(beat: Beat) -> tuple[int, int, bool]:
    return beat.running, beat.queued, beat.draining
