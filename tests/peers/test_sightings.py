"""What an announcement may do here: at most make this node dial a few addresses nearby."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from peers.codes import Address
from peers.nameplate import name_on
from peers.sightings import MAX_HOSTS, REPEAT_S, Announcement, Pace, is_double, matcher, places
from tests.peers.nodes import new_identity

NEAR = [
    ipaddress.ip_network("192.168.1.0/24"),
    ipaddress.ip_network("fe80::/64"),
    ipaddress.ip_network("2001:db8::/64"),
]


def announced(*hosts: str, port: int = 4489, boot: str = "b") -> Announcement:
    return Announcement("abcdefgh", hosts, port, boot)


@pytest.mark.parametrize(
    "host",
    ["192.168.1.20", "10.0.0.7", "fe80::1%2", "2001:db8::5", "fd00::9"],
)
def test_an_address_of_the_home_is_worth_a_try(host: str) -> None:
    assert places(announced(host), NEAR) == [Address(host, 4489)]


@pytest.mark.parametrize(
    "host",
    [
        "8.8.8.8",
        "2001:4860::8888",
        "127.0.0.1",
        "::1",
        "224.0.0.251",
        "ff02::fb",
        "0.0.0.0",
        "::",
        "169.254.1.1",
        "x",
        "",
    ],
)
def test_nobody_on_the_network_can_make_this_node_dial_elsewhere(host: str) -> None:
    assert places(announced(host), NEAR) == []


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_is_none_is_left_out(port: int) -> None:
    assert places(announced("192.168.1.20", port=port), NEAR) == []


def test_a_thousand_addresses_are_a_handful() -> None:
    hosts = [f"192.168.1.{last}" for last in range(1, 255)] * 4
    assert len(places(announced(*hosts), NEAR)) == MAX_HOSTS


def test_only_paired_devices_and_this_one_are_known_by_name(tmp_path: Path) -> None:
    own, paired, stranger = (new_identity(tmp_path / name).node_id for name in "abc")
    known = matcher(own, [paired], 5)
    assert known.whose(name_on(paired, 5)) == known.whose(name_on(paired, 4).upper()) == paired
    assert known.whose(name_on(own, 5)) == own
    assert known.whose(name_on(stranger, 5)) is None
    assert known.whose(name_on(paired, 9)) is None, "a record of last week is stale"


def test_one_device_is_looked_at_once_a_second(tmp_path: Path) -> None:
    one, other = (new_identity(tmp_path / name).node_id for name in "ab")
    pace = Pace()
    assert [pace.is_due(one, now) for now in (0.0, 0.1, 0.9)] == [True, False, False]
    assert pace.is_due(other, 0.5)
    assert pace.is_due(one, REPEAT_S)


@pytest.mark.parametrize(
    ("found", "double"),
    [
        (announced("192.168.1.66", boot="other"), True),
        (announced("192.168.1.66", boot="mine"), False),
        (announced("192.168.1.20", boot="other"), False),
        (announced("fe80::5%7", boot="other"), False),
        (announced(boot="other"), False),
    ],
)
def test_a_copy_of_this_node_is_told_from_its_own_old_announcements(found: Announcement, double: bool) -> None:
    assert is_double(found, "mine", ["192.168.1.20", "fe80::5%lan0"]) is double
