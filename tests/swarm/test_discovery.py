"""Discovery as it is: real multicast DNS between hosts in network namespaces, whose network changes under them."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import pytest

from scripts.swarms.finders import finder, nodes
from scripts.swarms.lan import Lan
from scripts.swarms.nodes import ROOT
from tests.swarm.lans import home_network

BAR_S = 2.0
"""From the moment that both are up."""
NOTICED_S = 0.5
FOUND_S = 10.0
BACK_S = 20.0
"""Longest waits on a busy machine; `scripts/bench discovery` has the figures."""
pytestmark = pytest.mark.timeout(120)


def test_paired_devices_find_each_other_at_their_addresses_within_two_seconds(tmp_path: Path) -> None:
    made = nodes(tmp_path, ["a", "b"])
    with home_network("a", "b") as net, finder(net["a"], tmp_path / "a") as a:
        time.sleep(1.0)
        with finder(net["b"], tmp_path / "b") as b:
            a.wait(FOUND_S, "sighted", node=made["b"].identity.node_id, at="10.77.0.2:4489")
            b.wait(FOUND_S, "sighted", node=made["a"].identity.node_id, at="10.77.0.1:4489")
            assert max(a.heard_at_s, b.heard_at_s) - b.up_s <= BAR_S


def test_on_a_network_that_is_not_home_not_a_packet_is_sent(tmp_path: Path) -> None:
    made = nodes(tmp_path, ["a", "b"])
    with home_network("a", "b") as net, finder(net["a"], tmp_path / "a", "away"):
        before = _sent_multicast(net)
        with finder(net["b"], tmp_path / "b") as b:
            time.sleep(4.0)
            assert made["a"].identity.node_id not in {said.get("node") for said in b.drain()}
        assert _sent_multicast(net) == before


def test_a_change_of_the_network_is_noticed_within_half_a_second(tmp_path: Path) -> None:
    """The system says so; looking from time to time alone takes two."""
    nodes(tmp_path, ["a"])
    noticed = []
    with home_network("a") as net, finder(net["a"], tmp_path / "a") as a:
        for change in (lambda: net["a"].readdress("10.77.0.99"), net["a"].pull_cable, net["a"].plug_in):
            time.sleep(2.5)  # until it is on the air, where it was
            a.drain()
            now = time.monotonic()
            change()
            a.wait(BACK_S, "changed")
            noticed.append(a.heard_at_s - now)
    assert median(noticed) <= NOTICED_S


def _sent_multicast(net: Lan) -> int:
    """Return how many UDP datagrams host a has sent."""
    rows = net["a"].run("cat", "/proc/net/snmp").stdout.splitlines()
    names, figures = (row.split() for row in rows if row.startswith("Udp:"))
    return int(figures[names.index("OutDatagrams")])


def test_another_address_a_pulled_cable_and_a_late_network_are_followed(tmp_path: Path) -> None:
    made = nodes(tmp_path, ["a", "b"])
    b_id, a_id = made["b"].identity.node_id, made["a"].identity.node_id
    with home_network("a", "b") as net, finder(net["a"], tmp_path / "a") as a, finder(net["b"], tmp_path / "b") as b:
        a.wait(BACK_S, "sighted", node=b_id)
        b.wait(BACK_S, "sighted", node=a_id)
        net["b"].readdress("10.77.0.99")
        a.wait(BACK_S, "sighted", node=b_id, at="10.77.0.99:4489")
        net["b"].pull_cable()
        time.sleep(4.0)
        a.drain(), b.drain()
        net["b"].plug_in()
        a.wait(BACK_S, "sighted", node=b_id)
        b.wait(BACK_S, "sighted", node=a_id)
        net["b"].pull_cable()  # shorter than a look at the interfaces: nobody noticed, and nobody is lost
        net["b"].plug_in()


def test_a_home_with_ipv6_alone_is_a_home(tmp_path: Path) -> None:
    made = nodes(tmp_path, ["a", "b"])
    with home_network() as net:
        hosts = {name: net.add(name) for name in "ab"}
        with finder(hosts["a"], tmp_path / "a") as a, finder(hosts["b"], tmp_path / "b") as b:
            a.wait(BACK_S, "sighted", node=made["b"].identity.node_id)
            b.wait(BACK_S, "sighted", node=made["a"].identity.node_id)


def test_a_vpn_that_comes_up_takes_nothing_away(tmp_path: Path) -> None:
    made = nodes(tmp_path, ["a", "b"])
    with home_network("a", "b") as net, finder(net["a"], tmp_path / "a") as a:
        with net["a"].vpn("10.8.0.2", "default"), finder(net["b"], tmp_path / "b") as b:
            a.wait(BACK_S, "sighted", node=made["b"].identity.node_id)
            b.wait(BACK_S, "sighted", node=made["a"].identity.node_id, at="10.77.0.1:4489")
            assert not any("10.8.0.2" in said.get("at", "") for said in b.drain()), "the tunnel is nobody's business"


def test_no_network_at_all_is_waited_out(tmp_path: Path) -> None:
    made = nodes(tmp_path, ["a", "b"])
    with home_network("a", "b") as net, finder(net["b"], tmp_path / "b"):
        net["a"].pull_cable()
        with finder(net["a"], tmp_path / "a", "away") as a:  # what is home was said before, as by the owner
            time.sleep(1.0)
            net["a"].plug_in()
            say = "import sys; from peers import interfaces, networks; from pathlib import Path; "
            say += "networks.Networks(Path(sys.argv[1])).say(interfaces.snapshot(), 'home')"
            done = net["a"].command(sys.executable, "-c", say, str(made["a"].folder))
            subprocess.run(done, cwd=ROOT, check=True, timeout=30)
            a.wait(BACK_S, "sighted", node=made["b"].identity.node_id)


def test_a_flood_of_announcements_hides_nobody_and_takes_no_memory(tmp_path: Path) -> None:
    """A hostile host announces as fast as it can for three seconds: the paired device is found all the same."""
    made = nodes(tmp_path, ["a", "b"])
    with home_network("a", "b", "hostile") as net, finder(net["a"], tmp_path / "a") as a:
        time.sleep(1.0)
        before = _memory_kb(a.process.pid)
        flood = net["hostile"].command(sys.executable, "-m", "scripts.swarms.flood", "10.77.0.3", "3")
        with subprocess.Popen(flood, cwd=ROOT, stdout=subprocess.PIPE, text=True) as flooding:
            time.sleep(1.0)
            with finder(net["b"], tmp_path / "b") as b:  # one of the two sees the other, and dials it
                b.wait(FOUND_S + BACK_S, "sighted", node=made["a"].identity.node_id, at="10.77.0.1:4489")
            assert flooding.stdout is not None
            assert int(flooding.stdout.read()) > 1000
        assert a.process.poll() is None
        assert _memory_kb(a.process.pid) - before < 40_000


def _memory_kb(pid: int) -> int:
    """Return the memory of the program; `ip netns exec` becomes it."""
    rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(row for row in rows if row.startswith("VmRSS")).split()[1])
