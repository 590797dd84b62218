"""What two paired devices tell each other while nothing is asked: load, skills, revocations, ledger heads."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from peers.identity import MAX_CERTIFICATE_BYTES
from peers.messages import HUB_NAME, Capability, LabelName, Share
from peers.tombstones import MAX_COUNTER
from peers.wire import Count, DigestText, Name, NodeIdText, Seconds, WireMessage

MAX_CARDS = 256
MAX_STONES = 256
"""Per message; more go in the next."""
MAX_HINTS = 64
"""Devices whose addresses are told at once; a household has fewer."""
MAX_PLACES = 8
"""Addresses of one device."""
MAX_HUB_CARDS = 64
"""A household has one or two hubs; one has a card for each highest label."""

Place = Annotated[str, Field(max_length=120)]
"""`host:port`."""

Speed = Annotated[float, Field(ge=0, lt=1e9)]
Price = Annotated[float, Field(ge=0, lt=1e9)]


class LedgerHead(WireMessage):
    """How far the sender's ledger reaches. The receiver remembers it, so that it can't be shortened unseen."""

    kind: Literal["ledger_head"] = "ledger_head"
    number: Count
    hash: DigestText
    signature: Annotated[str, Field(max_length=128)]
    """Base64 of an ECDSA signature (DER) over `covey ledger head\\n<number>\\n<hash>`."""


class Beat(WireMessage):
    """How I am. Every five seconds on an idle link."""

    kind: Literal["beat"] = "beat"
    running: Count = 0
    queued: Count = 0
    draining: bool = False
    """I am about to sleep or stop: send no new work."""
    battery: Share | None = None
    """None on a device without one."""
    plugged: bool | None = None
    temperature_c: Annotated[float, Field(ge=-50, le=150)] | None = None
    free_bytes: Count | None = None
    """Memory that is free for models."""
    head: LedgerHead | None = None


class Remembered(WireMessage):
    """How far the receiver's ledger reached, as the sender remembers: once, before it learns anything new."""

    kind: Literal["remembered"] = "remembered"
    head: LedgerHead


class SkillCard(WireMessage):
    """One thing that a device can do, as measured there."""

    kind: Literal["skill"] = "skill"
    capability: Capability
    model: Name = ""
    """Catalog id; empty for a deterministic specialist."""
    artifacts: Annotated[list[DigestText], Field(max_length=16)] = Field(default_factory=list)
    """Digests of the weights: work resumes only where they are the same."""
    prefill_tps: Speed | None = None
    """Tokens of a prompt read per second."""
    decode_tps: Speed | None = None
    """Tokens written per second."""
    load_s: Seconds | None = None
    """To load the model; None when it is loaded."""
    context_tokens: Count | None = None
    prefixes: Annotated[list[DigestText], Field(max_length=64)] = Field(default_factory=list)
    """Specialist prompts whose state is warm. Never a conversation's."""
    success: Share | None = None
    """Share of its last answers that were sure and passed their checks; None: too few to tell."""


class Skills(WireMessage):
    """All that a device can do; it replaces what it said before."""

    kind: Literal["skills"] = "skills"
    cards: Annotated[list[SkillCard], Field(max_length=MAX_CARDS)]


class HubCard(WireMessage):
    """A hub of the sender's that the receiver may use through it. Where it is and its key are never told."""

    kind: Literal["hub"] = "hub"
    name: Annotated[str, StringConstraints(pattern=rf"^{HUB_NAME}\z")]
    place: Literal["home", "away"]
    """A machine of the sender's owner, or anybody else's."""
    label: LabelName
    """The highest label that it takes."""
    capabilities: Annotated[list[Capability], Field(max_length=64)]
    """Work of that label that the sender's owner lets go there without being asked."""
    model: Name = ""
    price_in: Price = 0.0
    """In the sender's owner's money, per million tokens read."""
    price_out: Price = 0.0
    """The same, written."""


class HubCards(WireMessage):
    """All hubs that the receiver may use through the sender; it replaces what was said before."""

    kind: Literal["hubs"] = "hubs"
    cards: Annotated[list[HubCard], Field(max_length=MAX_HUB_CARDS)]


class Revocation(WireMessage):
    """A signed statement that a device was revoked."""

    kind: Literal["revocation"] = "revocation"
    issuer: NodeIdText
    subject: NodeIdText
    counter: Annotated[int, Field(ge=0, le=MAX_COUNTER)]
    time_ns: Annotated[int, Field(ge=0, lt=2**63)]
    certificate: Annotated[bytes, Field(max_length=MAX_CERTIFICATE_BYTES)]
    signature: Annotated[bytes, Field(max_length=128)]
    """ECDSA (DER) over `covey revocation 1\\n<issuer>\\n<subject>\\n<counter>\\n<time_ns>`."""


class Revocations(WireMessage):
    """Revocations that the sender knows of."""

    kind: Literal["revocations"] = "revocations"
    stones: Annotated[list[Revocation], Field(max_length=MAX_STONES)]


class Whereabouts(WireMessage):
    """Where one device can be found."""

    kind: Literal["whereabouts"] = "whereabouts"
    node: NodeIdText
    addresses: Annotated[list[Place], Field(max_length=MAX_PLACES)]


class Addresses(WireMessage):
    """Where the sender can be found, and where it last reached the owner's other devices. Hints, not proofs."""

    kind: Literal["addresses"] = "addresses"
    hints: Annotated[list[Whereabouts], Field(max_length=MAX_HINTS)]
