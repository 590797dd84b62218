"""The owner's hubs: where each is, what it may see, what it costs. Values only."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Literal, Protocol
from urllib.parse import SplitResult, urlsplit

from hub.errors import BadHub
from models.types import Label
from peers.policy import Place, Recipient, RecipientKind

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
PLACES = {"home": Place.HOME, "away": Place.AWAY}
CEILINGS = {Place.HOME: Label.PERSONAL, Place.AWAY: Label.PUBLIC}
"""What a hub may see unless the owner says otherwise: a machine of the owner's is one more device."""
MILLION = 1_000_000

KeyPlace = Literal["none", "keyring", "file"]
PlaceName = Literal["home", "away"]


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in the owner's currency per million tokens."""

    per_million_in: float
    per_million_out: float

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """Return the price of so many tokens.

        >>> Price(2.0, 8.0).cost(1_000_000, 500_000)
        6.0
        """
        return (tokens_in * self.per_million_in + tokens_out * self.per_million_out) / MILLION


FREE = Price(0.0, 0.0)


class Destination(Protocol):
    """A hub as the way there needs to know it: the owner's own, or one behind a paired device."""

    @property
    def name(self) -> str: ...

    @property
    def via(self) -> str:
        """Node id of the paired device that it is behind; empty: it is the owner's own."""
        ...

    @property
    def model(self) -> str: ...

    @property
    def place(self) -> PlaceName: ...

    @property
    def ceiling(self) -> Label:
        """The highest label that may go there as it is."""
        ...

    @property
    def price(self) -> Price | None:
        """What its model costs; None where nobody said so."""
        ...

    def recipient(self) -> Recipient:
        """Return whom the bytes are given to."""
        ...


@dataclass(frozen=True, slots=True)
class Hub:
    """One server that speaks the OpenAI chat API."""

    name: str
    url: str
    """Up to and with the version, for example `https://hub.example/v1`."""
    model: str
    """What is asked for there."""
    place: PlaceName
    """`home`: a bigger machine of the owner's. `away`: anybody else's."""
    key: KeyPlace = "none"
    """Where its key is kept; the key itself is never here."""
    ceiling: Label = Label.PUBLIC
    """The highest label that may go there as it is; what is above it goes only redacted and with consent."""
    prices: Mapping[str, Price] = field(default_factory=dict)
    """Price table, by model."""
    pin: str = ""
    """SHA-256 of the certificate (64 hexadecimal digits) where it is not one that browsers know."""

    @property
    def via(self) -> str:
        return ""

    @property
    def price(self) -> Price | None:
        """Return what its model costs; None where nobody said so. The owner's own machine is free."""
        return self.prices.get(self.model, FREE if self.place == "home" else None)

    def recipient(self) -> Recipient:
        """Return the hub as somebody who may be given something."""
        return Recipient(RecipientKind.HUB, f"hub:{self.name}", self.name, PLACES[self.place], self.ceiling)


def checked(hub: Hub) -> Hub:
    """Return the hub with its address in order. Raises BadHub."""
    if not NAME.fullmatch(hub.name):
        raise BadHub(f"{hub.name[:40]!r} is no name for a hub. Use small letters, digits and dashes: `big-box`.")
    url = hub.url.rstrip("/")
    parts = _parts(url)
    if parts is None:
        raise BadHub(f"{hub.url[:80]!r} is no address of a hub. Give one such as https://hub.example/v1.")
    if parts.username or parts.password:
        raise BadHub("The address holds a password. Leave it out, and give the key when you are asked for it.")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise BadHub(
            "Over http everybody on the way can read along. Give an https address; for a machine of your own, "
            "`covey hub serve` there prints the whole command."
        )
    if not hub.model:
        raise BadHub("Name the model that is asked for there: --model NAME.")
    if hub.ceiling > Label.SENSITIVE:
        raise BadHub("What is secret never leaves this device. Choose public, personal or sensitive.")
    if hub.pin and not re.fullmatch(r"[0-9a-f]{64}", hub.pin):
        raise BadHub("The fingerprint of a certificate has 64 hexadecimal digits. Copy it from the hub's screen.")
    if not all(math.isfinite(part) and part >= 0 for price in hub.prices.values() for part in astuple(price)):
        raise BadHub(
            "A price is a number, 0 or more. Give --price-in and --price-out as the hub's price list has them."
        )
    return Hub(hub.name, url, hub.model, hub.place, hub.key, hub.ceiling, dict(hub.prices), hub.pin)


def _parts(url: str) -> SplitResult | None:
    """Return the parts of an address that can be one of a hub."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a bracket that is never closed, or a port that is no number
        return None
    return parts if usable and url.isprintable() and " " not in url and not parts.query and not parts.fragment else None


def is_loopback(host: str) -> bool:
    """Return whether a host is this very machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def in_order(hubs: Mapping[str, Hub]) -> list[Hub]:
    """Return the hubs in the order in which they are tried: the owner's own machines first, then as they were added."""
    return sorted(hubs.values(), key=lambda hub: hub.place != "home")
