"""A node as `covey up` starts it, but with more state for each model: for benches that a small context would bound.

python -m scripts.benches.roomy_node STATE_TOKENS CONTEXT_TOKENS --json
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys

import psutil

from models.backends.llama import LlamaModel
from models.backends.llama_settings import LlamaSettings
from models.manifest import Manifest
from models.pool import ModelPool
from models.store import Store
from runtime import paths
from runtime.api.server import serving
from runtime.node import open_node

BUDGET_BYTES = 8 * 10**9


async def serve(state_tokens: int, context_tokens: int) -> None:
    """Say where it listens in one line of JSON, then answer until SIGTERM."""

    async def load(manifest: Manifest, store: Store, threads: int) -> LlamaModel:
        settings = LlamaSettings(context_tokens=context_tokens, kv_tokens=state_tokens, threads=threads)
        return await LlamaModel.load(manifest.model_id, store.path(manifest, "model"), manifest.digests, settings)

    home = paths.ensure_home(paths.home())
    threads = psutil.cpu_count(logical=False) or 1
    pool = ModelPool(Store(paths.models_dir(home)), budget_bytes=BUDGET_BYTES, threads=threads, openers={"llama": load})
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    try:
        async with open_node(home, pool=pool) as node, serving(node, 0) as server:
            print(json.dumps({"url": server.url}), flush=True)
            await stop.wait()
    finally:
        await pool.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
