"""Hosts in network namespaces of their own, on one bridge: a home network on this machine, for swarms and tests.

The bridge is in a namespace too, so nothing touches this machine's own interfaces. Needs Linux and root;
`missing()` says what is not there.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "covey"
INTERFACE = "lan0"
"""What each host calls its end of the cable."""
BRIDGE = "bridge0"
TUNNEL = "tun0"
COMMAND_S = 20.0
_NUMBERS = itertools.count(1)
"""Of the networks of this process, each with a name of its own; threads may make them too."""
_TUNNEL = f"""
import fcntl, struct, time
tunnel = open("/dev/net/tun", "r+b", buffering=0)
fcntl.ioctl(tunnel, 0x400454CA, struct.pack("16sH", b"{TUNNEL}", 0x1001))  # TUNSETIFF; IFF_TUN without packet headers
print("up", flush=True)
while tunnel.read(2048):
    pass
"""


class LanError(Exception):
    """A command that builds the network failed; the message says which."""


@functools.cache
def missing() -> str:
    """Return why there can be no such network here; empty when there can."""
    if os.name != "posix" or not shutil.which("ip"):
        return "needs Linux and the command `ip`"
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    name = f"{PREFIX}-{os.getpid()}-try"
    try:
        _ip("netns", "add", name)
    except LanError as error:
        return f"network namespaces are not allowed here ({error})"
    try:
        _ip("-n", name, "link", "add", BRIDGE, "type", "bridge")
        _ip("-n", name, "link", "add", INTERFACE, "type", "veth", "peer", "name", "other0")
    except LanError as error:
        return f"the kernel has no bridge or no veth ({error})"
    finally:
        _ip("netns", "del", name)
    return ""


@dataclass(frozen=True, slots=True)
class Host:
    """One host: a network namespace with one cable to the bridge."""

    name: str
    namespace: str
    address: str
    """IPv4 address in the network; empty on a host with IPv6 alone."""

    def command(self, *words: str) -> list[str]:
        """Return the command line that runs a command on this host."""
        return ["ip", "netns", "exec", self.namespace, *words]

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command on this host to its end."""
        line = self.command(*words)
        return subprocess.run(line, env=env, capture_output=True, text=True, timeout=60, check=False)

    def ip(self, *words: str) -> str:
        """Change or read this host's network. Raises LanError."""
        return _ip("-n", self.namespace, *words)

    def pull_cable(self) -> None:
        """Take the link down at this host's end: the others see nothing but silence."""
        self.ip("link", "set", INTERFACE, "down")

    def plug_in(self) -> None:
        self.ip("link", "set", INTERFACE, "up")

    def without_ipv6(self) -> None:
        _write(self.namespace, f"net/ipv6/conf/{INTERFACE}/disable_ipv6", "1")

    @contextmanager
    def vpn(self, address: str, *routes: str) -> Iterator[None]:
        """A VPN's interface as long as the block lasts; what goes to these networks goes into it, and nowhere."""
        holding = subprocess.Popen(self.command(sys.executable, "-c", _TUNNEL), stdout=subprocess.PIPE, text=True)
        try:
            assert holding.stdout is not None
            holding.stdout.readline()
            self.ip("addr", "add", f"{address}/24", "dev", TUNNEL)
            self.ip("link", "set", TUNNEL, "up")
            for route in routes:
                self.ip("route", "add", route, "dev", TUNNEL)
            yield
        finally:
            holding.kill()
            holding.communicate()

    def readdress(self, address: str) -> Host:
        """Take another address, as from DHCP, and return the host as it is then."""
        self.ip("addr", "flush", "dev", INTERFACE, "scope", "global")
        self.ip("addr", "add", f"{address}/24", "dev", INTERFACE)
        return Host(self.name, self.namespace, address)


@dataclass(slots=True)
class Lan:
    """A home network: hosts by name."""

    bridge: str
    """Namespace of the bridge."""
    hosts: dict[str, Host] = field(default_factory=dict)
    _namespaces: list[str] = field(default_factory=list)

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def add(self, name: str, address: str = "", *, bridged: bool = True) -> Host:
        """Put a host on the network. Without an address it has IPv6 alone; unbridged, its cable ends in nothing."""
        self.hosts[name] = host = Host(name, f"{self.bridge}-{name}", address)
        namespace, port = host.namespace, self.port(name)
        self._make(namespace)
        _ip("link", "add", INTERFACE, "netns", namespace, "type", "veth", "peer", "name", port, "netns", self.bridge)
        if bridged:
            _ip("-n", self.bridge, "link", "set", port, "master", BRIDGE)
        _ip("-n", self.bridge, "link", "set", port, "up")
        host.ip("link", "set", "lo", "up")
        _write(namespace, f"net/ipv6/conf/{INTERFACE}/accept_dad", "0")  # no wait of a second for an address
        if address:
            host.ip("addr", "add", f"{address}/24", "dev", INTERFACE)
        host.ip("link", "set", INTERFACE, "up")
        return host

    def cut_off(self, name: str) -> None:
        """Take a host off the bridge, as a switch without power does: nothing tells either side."""
        _ip("-n", self.bridge, "link", "set", self.port(name), "nomaster")

    def join_again(self, name: str) -> None:
        _ip("-n", self.bridge, "link", "set", self.port(name), "master", BRIDGE)

    def port(self, name: str) -> str:
        """Return the bridge's end of a host's cable."""
        return f"p{list(self.hosts).index(name)}"

    def _make(self, namespace: str) -> None:
        _ip("netns", "add", namespace)
        self._namespaces.append(namespace)

    def close(self) -> None:
        """Remove all of it, with whatever still runs there cut off."""
        for namespace in reversed(self._namespaces):
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, timeout=COMMAND_S, check=False)


@contextmanager
def lan(hosts: Sequence[str] = (), *, subnet: str = "10.77.0", ipv6_only: bool = False) -> Iterator[Lan]:
    """A network as long as the block lasts. The hosts get the addresses .1, .2 and so on. Raises LanError."""
    _sweep()
    made = Lan(f"{PREFIX}-{os.getpid()}-{next(_NUMBERS)}")
    try:
        made._make(made.bridge)
        _ip("-n", made.bridge, "link", "add", BRIDGE, "type", "bridge", "mcast_snooping", "0")
        _ip("-n", made.bridge, "link", "set", BRIDGE, "up")
        for number, name in enumerate(hosts, start=1):
            made.add(name, "" if ipv6_only else f"{subnet}.{number}")
        yield made
    finally:
        made.close()


def _sweep() -> None:
    """Remove networks that a process left behind which was killed."""
    listed = _ip("netns", "list")
    for namespace, pid in re.findall(rf"^({PREFIX}-(\d+)-\S+)", listed, re.MULTILINE):
        if not Path("/proc", pid).exists():
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, timeout=COMMAND_S, check=False)


def _write(namespace: str, setting: str, value: str) -> None:
    """Set a kernel setting of a namespace, where there is one."""
    line = ["ip", "netns", "exec", namespace, "sh", "-c", f"echo {value} > /proc/sys/{setting}"]
    subprocess.run(line, capture_output=True, timeout=COMMAND_S, check=False)


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=COMMAND_S, check=False)
    if done.returncode != 0:
        raise LanError(f"ip {' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout
