"""The interfaces of a device, read from what Linux and macOS say; and which networks are home."""

from __future__ import annotations

import ipaddress
import json
import socket
from pathlib import Path

import pytest

from peers.errors import PeerBookError
from peers.ground import NOWHERE, ground, loopback
from peers.interfaces import Interface, Routers, is_gone, linux_routers, mac_routers, read, snapshot
from peers.networks import FILE, MAX_NETWORKS, Networks, network_id, shown, sort

ROUTE = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
wlan0\t0001A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0
"""
ARP = """IP address       HW type     Flags       HW address            Mask     Device
192.168.1.1      0x1         0x2         AA:BB:cc:00:11:22     *        wlan0
192.168.1.9      0x1         0x0         00:00:00:00:00:00     *        wlan0
"""
ROUTE6 = (
    f"{'0' * 32} 00 {'0' * 32} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth1\n"
    f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 00000001 00000000 00200200       lo\n"
)
FOUR, SIX = socket.AF_INET, socket.AF_INET6


def test_linux_tells_the_router_of_each_interface() -> None:
    routers = linux_routers(ROUTE, ARP, ROUTE6)
    assert routers.gateways == {"wlan0": "192.168.1.1", "eth1": "fe80::1"}
    assert routers.macs == {"192.168.1.1": "aa:bb:cc:00:11:22"}


def test_macos_tells_the_router_of_each_interface() -> None:
    routes = "Internet:\nDestination  Gateway      Flags  Netif Expire\ndefault      192.168.1.1  UGScg  en0\n"
    routers = mac_routers(routes, "router.lan (192.168.1.1) at a:bb:c:0:11:22 on en0 ifscope [ethernet]\n")
    assert routers == Routers({"en0": "192.168.1.1"}, {"192.168.1.1": "0a:bb:0c:00:11:22"})


@pytest.mark.parametrize("nonsense", ["", "x", "a b c d e f g h i j k", ROUTE[:100]])
def test_a_table_that_is_cut_or_foreign_tells_no_router(nonsense: str) -> None:
    assert linux_routers(nonsense, nonsense, nonsense) == Routers({}, {})
    assert mac_routers(nonsense, nonsense) == Routers({}, {})


def interface(name: str, *addresses: tuple[str, str], gateway: str = "", mac: str = "") -> Interface:
    given = [(SIX if ":" in address else FOUR, address, mask) for address, mask in addresses]
    macs = {gateway: mac} if mac else {}
    (found,) = read({name: given}, Routers({name: gateway} if gateway else {}, macs))
    return found


WLAN = interface(
    "wlan0",
    ("fe80::7%wlan0", "ffff:ffff:ffff:ffff::"),
    ("192.168.1.20", "255.255.255.0"),
    gateway="192.168.1.1",
    mac="aa:bb:cc:00:11:22",
)


def test_addresses_stand_with_their_networks_ipv4_first() -> None:
    assert WLAN.addresses == ("192.168.1.20", "fe80::7%wlan0")
    assert [str(network) for network in WLAN.networks] == ["192.168.1.0/24", "fe80::/64"]


def test_an_interface_without_addresses_is_none() -> None:
    assert list(read({"eth0": [(17, "aa:bb:cc:dd:ee:ff", "")]}, Routers({}, {}))) == []


@pytest.mark.parametrize("name", ["docker0", "br-12", "veth9", "tun0", "wg0", "tailscale0", "utun3"])
def test_containers_and_tunnels_are_no_home(name: str) -> None:
    assert not interface(name, ("10.8.0.2", "255.255.255.0")).is_home_like


def test_loopback_is_no_home() -> None:
    assert not interface("lo", ("127.0.0.1", "255.0.0.0"), ("::1", "")).is_home_like


def test_the_same_addresses_behind_another_router_are_another_network() -> None:
    cafe = interface("wlan0", ("192.168.1.20", "255.255.255.0"), gateway="192.168.1.1", mac="66:66:66:66:66:66")
    assert network_id(WLAN) == "192.168.1.0/24 aa:bb:cc:00:11:22" != network_id(cafe)
    said = sort([WLAN, cafe], {network_id(WLAN): "home"})
    assert (said.home, said.unknown) == ((WLAN,), (cafe,))


def test_a_router_that_is_not_known_yet_is_not_home() -> None:
    early = interface("wlan0", ("192.168.1.20", "255.255.255.0"), gateway="192.168.1.1")
    assert network_id(early) == ""
    assert sort([early], {"192.168.1.0/24": "home", "": "home"}).home == ()


def test_a_network_with_ipv6_alone_has_an_id() -> None:
    six = interface("lan0", ("fe80::7%lan0", "ffff:ffff:ffff:ffff::"), gateway="fe80::1%lan0")
    assert network_id(six) == "fe80::/64 fe80::1"


def test_what_the_owner_said_is_kept_and_can_be_changed(tmp_path: Path) -> None:
    networks = Networks(tmp_path)
    assert sort([WLAN], networks.said()).unknown == (WLAN,)
    networks.say([WLAN], "home")
    assert sort([WLAN], Networks(tmp_path).said()).home == (WLAN,)
    networks.say([WLAN], "away")
    assert sort([WLAN], networks.said()).away == (WLAN,)
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


def test_the_list_of_networks_does_not_grow_without_end(tmp_path: Path) -> None:
    many = {f"10.0.0.0/24 {number}": "home" for number in range(MAX_NETWORKS)}
    (tmp_path / FILE).write_text(json.dumps(many))
    Networks(tmp_path).say([WLAN], "home")
    said = Networks(tmp_path).said()
    assert len(said) == MAX_NETWORKS
    assert network_id(WLAN) in said


@pytest.mark.parametrize("damage", ["", "[", '{"a": "perhaps"}', '{"a": 5}'])
def test_a_damaged_list_says_what_to_do(damage: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(damage)
    with pytest.raises(PeerBookError, match="covey peers home"):
        Networks(tmp_path).said()


def test_words_for_a_network() -> None:
    assert shown(WLAN) == "192.168.1.0/24 on wlan0"


def test_multicast_goes_out_once_for_each_family_and_all_addresses_are_announced() -> None:
    both = ground([WLAN, interface("eth0", ("10.0.0.5", "255.0.0.0"), ("10.0.0.6", "255.0.0.0"))])
    assert both.addresses == ("192.168.1.20", "fe80::7%wlan0", "10.0.0.5")
    assert both.hosts == ("192.168.1.20", "fe80::7%wlan0", "10.0.0.5", "10.0.0.6")
    assert ground([]) == NOWHERE


def test_this_machine_has_a_loopback_and_only_that_is_opened() -> None:
    here = loopback(snapshot())
    assert here.addresses == here.hosts == ("127.0.0.1",)
    assert any(network == ipaddress.ip_network("127.0.0.0/8") for network in here.interfaces[0].networks)


@pytest.mark.parametrize(
    ("place", "gone"),
    [
        (("127.0.0.1", 4489), False),
        (("192.0.2.1", 4489), True),
        (("::ffff:127.0.0.1", 4489, 0, 0), False),
        (("::ffff:192.0.2.1", 4489, 0, 0), True),
        (("fe80::1%lan0", 4489, 0, 3), False),
        (("lan0", 4489), False),
        (("fe80::1", 4489, 0, 3), False),
        (("2001:db8::1", 4489, 0, 0), False),
        (None, False),
        ("", False),
    ],
)
def test_an_ipv4_address_that_this_machine_does_not_have_is_gone(place: object, gone: bool) -> None:
    assert is_gone(place) is gone
