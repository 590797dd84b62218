"""Nodes for tests: fresh keys in a folder of the test's own, and recipients of every kind."""

from __future__ import annotations

from pathlib import Path

from models.types import Label
from peers import identity
from peers.identity import Identity
from peers.pairing import Paired
from peers.policy import Place, Recipient, RecipientKind

DAY_NS = 24 * 3600 * 10**9
START_NS = 20_000 * DAY_NS
"""A time to start from: some day in 2024."""


class Clock:
    """A clock that goes on when told to."""

    def __init__(self, now_ns: int = START_NS) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns

    def seconds(self) -> float:
        return self.now_ns / 1e9

    def pass_s(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


def new_identity(folder: Path) -> Identity:
    folder.mkdir(parents=True, exist_ok=True)
    return identity.create(folder)


def recipient(
    kind: RecipientKind = RecipientKind.PEER,
    *,
    id: str = "kitchen-id",
    name: str = "kitchen",
    place: Place = Place.HOME,
    ceiling: Label = Label.PERSONAL,
    capabilities: frozenset[str] | None = None,
) -> Recipient:
    return Recipient(kind, id, name, place, ceiling, capabilities)


def paired_with(identity: Identity, name: str, *, counter: int = 1) -> Paired:
    """What a pairing with this device comes to."""
    return Paired(identity.public, name, ("192.168.1.20:4489",), counter)
