"""Copies one file of a model from the owner's other devices, from several at once."""

from __future__ import annotations

import logging
from pathlib import Path

from models.errors import SourceUnreachable
from models.manifest import PeerSource
from models.sources.transfer import FileProgress
from models.store import Store
from peers.blob_source import PeerBlobs
from peers.blobs import copy
from peers.book import Peer, is_expired
from peers.client import PeerClient
from peers.release import Releaser
from peers.state import NodeState

logger = logging.getLogger(__name__)


async def bring(
    state: NodeState,
    store: Store,
    source: PeerSource,
    target: Path,
    progress: FileProgress,
    *,
    size_bytes: int | None = None,
) -> None:
    """Copy the source's file to `target`. Raises SourceUnreachable, SourceError, StoreFull, StoreError, PeersError."""
    peers = own_devices(state)
    if not peers:
        raise SourceUnreachable("no device of your own is paired")
    releaser = Releaser(state.ledger)
    async with PeerClient(state.identity, state.peers) as client:
        sources = [PeerBlobs(peer, client, releaser) for peer in peers]
        gave = await copy(source.sha256, sources, target, progress, free_bytes=store.free_bytes, size_bytes=size_bytes)
    logger.info("a file of a model came from %s", ", ".join(gave) or "what was here already")


def own_devices(state: NodeState) -> list[Peer]:
    """Return the paired devices to ask, the one seen last first; a guest is not told what this device looks for."""
    now_ns = state.peers.now_ns()
    mine = [p for p in state.peers.book().peers.values() if p.grant.whose == "own" and not is_expired(p, now_ns)]
    return sorted(mine, key=lambda peer: -peer.seen_ns)
