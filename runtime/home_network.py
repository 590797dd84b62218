"""Where this node looks for other devices: the networks that its owner calls home, or this machine alone."""

from __future__ import annotations

from pathlib import Path

from peers import ground as grounds
from peers import interfaces, networks
from peers.ground import NOWHERE, Ground
from peers.networks import Networks, Surroundings
from runtime.reach import Reach


def around(folder: Path) -> Surroundings:
    """Return the networks around, by what the owner said of them. `folder`: the node's. Raises PeerBookError."""
    return networks.sort(interfaces.snapshot(), Networks(folder).said())


def ground(folder: Path, far: Reach) -> Ground:
    """Return where windows are shown and looked for now. Raises PeerBookError."""
    match far:
        case "off":
            return NOWHERE
        case "lo":
            return grounds.loopback(interfaces.snapshot())
        case "auto":
            return grounds.ground(around(folder).home)
