"""The addresses at which other devices of the home may find this one. Reads the interfaces, sends nothing."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence

import psutil

_VIRTUAL = ("docker", "br-", "veth", "virbr", "vmnet", "tun", "tap", "wg", "utun", "tailscale")
"""Beginnings of the names of interfaces that lead to containers and tunnels, not into the home."""


EVERYWHERE = ("0.0.0.0", "::")
"""Hosts that stand for all addresses of a device."""


def home_addresses() -> list[str]:
    """Return this device's addresses on interfaces that are up, those that work most often first."""
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    found = {name: [(one.family, one.address) for one in given] for name, given in psutil.net_if_addrs().items()}
    return choose({name: given for name, given in found.items() if name in up})


def texts_of(host: str, port: int) -> tuple[str, ...]:
    """Return the `host:port` at which others find what listens at a host and port of this device."""
    hosts = home_addresses() if host in EVERYWHERE else [host]
    return tuple(f"[{one}]:{port}" if ":" in one else f"{one}:{port}" for one in hosts)


def choose(interfaces: Mapping[str, Sequence[tuple[int, str]]]) -> list[str]:
    """Return the addresses that lead into a home: IPv4 before IPv6, no loopback, no tunnels, no link-local ones."""
    texts = [
        address
        for name, given in interfaces.items()
        if not name.startswith(_VIRTUAL)
        for family, address in given
        if family in (socket.AF_INET, socket.AF_INET6)
    ]
    parsed = [ipaddress.ip_address(text.partition("%")[0]) for text in texts]
    useful = [one for one in parsed if not (one.is_loopback or one.is_link_local or one.is_unspecified)]
    return [str(one) for one in sorted(useful, key=lambda one: one.version)]
