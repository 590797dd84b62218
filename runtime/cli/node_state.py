"""Opens this node's folder for a command, and shows the owner what there is to say about it."""

from __future__ import annotations

import sys

from peers.state import NodeState
from runtime import config, paths
from runtime.own_state import own_state


def opened() -> NodeState:
    """Return this node's state, made on first use. Raises IdentityError, HomeNotWritable."""
    root = paths.ensure_home(paths.home())
    state = own_state(root, config.load(paths.settings_file(root)))
    if state.notice:
        print(state.notice, file=sys.stderr)
    return state
