"""The list of paired devices as a value, and what changes it: pairing, revoking, hearing of that, forgetting."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from pydantic import Base64Bytes

from peers.chain_entry import Head
from peers.errors import UnknownPeer
from peers.grants import Grant
from peers.node_id import NodeId, short
from peers.pairing import Paired
from peers.policy import Recipient, RecipientKind
from peers.tombstones import Tombstone

FORMAT = 1
MAX_NOTICES = 1000
"""Revocations that are remembered; a household has a handful. Past this, the oldest goes."""
MAX_ADDRESSES = 8
"""Per device, newest first; older ones are stale."""
LEAST_LETTERS = 4
"""Of an id, to tell it from a word."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What passed between us and a device since it was paired."""

    tasks_in: int = 0
    """It asked, we worked."""
    tasks_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(frozen=True, slots=True)
class Peer:
    """One paired device."""

    node_id: NodeId
    name: str
    certificate: Base64Bytes
    """DER; the trust anchor for its connections."""
    counter: int
    """Number of the pairing; a revocation with this or a higher number ends it, whichever device it is from."""
    grant: Grant
    paired_ns: int
    """Nanoseconds since 1970."""
    addresses: tuple[str, ...] = ()
    """`host:port`, the last one that worked first."""
    fixed: tuple[str, ...] = ()
    """`host:port`, said by the owner; no address that is learned takes their place."""
    figures: Figures = Figures()
    seen_ns: int = 0
    """When it last spoke to us; 0 before the first time."""
    version: int = 0
    """Highest version of the wire that it has spoken; it never goes down silently."""
    head: Head | None = None
    """The head of its ledger that it told us last, so that it can't be shortened unseen."""
    witness: Head | None = None
    """The furthest head of *our* ledger that it remembers."""

    @property
    def places(self) -> tuple[str, ...]:
        """Where to look for it, each once: where it last answered, what the owner said, what else is known."""
        return tuple(dict.fromkeys((*self.addresses[:1], *self.fixed, *self.addresses)))

    def recipient(self) -> Recipient:
        """Return this device as somebody who may be given something."""
        grant = self.grant
        return Recipient(
            RecipientKind.PEER, self.node_id, self.name, grant.place, grant.label, capabilities=grant.capabilities
        )

    def as_copier(self) -> Recipient:
        """Return this device as one that models are copied to or from: which work it may be given does not matter."""
        return replace(self.recipient(), capabilities=None)


@dataclass(frozen=True, slots=True)
class Notice:
    """A revocation that this node made or heard of."""

    tombstone: Tombstone
    binds: bool
    """False: a device without that power says so; the owner is warned and decides."""
    name: str = ""
    """What the device was called here; empty when it was never paired, or was forgotten."""


@dataclass(frozen=True, slots=True)
class Book:
    """All that is known of other devices."""

    peers: Mapping[NodeId, Peer] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
    latest_ns: int = 0
    """The latest time seen: a clock that is set back must not lengthen a guest's stay."""
    latest_since_start_ns: int = 0
    """Nanoseconds since the device's start at that time; 0: not known. Time goes on by it beside a wrong clock."""
    format: int = FORMAT


class Effect(Enum):
    """What hearing of a revocation did."""

    BINDS = "binds"
    """The device is no longer paired here."""
    WARNING = "warning"
    """Noted, for the owner to decide."""
    NOTHING = "nothing"
    """Known already, or about a pairing that a newer one replaced."""


def counter_of(book: Book, node: NodeId) -> int:
    """Return the highest number of a pairing with a node that was ever seen here, also of revoked ones."""
    peer = book.peers.get(node)
    seen = [notice.tombstone.counter for notice in book.notices if notice.tombstone.subject == node]
    return max([peer.counter if peer else 0, *seen])


def with_paired(book: Book, paired: Paired, grant: Grant, *, now_ns: int) -> Book:
    """Return the book with a device that was just paired in person; it replaces an older pairing with it."""
    node = paired.identity.node_id
    peer = Peer(
        node_id=node,
        name=_free_name(book, node, paired.name),
        certificate=paired.identity.certificate_der,
        counter=paired.counter,
        grant=grant,
        paired_ns=now_ns,
        addresses=paired.addresses[:MAX_ADDRESSES],
        seen_ns=now_ns,
    )
    return replace(book, peers={**book.peers, node: peer})


def with_peer(book: Book, peer: Peer) -> Book:
    """Return the book with new facts about a device that is paired; one that was revoked meanwhile stays out."""
    return replace(book, peers={**book.peers, peer.node_id: peer}) if peer.node_id in book.peers else book


def with_revoked(book: Book, tombstone: Tombstone) -> Book:
    """Return the book after this device's own owner revoked another."""
    return _without(book, tombstone, binds=True)


def with_heard(book: Book, tombstone: Tombstone, me: NodeId) -> tuple[Book, Effect]:
    """Return the book after another device passed on a revocation, and what that did.

    The tombstone's signature has been checked. It binds when this device's owner made it, or a device
    that the owner granted `admin`; else it is a warning, so that one hostile device can't evict all.
    """
    if tombstone.subject == me or _is_known(book, tombstone):
        return book, Effect.NOTHING
    issuer = book.peers.get(tombstone.issuer)
    binds = tombstone.issuer == me or (issuer is not None and issuer.grant.admin)
    peer = book.peers.get(tombstone.subject)
    if peer is not None and peer.counter > tombstone.counter:
        return book, Effect.NOTHING
    if not binds and (issuer is None or peer is None or _is_warned(book, tombstone, peer)):
        return book, Effect.NOTHING  # from a stranger, about one, or said before: nothing here depends on it
    return _without(book, tombstone, binds=binds), Effect.BINDS if binds else Effect.WARNING


def forgotten(book: Book, node: NodeId) -> Book:
    """Return the book without names and warnings about a device that is not paired; numbers of pairings stay."""
    kept = [notice for notice in book.notices if notice.tombstone.subject != node or notice.binds]
    cleared = [replace(notice, name="") if notice.tombstone.subject == node else notice for notice in kept]
    return replace(book, notices=tuple(cleared))


def find(book: Book, text: str) -> Peer:
    """Return the paired device of that name, or whose id begins so. Raises UnknownPeer."""
    names = names_of(book)
    node = among(names, text)
    if node is not None:
        return book.peers[node]
    known = (
        f"Paired are {', '.join(sorted(names.values()))}." if names else "No device is paired yet: run `covey pair`."
    )
    raise UnknownPeer(f"No paired device is called {text!r}. {known}")


def names_of(book: Book) -> dict[NodeId, str]:
    """Return what the paired devices are called."""
    return {node: peer.name for node, peer in book.peers.items()}


def among(names: Mapping[NodeId, str], text: str) -> NodeId | None:
    """Return which of these nodes has that name, or else an id that begins so; None when none does.

    Raises UnknownPeer when several do.
    """
    wanted = text.strip().casefold()
    letters = re.sub(r"[\s-]", "", wanted).upper()
    found = [node for node, name in names.items() if name and name.casefold() == wanted]
    found = found or [node for node in names if len(letters) >= LEAST_LETTERS and node.startswith(letters)]
    if len(found) > 1:
        ids = ", ".join(sorted(map(short, found)))
        raise UnknownPeer(f"{text!r} may be any of {ids}. Name one by the letters of its id.")
    return found[0] if found else None


def is_expired(peer: Peer, now_ns: int) -> bool:
    """Return whether the time for which a device was paired is over."""
    return peer.grant.expires_ns is not None and now_ns >= peer.grant.expires_ns


def _without(book: Book, tombstone: Tombstone, *, binds: bool) -> Book:
    peer = book.peers.get(tombstone.subject)
    notice = Notice(tombstone, binds, peer.name if peer else "")
    same = (tombstone.issuer, tombstone.subject)
    others = [known for known in book.notices if (known.tombstone.issuer, known.tombstone.subject) != same]
    newest = (*others, notice)[-MAX_NOTICES:]
    peers = {node: peer for node, peer in book.peers.items() if not (binds and node == tombstone.subject)}
    return replace(book, peers=peers, notices=newest)


def _is_known(book: Book, tombstone: Tombstone) -> bool:
    """Return whether the same device has said this, or something newer, about that one before."""
    return any(
        (known.issuer, known.subject) == (tombstone.issuer, tombstone.subject) and known.counter >= tombstone.counter
        for known in (notice.tombstone for notice in book.notices)
    )


def _is_warned(book: Book, tombstone: Tombstone, peer: Peer) -> bool:
    """Return whether the owner was warned so before, of this very pairing: a higher number says nothing new."""
    return any(
        (known.issuer, known.subject) == (tombstone.issuer, tombstone.subject) and known.counter >= peer.counter
        for known in (notice.tombstone for notice in book.notices)
    )


def _free_name(book: Book, node: NodeId, wanted: str) -> str:
    """Return the name, with a number behind it when another device has it."""
    taken = {peer.name.casefold() for other, peer in book.peers.items() if other != node}
    base = wanted or short(node)
    numbered = (base if count == 1 else f"{base} {count}" for count in range(1, len(taken) + 2))
    return next(name for name in numbered if name.casefold() not in taken)
