"""A node as `covey up` starts it, but every token is shown as soon as it is chosen, where an owner's node shows those
of a tenth of a second together: for benches that measure the time between tokens.

python -m scripts.benches.every_token_node --json
"""

from __future__ import annotations

import asyncio
import json
import signal
from functools import partial

import psutil

from models.backends.llama import open_model
from models.engine.environment import cores
from models.pool import ModelPool
from models.store import Store
from runtime import paths
from runtime.api.server import serving
from runtime.config import load
from runtime.node import open_node


async def serve() -> None:
    """Say where it listens in one line of JSON, then answer until SIGTERM."""
    home = paths.ensure_home(paths.home())
    settings = load(paths.settings_file(home))
    choice = settings.language_models()

    pool = ModelPool(
        Store(paths.models_dir(home)),
        budget_bytes=settings.memory_budget_bytes(psutil.virtual_memory().total),
        threads=settings.threads or cores(),
        choice=choice,
        openers={"llama": partial(open_model, choice=choice, show_s=0.0)},
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    try:
        async with open_node(home, settings=settings, pool=pool) as node, serving(node, 0) as server:
            print(json.dumps({"url": server.url}), flush=True)
            await stop.wait()
    finally:
        await pool.close()


if __name__ == "__main__":
    asyncio.run(serve())
