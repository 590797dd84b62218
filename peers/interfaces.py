"""The network interfaces of this device as a value: addresses, networks, and the router behind which each lies.

Reads what the system knows and sends nothing. Where a system does not say who the router is, it is empty.
"""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from peers.sightings import Network

VIRTUAL = ("docker", "br-", "veth", "virbr", "vmnet", "vboxnet")
"""Beginnings of the names of interfaces that lead to containers and virtual machines."""
TUNNELS = ("tun", "tap", "wg", "utun", "tailscale", "zt", "ppp", "ipsec", "nordlynx", "proton")
"""Beginnings of the names of interfaces that lead into a VPN."""
_COMMAND_TIMEOUT_S = 5.0
_GATEWAY_FLAG = 0x2
_COMPLETE_FLAG = 0x2
_NO_MAC = "00:00:00:00:00:00"


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface that is up and has addresses."""

    name: str
    addresses: tuple[str, ...]
    """IPv4 before IPv6; a link-local one with its interface behind `%`."""
    networks: tuple[Network, ...]
    """Those that the addresses are in, in the same order."""
    gateway: str = ""
    """Address of the router; empty where there is none."""
    router: str = ""
    """Hardware address of that router, or its link-local IPv6 address; empty while it is not known."""

    @property
    def is_tunnel(self) -> bool:
        return self.name.startswith(TUNNELS)

    @property
    def is_home_like(self) -> bool:
        """Whether this may lead into a home: no loopback, no tunnel, no container."""
        loopback = all(ipaddress.ip_address(one.partition("%")[0]).is_loopback for one in self.addresses)
        return not (loopback or self.name.startswith((*VIRTUAL, *TUNNELS)))


@dataclass(frozen=True, slots=True)
class Routers:
    """What the system knows of the way out."""

    gateways: Mapping[str, str]
    """Interface → address of its router."""
    macs: Mapping[str, str]
    """IPv4 address → hardware address, of neighbours that have answered."""


def snapshot() -> tuple[Interface, ...]:
    """Return the interfaces that are up. Blocks for a millisecond (Linux), or for two commands (elsewhere)."""
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    given = {
        name: [(one.family, one.address, one.netmask or "") for one in found]
        for name, found in psutil.net_if_addrs().items()
        if name in up
    }
    return tuple(read(given, _ROUTERS.get(sys.platform, _no_routers)()))


def is_gone(place: object) -> bool:
    """Return whether this device has no longer the IPv4 address of its end of a connection, as `getsockname` said it.

    Of IPv6 nothing is said: an address there can't be used for a moment before it is this device's again.
    """
    match place:
        case (str(host), *_):
            address = _ipv4(host)
        case _:
            address = ""
    if not address:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trying:
        try:
            trying.bind((address, 0))
        except OSError as error:
            return error.errno == errno.EADDRNOTAVAIL
    return False


def _ipv4(host: str) -> str:
    """Return an IPv4 address, also as a socket for both families says it; empty when it is none."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ""
    plain = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else address
    return str(plain or "")


def read(given: Mapping[str, Iterable[tuple[int, str, str]]], routers: Routers) -> Iterator[Interface]:
    """Yield interfaces from (family, address, mask) triples, in the order of their names."""
    for name in sorted(given):
        pairs = sorted(
            (pair for family, address, mask in given[name] if (pair := _placed(family, address, mask))),
            key=lambda pair: (pair[1].version, pair[1].is_link_local),
        )
        if not pairs:
            continue
        gateway = routers.gateways.get(name, "")
        router = gateway.partition("%")[0] if ":" in gateway else routers.macs.get(gateway, "")
        yield Interface(name, tuple(one for one, _ in pairs), tuple(one for _, one in pairs), gateway, router)


def _placed(family: int, address: str, mask: str) -> tuple[str, Network] | None:
    """Return an address and the network it is in."""
    if family not in (socket.AF_INET, socket.AF_INET6):
        return None
    bare = address.partition("%")[0]
    try:
        prefix = mask if "." in mask else bin(int(ipaddress.IPv6Address(mask))).count("1") if mask else ""
        return address, ipaddress.ip_network(f"{bare}/{prefix}" if prefix != "" else bare, strict=False)
    except ValueError:
        return None


def linux_routers(route: str, arp: str, route6: str) -> Routers:
    """Return what /proc/net/{route,arp,ipv6_route} say."""
    gateways: dict[str, str] = {}
    for fields in _rows(route6, 10):
        if fields[0] == "0" * 32 and fields[1] == "00" and fields[4] != "0" * 32 and int(fields[8], 16) & _GATEWAY_FLAG:
            gateways.setdefault(fields[9], str(ipaddress.IPv6Address(bytes.fromhex(fields[4]))))
    four: dict[str, str] = {}
    for fields in _rows(route, 8):
        if fields[1] == "00000000" and int(fields[3], 16) & _GATEWAY_FLAG:
            four.setdefault(fields[0], str(ipaddress.IPv4Address(bytes.fromhex(fields[2])[::-1])))
    macs = {
        fields[0]: fields[3].lower()
        for fields in _rows(arp, 6)
        if int(fields[2], 16) & _COMPLETE_FLAG and fields[3] != _NO_MAC
    }
    return Routers({**gateways, **four}, macs)


def mac_routers(routes: str, arp: str) -> Routers:
    """Return what macOS's `netstat -rn -f inet` and `arp -an` print."""
    found = re.findall(r"^default\s+(\d+\.\d+\.\d+\.\d+)\s+\S*G\S*\s+(\S+)", routes, re.MULTILINE)
    macs = re.findall(r"\((\d+\.\d+\.\d+\.\d+)\) at ([0-9a-f:]{11,17}) ", arp)
    full = {host: ":".join(f"{int(part, 16):02x}" for part in mac.split(":")) for host, mac in macs}
    return Routers({name: host for host, name in reversed(found)}, full)


def _rows(text: str, columns: int) -> Iterator[Sequence[str]]:
    """Yield the lines that have so many columns, without a header."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= columns and fields[0] not in ("Iface", "IP"):
            yield fields


def neighbours() -> Mapping[str, str]:
    """Return the hardware addresses of IPv4 neighbours that have answered lately, where the system tells."""
    return _ROUTERS.get(sys.platform, _no_routers)().macs


def _from_linux() -> Routers:
    folder = Path("/proc/net")
    return linux_routers(*(_text(folder / name) for name in ("route", "arp", "ipv6_route")))


def _from_mac() -> Routers:
    return mac_routers(_printed("netstat", "-rn", "-f", "inet"), _printed("arp", "-an"))


def _no_routers() -> Routers:
    return Routers({}, {})


_ROUTERS: Mapping[str, Callable[[], Routers]] = {"linux": _from_linux, "darwin": _from_mac}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _printed(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
