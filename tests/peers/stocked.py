"""Nodes that have a model to give, and the way to copy from them."""

from __future__ import annotations

from pathlib import Path

from models.manifest import Artifact, Manifest
from models.store import Store
from peers.blob_source import PeerBlobs
from peers.node_id import NodeId
from peers.release import Releaser
from tests.peers.swarm import Node


def install(store: Store, folder: Path, data: bytes) -> Path:
    """Install a model that the owner brought by a folder, and return its file."""
    brought = folder / "brought"
    brought.write_bytes(data)
    digest = store.add_blob(brought)
    artifact = Artifact("model", "own.onnx", len(data), digest)
    store.install(Manifest("own", "The owner's.", "encoder", "onnx", (artifact,), "MIT"))
    return store.blobs / digest


def blobs(asker: Node, other: NodeId) -> PeerBlobs:
    peer = asker.state.peers.book().peers[other]
    return PeerBlobs(peer, asker.client, Releaser(asker.state.ledger))
