"""What was found out about the network: of each paired device, and of this one. `probes` asks, `doctor` concludes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from peers.codes import Address


class Dial(Enum):
    """How dialling an address ended."""

    REACHED = "reached"
    """The device itself answered, with its key."""
    REFUSED = "refused"
    """Something is there, and nothing listens on that port."""
    SILENT = "silent"
    """No answer in time: something drops what is sent."""
    NO_HOST = "no_host"
    """Nobody on the network says that it has this address."""
    NO_ROUTE = "no_route"
    """This device knows no way there."""
    STRANGER = "stranger"
    """Another device answered."""
    OURSELVES = "ourselves"
    """It has this device's own key."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One address that was dialled."""

    address: Address
    dial: Dial
    near: bool = True
    """Whether the address is in one of this device's own networks."""
    tunnel: str = ""
    """The VPN's interface that the way there goes into; empty when it does not."""
    present: bool = False
    """Whether somebody on the network said that it has this address, whatever became of the connection."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """What the other device says about this one."""

    dialled: Dial | None
    """How it went to dial back; None: it did not try."""
    hears: bool | None
    """Whether it heard this device by multicast; None: it does not listen."""
    clock_ahead_s: float
    """How far its clock is ahead of this one's."""


@dataclass(frozen=True, slots=True)
class About:
    """All that was found out about one paired device."""

    name: str
    attempts: tuple[Attempt, ...] = ()
    heard: bool | None = None
    """Whether it was heard by multicast; None: this device does not listen."""
    report: Report | None = None
    refusal: Literal["", "version", "unknown"] = ""
    """`unknown`: it does not know this device (any more)."""
    awake: bool | None = None
    """Whether the owner says that it is on."""

    @property
    def reached(self) -> Attempt | None:
        return next((one for one in self.attempts if one.dial is Dial.REACHED), None)

    @property
    def is_alive(self) -> bool:
        """Whether it is on, by its own signs or by its owner's word."""
        return bool(self.awake or self.heard or any(one.present for one in self.attempts))


@dataclass(frozen=True, slots=True)
class Here:
    """All that was found out about this device."""

    networks: tuple[str, ...] = ()
    """In words; empty: on none."""
    not_home: tuple[str, ...] = ()
    """Those that were never called home."""
    looks: Literal["off", "lo", "auto"] = "auto"
    port: int = 0
    """Where its node serves; 0: no node runs."""
    router: bool | None = None
    """Whether the router answers; None: there is none, or it is not known."""
    multicast: str = ""
    """Why multicast can't be used; empty when it can."""
    double: Address | None = None
    """A device that has this one's key."""
