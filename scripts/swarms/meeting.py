"""Nodes that were paired before they were up, and how their links are, told faster than a command could."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from peers import membership
from peers.grants import own_device
from peers.node_id import NodeId
from peers.pairing import Paired
from peers.state import NodeState
from runtime import config, paths
from runtime.cli.peers import linked_now
from runtime.own_state import own_state
from scripts.swarms.lan import Lan, lan
from scripts.swarms.nodes import NodeError, SwarmNode

LOOK_S = 0.02
NOBODY = "10.77.0.201:4489"
"""An address of the home network at which nobody is."""


@contextmanager
def strangers(folder: Path, names: Sequence[str] = ("one", "other")) -> Iterator[tuple[list[SwarmNode], Lan]]:
    """Nodes that are paired, know a wrong address of each other, and are not up yet."""
    with lan(names) as net:
        made: list[SwarmNode] = []
        for name in names:
            home = folder / name
            home.mkdir(mode=0o700, parents=True)
            node = SwarmNode(name, home, net[name])
            node.run("peers", "home", "--yes")
            for other in made:
                acquaint(node, other, [NOBODY])
            made.append(node)
        try:
            yield made, net
        finally:
            for node in made:
                node.down()


def acquaint(one: SwarmNode, other: SwarmNode, places: Sequence[str] = ()) -> None:
    """Write down two nodes that are not up as paired; each believes the other to be at these places."""
    mine, theirs = state_of(one), state_of(other)
    for state, known, name in ((mine, theirs, other.name), (theirs, mine, one.name)):
        membership.admit(state, Paired(known.identity.public, name, tuple(places), 1), own_device())


def state_of(node: SwarmNode) -> NodeState:
    """Return the keys and books of a node on this machine."""
    return own_state(node.home, config.load(paths.settings_file(node.home)))


def id_of(node: SwarmNode) -> NodeId:
    return state_of(node).identity.node_id


def health(node: SwarmNode, other: NodeId) -> str:
    """Return how a node's link with another is, in the words of `covey peers list`."""
    return str((linked_now(node.home) or {}).get(other, {}).get("health", "down"))


def linked_after_s(one: SwarmNode, other: SwarmNode, within_s: float) -> float:
    """Return the seconds until work may go either way. Raises NodeError."""
    ids = id_of(one), id_of(other)
    return until(lambda: health(one, ids[1]) == "up" and health(other, ids[0]) == "up", within_s)


def apart_after_s(one: SwarmNode, other: SwarmNode, within_s: float) -> float:
    """Return the seconds until both have noticed that the other is not there. Raises NodeError."""
    ids = id_of(one), id_of(other)
    return until(lambda: health(one, ids[1]) != "up" and health(other, ids[0]) != "up", within_s)


def moved_after_s(one: SwarmNode, other: SwarmNode, address: str, within_s: float) -> float:
    """Return the seconds until one has a link with the other at its new address. Raises NodeError."""
    began = time.monotonic()
    until(lambda: address in _connections(one), within_s)
    linked_after_s(one, other, within_s)
    return time.monotonic() - began


def last_apart_s(one: SwarmNode, other: SwarmNode, during_s: float) -> float:
    """Return how far into this time the two were last without a good link; 0 when they had one all the time."""
    ids, began, last_s = (id_of(one), id_of(other)), time.monotonic(), 0.0
    while (now_s := time.monotonic() - began) < during_s:
        if health(one, ids[1]) != "up" or health(other, ids[0]) != "up":
            last_s = now_s
        time.sleep(LOOK_S)
    return last_s


def _connections(node: SwarmNode) -> str:
    """Return the TCP connections that a node's host holds."""
    assert node.host is not None
    return node.host.run("ss", "-tnH", "state", "established").stdout


def until(true: Callable[[], object], within_s: float) -> float:
    """Return the seconds until something is true. Raises NodeError when it is not in time."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > within_s:
            raise NodeError(f"What was waited for did not happen within {within_s:g} s")
        time.sleep(LOOK_S)
    return time.monotonic() - began
