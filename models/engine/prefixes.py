"""Prompt state on disk: what a specialist's own prompt costs to compute is paid once, not at each start.

Only prompts of specialists are kept, never what a user wrote. A file is found by the digest of all
that its content depends on, and is ignored when its bytes are not the ones that were written.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from models import state_folder

MAX_FOLDER_BYTES = 512 * 1024 * 1024
"""Bytes of all files together; the one read longest ago goes first."""
FEWEST_TOKENS = 48
"""Below this, computing is about as fast as reading."""

_DIGEST_BYTES = 32


class PrefixFiles:
    """The files of one model under one set of settings. `scope` names both, and the library's version."""

    def __init__(self, folder: Path, scope: str) -> None:
        self._folder = folder
        self._scope = scope.encode()

    def read(self, tokens: Sequence[int]) -> bytes | None:
        """Return the state kept for exactly these tokens, or None."""
        path = self._path(tokens)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        state = content[_DIGEST_BYTES:]
        if hashlib.sha256(state).digest() != content[:_DIGEST_BYTES]:
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return state

    def has(self, tokens: Sequence[int]) -> bool:
        with contextlib.suppress(OSError):  # a folder of another user may not be looked into
            return self._path(tokens).exists()
        return False

    def write(self, tokens: Sequence[int], state: bytes) -> None:
        """Keep a state. A disk that refuses costs only the time to compute it again."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            state_folder.put(self._path(tokens), hashlib.sha256(state).digest(), state, most_bytes=MAX_FOLDER_BYTES)

    def _path(self, tokens: Sequence[int]) -> Path:
        key = hashlib.sha256(self._scope + b"\0" + struct.pack(f">{len(tokens)}I", *tokens))
        return self._folder / f"{key.hexdigest()}.state"
