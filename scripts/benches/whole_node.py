"""A node as `covey up` starts it, with a scripted model, for benches: python -m scripts.benches.whole_node HOME.

It speaks as scripts/benches/peer_node.py does: its port in one line of JSON, then a line for each line of its input.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path

from models.backends.scripted import ScriptedPool, ScriptedText
from runtime import paths
from runtime.api.server import serving
from runtime.node import open_node
from runtime.peering import peering
from scripts.benches.peer_node import watched

MODEL = "smollm2-135m"


async def serve(home: Path) -> None:
    """Serve until standard input ends."""
    pool = ScriptedPool({MODEL: ScriptedText(lambda call: "done", name=MODEL)})
    async with open_node(paths.ensure_home(home), pool=pool) as node, serving(node, 0), peering(node, 0, "lo") as place:
        assert place is not None
        gc.freeze()
        await watched(place.port)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
