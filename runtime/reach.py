"""How far this node looks for other devices, and at which addresses it waits for them: the owner's COVEY_DISCOVERY."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

from runtime.errors import UsageError

PEER_PORT = 4489
VARIABLE = "COVEY_DISCOVERY"
Reach = Literal["off", "lo", "auto"]
HOSTS: Mapping[Reach, str] = {"off": "0.0.0.0", "lo": "127.0.0.1", "auto": "0.0.0.0"}
"""Where the peers' port is opened. With `off` a running node opens none; `covey pair` does while it waits."""


def reach(environ: Mapping[str, str] = os.environ) -> Reach:
    """Return how far this node looks for other devices: not at all, on this machine only, or in the home."""
    match environ.get(VARIABLE, "") or "auto":
        case "off":
            return "off"
        case "lo":
            return "lo"
        case "auto":
            return "auto"
        case other:
            raise UsageError(f"{VARIABLE}={other} is not known. Set it to off, lo or auto, or leave it out.")
