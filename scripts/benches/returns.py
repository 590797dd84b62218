"""How long nodes are without a link: after they are up, and after the network, or one of them, was gone and is back."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from peers.links import CROSSING_S
from scripts.swarms.lan import Lan
from scripts.swarms.meeting import (
    apart_after_s,
    health,
    id_of,
    last_apart_s,
    linked_after_s,
    moved_after_s,
    strangers,
    until,
)
from scripts.swarms.nodes import SwarmNode

LONG_S = 30.0
"""Longest wait for anything to be back: far past the bar, so that a miss is a figure."""
NOTICED_S = 35.0
"""A silent device is suspect after 12 s, and down after 30 s."""
AWAY_S = 20.0
"""How long the network is gone: a link is suspect after 12 s."""
LONG_AWAY_S = 60.0
"""The link is down, and has been dialled many times; nothing tells either side that the network is back."""
WATCHED_S = 6.0
"""After a VPN came up: a link that it broke is given up within 3 s."""
ELSEWHERE = "10.77.0.99"


@dataclass(frozen=True, slots=True)
class Outages:
    """Seconds until there is a link: of three nodes that are up, after a pulled cable, after silence."""

    up_s: float
    cable_s: float
    silence_s: float


@dataclass(frozen=True, slots=True)
class Changes:
    """Seconds until there is a link again, after each of what a device goes through."""

    address_s: float
    vpn_s: float
    """A VPN came up, and takes all but the home network."""
    swallowed_s: float
    """A VPN that took the home network too has ended."""
    hang_s: float
    crash_s: float


def outages(silent_s: float, linked: threading.Event) -> Outages:
    """Measure what the network does to nodes; `linked` is set when the others' starting disturbs nothing."""
    with _nodes("one", "other", "third") as (nodes, net):
        one, other, third = nodes
        for node in nodes:
            node.up()
        began = time.monotonic()
        for pair in combinations(nodes, 2):
            linked_after_s(*pair, LONG_S)
        up_s = time.monotonic() - began
        linked.set()
        third.kill()
        net[other.name].pull_cable()
        time.sleep(AWAY_S - apart_after_s(one, other, AWAY_S))
        net[other.name].plug_in()
        cable_s = linked_after_s(one, other, LONG_S)
        net.cut_off(other.name)
        time.sleep(silent_s - apart_after_s(one, other, NOTICED_S))
        net.join_again(other.name)
        return Outages(up_s, cable_s, linked_after_s(one, other, LONG_S))


def changes() -> Changes:
    """Measure what a device goes through: another address, VPNs, a closed lid, a crash."""
    with _nodes("one", "other") as ((one, other), net):
        for host in net.hosts.values():
            host.without_ipv6()  # there the old address would do
        for node in (one, other):
            node.up()
        linked_after_s(one, other, LONG_S)
        time.sleep(CROSSING_S)  # a link that is made sooner after another one may be taken for its double
        net[other.name].readdress(ELSEWHERE)
        address_s = moved_after_s(one, other, ELSEWHERE, LONG_S)
        with net[one.name].vpn("10.8.0.2", "default"):
            vpn_s = last_apart_s(one, other, WATCHED_S)
        with net[one.name].vpn("10.8.0.2", "10.77.0.0/25"):
            apart_after_s(one, other, NOTICED_S)
        swallowed_s = linked_after_s(one, other, LONG_S)
        return Changes(address_s, vpn_s, swallowed_s, _hang_s(one, other), _crash_s(one, other))


def _hang_s(one: SwarmNode, other: SwarmNode) -> float:
    other.stop()
    until(lambda: health(one, id_of(other)) != "up", NOTICED_S)
    other.wake()
    return linked_after_s(one, other, LONG_S)


def _crash_s(one: SwarmNode, other: SwarmNode) -> float:
    """From when the node that crashed is up again."""
    other.kill()
    other.up()
    return linked_after_s(one, other, LONG_S)


@contextmanager
def _nodes(*names: str) -> Iterator[tuple[list[SwarmNode], Lan]]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, strangers(Path(folder), names) as made:
        yield made
