"""Opens what makes this node itself (key, ledger, list of paired devices) in Covey's folder."""

from __future__ import annotations

from pathlib import Path

from peers.machine import machine_mark
from peers.state import NodeState, open_state
from runtime.config import Settings


def own_state(home: Path, settings: Settings) -> NodeState:
    """Return this node's state, made on first use; blocks for the disk. Raises IdentityError."""
    return open_state(home, machine=machine_mark(), ledger_days=settings.ledger_days)
