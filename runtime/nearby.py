"""The owner's other devices as a source of models: asked before the internet, trusted with bytes to verify only."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from models.errors import SourceError, SourceUnreachable
from models.manifest import PeerSource
from models.pull import Fetch
from models.sources.transfer import FileProgress
from models.store import Store

PEERS_FILE = Path("node") / "peers.json"
"""There from the first pairing on; without it, nothing of the network's code is imported."""


def fetchers(home: Path, store: Store) -> Mapping[str, Fetch]:
    """Return what `models.pull` needs to ask the owner's devices first; nothing where none was ever paired."""
    if not (home / PEERS_FILE).is_file():
        return {}

    def fetch(source: PeerSource, target: Path, progress: FileProgress, *, size_bytes: int | None = None) -> None:
        from peers.errors import PeersError  # heavy, first use only: what follows brings aiohttp
        from runtime import config, copying, paths
        from runtime.own_state import own_state

        try:
            state = own_state(home, config.load(paths.settings_file(home)))
            asyncio.run(copying.bring(state, store, source, target, progress, size_bytes=size_bytes))
        except (SourceUnreachable, SourceError):
            raise
        except PeersError as error:
            raise SourceUnreachable(str(error).rstrip(".")) from error

    return {"peer": fetch}
