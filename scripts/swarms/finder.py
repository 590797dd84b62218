"""One node's discovery alone, on a host of a made-up network. Prints what happens, one JSON a line.

python -m scripts.swarms.finder HOME PORT [home|away|lo]
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from peers import interfaces
from peers.codes import Address
from peers.discovery import Discovery
from peers.networks import Networks, sort
from peers.node_id import NodeId
from peers.state import open_state


def say(event: str, **what: str) -> None:
    print(json.dumps({"event": event, "at_s": time.monotonic(), **what}), flush=True)


async def find(home: Path, port: int, where: str) -> None:
    state = open_state(home, machine="")

    def sighted(node: NodeId, at: Address) -> None:
        say("sighted", node=node, at=str(at))

    if where == "home":
        Networks(state.folder).say(sort(interfaces.snapshot(), {}).unknown, "home")
    discovery = Discovery(
        state,
        port=port,
        boot=state.identity.node_id[:8],
        sighted=sighted,
        doubled=lambda at: say("doubled", at=str(at)),
        changed=lambda: say("changed"),
        local_only=where == "lo",
    )
    say("up", node=state.identity.node_id)
    await discovery.run()


if __name__ == "__main__":
    asyncio.run(find(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
