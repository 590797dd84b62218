"""How long it takes on a home network to be found, to be paired, to have a link, and to have it back."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from scripts.benches.figures import Report, alone
from scripts.benches.servers import NotStarted
from scripts.benches.setup import Setup, say
from scripts.swarms.finders import Finder, finder, nodes
from scripts.swarms.lan import lan, missing
from scripts.swarms.meeting import apart_after_s, linked_after_s, strangers
from scripts.swarms.nodes import pair, swarm

ABOUT = "real multicast between hosts in network namespaces on one bridge, on this machine"
LONG_S = 15.0
GONE_S = 4.0
"""Long enough that both sides have noticed."""
AWAY_S = 20.0
"""How long the network is gone: a link is suspect after 12 s."""
LONG_AWAY_S = 120.0
"""The link is down, and has been dialled many times; nothing tells either side that the network is back."""
FOUND_BAR_S, BACK_BAR_S = 2.0, 5.0


async def run(setup: Setup) -> Report:
    if why := missing():
        raise NotStarted(f"There is no made-up network here: it {why}")
    found: list[tuple[float, float, float]] = []
    paired: list[float] = []
    linked: list[tuple[float, float, float]] = []
    for number in range(setup.count(2, 20)):
        with tempfile.TemporaryDirectory() as folder:
            found.append(_found(Path(folder), GONE_S + number % 10 * 0.2))
        with tempfile.TemporaryDirectory() as folder, swarm(["a", "b"], Path(folder), on_lan=True) as (made, _):
            paired.append(pair(made["b"], made["a"]))
        say("{}: found after {:.2f} s, at a new address {:.2f} s, back {:.2f} s".format(number + 1, *found[-1]))
    for _ in range(setup.count(1, 10)):
        with tempfile.TemporaryDirectory() as folder:
            away_s = LONG_AWAY_S if setup.full else AWAY_S
            linked.append(await asyncio.to_thread(_linked, Path(folder), away_s))
        say("linked after {:.2f} s, again after the cable {:.2f} s, after silence {:.2f} s".format(*linked[-1]))
    started, moved, back = zip(*found, strict=True)
    up, cable, silence = zip(*linked, strict=True)
    rows = (
        alone("a paired device that starts is found after", "s", started, "lower", bar=FOUND_BAR_S),
        alone("nodes with a wrong address of each other: linked after both are up", "s", up, "lower", bar=FOUND_BAR_S),
        alone(f"a cable pulled for {AWAY_S:g} s: linked again after", "s", cable, "lower", bar=BACK_BAR_S),
        alone(
            f"a switch without power for {LONG_AWAY_S if setup.full else AWAY_S:g} s, of which nothing tells: "
            "linked again after",
            "s",
            silence,
            "lower",
            bar=BACK_BAR_S,
        ),
        alone("one with a new address is found there after", "s", moved, "lower"),
        alone("one whose cable is back is found after", "s", back, "lower"),
        alone("pairing by the code alone, the command's own start included", "s", paired, "lower"),
    )
    return Report("discovery", ABOUT, rows, settings={"rounds": len(started)})


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


def _linked(folder: Path, silent_s: float) -> tuple[float, float, float]:
    """Return the seconds until two nodes have a link: once both are up, after a pulled cable, after silence."""
    with strangers(folder) as (one, other, net):
        one.up(), other.up()
        up = linked_after_s(one, other, LONG_S)
        net[other.name].pull_cable()
        time.sleep(AWAY_S - apart_after_s(one, other, AWAY_S))
        net[other.name].plug_in()
        cable = linked_after_s(one, other, LONG_S)
        net.cut_off(other.name)
        time.sleep(silent_s - apart_after_s(one, other, AWAY_S))
        net.join_again(other.name)
        return up, cable, linked_after_s(one, other, LONG_S)


def _seen_s(a: Finder, node: str, since_s: float, **what: str) -> float:
    a.wait(LONG_S, "sighted", node=node, **what)
    return max(0.0, a.heard_at_s - since_s)
