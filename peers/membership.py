"""What an owner does with other devices: admit, change a grant, revoke, forget; and hearing what other owners did.

Each act changes the book and is written into the audit log. A revocation is in the book before it is
in the log: should the log be broken, the device is out all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from peers import tombstones
from peers.audit import Act, Happening
from peers.book import (
    Book,
    Effect,
    Peer,
    counter_of,
    find,
    forgotten,
    with_heard,
    with_paired,
    with_peer,
    with_revoked,
)
from peers.chain_entry import Head
from peers.codes import Address
from peers.errors import UnknownPeer
from peers.grants import Grant
from peers.node_id import NodeId, short
from peers.pairing import Me, Paired
from peers.seldom import Seldom
from peers.state import NodeState
from peers.tombstones import Tombstone


def me(state: NodeState, name: str, addresses: tuple[str, ...] = ()) -> Me:
    """Return what this node says about itself when it is paired."""

    def number(node: NodeId) -> int:
        return max(state.peers.now_ns() // 10**6, counter_of(state.peers.book(), node))

    return Me(state.identity.public, name, addresses, number)


def admit(state: NodeState, paired: Paired, grant: Grant) -> Peer:
    """Write down a device that was just paired. Raises PeerBookError, RecordError."""
    now = state.peers.now_ns()
    book = state.peers.change(lambda known: with_paired(known, paired, grant, now_ns=now))
    peer = book.peers[paired.identity.node_id]
    state.audit.record(Happening(Act.PAIRED, peer.node_id, grant.whose, label=grant.label))
    return peer


def witnesses(state: NodeState) -> list[Head]:
    """Return how far this node's ledger reached, as its paired devices remember."""
    return [peer.witness for peer in state.peers.book().peers.values() if peer.witness is not None]


def forget_witnesses(state: NodeState) -> None:
    """The owner has looked at the ledger and begun a new one: what others remember of the old one is settled."""

    def forgotten_by_all(book: Book) -> Book:
        return replace(book, peers={node: replace(peer, witness=None) for node, peer in book.peers.items()})

    state.peers.change(forgotten_by_all)


def set_grant(state: NodeState, name: str, grant: Grant) -> Peer:
    """Replace what a device may do; it holds from its next request on. Raises UnknownPeer."""
    node = find(state.peers.book(), name).node_id
    book = state.peers.change(lambda known: with_peer(known, replace(_paired(known, node), grant=grant)))
    state.audit.record(Happening(Act.GRANTED, node, label=grant.label))
    return book.peers[node]


def set_places(state: NodeState, name: str, fixed: Sequence[Address]) -> Peer:
    """Write down where the owner says that a device is, in place of what was said before. Raises UnknownPeer."""
    node, texts = find(state.peers.book(), name).node_id, tuple(str(place) for place in fixed)
    book = state.peers.change(lambda known: with_peer(known, replace(_paired(known, node), fixed=texts)))
    return book.peers[node]


def revoke(state: NodeState, name: str) -> Tombstone:
    """End the pairing with a device and return the signed statement to pass on. Raises UnknownPeer."""
    peer = find(state.peers.book(), name)
    now = state.peers.now_ns()
    number = min(max(now // 10**6, counter_of(state.peers.book(), peer.node_id)), tombstones.MAX_COUNTER)
    stone = tombstones.sign(state.identity, peer.node_id, number, now_ns=now)
    state.peers.change(lambda known: with_revoked(known, stone))
    state.audit.record(Happening(Act.REVOKED, peer.node_id, note="by the owner, here"))
    return stone


def hear(state: NodeState, stone: Tombstone, seldom: Seldom) -> Effect:
    """Take note of a revocation that another device passed on; a forged one does nothing."""
    book = state.peers.book()
    _, effect = with_heard(book, stone, state.identity.node_id)
    if effect is Effect.NOTHING or not tombstones.is_genuine(stone):  # in this order: a signature takes longer
        return Effect.NOTHING
    state.peers.change(lambda known: with_heard(known, stone, state.identity.node_id)[0])
    act = Act.REVOKED if effect is Effect.BINDS else Act.WARNED
    happened = Happening(act, stone.subject, note=f"{short(stone.issuer)} says so")
    seldom.record(happened, by=stone.issuer, alike=stone.subject not in book.peers)
    return effect


def forget(state: NodeState, name: str) -> NodeId:
    """Remove the names and warnings that are kept of a revoked device. Raises UnknownPeer when it is still paired."""
    book = state.peers.book()
    wanted = name.strip().casefold()
    if any(wanted in (peer.name.casefold(), short(peer.node_id).casefold()) for peer in book.peers.values()):
        raise UnknownPeer(f"{name} is still paired. End that first with `covey peers revoke {name}`.")
    subjects = {notice.tombstone.subject: notice.name for notice in book.notices}
    found = [node for node, known in subjects.items() if wanted in (known.casefold(), short(node).casefold())]
    if not found or not wanted:
        raise UnknownPeer(f"Nothing is kept of a revoked device {name!r}. Run `covey peers list --all` to see them.")
    state.peers.change(lambda known: forgotten(known, found[0]))
    return found[0]


def _paired(book: Book, node: NodeId) -> Peer:
    """Return the device, unless it was revoked a moment ago. Raises UnknownPeer."""
    if node not in book.peers:
        raise UnknownPeer(f"{short(node)} was revoked a moment ago. Run `covey peers list` to see who is paired.")
    return book.peers[node]
