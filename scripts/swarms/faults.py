"""What can go wrong with a node or its network, by name: for demonstrations, and for tests that provoke it for real."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.swarms.lan import INTERFACE, Lan
from scripts.swarms.nodes import ROOT, NodeError, SwarmNode

PEER_PORT = "4489"
FILLER = "filler"


class FaultError(Exception):
    """A fault can't be made; the message says why, and what there is instead."""


@dataclass
class Swarm:
    """The nodes of one swarm, and what was done to it."""

    nodes: dict[str, SwarmNode]
    lan: Lan | None = None
    extras: list[subprocess.Popen[str]] = field(default_factory=list)
    """Hostile programs that still run."""
    copies: list[SwarmNode] = field(default_factory=list)

    def close(self) -> None:
        """End what faults have started."""
        for copy in self.copies:
            copy.kill()
        for extra in self.extras:
            extra.kill()
            extra.communicate()

    def node(self, name: str) -> SwarmNode:
        """Raises FaultError."""
        if name not in self.nodes:
            raise FaultError(f"There is no node {name!r}. There are {', '.join(self.nodes)}.")
        return self.nodes[name]

    @property
    def net(self) -> Lan:
        if self.lan is None:
            raise FaultError("This fault needs a network: scripts/swarm --in lan")
        return self.lan


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can go wrong."""

    name: str
    about: str
    act: Callable[[Swarm, SwarmNode, Sequence[str]], None]


def firewall(swarm: Swarm, node: SwarmNode, arguments: Sequence[str]) -> None:
    """Drop what comes to the peers' port; `off` ends that."""
    host = swarm.net[node.name]
    if _is_off(arguments):
        host.ip("rule", "add", "pref", "0", "lookup", "local")
        host.ip("rule", "del", "pref", "1")
        host.ip("rule", "del", "pref", "10")
        return
    host.ip("rule", "add", "pref", "10", "lookup", "local")
    host.ip("rule", "add", "pref", "1", "iif", INTERFACE, "ipproto", "tcp", "dport", PEER_PORT, "blackhole")
    host.ip("rule", "del", "pref", "0")


def slow(swarm: Swarm, node: SwarmNode, arguments: Sequence[str]) -> None:
    """Let so many kilobits a second out of a node; `off` ends that."""
    host = swarm.net[node.name]
    if _is_off(arguments):
        _run(*host.command("tc", "qdisc", "del", "dev", INTERFACE, "root"))
        return
    rate = f"{int(arguments[0]) if arguments else 500}kbit"
    line = ("tc", "qdisc", "replace", "dev", INTERFACE, "root", "tbf", "rate", rate, "burst", "16kb", "latency", "2s")
    _run(*host.command(*line))


def isolate(swarm: Swarm, node: SwarmNode, arguments: Sequence[str]) -> None:
    """Keep a node apart from others that are isolated too, as an access point does; `off` ends that."""
    _bridge(swarm, node, "isolated", "off" if _is_off(arguments) else "on")


def deaf(swarm: Swarm, node: SwarmNode, arguments: Sequence[str]) -> None:
    """Filter multicast on its way to a node; `off` ends that."""
    _bridge(swarm, node, "mcast_flood", "on" if _is_off(arguments) else "off")


def address(swarm: Swarm, node: SwarmNode, arguments: Sequence[str]) -> None:
    """Give a node another address, as DHCP may."""
    if not arguments:
        raise FaultError("Say which address, like 10.77.0.99.")
    node.host = swarm.net.hosts[node.name] = swarm.net[node.name].readdress(arguments[0])


def impostor(swarm: Swarm, node: SwarmNode, arguments: Sequence[str]) -> None:
    """Pull a node's cable, and let a stranger take its address and its port; `off` ends that."""
    host = swarm.net[node.name]
    if _is_off(arguments):
        _leave(swarm, f"impostor-{node.name}-")
        host.plug_in()
        return
    host.pull_cable()
    _twin(swarm, node, f"impostor-{node.name}-{len(swarm.copies)}", host.address, copied=False)


def clone(swarm: Swarm, node: SwarmNode, arguments: Sequence[str]) -> None:
    """Start a copy of a node's disk on another host of the network; `off` ends it."""
    if _is_off(arguments):
        _leave(swarm, f"clone-{node.name}-")
        return
    number = len(swarm.copies)
    _twin(swarm, node, f"clone-{node.name}-{number}", f"10.77.0.{200 + number}", copied=True)


def flood(swarm: Swarm, node: SwarmNode, arguments: Sequence[str]) -> None:
    """Let a node's host announce made-up devices for so many seconds."""
    seconds = arguments[0] if arguments else "5"
    host = swarm.net[node.name]
    line = host.command(sys.executable, "-m", "scripts.swarms.flood", host.address, seconds)
    swarm.extras.append(subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True))


def corrupt(swarm: Swarm, node: SwarmNode, arguments: Sequence[str]) -> None:
    """Change one byte in the middle of a node's largest model file (a copy: the one that it is linked to stays)."""
    blobs = sorted((node.home / "models" / "blobs").glob("*"), key=lambda file: file.stat().st_size)
    if not blobs:
        raise FaultError(f"{node.name} has no model.")
    file = blobs[-1]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(data)
    part.replace(file)


def full_disk(swarm: Swarm, node: SwarmNode, arguments: Sequence[str]) -> None:
    """Fill the disk of a node's home, which is one of its own; `off` makes room again."""
    filler = node.home / FILLER
    if _is_off(arguments):
        filler.unlink(missing_ok=True)
        return
    if not node.home.is_mount():
        raise FaultError("Its home is on this machine's disk, which is not filled: scripts/swarm --disk-mb 64")
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):  # until it is full
        while True:
            file.write(b"\0" * 2**16)


FAULTS: Mapping[str, Fault] = {
    one.name: one
    for one in (
        Fault("kill", "a power cut: the node and its models end at once", lambda swarm, node, rest: node.kill()),
        Fault("down", "the node ends as by Ctrl-C", lambda swarm, node, rest: node.down()),
        Fault("up", "the node starts", lambda swarm, node, rest: node.up()),
        Fault("stop", "the node hangs", lambda swarm, node, rest: node.stop()),
        Fault("wake", "the node goes on", lambda swarm, node, rest: node.wake()),
        Fault("cable-out", "the link goes down", lambda swarm, node, rest: swarm.net[node.name].pull_cable()),
        Fault("cable-in", "the link is up again", lambda swarm, node, rest: swarm.net[node.name].plug_in()),
        Fault("address", "another address: address NODE 10.77.0.99", address),
        Fault("slow", "so many kilobits a second: slow NODE 500 | off", slow),
        Fault("firewall", "the peers' port is dropped: firewall NODE [off]", firewall),
        Fault("isolate", "kept apart from other isolated ones: isolate NODE [off]", isolate),
        Fault("deaf", "no multicast comes in: deaf NODE [off]", deaf),
        Fault("impostor", "a stranger takes its address: impostor NODE [off]", impostor),
        Fault("clone", "a copy of its disk runs elsewhere: clone NODE [off]", clone),
        Fault("flood", "its host announces made-up devices: flood NODE 5", flood),
        Fault("corrupt", "one byte of its largest model file is another", corrupt),
        Fault("full-disk", "no room in its home: full-disk NODE [off]", full_disk),
    )
}


def make(swarm: Swarm, name: str, node: str, *arguments: str) -> None:
    """Make a fault. Raises FaultError."""
    if name not in FAULTS:
        raise FaultError(f"There is no fault {name!r}. There are {', '.join(FAULTS)}.")
    victim = swarm.node(node)
    try:
        FAULTS[name].act(swarm, victim, arguments)
    except (NodeError, OSError, subprocess.CalledProcessError, ValueError) as error:
        raise FaultError(f"{name} {node}: {error}") from error


def _is_off(arguments: Sequence[str]) -> bool:
    return list(arguments) == ["off"]


def _twin(swarm: Swarm, node: SwarmNode, name: str, at: str, *, copied: bool) -> None:
    host = swarm.net.add(name, at)
    home = Path(f"{node.home}-{name}")
    home.mkdir(mode=0o700)
    if copied:
        shutil.copytree(node.home / "node", home / "node", ignore=shutil.ignore_patterns("serving.json", ".*"))
    twin = SwarmNode(name, home, host)
    swarm.copies.append(twin)
    twin.run("peers", "home", "--yes")
    twin.up()


def _leave(swarm: Swarm, name: str) -> None:
    """End nodes that a fault has started, and pull their cables: they keep their places among the copies."""
    for copy in swarm.copies:
        if copy.name.startswith(name):
            copy.kill()
            swarm.net[copy.name].pull_cable()


def _bridge(swarm: Swarm, node: SwarmNode, setting: str, value: str) -> None:
    _run("bridge", "-n", swarm.net.bridge, "link", "set", "dev", swarm.net.port(node.name), setting, value)


def _run(*line: str) -> None:
    subprocess.run(line, check=True, capture_output=True, timeout=20)
