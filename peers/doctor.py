"""Why two paired devices can't reach each other: from what was found out to cause and cure. No socket, no clock.

The rules are lists; the first one that knows the cause wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from peers.findings import About, Attempt, Dial, Here

CLOCKS_APART_S = 120.0
"""Past this, a guest's time and the day of a name are not the same on both devices."""


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


Rule = Callable[[Here, About], Diagnosis | None]
"""What is wrong with the way to one device, if it knows."""


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


def _if(
    holds: Callable[[Here], bool], status: Literal["warn", "fail"], cause: str, sentence: str, cure: str
) -> Callable[[Here], Diagnosis | None]:
    """Return the rule that says this of this device where it holds; `{here}` and `{strange}` are filled in."""

    def rule(here: Here) -> Diagnosis | None:
        if not holds(here):
            return None
        said = sentence.format(here=here, strange=", ".join(here.not_home))
        return Diagnosis("network", cause, status, said, cure)

    return rule


_APART = "On the copy stop Covey, move the folder `node` out of Covey's folder, and pair it anew with `covey pair`."

HERE: tuple[Callable[[Here], Diagnosis | None], ...] = (
    _if(
        lambda here: not here.networks and here.looks != "lo",
        "fail",
        "no_network",
        "This device is on no network",
        "Turn the Wi-Fi on or plug the cable in.",
    ),
    _if(
        lambda here: here.double is not None,
        "fail",
        "cloned",
        "The device at {here.double} has this device's key: one of both is a copy of the other's disk",
        _APART,
    ),
    _if(
        lambda here: here.looks == "off",
        "warn",
        "off",
        "COVEY_DISCOVERY=off: no device is looked for, and no port is open",
        "Leave COVEY_DISCOVERY out, or set it to auto.",
    ),
    _if(
        lambda here: not here.port and here.looks != "off",
        "warn",
        "not_up",
        "No node runs here, so that other devices can't reach this one",
        "Start one: `covey up`.",
    ),
    _if(
        lambda here: bool(here.not_home) and here.looks == "auto",
        "warn",
        "not_home",
        "{strange} is not called your home, so that devices do not look for each other there",
        "If it is your home: `covey peers home --yes`.",
    ),
    _if(
        lambda here: bool(here.multicast),
        "warn",
        "multicast_here",
        "This device can't use multicast ({here.multicast})",
        "Stop the program that holds port 5353 alone; until then pair with `--at HOST:PORT`.",
    ),
)
"""All of these are said; without a network nothing else is."""


def _refused(refusal: str, cause: str, sentence: str, cure: str) -> Rule:
    """Return the rule that the device's refusal tells the cause; `{name}` is filled in."""
    return lambda here, about: (
        _ill(about.name, cause, sentence.format(name=about.name), cure) if about.refusal == refusal else None
    )


def _answered(tells: Callable[[Attempt], bool], cause: str, sentence: str, cure: str) -> Rule:
    """Return the rule that the first such attempt tells the cause; `{name}` and `{one}` are filled in."""

    def rule(here: Here, about: About) -> Diagnosis | None:
        one = next((one for one in about.attempts if tells(one)), None)
        if one is None:
            return None
        return _ill(about.name, cause, sentence.format(name=about.name, one=one), cure.format(name=about.name, one=one))

    return rule


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


def _firewall_there(here: Here, about: About) -> Diagnosis | None:
    silent = next((one for one in about.attempts if one.dial is Dial.SILENT), None)
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
    nothing = bool(about.attempts) and all(one.dial in (Dial.NO_HOST, Dial.SILENT) for one in about.attempts)
    if not (nothing and about.is_alive and here.router is not False):
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


THERE: tuple[Rule, ...] = (
    _refused("version", "version", "{name} speaks another version", "Update Covey on both devices."),
    _refused(
        "unknown",
        "unpaired",
        "{name} does not know this device any more",
        "Pair them again: `covey pair` on one, and its code on the other.",
    ),
    _clock,
    _firewall_here,
    _multicast_blocked,
    _well,
    _answered(
        lambda one: one.dial is Dial.OURSELVES,
        "cloned",
        "What answers at {one.address} has this device's own key: one of both is a copy of the other's disk",
        _APART,
    ),
    _answered(
        lambda one: bool(one.tunnel),
        "vpn",
        "The way to {name} ({one.address}) goes into the VPN on {one.tunnel}",
        "Allow the local network in the VPN's settings (often `LAN access` or `split tunnelling`), or turn it off.",
    ),
    _answered(
        lambda one: one.dial is Dial.REFUSED,
        "not_running",
        "{name} is on, but no node answers at {one.address}",
        "Run `covey up` on it; if it uses another port, start it once more so that it announces that.",
    ),
    _answered(
        lambda one: one.dial is Dial.STRANGER,
        "other_device",
        "Another device answers at {one.address} in place of {name}; it was told nothing",
        "If {name} was set up afresh, pair it again; else it has a new address and is found when it is on.",
    ),
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


def _ill(about: str, cause: str, sentence: str, cure: str) -> Diagnosis:
    return Diagnosis(about, cause, "fail", sentence, cure)


def _off_colour(about: str, cause: str, sentence: str, cure: str) -> Diagnosis:
    return Diagnosis(about, cause, "warn", sentence, cure)
