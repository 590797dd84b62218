"""A signed statement that a device was revoked. It is passed on, and outlives the pairing that it ended."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Base64Bytes

from peers.errors import RemoteProtocolError
from peers.identity import Identity, PublicIdentity
from peers.node_id import NodeId

MAX_COUNTER = 2**52
"""Below the highest number of a pairing, so that a hostile one can always be outbid."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """`issuer` revoked `subject`, and with it every pairing, with any device, whose number is not above `counter`.

    Numbers are about the milliseconds since 1970 at the time of pairing, so that those of different
    devices can be compared; whoever pairs again in person takes a higher one than any that was seen.
    """

    issuer: NodeId
    subject: NodeId
    counter: int
    time_ns: int
    """Nanoseconds since 1970 on the issuer's clock; for people, nothing depends on it."""
    certificate: Base64Bytes
    """The issuer's, DER, so that whoever hears of this can check it."""
    signature: Base64Bytes


def sign(own: Identity, subject: NodeId, counter: int, *, now_ns: int) -> Tombstone:
    """Return this node's statement that its owner revoked a device."""
    said = _statement(own.node_id, subject, counter, now_ns)
    return Tombstone(own.node_id, subject, counter, now_ns, own.certificate_der, own.sign(said))


def is_genuine(tombstone: Tombstone) -> bool:
    """Return whether the issuer itself signed this very statement."""
    try:
        issuer = PublicIdentity(tombstone.certificate)
    except RemoteProtocolError:
        return False
    said = _statement(tombstone.issuer, tombstone.subject, tombstone.counter, tombstone.time_ns)
    if not 0 <= tombstone.counter <= MAX_COUNTER:
        return False
    return issuer.node_id == tombstone.issuer and issuer.verify(tombstone.signature, said)


def _statement(issuer: NodeId, subject: NodeId, counter: int, time_ns: int) -> bytes:
    return f"covey revocation 1\n{issuer}\n{subject}\n{counter}\n{time_ns}".encode()
