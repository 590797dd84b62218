"""The name under which a node is announced on a network: another every day, computed by those who know its id.

To anybody else it is eight letters that say nothing and can't be joined to yesterday's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping

from peers.node_id import NodeId

DAY_NS = 24 * 3600 * 10**9
NAME_BYTES = 5
"""40 bits are eight letters: enough to tell a household's devices apart, and a chance match only costs one dial."""
_CLOCKS_APART = (-1, 0, 1)
"""Days around today: clocks and midnights differ between two devices."""


def day_of(time_ns: int) -> int:
    """Return the number of the day, in UTC, of a time in nanoseconds since 1970."""
    return time_ns // DAY_NS


def name_on(node: NodeId, day: int) -> str:
    """Return the name of a node on one day.

    >>> len(name_on(NodeId("A" * 52), 20000))
    8
    """
    mixed = hmac.digest(node.encode(), b"covey discovery 1\n%d" % day, hashlib.sha256)
    return base64.b32encode(mixed[:NAME_BYTES]).decode().lower()


def names_around(nodes: Iterable[NodeId], day: int) -> Mapping[str, NodeId]:
    """Return the names that these nodes may have now, yesterday's and tomorrow's among them."""
    return {name_on(node, day + away): node for node in nodes for away in _CLOCKS_APART}
