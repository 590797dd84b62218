"""Why two paired devices can't reach each other: from what was tried to the cause and its cure. No socket, no clock.

What is tried is in probes.py. The rules are lists; the first one that knows the cause wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from peers.codes import Address

CLOCKS_APART_S = 120.0
"""Past this, a guest's time and the day of a name are not the same on both devices."""


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


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that the owner should know."""

    about: str
    """A device's name, or `network`."""
    cause: str
    """A word for programs; `ok` when all is well."""
    status: Literal["ok", "warn", "fail"]
    sentence: str
    cure: str = ""


def diagnose(here: Here, others: Sequence[About]) -> list[Diagnosis]:
    """Return what is wrong with the network and how it is mended, this device first."""
    found = [known for rule in HERE if (known := rule(here))]
    if any(one.cause == "no_network" for one in found):
        return found[:1]
    if not found:
        where = "on this machine alone (COVEY_DISCOVERY=lo)" if here.looks == "lo" else f"on {', '.join(here.networks)}"
        found = [Diagnosis("network", "ok", "ok", f"{where}, port {here.port} for other devices")]
    return found + [_of(here, one) for one in others]


def _of(here: Here, about: About) -> Diagnosis:
    return next(known for rule in THERE if (known := rule(here, about)))


def _no_network(here: Here) -> Diagnosis | None:
    if here.networks or here.looks == "lo":
        return None
    return _ill("network", "no_network", "This device is on no network", "Turn the Wi-Fi on or plug the cable in.")


def _double(here: Here) -> Diagnosis | None:
    if here.double is None:
        return None
    return _ill(
        "network",
        "cloned",
        f"The device at {here.double} has this device's key: one of both is a copy of the other's disk",
        "On the copy stop Covey, move the folder `node` out of Covey's folder, and pair it anew with `covey pair`.",
    )


def _off(here: Here) -> Diagnosis | None:
    if here.looks != "off":
        return None
    cure = "Leave COVEY_DISCOVERY out, or set it to auto."
    return _off_colour("network", "off", "COVEY_DISCOVERY=off: no device is looked for, and no port is open", cure)


def _not_up(here: Here) -> Diagnosis | None:
    if here.port or here.looks == "off":
        return None
    return _off_colour(
        "network", "not_up", "No node runs here, so that other devices can't reach this one", "Start one: `covey up`."
    )


def _not_home(here: Here) -> Diagnosis | None:
    if not here.not_home or here.looks != "auto":
        return None
    listed = ", ".join(here.not_home)
    return _off_colour(
        "network",
        "not_home",
        f"{listed} is not called your home, so that devices do not look for each other there",
        "If it is your home: `covey peers home --yes`.",
    )


def _no_multicast(here: Here) -> Diagnosis | None:
    if not here.multicast:
        return None
    return _off_colour(
        "network",
        "multicast_here",
        f"This device can't use multicast ({here.multicast})",
        "Stop the program that holds port 5353 alone; until then pair with `--at HOST:PORT`.",
    )


HERE: tuple[Callable[[Here], Diagnosis | None], ...] = (
    _no_network,
    _double,
    _off,
    _not_up,
    _not_home,
    _no_multicast,
)
"""All of these are said; without a network nothing else is."""


def _version(here: Here, about: About) -> Diagnosis | None:
    if about.refusal != "version":
        return None
    return _ill(about.name, "version", f"{about.name} speaks another version", "Update Covey on both devices.")


def _unpaired(here: Here, about: About) -> Diagnosis | None:
    if about.refusal != "unknown":
        return None
    return _ill(
        about.name,
        "unpaired",
        f"{about.name} does not know this device any more",
        "Pair them again: `covey pair` on one, and its code on the other.",
    )


def _clock(here: Here, about: About) -> Diagnosis | None:
    if about.report is None or abs(about.report.clock_ahead_s) < CLOCKS_APART_S:
        return None
    ahead = about.report.clock_ahead_s
    return _off_colour(
        about.name,
        "clock",
        f"{about.name}'s clock is {length(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this one's",
        "Set date and time on the one that is wrong, best automatically; until then names and guests' times differ.",
    )


def _firewall_here(here: Here, about: About) -> Diagnosis | None:
    if about.report is None or about.report.dialled not in (Dial.SILENT, Dial.NO_HOST, Dial.NO_ROUTE, Dial.REFUSED):
        return None
    if not here.port:
        return None
    return _off_colour(
        about.name,
        "firewall_here",
        f"{about.name} is reached, but can't reach this device at port {here.port}",
        f"Allow TCP port {here.port} in this device's firewall, for example `sudo ufw allow {here.port}/tcp`. "
        "Until then this device does the dialling.",
    )


def _multicast_blocked(here: Here, about: About) -> Diagnosis | None:
    if about.reached is None:
        return None
    deaf = about.heard is False
    unheard = about.report is not None and about.report.hears is False
    if not (deaf or unheard):
        return None
    which = "in neither direction" if deaf and unheard else f"from {about.name}" if deaf else f"to {about.name}"
    return _off_colour(
        about.name,
        "multicast",
        f"{about.name} is reached, but multicast does not get through {which}",
        "In the router or access point turn off multicast filtering (IGMP snooping without a querier), and allow UDP "
        "port 5353 in both firewalls. Known addresses work all the same.",
    )


def _well(here: Here, about: About) -> Diagnosis | None:
    reached = about.reached
    if reached is None:
        return None
    back = ", and reaches this one" if about.report is not None and about.report.dialled is Dial.REACHED else ""
    said = f"{about.name} is reached at {reached.address} in {reached.seconds * 1000:.0f} ms{back}"
    return Diagnosis(about.name, "ok", "ok", said)


def _copy(here: Here, about: About) -> Diagnosis | None:
    twin = _first(about, Dial.OURSELVES)
    if twin is None:
        return None
    return _ill(
        about.name,
        "cloned",
        f"What answers at {twin.address} has this device's own key: one of both is a copy of the other's disk",
        "On the copy stop Covey, move the folder `node` out of Covey's folder, and pair it anew with `covey pair`.",
    )


def _vpn(here: Here, about: About) -> Diagnosis | None:
    inside = next((one for one in about.attempts if one.tunnel), None)
    if inside is None:
        return None
    return _ill(
        about.name,
        "vpn",
        f"The way to {about.name} ({inside.address}) goes into the VPN on {inside.tunnel}",
        "Allow the local network in the VPN's settings (often `LAN access` or `split tunnelling`), or turn it off.",
    )


def _not_running(here: Here, about: About) -> Diagnosis | None:
    refused = _first(about, Dial.REFUSED)
    if refused is None:
        return None
    return _ill(
        about.name,
        "not_running",
        f"{about.name} is on, but no node answers at {refused.address}",
        "Run `covey up` on it; if it uses another port, start it once more so that it announces that.",
    )


def _impostor(here: Here, about: About) -> Diagnosis | None:
    stranger = _first(about, Dial.STRANGER)
    if stranger is None:
        return None
    return _ill(
        about.name,
        "other_device",
        f"Another device answers at {stranger.address} in place of {about.name}; it was told nothing",
        f"If {about.name} was set up afresh, pair it again; else it has a new address and is found when it is on.",
    )


def _firewall_there(here: Here, about: About) -> Diagnosis | None:
    silent = _first(about, Dial.SILENT)
    if silent is None or not silent.near or not (silent.present or about.heard):
        return None
    return _ill(
        about.name,
        "firewall_there",
        f"{about.name} is on the network, but something drops what is sent to its port {silent.address.port}",
        f"Allow TCP port {silent.address.port} in its firewall, like `sudo ufw allow {silent.address.port}/tcp`. "
        "Until then it dials this device by itself.",
    )


def _elsewhere(here: Here, about: About) -> Diagnosis | None:
    if not about.attempts or any(one.near for one in about.attempts):
        return None
    return _ill(
        about.name,
        "other_network",
        f"{about.name} was last at {about.attempts[0].address}, which is in another network than this device",
        "Put both into the same network: a guest Wi-Fi or a second router keeps them apart.",
    )


def _isolated(here: Here, about: About) -> Diagnosis | None:
    if not (about.is_alive and here.router is not False and _all_in(about, (Dial.NO_HOST, Dial.SILENT))):
        return None
    return _ill(
        about.name,
        "isolation",
        f"{about.name} is on, but the network lets nothing through between it and this device",
        "In the access point turn off `client isolation` (also `AP isolation`, `guest network`), or put both on "
        "another Wi-Fi or on cables.",
    )


def _away(here: Here, about: About) -> Diagnosis | None:
    if not about.attempts:
        return _ill(
            about.name,
            "no_address",
            f"No address of {about.name} is known, and it was not heard",
            "Check that it is on and in this network, or pair again with `--at HOST:PORT`.",
        )
    return _ill(
        about.name,
        "off_or_isolated",
        f"Nobody answers at {about.attempts[0].address}: {about.name} is off, or the network keeps the two apart",
        f"Turn {about.name} on. If it is on, ask again with `covey doctor --awake {about.name}`.",
    )


THERE: tuple[Callable[[Here, About], Diagnosis | None], ...] = (
    _version,
    _unpaired,
    _clock,
    _firewall_here,
    _multicast_blocked,
    _well,
    _copy,
    _vpn,
    _not_running,
    _impostor,
    _firewall_there,
    _elsewhere,
    _isolated,
    _away,
)
"""For each device the first that applies; the last always does."""


def length(seconds: float) -> str:
    """Return a time in the largest unit that fits.

    >>> length(7200)
    '2 hours'
    """
    for unit, size in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0), ("second", 1.0)):
        if seconds >= size:
            count = int(seconds / size)
            return f"{count} {unit}" + ("" if count == 1 else "s")
    return "0 seconds"


def _first(about: About, dial: Dial) -> Attempt | None:
    return next((one for one in about.attempts if one.dial is dial), None)


def _all_in(about: About, dials: tuple[Dial, ...]) -> bool:
    return bool(about.attempts) and all(one.dial in dials for one in about.attempts)


def _ill(about: str, cause: str, sentence: str, cure: str) -> Diagnosis:
    return Diagnosis(about, cause, "fail", sentence, cure)


def _off_colour(about: str, cause: str, sentence: str, cure: str) -> Diagnosis:
    return Diagnosis(about, cause, "warn", sentence, cure)
