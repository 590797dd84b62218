"""Links on a real network: how soon devices that are up have one, and how soon it is back after it was gone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import median

import pytest

from peers.links import CROSSING_S
from scripts.swarms.faults import Swarm, make
from scripts.swarms.lan import missing
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

FOUND_S = 2.0
BACK_S = 5.0
NOTICED_S = 35.0
"""A silent device is suspect after 12 s, and down after 30 s."""


@pytest.fixture(autouse=True)
def _namespaces() -> None:
    if why := missing():
        pytest.skip(f"network namespaces: {why}")


@pytest.mark.timeout(180)
def test_three_devices_with_wrong_addresses_of_each_other_are_linked_two_seconds_after_all_are_up(
    tmp_path: Path,
) -> None:
    """Multicast alone tells them where the others are."""
    with strangers(tmp_path, ["one", "other", "third"]) as (nodes, _):
        assert median(_all_linked_s(nodes) for _ in range(3)) <= FOUND_S


def _all_linked_s(nodes: Sequence[SwarmNode]) -> float:
    for node in nodes:
        node.up()
    try:
        began = time.monotonic()
        for one, other in combinations(nodes, 2):
            linked_after_s(one, other, 5 * FOUND_S)
        return time.monotonic() - began
    finally:
        for node in nodes:
            node.kill()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_five_seconds_after_the_network_is_back_the_link_is(tmp_path: Path) -> None:
    """A cable that was pulled, and a switch without power, of which nothing tells either side."""
    with strangers(tmp_path) as ((one, other), net):
        one.up(), other.up()
        linked_after_s(one, other, BACK_S)
        net[other.name].pull_cable()
        apart_after_s(one, other, NOTICED_S)
        net[other.name].plug_in()
        assert linked_after_s(one, other, NOTICED_S) <= BACK_S
        net.cut_off(other.name)
        apart_after_s(one, other, NOTICED_S)
        net.join_again(other.name)
        assert linked_after_s(one, other, NOTICED_S) <= BACK_S


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_soon_after_another_address_a_vpn_a_hang_or_a_crash_the_link_is_back(tmp_path: Path) -> None:
    """Within five seconds, round by round, is what `scripts/bench discovery` holds; here others may compute too."""
    with strangers(tmp_path) as ((one, other), net):
        for host in net.hosts.values():
            host.without_ipv6()  # there the old address would do
        one.up(), other.up()
        linked_after_s(one, other, 2 * BACK_S)
        time.sleep(CROSSING_S)  # a link that is made sooner after another one may be taken for its double
        faulty = Swarm({other.name: other}, net)
        make(faulty, "address", other.name, "10.77.0.99")
        assert moved_after_s(one, other, "10.77.0.99", NOTICED_S) <= BACK_S  # at once: the link's own address is gone
        with net[one.name].vpn("10.8.0.2", "default"):
            assert last_apart_s(one, other, 2 * BACK_S) <= BACK_S
        other.stop()  # as when a lid is closed
        until(lambda: health(one, id_of(other)) != "up", NOTICED_S)
        other.wake()
        assert linked_after_s(one, other, NOTICED_S) <= 2 * BACK_S
        other.kill()
        other.up()
        assert linked_after_s(one, other, NOTICED_S) <= 2 * BACK_S
        assert len(one.run("peers", "list")["peers"]) == 1
