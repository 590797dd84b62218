"""Who may be given what: a table and a few rules over (label, capability, recipient). Nothing here sends or writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from models.types import Label


class Place(Enum):
    """How far a recipient is, in the words that the ledger uses."""

    DEVICE = "device"
    HOME = "home"
    AWAY = "away"

    @property
    def words(self) -> str:
        return _WORDS[self]


_WORDS = {Place.DEVICE: "stayed on this device", Place.HOME: "left this device", Place.AWAY: "left the home"}


class RecipientKind(Enum):
    """The ways out. There is no other."""

    PEER = "peer"
    """A paired device."""
    UNPAIRED = "unpaired"
    """A device that is just being paired: the pairing's own messages, nothing else."""
    HUB = "hub"
    TOOL = "tool"
    """An outside MCP tool."""
    AGENT = "agent"
    """An outside agent (A2A)."""
    CLIENT = "client"
    """A program that reads answers over the API or MCP."""
    EXPORT = "export"
    """Traces that the owner sends to a collector."""
    COMPARISON = "comparison"
    """Comparison and audit runs on a hub."""


CEILINGS = {
    RecipientKind.PEER: Label.SENSITIVE,
    RecipientKind.UNPAIRED: Label.PUBLIC,
    RecipientKind.HUB: Label.SENSITIVE,
    RecipientKind.TOOL: Label.PERSONAL,
    RecipientKind.AGENT: Label.PERSONAL,
    RecipientKind.CLIENT: Label.SENSITIVE,
    RecipientKind.EXPORT: Label.PERSONAL,
    RecipientKind.COMPARISON: Label.PERSONAL,
}
"""The highest label that the owner can allow to each kind; each single recipient has a ceiling of its own below it."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who is to be given something."""

    kind: RecipientKind
    id: str
    """What tells it from all others: a node id, a hub's name, a client's token name."""
    name: str
    """What the owner calls it."""
    place: Place
    ceiling: Label
    """The highest label that the owner lets it see."""
    capabilities: frozenset[str] | None = None
    """Work it may be given; None means any. `extract` includes `extract.event`."""


@dataclass(frozen=True, slots=True)
class Allow:
    """It may go."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """It may not, and why, as one sentence with the next step."""

    rule: str
    reason: str


Rule = Callable[[Label, str, Recipient], Refuse | None]


def decide(label: Label, capability: str, recipient: Recipient) -> Allow | Refuse:
    """Return whether a value with this label may go there for this work; the first rule that refuses wins."""
    refusals = (rule(label, capability, recipient) for rule in RULES)
    return next((refusal for refusal in refusals if refusal is not None), Allow())


def covers(capabilities: frozenset[str] | None, capability: str) -> bool:
    """Return whether a set of capabilities includes one, by itself or by a name above it.

    >>> covers(frozenset({"extract"}), "extract.event")
    True
    """
    if capabilities is None:
        return True
    parts = capability.split(".")
    return any(".".join(parts[:length]) in capabilities for length in range(1, len(parts) + 1))


def _secret(label: Label, capability: str, recipient: Recipient) -> Refuse | None:
    if label < Label.SECRET:
        return None
    return Refuse("secret", "It is marked secret, which never leaves this device. Ask without the secret part.")


def _kind(label: Label, capability: str, recipient: Recipient) -> Refuse | None:
    highest = CEILINGS[recipient.kind]
    if label <= highest:
        return None
    return Refuse(
        "kind",
        f"It is {label.name.lower()}, and {_article(recipient.kind)} is never given more than {highest.name.lower()}. "
        "Ask here instead, with `--tier device`.",
    )


def _ceiling(label: Label, capability: str, recipient: Recipient) -> Refuse | None:
    if label <= recipient.ceiling:
        return None
    return Refuse(
        "ceiling",
        f"It is {label.name.lower()}, and {recipient.name} may see {recipient.ceiling.name.lower()} at most. "
        f"{_raise(recipient)}",
    )


def _capability(label: Label, capability: str, recipient: Recipient) -> Refuse | None:
    if covers(recipient.capabilities, capability):
        return None
    return Refuse("capability", f"{recipient.name} is not to be given {capability!r}. {_raise(recipient)}")


RULES: tuple[Rule, ...] = (_secret, _kind, _ceiling, _capability)
"""In this order: what nobody can allow comes before what the owner can."""


def _raise(recipient: Recipient) -> str:
    if recipient.kind is RecipientKind.PEER:
        return f"Change that with `covey peers grant {recipient.name}`, or ask with `--tier device`."
    return "Ask with `--tier device` to keep it here."


def _article(kind: RecipientKind) -> str:
    return f"an {kind.value}" if kind.value[0] in "aeiou" else f"a {kind.value}"
