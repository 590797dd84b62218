"""Opens this node's folder for a command, and shows the owner what there is to say about it."""

from __future__ import annotations

import sys

from peers.machine import machine_mark
from peers.state import NodeState, open_state
from runtime import config, paths


def opened() -> NodeState:
    """Return this node's state, made on first use. Raises IdentityError, HomeNotWritable."""
    root = paths.ensure_home(paths.home())
    settings = config.load(paths.settings_file(root))
    state = open_state(root, machine=machine_mark(), ledger_days=settings.ledger_days)
    if state.notice:
        print(state.notice, file=sys.stderr)
    return state
