"""The models that Covey knows by name, one TOML file each in `models/catalog/`. Reads files only."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from models.manifest import Manifest, read_toml

FOLDER = Path(__file__).parent / "catalog"
MEMORY_SHARE = 0.5
"""Part of a device's memory that a model may take; the rest is for the owner's own programs."""
OVERHEAD_BYTES = 200_000_000
"""Measured: library, context of some thousand tokens and buffers, on top of a small model's file."""


@cache
def catalog() -> Mapping[str, Manifest]:
    """Return every model of the catalog by id. Raises ManifestError when a file is damaged."""
    manifests = (read_toml(path) for path in sorted(FOLDER.glob("*.toml")))
    return MappingProxyType({manifest.id: manifest for manifest in manifests})


def starter_set() -> tuple[Manifest, ...]:
    """Return what a first `covey ask` pulls by itself."""
    return tuple(manifest for manifest in catalog().values() if manifest.starter)


def suggest(memory_bytes: int) -> tuple[Manifest, ...]:
    """Return the text models under free licences that fit a device with this much memory, largest first."""
    fitting = [
        manifest
        for manifest in catalog().values()
        if manifest.kind == "text" and not manifest.opt_in and needed_bytes(manifest) <= memory_bytes * MEMORY_SHARE
    ]
    return tuple(sorted(fitting, key=lambda manifest: manifest.parameters or 0, reverse=True))


def needed_bytes(manifest: Manifest) -> int:
    """Return the memory that a model takes when loaded: measured, or estimated from its files."""
    return manifest.memory_bytes or manifest.size_bytes + OVERHEAD_BYTES
