"""The files of models that a paired device may copy from here: those of installed models, found by digest alone."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from models.catalog import catalog
from models.store import Store
from models.types import Label
from peers.chunks import Chunks, chunks_of

MAX_ROWS = 64
"""Rows of chunks that are kept in memory; more files than a household has."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Shelved:
    """One file that is here."""

    sha256: str
    path: Path
    size_bytes: int
    label: Label
    """`public` for a file that Covey's catalog names, `personal` for one that the owner brought."""


class Shelf:
    """Looks into one store. Calls block for the disk."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: OrderedDict[str, Chunks] = OrderedDict()
        self._reading = threading.Lock()

    def find(self, sha256: str) -> Shelved | None:
        """Return the file with this digest; None unless it belongs to a model that is installed whole.

        What the other side sent is only ever compared with digests that are known here, never made into a path.
        """
        if not _DIGEST.fullmatch(sha256):
            return None
        known = {digest for manifest in catalog().values() for digest in manifest.digests}
        for manifest in self._store.installed().values():
            for artifact in manifest.artifacts:
                if artifact.sha256 == sha256:
                    path = self._store.path(manifest, artifact.role)
                    label = Label.PUBLIC if sha256 in known else Label.PERSONAL
                    return Shelved(artifact.sha256, path, path.stat().st_size, label)
        return None

    def chunks(self, shelved: Shelved) -> Chunks:
        """Return the row of a file; it is read once. Raises OSError."""
        with self._reading:  # one at a time: two devices that ask at once must not read the disk twice
            if shelved.sha256 not in self._rows:
                self._rows[shelved.sha256] = chunks_of(shelved.path)
            self._rows.move_to_end(shelved.sha256)
            while len(self._rows) > MAX_ROWS:
                self._rows.popitem(last=False)
            return self._rows[shelved.sha256]
