"""Whose place a newcomer takes: of those who hold most, the oldest; never that of a known device for a stranger."""

from __future__ import annotations

from peers.handshakes import KEPT_PER_HOST, MAX_HANDSHAKES, Waiting, gives_way


def row(*hosts: str, known: frozenset[str] = frozenset()) -> list[Waiting]:
    return [Waiting(number, host, host in known) for number, host in enumerate(hosts)]


def strangers(number: int) -> list[str]:
    return [f"10.0.0.{1 + count}" for count in range(number)]


def test_while_there_is_room_nobody_gives_way() -> None:
    assert gives_way(row(*strangers(MAX_HANDSHAKES - 1)), Waiting(99, "10.0.1.1", False)) is None


def test_one_host_may_take_all_the_room_and_then_gives_way_to_everybody() -> None:
    waiting = row(*["10.0.0.1"] * MAX_HANDSHAKES)
    assert gives_way(waiting[:-1], Waiting(99, "10.0.0.1", False)) is None
    for host in ("10.0.0.1", "10.0.0.2"):
        assert gives_way(waiting, Waiting(99, host, False)) == waiting[0]


def test_what_a_known_device_has_beyond_its_share_is_like_a_strangers() -> None:
    hosts = ["192.168.1.5"] * KEPT_PER_HOST + strangers(MAX_HANDSHAKES - KEPT_PER_HOST)
    waiting = row(*hosts, known=frozenset(hosts[:1]))
    assert gives_way(waiting, Waiting(99, "10.0.2.1", False)) == waiting[KEPT_PER_HOST]
    crowded = row("192.168.1.5", *hosts[:-1], known=frozenset(hosts[:1]))
    assert gives_way(crowded, Waiting(99, "10.0.2.1", False)) == crowded[0]


def test_without_room_the_oldest_of_those_who_hold_most_gives_way() -> None:
    waiting = row(*strangers(MAX_HANDSHAKES - 3), "10.0.1.1", "10.0.1.1", "10.0.1.1")
    assert gives_way(waiting, Waiting(99, "10.0.2.1", False)) == waiting[-3]


def test_the_addresses_of_one_ipv6_network_count_as_one() -> None:
    waiting = row(*strangers(MAX_HANDSHAKES - 2), "2001:db8:0:1::1", "2001:db8:0:1:abcd::2")
    assert gives_way(waiting, Waiting(99, "10.0.2.1", False)) == waiting[-2]


def test_a_known_device_gives_way_to_no_stranger() -> None:
    hosts = ["192.168.1.5", *strangers(MAX_HANDSHAKES - 1)]
    waiting = row(*hosts, known=frozenset(hosts[:1]))
    assert gives_way(waiting, Waiting(99, "10.0.2.1", False)) == waiting[1]


def test_among_known_devices_alone_a_stranger_is_turned_away_and_a_known_one_is_not() -> None:
    hosts = strangers(MAX_HANDSHAKES)
    waiting = row(*hosts, known=frozenset(hosts))
    stranger, friend = Waiting(99, "10.0.2.1", False), Waiting(99, "10.0.2.2", True)
    assert gives_way(waiting, stranger) is stranger
    assert gives_way(waiting, friend) == waiting[0]


def test_an_address_with_the_name_of_an_interface_is_one_of_its_network() -> None:
    assert Waiting(1, "fe80::1%eth0", False).network == "fe80::/64"
