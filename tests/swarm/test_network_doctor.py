"""`covey doctor` for the network, against networks that really are broken: it names the cause, and no other."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import pytest

from scripts.swarms.faults import Swarm, make
from scripts.swarms.lan import INTERFACE, Lan, missing
from scripts.swarms.nodes import SwarmNode, pair, swarm

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]


@dataclass
class Household:
    """A laptop and a kitchen that are paired, on one network."""

    swarm: Swarm
    net: Lan
    laptop: SwarmNode
    kitchen: SwarmNode

    def findings(self, *awake: str) -> dict[str, dict[str, str]]:
        """Return what the laptop's doctor says, by device."""
        assert self.laptop.host is not None
        line = self.laptop.host.command(sys.executable, "-m", "tests.swarm.examiner", "auto", *awake)
        done = subprocess.run(
            line, env=self.laptop.environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return {one["name"]: one for one in json.loads(done.stdout)}

    def cause(self, *awake: str) -> str:
        found = self.findings(*awake)
        return found["kitchen"]["cause"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    if why := missing():
        pytest.skip(f"network namespaces: {why}")
    with swarm(["laptop", "kitchen", "router"], tmp_path_factory.mktemp("home"), on_lan=True) as (nodes, net):
        assert net is not None
        nodes["router"].down()
        for host in net.hosts.values():  # what IPv4 is kept from, IPv6 would still reach
            host.run("sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{INTERFACE}/disable_ipv6")
        pair(nodes["kitchen"], nodes["laptop"])
        with closing(Swarm(nodes, net)) as made:
            yield Household(made, net, nodes["laptop"], nodes["kitchen"])


@contextmanager
def fault(home: Household, name: str, *nodes: str) -> Iterator[None]:
    """A fault of these nodes as long as the block lasts."""
    for node in nodes:
        make(home.swarm, name, node)
    try:
        yield
    finally:
        for node in nodes:
            make(home.swarm, name, node, "off")


def test_all_well_is_said_for_both_ends(home: Household) -> None:
    found = home.findings()
    assert found["network"]["status"] == found["kitchen"]["status"] == "ok"
    assert "10.77.0.2:4489" in found["kitchen"]["sentence"]
    assert "reaches this one" in found["kitchen"]["sentence"]


def test_a_firewall_over_there_is_named(home: Household) -> None:
    with fault(home, "firewall", "kitchen"):
        found = home.findings()["kitchen"]
    assert found["cause"] == "firewall_there"
    assert "ufw allow 4489/tcp" in found["cure"]


def test_a_firewall_here_is_named(home: Household) -> None:
    with fault(home, "firewall", "laptop"):
        assert home.cause() == "firewall_here"


def test_an_access_point_that_keeps_its_devices_apart_is_named(home: Household) -> None:
    """The router is reached by both; they can't reach each other: two ports of the bridge that do not speak."""
    with fault(home, "isolate", "laptop", "kitchen"):
        subprocess.run(["ip", "-n", home.net["laptop"].namespace, "neigh", "flush", "all"], check=True)
        found = home.findings("kitchen")["kitchen"]
    assert found["cause"] == "isolation"
    assert "client isolation" in found["cure"]


def test_multicast_that_is_filtered_is_named(home: Household) -> None:
    with fault(home, "deaf", "laptop", "kitchen"):
        found = home.findings()["kitchen"]
    assert found["cause"] == "multicast"
    assert "from kitchen" in found["sentence"]


def test_a_vpn_that_swallows_the_home_network_is_named(home: Household) -> None:
    with home.net["laptop"].vpn("10.8.0.2", "10.77.0.0/25"):
        found = home.findings()["kitchen"]
    assert (found["cause"], "tun0" in found["sentence"]) == ("vpn", True)


def test_a_copied_disk_is_named_on_the_original(home: Household) -> None:
    """The copy runs with the laptop's key on a machine that Covey can't tell apart: a cloned virtual machine."""
    with fault(home, "clone", "laptop"):
        found = home.findings()["network"]
    assert found["cause"] == "cloned"
    assert "10.77.0.200" in found["sentence"]


def test_a_flood_of_made_up_devices_is_nobodys_trouble(home: Household) -> None:
    make(home.swarm, "flood", "router", "20")
    flooding = home.swarm.extras[-1]
    found = home.findings()
    assert flooding.poll() is None, "it was over before the doctor was"
    assert found["network"]["status"] == found["kitchen"]["status"] == "ok"
    flooding.kill()


def test_a_network_that_is_not_home_is_named(home: Household) -> None:
    home.laptop.run("peers", "home", "--no")
    found = home.findings()
    home.laptop.run("peers", "home", "--yes")
    assert found["network"]["cause"] == "not_home"
    assert found["kitchen"]["cause"] == "ok", "the address is known all the same"


def test_a_device_that_took_the_address_is_not_taken_for_the_other(home: Household) -> None:
    with fault(home, "impostor", "kitchen"):
        assert home.cause() == "other_device"


def test_a_device_that_is_off_and_one_whose_node_is_down_are_told_apart(home: Household) -> None:
    home.kitchen.down()
    assert home.cause() == "not_running"
    home.net["kitchen"].pull_cable()  # the laptop still remembers whose address it was
    assert home.cause() == "off_or_isolated"


def test_no_network_is_said_once_and_nobody_else_is_blamed(home: Household) -> None:
    home.net["laptop"].pull_cable()
    found = home.findings()
    home.net["laptop"].plug_in()
    assert {name: one["cause"] for name, one in found.items()} == {"network": "no_network"}
