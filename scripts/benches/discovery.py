"""How long it takes on a home network to be found, to be paired, to have a link, and to have it back."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.benches.figures import Report, Row, alone
from scripts.benches.returns import AWAY_S, LONG_AWAY_S, Changes, Outages, changes, outages
from scripts.benches.servers import NotStarted
from scripts.benches.setup import Setup, say
from scripts.swarms.finders import Finder, finder, nodes
from scripts.swarms.lan import lan, missing
from scripts.swarms.nodes import pair, swarm

ABOUT = "real multicast between hosts in network namespaces on one bridge, on this machine"
LONG_S = 15.0
GONE_S = 4.0
"""Long enough that both sides have noticed."""
START_S = 30.0
"""After which the second half of a round begins, come what may of the first."""
LIMIT_S = 660.0
"""After which no new round begins: a round takes up to two and a half minutes, and the whole is to end within 14."""
FOUND_BAR_S, BACK_BAR_S = 2.0, 5.0


@dataclass
class Measured:
    """What was measured so far, round by round."""

    found: list[tuple[float, float, float]] = field(default_factory=list)
    paired: list[float] = field(default_factory=list)
    outages: list[Outages] = field(default_factory=list)
    changes: list[Changes] = field(default_factory=list)


async def run(setup: Setup) -> Report:
    if why := missing():
        raise NotStarted(f"There is no made-up network here: it {why}")
    silent_s = LONG_AWAY_S if setup.full else AWAY_S
    measured, began = Measured(), time.monotonic()
    for number in range(setup.count(1, 5)):
        if number and time.monotonic() - began > LIMIT_S:
            say(f"{number} rounds are what there was time for")
            break
        for half in range(2):
            with tempfile.TemporaryDirectory() as folder:
                measured.found.append(_found(Path(folder), GONE_S + (2 * number + half) % 10 * 0.2))
            with tempfile.TemporaryDirectory() as folder, swarm(["a", "b"], Path(folder), on_lan=True) as (made, _):
                measured.paired.append(pair(made["b"], made["a"]))
            say("found after {:.2f} s, at a new address {:.2f} s, back {:.2f} s".format(*measured.found[-1]))
        out, changed = await _both(silent_s)
        measured.outages.append(out)
        measured.changes.append(changed)
        say(f"{number + 1}: {out}, {changed}")
        setup.keep(_report(measured, silent_s))
    return _report(measured, silent_s)


async def _both(silent_s: float) -> tuple[Outages, Changes]:
    """Measure both at once, on networks of their own: most of it is waiting for silence to be noticed."""
    linked = threading.Event()

    async def later() -> Changes:
        await asyncio.to_thread(linked.wait, START_S)  # starting nodes would slow down how the others begin
        return await asyncio.to_thread(changes)

    out, changed = await asyncio.gather(asyncio.to_thread(outages, silent_s, linked), later())
    return out, changed


def _report(measured: Measured, silent_s: float) -> Report:
    started, moved, back = zip(*measured.found, strict=True)
    out, changed = measured.outages, measured.changes
    rows = (
        alone("a paired device that starts is found after", "s", started, "lower", bar=FOUND_BAR_S),
        alone(
            "three nodes with wrong addresses of each other: all linked after they are up",
            "s",
            [one.up_s for one in out],
            "lower",
            bar=FOUND_BAR_S,
        ),
        *_back(f"a cable pulled for {AWAY_S:g} s: linked again after", [one.cable_s for one in out]),
        *_back(
            f"a switch without power for {silent_s:g} s, of which nothing tells: linked again after",
            [one.silence_s for one in out],
        ),
        *_back("another address, as from DHCP: linked there after", [one.address_s for one in changed]),
        *_back("a VPN comes up: last without a link after", [one.vpn_s for one in changed]),
        *_back("a VPN that took the home network has ended: linked after", [one.swallowed_s for one in changed]),
        *_back("a node that hung goes on: linked again after", [one.hang_s for one in changed]),
        *_back("a node that crashed is up again: linked after", [one.crash_s for one in changed]),
        alone("one with a new address is found there after", "s", moved, "lower"),
        alone("one whose cable is back is found after", "s", back, "lower"),
        alone("pairing by the code alone, the command's own start included", "s", measured.paired, "lower"),
    )
    return Report("discovery", ABOUT, rows, settings={"rounds": len(started), "rounds of links": len(out)})


def _back(what: str, values: Sequence[float]) -> tuple[Row, Row]:
    """Return the rows of a link that is back: the median and the slowest are held to the same bar."""
    return (
        alone(what, "s", values, "lower", bar=BACK_BAR_S),
        alone("… the slowest of these", "s", [max(values)], "lower", bar=BACK_BAR_S),
    )


def _found(folder: Path, gone_s: float) -> tuple[float, float, float]:
    """Return the seconds until one host sees another: after its start, another address, its cable's return."""
    known = nodes(folder, ["a", "b"])
    node = known["b"].identity.node_id
    with lan(["a", "b"]) as net, finder(net["a"], folder / "a") as a:
        time.sleep(1.0)
        with finder(net["b"], folder / "b") as b:
            started = _seen_s(a, node, b.up_s)
            time.sleep(2.0)
            a.drain()
            now = time.monotonic()
            net["b"].readdress("10.77.0.99")
            moved = _seen_s(a, node, now, at="10.77.0.99:4489")
            net["b"].pull_cable()
            time.sleep(gone_s)
            a.drain()
            now = time.monotonic()
            net["b"].plug_in()
            return started, moved, _seen_s(a, node, now)


def _seen_s(a: Finder, node: str, since_s: float, **what: str) -> float:
    a.wait(LONG_S, "sighted", node=node, **what)
    return max(0.0, a.heard_at_s - since_s)
